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
