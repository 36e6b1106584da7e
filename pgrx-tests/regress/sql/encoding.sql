-- A database in another encoding: what is not ASCII is refused, and never taken for something else.
CREATE DATABASE raceguard_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\connect raceguard_latin1
SET client_min_messages = warning;
CREATE EXTENSION raceguard;
-- Names cut at the first byte that is no UTF-8 would be those of the second table and its column.
CREATE TABLE U&"caf\00e9" (id int PRIMARY KEY, U&"cl\00e9" int, v int, t text);
CREATE TABLE caf (id int PRIMARY KEY, cl int, v int, t text);
INSERT INTO U&"caf\00e9" VALUES (1, 1, 1, U&'\00e9');
INSERT INTO caf VALUES (1, 1, 1, U&'\00e9');
SELECT raceguard.add_version(U&'caf\00e9', 'v');
SELECT raceguard.add_key_lock(U&'caf\00e9', 'id');
SELECT raceguard.add_cap(U&'caf\00e9', 'id', 3);
SELECT raceguard.take(U&'caf\00e9', '{"id": 1}', 'v', 1);
SELECT raceguard.add_key_lock('caf', U&'"cl\00e9"');
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_%';
SELECT v FROM caf;
-- A guard that is there by other means names what it can.
CREATE TRIGGER zz_raceguard_version BEFORE UPDATE ON U&"caf\00e9"
    FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('v');
UPDATE U&"caf\00e9" SET v = 5;
UPDATE U&"caf\00e9" SET v = 2;
-- Nor does it make a column under a name with question marks.
SELECT raceguard.add_version('caf', U&'vers\00efon');
SELECT raceguard.add_cap('caf', 'id', 3, slot_column => U&'pl\00e4tze');
SELECT raceguard.add_version('caf', 'v', ignore => ARRAY[U&'cl\00e9']::name[]);
SELECT raceguard.drop_guard('caf', U&'cl\00e9');
-- ASCII names work, and values that raceguard only passes on.
SELECT raceguard.add_version('caf', 'v');
SELECT raceguard.add_key_lock('caf', 't');
UPDATE caf SET v = 2, t = U&'\00e8';
SELECT raceguard.lock_key('caf', U&'\00e9'), raceguard.lock_key('caf', 'e');
SELECT raceguard.compare_and_swap('caf', '{"id": 1}', '2', '{"cl": 5}') ->> 't' = U&'\00e8' AS same;
-- Values that would go through its own text are refused.
SELECT raceguard.lock_keys('caf', jsonb_build_array(U&'\00e9'));
SELECT raceguard.lock_key('caf', to_jsonb(U&'\00e9'::text));
SELECT target = 'caf'::regclass AS caf, guard, definition FROM raceguard.guards ORDER BY 1 DESC, 2;
\connect postgres
DROP DATABASE raceguard_latin1;
