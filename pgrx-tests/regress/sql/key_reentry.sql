-- A function in a key that is only declared IMMUTABLE, and writes to the table it guards.
CREATE EXTENSION raceguard;
CREATE TABLE t (a text);
CREATE FUNCTION write_again(a text) RETURNS text VOLATILE LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.t VALUES ('inner');
    RETURN a;
END $$;
CREATE FUNCTION write_and_catch(a text) RETURNS text VOLATILE LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.t VALUES ('inner');
    RETURN a;
EXCEPTION WHEN program_limit_exceeded THEN
    RETURN a;
END $$;
CREATE FUNCTION pure(a text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN length(a) < 1000 THEN 'short'
                WHEN a LIKE 'catch%' THEN left(public.write_and_catch(a), 10)
                ELSE left(public.write_again(a), 10) END;
END $$;
SELECT raceguard.add_key_lock('t', $$pure(a || repeat('x', CASE WHEN a = 'inner' THEN 1 ELSE 50000000 END))$$);
INSERT INTO t VALUES ('outer');
INSERT INTO t VALUES ('catch');
-- The mark of an evaluation that an ERROR ended stops nobody.
BEGIN;
SAVEPOINT s;
INSERT INTO t VALUES ('outer');
ROLLBACK TO s;
INSERT INTO t VALUES ('inner');
COMMIT;
INSERT INTO t VALUES ('inner');
SELECT * FROM t ORDER BY a;

-- ---- One that changes a partition beside the one being written, which nobody has open: not yet when the
-- index of the cooldown calls it, but when the guard does.
DROP TABLE t;
CREATE FUNCTION act(what text) RETURNS text VOLATILE LANGUAGE plpgsql AS $$
DECLARE calls int := coalesce(nullif(current_setting('t.calls', true), ''), '0')::int + 1;
BEGIN
    PERFORM set_config('t.calls', calls::text, true);
    IF calls = 2 AND what <> 'nothing' THEN EXECUTE what; END IF;
    RETURN 'x';
END $$;
CREATE FUNCTION meddle(what text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN public.act(what); END';
CREATE TABLE mails (side text, what text, at timestamp) PARTITION BY LIST (side);
CREATE TABLE mails_a PARTITION OF mails FOR VALUES IN ('a');
CREATE TABLE mails_b PARTITION OF mails FOR VALUES IN ('b');
SELECT raceguard.add_cooldown('mails', 'meddle(what)', 'at', '1 day');
\set VERBOSITY sqlstate
INSERT INTO mails_a VALUES ('a', 'nothing', '2026-03-01');
BEGIN; INSERT INTO mails_a VALUES ('a', 'DROP TABLE public.mails_b', '2026-03-05'); ROLLBACK;
BEGIN; INSERT INTO mails_a VALUES ('a', 'ALTER TABLE public.mails DETACH PARTITION public.mails_b', '2026-03-05'); ROLLBACK;
BEGIN; INSERT INTO mails_a VALUES ('a', 'ALTER TABLE public.mails DETACH PARTITION public.mails_b; DROP TABLE public.mails_b', '2026-03-05'); ROLLBACK;
BEGIN; INSERT INTO mails_a VALUES ('a', 'ALTER TABLE public.mails DETACH PARTITION public.mails_b; DROP INDEX public.mails_b_meddle_at_idx', '2026-03-05'); ROLLBACK;
BEGIN; INSERT INTO mails_a VALUES ('a', 'ALTER TABLE public.mails DETACH PARTITION public.mails_b; ALTER TABLE public.mails_b ALTER at TYPE date', '2026-03-05'); ROLLBACK;
BEGIN; INSERT INTO mails_a VALUES ('a', 'TRUNCATE public.mails_b', '2026-03-09'); ROLLBACK;
BEGIN; INSERT INTO mails_a VALUES ('a', 'DROP TABLE public.mails', '2026-03-13'); ROLLBACK;
BEGIN; INSERT INTO mails_b VALUES ('b', 'DROP TABLE public.mails_a', '2026-03-13'); ROLLBACK;
SELECT tableoid::regclass, at FROM mails ORDER BY at;
SELECT raceguard.next_allowed('mails', to_jsonb('x'::text)) IS NOT NULL AS told;
