-- A composite value that was made before its type changed: row_hash refuses it where Postgres does, instead of
-- reading it as what it is not. Postgres does since the minor releases that brought composite_type_mismatch.
CREATE EXTENSION raceguard;
CREATE TYPE place AS (number int);
-- No column may be of the type while it changes: what holds the value is a cursor.
BEGIN;
DECLARE for_postgres CURSOR WITH HOLD FOR SELECT ROW(7)::place AS place;
DECLARE for_raceguard CURSOR WITH HOLD FOR SELECT ROW(7)::place AS place;
DECLARE again CURSOR WITH HOLD FOR SELECT ROW(7)::place AS place;
COMMIT;
CREATE FUNCTION read(held refcursor, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    held_row record;
BEGIN
    FETCH held INTO held_row;
    EXECUTE statement USING held_row;
    RETURN 'read';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT read('again', 'SELECT raceguard.row_hash($1)') AS as_it_was;
ALTER TYPE place ALTER ATTRIBUTE number TYPE bigint;
SELECT CASE WHEN current_setting('composite_type_mismatch', true) IS NULL THEN 'read' ELSE '22P07' END AS expected \gset
SELECT read('for_postgres', 'SELECT record_send($1)') = :'expected' AS postgres,
       read('for_raceguard', 'SELECT raceguard.row_hash($1)') = :'expected' AS raceguard;
