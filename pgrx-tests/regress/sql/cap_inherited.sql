-- A cap on a table that inherits the CHECK of its parent's cap, and keys too long for an error.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE TABLE people (id int, team int);
SELECT raceguard.add_cap('people', 'team', 3);
CREATE TABLE staff () INHERITS (people);
INSERT INTO staff VALUES (1, 1);
-- The same cap becomes the table's own; another one cannot stand beside the CHECK that it has.
SELECT raceguard.add_cap('staff', 'team', 2);
SELECT raceguard.add_cap('staff', 'team', 3);
INSERT INTO staff VALUES (1, 1) RETURNING slot;
SELECT conislocal, coninhcount FROM pg_constraint WHERE conrelid = 'staff'::regclass AND contype = 'c';
SELECT raceguard.set_cap('staff', 5);
SELECT raceguard.drop_guard('staff', 'cap');
SELECT raceguard.add_cap('staff', 'team', 4, replace => true);
INSERT INTO staff VALUES (2, 1) RETURNING slot;
-- Once the parent's cap is gone, or the inheritance ends, it is like any other.
BEGIN;
SELECT raceguard.drop_guard('people', 'cap');
SELECT raceguard.set_cap('staff', 5);
SELECT raceguard.drop_guard('staff', 'cap');
ROLLBACK;
ALTER TABLE "public"."staff" NO INHERIT people;
SELECT raceguard.set_cap('staff', 5);
SELECT raceguard.drop_guard('staff', 'cap');
-- A partition has its root's.
CREATE TABLE parted (day int, id int) PARTITION BY LIST (day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
SELECT raceguard.add_cap('parted', 'day', 2);
SELECT raceguard.set_cap('parted_1', 5);
SELECT raceguard.drop_guard('parted_1', 'cap');
-- Keys of any length: the error shows where they begin.
CREATE TABLE long (k text, at timestamp);
INSERT INTO long SELECT repeat('x', 100000), '2026-01-01' FROM generate_series(1, 2);
CREATE FUNCTION lengths(statement text) RETURNS TABLE (state text, message int, detail int) LANGUAGE plpgsql AS $$
DECLARE m text; d text;
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL;
    RETURN QUERY SELECT SQLSTATE, length(m), length(d);
END $$;
SELECT * FROM lengths($$SELECT raceguard.add_cap('long', 'k', 1)$$);
SELECT * FROM lengths($$SELECT raceguard.add_cooldown('long', 'k', 'at', '1 day')$$);
SELECT raceguard.add_key_lock('long', format('(k || %L)', repeat('y', 100000)));
SELECT * FROM lengths(format('SELECT raceguard.add_key_lock(''long'', %L)', format('(k || %L)', repeat('z', 100000))));
