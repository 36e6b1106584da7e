-- check_guards on version guards and parent versions: each state is made by DDL that people run, found, mended by
-- its remedy, and not found again.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE VIEW found AS SELECT severity, problem, target, guard, remedy FROM raceguard.check_guards()
    WHERE severity <> 'info' ORDER BY severity, target::text COLLATE "C", guard, problem, remedy COLLATE "C";
-- Runs what is found, and looks again.
\set mend 'SELECT DISTINCT remedy COLLATE "C" FROM found WHERE remedy IS NOT NULL ORDER BY 1 \\gexec'
CREATE TABLE orders (id int PRIMARY KEY, note text, seen timestamptz);
CREATE TABLE items (id int PRIMARY KEY, order_id int CONSTRAINT items_order REFERENCES orders, pieces int);
SELECT raceguard.add_version('orders', ignore => '{seen}');
SELECT raceguard.add_parent_version('items', 'orders');
INSERT INTO orders VALUES (1, 'a');
INSERT INTO items VALUES (1, 1, 1);
TABLE found;
-- What is only to be known.
SELECT severity, problem, target, guard, detail FROM raceguard.check_guards();

-- ---- Triggers that are off.
ALTER TABLE orders DISABLE TRIGGER USER;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('orders') WHERE severity = 'error';
:mend
TABLE found;
ALTER TABLE items DISABLE TRIGGER ALL;
TABLE found;
:mend
TABLE found;
ALTER TABLE items ENABLE TRIGGER ALL;
TABLE found;

-- ---- Attached otherwise: UPDATE OF, WHEN, other events.
CREATE OR REPLACE TRIGGER zz_raceguard_version BEFORE UPDATE OF note ON orders
    FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version', 'ignore=seen');
ALTER TABLE orders ENABLE ALWAYS TRIGGER zz_raceguard_version;
SELECT problem, detail FROM raceguard.check_guards('orders') WHERE severity = 'error';
:mend
TABLE found;
SELECT tgenabled FROM pg_trigger WHERE tgname = 'zz_raceguard_version';
ALTER TABLE orders ENABLE TRIGGER zz_raceguard_version;

-- ---- The version column: dropped, of another type, nullable, without a default.
ALTER TABLE orders DROP COLUMN version;
SELECT problem, detail FROM raceguard.check_guards('orders') WHERE severity = 'error';
:mend
TABLE found;
ALTER TABLE orders ALTER version TYPE text;
TABLE found;
:mend
TABLE found;
ALTER TABLE orders ALTER version TYPE numeric;
UPDATE orders SET note = 'b';
UPDATE orders SET note = 'b';
:mend
TABLE found;
SELECT version, pg_typeof(version) FROM orders;
ALTER TABLE orders ALTER version DROP NOT NULL, ALTER version DROP DEFAULT;
INSERT INTO orders VALUES (2, 'no version');
TABLE found;
-- Rows without a version: with deep. NOT NULL can be set when they have one.
SELECT severity, problem, detail, remedy FROM raceguard.check_guards('orders', deep => true) WHERE severity = 'error';
SELECT remedy FROM raceguard.check_guards('orders', deep => true) WHERE problem = 'null_versions' \gexec
SELECT id, version FROM orders ORDER BY id;
:mend
TABLE found;
-- A column that is ignored.
ALTER TABLE orders RENAME seen TO last_seen;
TABLE found;
:mend
TABLE found;

-- ---- Arguments that are no rule: only words help.
CREATE OR REPLACE TRIGGER zz_raceguard_version BEFORE UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version', 'unstated=maybe');
SELECT problem, detail, remedy FROM raceguard.check_guards('orders') WHERE severity = 'error';
CREATE OR REPLACE TRIGGER zz_raceguard_version BEFORE UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version');
TABLE found;

-- ---- Observe is told of, and nothing is wrong.
SELECT raceguard.add_version('orders', mode => 'observe', replace => true);
SELECT severity, problem, detail, remedy FROM raceguard.check_guards('orders') WHERE problem = 'observe';
SELECT remedy FROM raceguard.check_guards('orders') WHERE problem = 'observe' \gexec
SELECT problem FROM raceguard.check_guards('orders') WHERE problem = 'observe';
SELECT mode FROM raceguard.guards WHERE target = 'orders'::regclass;

-- ---- A bypass that this transaction has open.
BEGIN;
SELECT raceguard.bypass('orders', 'version', 'a correction by hand');
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('orders') WHERE problem = 'bypass_open';
SELECT problem, target FROM raceguard.check_guards() WHERE problem = 'bypass_open';
SELECT problem FROM raceguard.check_guards('items') WHERE problem = 'bypass_open';
SELECT remedy FROM raceguard.check_guards() WHERE problem = 'bypass_open' \gexec
SELECT problem FROM raceguard.check_guards() WHERE problem = 'bypass_open';
COMMIT;
BEGIN;
SELECT raceguard.bypass('orders', 'version', 'a correction by hand');
COMMIT;
SELECT problem FROM raceguard.check_guards() WHERE problem = 'bypass_open';

-- ---- A trigger that fires later and writes the version.
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.version := 7; RETURN NEW; END $$;
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM OLD.version; RETURN NEW; END $$;
CREATE TRIGGER zzz_stamp BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER zzz_look BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION look();
CREATE TRIGGER zzz_insert BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
TABLE found;
SELECT detail FROM raceguard.check_guards('orders') WHERE problem = 'later_trigger';
:mend
TABLE found;
DROP TRIGGER a_zzz_stamp ON orders;

-- ---- Parent versions: the other triggers.
DROP TRIGGER zz_raceguard_parent_version_bump ON items;
TABLE found;
:mend
TABLE found;
ALTER TABLE items DISABLE TRIGGER zz_raceguard_parent_version_truncated;
TABLE found;
:mend
TABLE found;
-- Its own trigger.
DROP TRIGGER zz_raceguard_parent_version ON items;
TABLE found;
:mend
TABLE found;
-- The parent's guard, and the foreign key.
SELECT raceguard.drop_guard('orders', 'version');
TABLE found;
:mend
TABLE found;
ALTER TABLE items DROP CONSTRAINT items_order;
SELECT problem, detail, remedy FROM raceguard.check_guards('items') WHERE severity = 'error';
ALTER TABLE items ADD CONSTRAINT items_order_new FOREIGN KEY (order_id) REFERENCES orders;
-- The guard remembers its parent, and takes the only one that leads there.
TABLE found;
INSERT INTO items VALUES (2, 1, 1);
-- One that was written by hand knows the name alone.
CREATE TABLE hand (id int PRIMARY KEY, order_id int CONSTRAINT hand_order REFERENCES orders);
CREATE TRIGGER zz_raceguard_parent_version AFTER INSERT OR UPDATE OR DELETE ON hand
    FOR EACH ROW EXECUTE FUNCTION raceguard.parent_version_guard('former_name');
TABLE found;
:mend
TABLE found;
DROP TABLE hand;

-- ---- A child that inherits.
CREATE TABLE late_orders () INHERITS (orders);
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards() WHERE problem = 'child_unguarded';
:mend
TABLE found;
DROP TABLE late_orders;

-- ---- Partitions: a clone that is off.
CREATE TABLE days (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY RANGE (day);
CREATE TABLE days_2a PARTITION OF days_2 FOR VALUES FROM ('2026-02-01') TO ('2026-02-15');
SELECT raceguard.add_version('days');
ALTER TABLE days_2a DISABLE TRIGGER USER;
TABLE found;
SELECT problem, target, remedy FROM raceguard.check_guards('days_2a');
:mend
TABLE found;
SELECT enabled FROM raceguard.guards WHERE target = 'days'::regclass;
-- Triggers that fire later: one of a partition alone, and one of all, which is told of once.
CREATE TRIGGER zzz_stamp BEFORE UPDATE ON days_2a FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER zzz_all BEFORE UPDATE ON days FOR EACH ROW EXECUTE FUNCTION stamp();
TABLE found;
SELECT detail FROM raceguard.check_guards('days') WHERE problem = 'later_trigger' ORDER BY 1;
:mend
TABLE found;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname ~ 'zzz' AND tgrelid::regclass::text LIKE 'days%' ORDER BY 1, 2;
DROP TABLE days;

-- ---- Who may look: everybody; at the rows, who may read them.
CREATE ROLE check_version_looker;
ALTER TABLE orders ALTER version DROP NOT NULL;
SET ROLE check_version_looker;
SELECT severity, problem, target FROM raceguard.check_guards() WHERE severity <> 'info';
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('orders', deep => true) WHERE problem LIKE 'rows%';
RESET ROLE;
GRANT SELECT ON orders TO check_version_looker;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
SET ROLE check_version_looker;
SELECT severity, problem, detail, remedy FROM raceguard.check_guards('orders', deep => true) WHERE problem LIKE 'rows%';
RESET ROLE;
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON orders FROM check_version_looker;
DROP ROLE check_version_looker;

-- ---- Bad input.
\set VERBOSITY default
SELECT * FROM raceguard.check_guards('found');
SELECT * FROM raceguard.check_guards(deep => NULL);
SELECT * FROM raceguard.check_guards(1::regclass);
DROP TABLE items, orders;

-- ---- A trigger that took a guard's name, and its place.
CREATE TABLE taken (id int PRIMARY KEY);
SELECT raceguard.add_version('taken');
SELECT raceguard.add_key_lock('taken', 'id');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER zz_raceguard_version BEFORE UPDATE ON taken FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE OR REPLACE TRIGGER "!raceguard_key_lock" BEFORE UPDATE ON taken FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT severity, problem, guard, detail FROM raceguard.check_guards('taken') ORDER BY guard, problem;
SELECT repair_guard FROM raceguard.repair_guard('taken', 'version');
DROP TABLE taken;
