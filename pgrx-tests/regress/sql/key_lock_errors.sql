-- Everything that add_key_lock, the guard and the lock calls refuse, and that nothing is changed.
CREATE EXTENSION raceguard;
-- The SQLSTATE, message, DETAIL and HINT of a statement that is refused.
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; message text; detail text; hint text; tab text; col text;
BEGIN
    EXECUTE statement;
    RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, tab = TABLE_NAME, col = COLUMN_NAME;
    RETURN concat_ws(E'\n', code || ' ' || message, nullif(detail, ''), nullif(hint, ''),
        nullif('table ' || tab || coalesce(', column ' || nullif(col, ''), ''), 'table '));
END $$;
GRANT EXECUTE ON FUNCTION refused TO PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;
\pset format unaligned
\pset tuples_only on
\pset fieldsep ' '
CREATE TABLE posts (
    id int PRIMARY KEY, "userId" int, at timestamptz, local timestamp, title text,
    a text COLLATE "C", b text COLLATE "POSIX",
    doubled int GENERATED ALWAYS AS (id * 2) STORED, spot point, data json);

-- NULL arguments
SELECT refused($$ SELECT raceguard.add_key_lock(NULL, 'id') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', NULL) $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id', replace => NULL) $$);

-- what can't carry a guard
CREATE VIEW v AS SELECT * FROM posts;
CREATE MATERIALIZED VIEW m AS SELECT 1 AS id;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (id int) SERVER nowhere;
CREATE SEQUENCE s;
SELECT refused($$ SELECT raceguard.add_key_lock('no_such_table', 'id') $$);
SELECT refused($$ SELECT raceguard.add_key_lock(4294967295::oid, 'id') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('v', 'id') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('m', 'id') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('far', 'id') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('s', 'id') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts_pkey', 'id') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('pg_class', 'oid') $$);

-- keys that are none
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '   ') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id,') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '"userId') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id + 1') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id DESC') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'title text_pattern_ops') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'title COLLATE "C"') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id) WHERE (id > 1') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id) INCLUDE (title') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id); DROP TABLE posts; CREATE INDEX ON posts (id') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '(SELECT 1)') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'count(id)') $$);
SELECT refused(format('SELECT raceguard.add_key_lock(''posts'', %L)', repeat('id, ', 32) || 'id'));

-- columns and functions that are not there, or do not fit
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'userId') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'nope') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'lower(nope)') $$);
SELECT split_part(refused($$ SELECT raceguard.add_key_lock('posts', 'nope(id)') $$), E'\n', 1);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'ctid') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '(posts::text)') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'doubled') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '(doubled + 1)') $$);

-- not IMMUTABLE, no collation, no hash function
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'date_trunc(''week'', at)') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '(at::date)') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '(id + random())') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '(a || b)') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id, spot') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'data') $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', '(ARRAY[data])') $$);

-- namespace
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'title', namespace => 5000) $$);
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id, "userId"', namespace => 5000) $$);
CREATE TABLE big (id bigint);
SELECT raceguard.add_key_lock('big', 'id', namespace => 5000);
INSERT INTO big VALUES (2147483647), (-2147483648);
SELECT refused($$ INSERT INTO big VALUES (2147483648) $$);
SELECT refused($$ SELECT raceguard.lock_key('big', -2147483649) $$);
SELECT refused($$ SELECT raceguard.lock_table_keys('big') $$);

-- not the owner; and what the calls need
CREATE ROLE regress_key_lock_owner;
CREATE ROLE regress_key_lock_writer;
CREATE ROLE regress_key_lock_reader;
ALTER TABLE posts OWNER TO regress_key_lock_owner;
GRANT INSERT (id), SELECT ON posts TO regress_key_lock_writer;
GRANT SELECT ON posts TO regress_key_lock_reader;
SET ROLE regress_key_lock_writer;
SELECT refused($$ SELECT raceguard.add_key_lock('posts', 'id') $$);
RESET ROLE;
-- nothing has been changed so far
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid IN ('posts'::regclass, 'v'::regclass);
SELECT refused($$ SELECT raceguard.lock_key('posts', 1) $$);
SELECT refused($$ SELECT raceguard.lock_keys('posts', '[1]') $$);
SELECT refused($$ SELECT raceguard.lock_table_keys('posts') $$);
SELECT refused($$ SELECT raceguard.lock_key('v', 1) $$);
SELECT refused($$ SELECT raceguard.lock_key(4294967295::oid, 1) $$);
SET ROLE regress_key_lock_owner;
SELECT raceguard.add_key_lock('posts', 'id, title');
SELECT raceguard.lock_table_keys('posts');
SET ROLE regress_key_lock_writer;
SELECT raceguard.lock_key('posts', 1, 'a');
SELECT refused($$ SELECT raceguard.lock_table_keys('posts') $$);
SELECT refused($$ SELECT raceguard.drop_guard('posts', 'key_lock') $$);
SET ROLE regress_key_lock_reader;
SELECT refused($$ SELECT raceguard.lock_key('posts', 1, 'a') $$);
SELECT refused($$ SELECT raceguard.try_lock_key('posts', 1, 'a') $$);
SELECT refused($$ SELECT raceguard.lock_keys('posts', '[[1, "a"]]') $$);
SELECT refused($$ SET LOCAL raceguard.lock_keys = posts, '[[1, "a"]]' $$);
RESET ROLE;

-- values that do not fit the key
SELECT refused($$ SELECT raceguard.lock_key('posts', 1) $$);
SELECT refused($$ SELECT raceguard.lock_key('posts', 1, 'a', 2) $$);
SELECT refused($$ SELECT raceguard.lock_key('posts', 'x', 'a') $$);
SELECT refused($$ SELECT raceguard.lock_key('posts', 99999999999, 'a') $$);
SELECT refused($$ SELECT raceguard.lock_key(NULL, 1, 'a') $$);
SELECT refused($$ SELECT raceguard.try_lock_key(NULL, 1, 'a') $$);
SELECT refused($$ SELECT raceguard.lock_keys('posts', NULL) $$);
SELECT refused($$ SELECT raceguard.lock_keys('posts', '1') $$);
SELECT refused($$ SELECT raceguard.lock_keys('posts', '[1, 2]') $$);
SELECT refused($$ SELECT raceguard.lock_keys('posts', '[[1, {"a": 1}]]') $$);
SELECT refused($$ SELECT raceguard.lock_keys('posts', '[[1, ["a"]]]') $$);
SELECT refused($$ SELECT raceguard.lock_keys('posts', '[["x", "a"]]') $$);
SELECT refused($$ SELECT raceguard.lock_keys('posts', (repeat('[', 200) || repeat(']', 200))::jsonb) $$);
SELECT refused($$ SELECT raceguard.lock_table_keys(NULL) $$);
-- a NULL in the key locks nothing
BEGIN;
SELECT raceguard.lock_key('posts', 1, NULL), raceguard.try_lock_key('posts', NULL, 'a');
SELECT raceguard.lock_keys('posts', '[[1, null], [null, "a"]]');
SELECT count(*) FROM raceguard.locks;
COMMIT;

-- the setting
SELECT refused($$ SET LOCAL raceguard.lock_keys = posts $$);
SELECT refused($$ SET LOCAL raceguard.lock_keys = nope, '[1]' $$);
SELECT refused($$ SET LOCAL raceguard.lock_keys = posts, '1' $$);
SELECT refused($$ SET LOCAL raceguard.lock_keys = posts, '[1]' $$);
SELECT refused($$ ALTER ROLE regress_key_lock_owner SET raceguard.lock_keys = posts, '[[1, "a"]]' $$);
ALTER SYSTEM SET raceguard.lock_keys = posts, '[[1, "a"]]';
SELECT refused($$ CREATE FUNCTION f() RETURNS int LANGUAGE sql SET raceguard.lock_keys = posts, '[[1, "a"]]' AS 'SELECT 1' $$);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT 1;
SELECT refused($$ SET LOCAL raceguard.lock_keys = posts, '[[1, "a"]]' $$);
SELECT refused($$ SELECT set_config('raceguard.lock_keys', 'posts, [[1, "a"]]', true) $$);
COMMIT;

-- the trigger function, called or attached wrongly
SELECT refused($$ SELECT raceguard.key_lock_guard() $$);
CREATE TABLE hand (id int, n int);
CREATE FUNCTION attach(definition text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE TRIGGER guard ' || definition;
    RETURN refused('INSERT INTO hand VALUES (1, 1)');
END $$;
DROP TRIGGER IF EXISTS guard ON hand;
SELECT attach($$ AFTER INSERT ON hand FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id') $$);
DROP TRIGGER IF EXISTS guard ON hand;
SELECT attach($$ BEFORE INSERT ON hand FOR EACH STATEMENT EXECUTE FUNCTION raceguard.key_lock_guard('id') $$);
DROP TRIGGER IF EXISTS guard ON hand;
SELECT attach($$ BEFORE INSERT OR UPDATE OR DELETE ON hand FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard() $$);
DROP TRIGGER IF EXISTS guard ON hand;
SELECT attach($$ BEFORE INSERT OR UPDATE OR DELETE ON hand FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('') $$);
DROP TRIGGER IF EXISTS guard ON hand;
SELECT attach($$ BEFORE INSERT OR UPDATE OR DELETE ON hand FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id,') $$);
DROP TRIGGER IF EXISTS guard ON hand;
SELECT attach($$ BEFORE INSERT OR UPDATE OR DELETE ON hand FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id', 'namespace=x') $$);
DROP TRIGGER IF EXISTS guard ON hand;
SELECT attach($$ BEFORE INSERT OR UPDATE OR DELETE ON hand FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id', 'slots=3') $$);
DROP TRIGGER IF EXISTS guard ON hand;
SELECT attach($$ BEFORE INSERT OR UPDATE OR DELETE ON hand FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id, n', 'namespace=1') $$);
DROP TRIGGER IF EXISTS guard ON hand;
SELECT attach($$ BEFORE INSERT OR UPDATE OR DELETE ON hand FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('nope') $$);
DROP TRIGGER IF EXISTS guard ON hand;
CREATE VIEW hand_view AS SELECT * FROM hand;
CREATE TRIGGER guard INSTEAD OF INSERT ON hand_view FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id');
SELECT refused($$ INSERT INTO hand_view VALUES (1, 1) $$);
DROP VIEW hand_view;
-- written by hand as it should be, it works
SELECT attach($$ BEFORE INSERT OR UPDATE OR DELETE ON hand FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id', 'namespace=-1') $$);

-- names that need quotes, and the longest ones
CREATE TABLE "we""ird, table" ("we""ird, column" int, "'" text);
SELECT raceguard.add_key_lock('"we""ird, table"', '"we""ird, column", "''"');
INSERT INTO "we""ird, table" VALUES (1, 'a');
BEGIN;
SELECT raceguard.lock_key('"we""ird, table"', 1, 'a');
SET LOCAL raceguard.lock_keys = '"we""ird, table"', '[[1, "a"]]';
SELECT target, locked FROM raceguard.locks;
COMMIT;
ALTER TABLE "we""ird, table" RENAME "'" TO "''";
SELECT refused($$ DELETE FROM "we""ird, table" $$);
DROP TABLE "we""ird, table";
SELECT repeat('T', 63) AS long \gset
CREATE TABLE :"long" (:"long" int);
SELECT refused(format('SELECT raceguard.add_key_lock(%L, %L)', quote_ident(:'long'), quote_ident(:'long')));
INSERT INTO :"long" VALUES (1);
SELECT refused(format('SELECT raceguard.lock_key(%L, 1)', quote_ident(:'long')));
DROP TABLE :"long";

-- a temporary table may have the guard, though nobody else can write to it
CREATE TEMP TABLE mine (id int);
SELECT raceguard.add_key_lock('mine', 'id');
INSERT INTO mine VALUES (1);

DROP TABLE posts, big, hand CASCADE;
DROP MATERIALIZED VIEW m;
DROP FOREIGN DATA WRAPPER nowhere CASCADE;
DROP SEQUENCE s;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
DROP ROLE regress_key_lock_owner, regress_key_lock_writer, regress_key_lock_reader;
