-- Caps: everything that can be asked for wrongly. Each is an error that changes nothing.
CREATE EXTENSION raceguard;
CREATE TABLE t (id int PRIMARY KEY, k int, at timestamptz, made timestamp,
                doubled int GENERATED ALWAYS AS (k * 2) STORED, word text, must int NOT NULL DEFAULT 1, tiny smallint);
INSERT INTO t (id, k) SELECT n, n % 3 FROM generate_series(1, 8) n;
\set SHOW_CONTEXT never
-- Prints the SQLSTATE of the statement before it.
\set code '\\echo SQLSTATE :SQLSTATE'

SELECT raceguard.add_cap(NULL, 'k', 3);
:code
SELECT raceguard.add_cap('t', NULL, 7);
:code
SELECT raceguard.add_cap('t', 'k', NULL);
:code
SELECT raceguard.add_cap('t', 'k', 3, guard => NULL);
:code
SELECT raceguard.add_cap('t', 'k', 3, replace => NULL);
:code
SELECT raceguard.add_cap('t', 'k', 0);
:code
SELECT raceguard.add_cap('t', 'k', -3);
:code
SELECT raceguard.add_cap('t', 'k', 3, fill => 'highest');
:code
SELECT raceguard.add_cap('missing', 'k', 3);
:code
SELECT raceguard.add_cap(999999::regclass, 'k', 3);
:code
SELECT raceguard.add_cap('t', 'nix', 3);
:code
SELECT raceguard.add_cap('t', 'k,', 3);
:code
SELECT raceguard.add_cap('t', 'k) WHERE (true', 3);
:code
SELECT raceguard.add_cap('t', 'k; DROP TABLE t', 3);
:code
SELECT raceguard.add_cap('t', 'date_trunc(''week'', at)', 3);
:code
SELECT raceguard.add_cap('t', '(k + random()::int)', 3);
:code
SELECT raceguard.add_cap('t', 'doubled', 3);
:code
SELECT raceguard.add_cap('t', '(doubled + 1)', 3);
:code
SELECT raceguard.add_cap('t', 'k', 3, predicate => 'k');
:code
SELECT raceguard.add_cap('t', 'k', 3, predicate => 'made < now()');
:code
SELECT raceguard.add_cap('t', 'k', 3, slot_column => 'word');
:code
SELECT raceguard.add_cap('t', 'k', 3, slot_column => 'must');
:code
SELECT raceguard.add_cap('t', 'k', 3, slot_column => 'doubled');
:code
SELECT raceguard.add_cap('t', 'k', 40000, slot_column => 'tiny');
:code
SELECT raceguard.add_cap('t', 'k', 3, guard => repeat('g', 46));
:code
SELECT raceguard.add_cap('t', 'k', 3, guard => '');
:code
-- Rows that stand already: too many of a key, in a slot that the cap does not have, two in one slot.
SELECT raceguard.add_cap('t', 'k', 2);
:code
SELECT raceguard.plan_cap('t', 'k', 2);
:code
UPDATE t SET tiny = id;
SELECT raceguard.add_cap('t', 'k', 3, slot_column => 'tiny');
:code
UPDATE t SET tiny = 1;
SELECT raceguard.add_cap('t', 'k', 3, slot_column => 'tiny');
:code
-- Online, on a table with rows.
\set VERBOSITY terse
SELECT raceguard.add_cap('t', 'k', 3, online => true);
:code
\set VERBOSITY default
-- What is no ordinary table.
CREATE VIEW v AS SELECT * FROM t;
CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE f (k int) SERVER nowhere;
SELECT raceguard.add_cap('v', 'k', 3);
:code
SELECT raceguard.add_cap('m', 'k', 3);
:code
SELECT raceguard.add_cap('f', 'k', 3);
:code
SELECT raceguard.add_cap('pg_class', 'relname', 3);
:code
CREATE TABLE parted (k int, day date) PARTITION BY RANGE (day);
\set VERBOSITY sqlstate
SELECT raceguard.add_cap('parted', 'k', 3);
\set VERBOSITY default
:code
-- Not the owner.
CREATE ROLE raceguard_cap_stranger;
GRANT ALL ON t TO raceguard_cap_stranger;
GRANT USAGE ON SCHEMA raceguard TO raceguard_cap_stranger;
SET ROLE raceguard_cap_stranger;
SELECT raceguard.add_cap('t', 'k', 3);
:code
SELECT raceguard.plan_cap('t', 'k', 3);
:code
SELECT raceguard.set_cap('t', 3);
:code
CALL raceguard.number_slots('t');
:code
RESET ROLE;
DROP OWNED BY raceguard_cap_stranger;
-- Nothing has changed.
\d t
-- set_cap, number_slots, drop_guard, the calls.
SELECT raceguard.set_cap('t', 3);
:code
CALL raceguard.number_slots('t');
:code
SELECT raceguard.add_cap('t', 'k', 3);
:code
SELECT raceguard.set_cap('t', 0);
:code
SELECT raceguard.set_cap('t', NULL);
:code
SELECT raceguard.set_cap('t', 4, guard => 'other');
:code
SELECT raceguard.set_cap('t', 2);
:code
SELECT raceguard.drop_guard('t', 'other');
:code
BEGIN;
CALL raceguard.number_slots('t');
:code
ROLLBACK;
SELECT raceguard.next_free_slot('t', '[1, 2]');
:code
SELECT raceguard.next_free_slot('t', '"x"');
:code
SELECT raceguard.next_free_slot('t', '1', guard => 'other');
:code
SELECT raceguard.next_free_slot('v', '1');
:code
SELECT raceguard.insert_next_slot('t', '[]');
:code
SELECT raceguard.insert_next_slot('t', '{"nix": 1}');
:code
SELECT raceguard.insert_next_slot('t', '{"id": 100}', on_full => 'wait');
:code
SELECT raceguard.insert_next_slot('t', '{"id": 1, "k": 9}');
:code
-- The slot column or the index gone, the trigger attached wrongly.
ALTER TABLE t RENAME slot TO place;
INSERT INTO t (id, k) VALUES (100, 9);
:code
ALTER TABLE t RENAME place TO slot;
SELECT raceguard.cap_guard();
:code
CREATE TABLE w (k int, slot int, note text);
CREATE TRIGGER a AFTER INSERT ON w FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot', 'slots=3');
INSERT INTO w VALUES (1);
:code
DROP TRIGGER a ON w;
CREATE TRIGGER a BEFORE DELETE ON w FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot', 'slots=3');
ALTER TABLE w DISABLE TRIGGER a;
INSERT INTO w VALUES (1);
:code
ALTER TABLE w ENABLE TRIGGER a;
DELETE FROM w;
:code
DROP TRIGGER a ON w;
CREATE TRIGGER a BEFORE INSERT ON w FOR EACH STATEMENT EXECUTE FUNCTION raceguard.cap_guard('slot', 'slots=3');
INSERT INTO w VALUES (1);
:code
DROP TRIGGER a ON w;
CREATE TRIGGER a BEFORE INSERT ON w FOR EACH ROW EXECUTE FUNCTION raceguard.cap_full_guard('slot', 'slots=3');
INSERT INTO w VALUES (1);
:code
DROP TRIGGER a ON w;
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON w FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard();
INSERT INTO w VALUES (1);
:code
DROP TRIGGER a ON w;
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON w FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot');
INSERT INTO w VALUES (1);
:code
DROP TRIGGER a ON w;
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON w FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot', 'slots=many');
INSERT INTO w VALUES (1);
:code
DROP TRIGGER a ON w;
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON w FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('note', 'slots=3');
INSERT INTO w VALUES (1);
:code
DROP TRIGGER a ON w;
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON w FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot', 'slots=3');
INSERT INTO w VALUES (1);
:code
DROP TABLE w;
-- Names that need quotes, as long as they may be; a temporary table.
\set VERBOSITY terse
CREATE TEMP TABLE "we""ird table" ("K k" int, id int);
SELECT raceguard.add_cap('"we""ird table"', '"K k"', 1, slot_column => 'Slot "1"', guard => 'the "cap"');
:code
INSERT INTO "we""ird table" VALUES (1, 1) RETURNING *;
INSERT INTO "we""ird table" VALUES (1, 2);
SELECT raceguard.set_cap('"we""ird table"', 2, guard => 'the "cap"');
:code
SELECT raceguard.insert_next_slot('"we""ird table"', '{"K k": 1, "id": 2}');
:code
SELECT raceguard.drop_guard('"we""ird table"', 'the "cap"', drop_column => true);
:code
DO $$ BEGIN EXECUTE format('CREATE TABLE %I (%I int)', repeat('ä', 31) || 'x', repeat('c', 63)); END $$;
SELECT raceguard.add_cap(oid::regclass, repeat('c', 63), 1, slot_column => repeat('S', 63)::name, guard => repeat('g', 45)::name)
FROM pg_class WHERE relname = repeat('ä', 31) || 'x';
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = (repeat('ä', 31) || 'x')::regclass;
DO $$ BEGIN EXECUTE format('INSERT INTO %I VALUES (1)', repeat('ä', 31) || 'x'); END $$;
DO $$ BEGIN EXECUTE format('INSERT INTO %I VALUES (1)', repeat('ä', 31) || 'x'); END $$;
DROP TABLE t CASCADE;
DROP FOREIGN DATA WRAPPER nothing CASCADE;
DROP ROLE raceguard_cap_stranger;
