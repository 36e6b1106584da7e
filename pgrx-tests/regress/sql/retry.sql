-- CALL retry: statements repeated until they meet no conflict (A6, B4, D8). Real conflicts, at
-- COMMIT too, are told in the isolation specs; here they are raised on purpose.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
CREATE TABLE done (id int PRIMARY KEY, note text, at timestamptz DEFAULT now());
CREATE SEQUENCE tries;
-- Fails until it has been called `until` times; a sequence does not roll back.
CREATE FUNCTION fail_until(until bigint, code text DEFAULT '40001') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') < until THEN
        RAISE 'try % failed', currval('tries') USING ERRCODE = code, DETAIL = 'On purpose.', HINT = 'Try again.';
    END IF;
END $$;

-- The first attempt counts; what failed ones wrote is gone.
CALL raceguard.retry($$INSERT INTO done VALUES (1, 'once')$$);
CALL raceguard.retry($$
    INSERT INTO done SELECT 10 + last_value, 'third time' FROM tries;
    SELECT fail_until(3);
$$, base_delay => '1 ms');
ALTER SEQUENCE tries RESTART;
CALL raceguard.retry($$INSERT INTO done VALUES (2); SELECT fail_until(2, '40P01')$$, base_delay => '0');
SELECT id, note FROM done ORDER BY id;

-- After the last attempt: the failure itself, its SQLSTATE and how many there were.
ALTER SEQUENCE tries RESTART;
CALL raceguard.retry('SELECT fail_until(100)', max_attempts => 3, base_delay => '0');
\echo :LAST_ERROR_SQLSTATE
CALL raceguard.retry('SELECT fail_until(100, ''40P01'')', max_attempts => 1);
\echo :LAST_ERROR_SQLSTATE
CALL raceguard.retry($$DO 'BEGIN RAISE serialization_failure; END'$$, max_attempts => 2, base_delay => '0');
SELECT last_value AS attempts FROM tries;

-- Other errors at once, unchanged, and nothing of the statements before them is kept.
ALTER SEQUENCE tries RESTART;
CALL raceguard.retry($$INSERT INTO done VALUES (3); SELECT fail_until(100, 'RG409')$$);
\echo :LAST_ERROR_SQLSTATE
CALL raceguard.retry($$INSERT INTO done VALUES (3); INSERT INTO done VALUES (1)$$);
\echo :LAST_ERROR_SQLSTATE
CALL raceguard.retry('SELECT nonsense');
CALL raceguard.retry('SELEKT 1');
-- One that appears in the second attempt only.
CALL raceguard.retry($$SELECT fail_until(3); INSERT INTO done VALUES (1)$$, base_delay => '0');
SELECT last_value AS attempts FROM tries;
-- A failure at COMMIT that is no conflict: a deferred constraint.
CREATE TABLE later (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CALL raceguard.retry('INSERT INTO later VALUES (1), (1)');
\echo :LAST_ERROR_SQLSTATE
-- ... and one that is: raised by a deferred trigger, it is retried.
CREATE FUNCTION fail_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM fail_until(3); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER fail_late AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fail_late();
ALTER SEQUENCE tries RESTART;
CALL raceguard.retry('INSERT INTO later VALUES (1)', base_delay => '0');
TABLE later;
SELECT count(*) FROM done WHERE id = 3;

-- Isolation levels.
CREATE TABLE seen (level text, after_the_call boolean);
CALL raceguard.retry($$INSERT INTO seen VALUES (current_setting('transaction_isolation'))$$);
CALL raceguard.retry($$INSERT INTO seen VALUES (current_setting('transaction_isolation'))$$, isolation => 'Repeatable Read');
CALL raceguard.retry($$INSERT INTO seen VALUES (current_setting('transaction_isolation'))$$, NULL, 'read committed');
SELECT level FROM seen;
SHOW transaction_isolation;
-- now() is the time of the attempt.
ALTER SEQUENCE tries RESTART;
CALL raceguard.retry($$INSERT INTO seen VALUES ('second attempt', now() > statement_timestamp()); SELECT fail_until(2)$$,
    base_delay => '1 ms');
SELECT * FROM seen WHERE level = 'second attempt';

-- Parameters.
CALL raceguard.retry($$
    INSERT INTO done SELECT (p ->> 'id')::int, p ->> 'note' FROM jsonb_array_elements($1) p;
    DELETE FROM done WHERE id = ($1 -> 0 ->> 'id')::int + 1
$$, '[{"id": 20, "note": "it''s $1; \"quoted\""}, {"id": 21}, {"id": 22}]');
SELECT id, note FROM done WHERE id >= 20;
CALL raceguard.retry($$INSERT INTO done SELECT 30, coalesce($1::text, 'no params')$$);
SELECT note FROM done WHERE id = 30;
CALL raceguard.retry('SELECT $2', '{}');
-- Also a large one that is stored out of line.
CREATE TABLE orders (request jsonb);
ALTER TABLE orders ALTER request SET STORAGE EXTERNAL;
INSERT INTO orders SELECT jsonb_build_object('text', repeat('x', 100000));
CREATE FUNCTION request() RETURNS jsonb LANGUAGE sql AS 'SELECT request FROM orders';
ALTER SEQUENCE tries RESTART;
CALL raceguard.retry($$INSERT INTO done VALUES (31, length($1 ->> 'text')); SELECT fail_until(3)$$, request(), base_delay => '0');
SELECT note FROM done WHERE id = 31;

-- Rows are thrown away, statements that see each other's work are not a problem.
CALL raceguard.retry($$SELECT * FROM done; SELECT generate_series(1, 1000000)$$);
CALL raceguard.retry($$CREATE TABLE made (n int); INSERT INTO made VALUES (1); UPDATE made SET n = n + 1$$);
TABLE made;
CALL raceguard.retry('');

-- Transaction control is refused and nothing of the statements is kept.
CALL raceguard.retry('INSERT INTO done VALUES (40); COMMIT; INSERT INTO done VALUES (41)');
\echo :LAST_ERROR_SQLSTATE
CALL raceguard.retry('BEGIN; INSERT INTO done VALUES (40); END');
CALL raceguard.retry('INSERT INTO done VALUES (40); ROLLBACK');
CALL raceguard.retry('INSERT INTO done VALUES (40); SAVEPOINT s; INSERT INTO done VALUES (41)');
CALL raceguard.retry($$INSERT INTO done VALUES (40); PREPARE TRANSACTION 'x'$$);
CALL raceguard.retry($$INSERT INTO done VALUES (40); DO 'BEGIN COMMIT; END'$$);
\echo :LAST_ERROR_SQLSTATE
CALL raceguard.retry($$INSERT INTO done VALUES (40); CALL raceguard.retry('INSERT INTO done VALUES (41)')$$);
\echo :LAST_ERROR_SQLSTATE
CALL raceguard.retry('INSERT INTO done VALUES (40); COPY done FROM stdin');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM done WHERE id >= 40;

-- Role, search_path and settings are the caller's in every attempt; a failed attempt leaves none.
CREATE ROLE regress_retry;
GRANT USAGE ON SCHEMA raceguard TO regress_retry;
CREATE SCHEMA regress_retry AUTHORIZATION regress_retry;
GRANT USAGE ON SEQUENCE tries TO regress_retry;
ALTER SEQUENCE tries RESTART;
SET ROLE regress_retry;
SET search_path = regress_retry, public;
SET work_mem = '3MB';
CREATE TABLE state (role name, path text, work_mem text, app text);
CALL raceguard.retry($$
    INSERT INTO state VALUES (current_user, current_setting('search_path'), current_setting('work_mem'),
                              current_setting('my.app', true));
    SET work_mem = '5MB';
    SET LOCAL my.app = 'set in the attempt';
    SET search_path = public;
    SELECT fail_until(3);
$$, base_delay => '0');
SELECT * FROM regress_retry.state;
SELECT current_user, current_setting('search_path') AS path, current_setting('work_mem') AS work_mem,
       current_setting('my.app', true) = '' AS local_ended;
CALL raceguard.retry('INSERT INTO public.done VALUES (50)');
RESET ROLE;
RESET ALL;
DROP OWNED BY regress_retry;
DROP ROLE regress_retry;

-- Where earlier work would be lost: refused, and the work is as it was.
BEGIN;
INSERT INTO done VALUES (60);
SAVEPOINT before;
CALL raceguard.retry('INSERT INTO done VALUES (61)');
ROLLBACK TO before;
COMMIT;
BEGIN;
CALL raceguard.retry('INSERT INTO done VALUES (61)');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- Several statements sent as one are a transaction block.
INSERT INTO done VALUES (62)\; CALL raceguard.retry('INSERT INTO done VALUES (61)');
CALL raceguard.retry('INSERT INTO done VALUES (61)')\; INSERT INTO done VALUES (62);
DO $$
DECLARE attempts int;
BEGIN
    INSERT INTO done VALUES (63);
    CALL raceguard.retry('INSERT INTO done VALUES (61)', attempts => attempts);
END $$;
DO $$
DECLARE attempts int;
BEGIN
    BEGIN
        CALL raceguard.retry('INSERT INTO done VALUES (61)', attempts => attempts);
    EXCEPTION WHEN active_sql_transaction THEN
        RAISE NOTICE '%', SQLERRM;
    END;
    INSERT INTO done VALUES (64);
END $$;
DO $$
DECLARE attempts int;
BEGIN
    SET LOCAL work_mem = '1MB';
    CALL raceguard.retry('INSERT INTO done VALUES (61)', attempts => attempts);
END $$;
CREATE FUNCTION in_function() RETURNS void LANGUAGE plpgsql AS $$
DECLARE attempts int;
BEGIN
    CALL raceguard.retry('INSERT INTO done VALUES (61)', attempts => attempts);
END $$;
SELECT in_function();
CREATE PROCEDURE in_procedure(write boolean, INOUT attempts int DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
    IF write THEN
        INSERT INTO done VALUES (65);
    END IF;
    CALL raceguard.retry('INSERT INTO done VALUES (66)', attempts => attempts);
END $$;
CALL in_procedure(true);
ALTER PROCEDURE in_procedure SET work_mem = '1MB';
CALL in_procedure(false);
ALTER PROCEDURE in_procedure RESET ALL;
ALTER PROCEDURE in_procedure SECURITY DEFINER;
CALL in_procedure(false);
SELECT id FROM done WHERE id >= 60 ORDER BY id;
-- A procedure that has written nothing may wrap it; what it had set or announced is kept.
ALTER PROCEDURE in_procedure SECURITY INVOKER;
CALL in_procedure(false);
DO $$
DECLARE attempts int;
BEGIN
    ALTER SEQUENCE tries RESTART;
    COMMIT;
    SET work_mem = '2MB';
    CALL raceguard.retry('INSERT INTO done VALUES (67); SELECT fail_until(3)', base_delay => '0', attempts => attempts);
    INSERT INTO done VALUES (68, attempts || ' attempts, ' || current_setting('work_mem'));
END $$;
RESET work_mem;
SELECT id, note FROM done WHERE id > 65 ORDER BY id;

-- Arguments.
CALL raceguard.retry(NULL);
CALL raceguard.retry('SELECT 1', isolation => NULL);
CALL raceguard.retry('SELECT 1', max_attempts => NULL);
CALL raceguard.retry('SELECT 1', base_delay => NULL);
CALL raceguard.retry('SELECT 1', max_delay => NULL);
CALL raceguard.retry('SELECT 1', isolation => 'read uncommitted');
CALL raceguard.retry('SELECT 1', isolation => '');
CALL raceguard.retry('SELECT 1', max_attempts => 0);
CALL raceguard.retry('SELECT 1', max_attempts => -1);
CALL raceguard.retry('SELECT 1', base_delay => '-1 ms');
CALL raceguard.retry('SELECT 1', max_delay => '1 day -25 hours');
\set VERBOSITY sqlstate
CALL raceguard.retry(NULL);
CALL raceguard.retry('SELECT 1', isolation => 'read uncommitted');
CALL raceguard.retry('SELECT 1', max_attempts => 0);
CALL raceguard.retry('SELECT 1', base_delay => '-1 ms');
\set VERBOSITY default

-- The wait can be ended by statement_timeout; nothing is left open.
SET statement_timeout = '300ms';
ALTER SEQUENCE tries RESTART;
CALL raceguard.retry('SELECT fail_until(1000000)', max_attempts => 1000000, base_delay => '1 hour', max_delay => '1 hour');
\echo :LAST_ERROR_SQLSTATE
RESET statement_timeout;
SELECT last_value < 5 AS few_attempts FROM tries;

-- Ten thousand attempts need the memory of a few.
CREATE FUNCTION measure() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n bigint := nextval('tries');
BEGIN
    IF n IN (1000, 10000) THEN
        PERFORM setval('memory_' || n, sum(used_bytes)::bigint) FROM pg_backend_memory_contexts;
    END IF;
    IF n < 10001 THEN
        RAISE 'not yet' USING ERRCODE = '40001', DETAIL = repeat('x', 100);
    END IF;
END $$;
CREATE SEQUENCE memory_1000;
CREATE SEQUENCE memory_10000;
ALTER SEQUENCE tries RESTART;
CALL raceguard.retry('INSERT INTO done VALUES (70); SELECT measure()', '{"some": "params"}',
    max_attempts => 20000, base_delay => '0');
SELECT b.last_value - a.last_value < 50000 AS no_growth FROM memory_1000 a, memory_10000 b;

-- The statements reach Postgres byte for byte, whatever the encoding of the database.
SELECT current_database() AS db \gset
CREATE DATABASE regress_retry_latin1 ENCODING latin1 LOCALE 'C' TEMPLATE template0;
\c regress_retry_latin1
SET client_encoding = utf8;
CREATE EXTENSION raceguard;
CREATE TABLE names (name text);
CALL raceguard.retry('INSERT INTO names VALUES (''Zoë''), ($1 ->> 0)', '["André"]');
SELECT name, length(name), octet_length(name) FROM names;
\c :db
DROP DATABASE regress_retry_latin1;
