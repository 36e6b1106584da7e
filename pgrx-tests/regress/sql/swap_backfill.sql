-- backfill_version: distinct versions for existing rows, batch by batch, resumable (A3).
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 25) n;
SET client_min_messages = warning;
SELECT raceguard.add_version('orders', unstated => 'reject');
RESET client_min_messages;
-- Step by step; each call is a transaction of its own.
SELECT raceguard.backfill_version_step('orders', 10);
SELECT count(DISTINCT version), count(*) FILTER (WHERE version = 1) AS left FROM orders;
-- What is done is remembered by a sequence of the version column.
SELECT sequencename LIKE 'raceguard\_backfill\_%' AS named, increment_by, last_value FROM pg_sequences;
SELECT id, version FROM orders WHERE version > 1 ORDER BY id LIMIT 3;
-- A rolled-back step is done again, and a session that ended is replaced by any other.
BEGIN;
SELECT raceguard.backfill_version_step('orders', 10);
ROLLBACK;
SELECT count(*) FILTER (WHERE version = 1) AS left FROM orders;
\c -
\set SHOW_CONTEXT never
SELECT id, version INTO TEMP done FROM orders WHERE version > 1;
SELECT raceguard.backfill_version_step('orders', 10);
-- Rows written meanwhile keep the version they have got; new ones are done too.
UPDATE orders SET note = 'y', version = version + 1 WHERE id IN (1, 25);
INSERT INTO orders VALUES (26, 'new');
SELECT raceguard.backfill_version_step('orders', 10);
SELECT raceguard.backfill_version_step('orders', 10);
SELECT raceguard.backfill_version_step('orders', 10);
SELECT count(*), count(DISTINCT version), min(version) > 1 AS all_done FROM orders;
SELECT count(*) FROM orders o JOIN done d USING (id) WHERE o.version <> d.version AND id <> 1;
SELECT count(*) AS sequences FROM pg_sequences;
-- The guard is as strict as before.
UPDATE orders SET note = 'z' WHERE id = 1;
UPDATE orders SET version = 99000 WHERE id = 2;
SELECT raceguard.compare_and_swap('orders', '{"id": 3}', version, '{"note": "z"}') ->> 'note' FROM orders WHERE id = 3;

-- All at once, with progress. The second call finds nothing to do.
CREATE TABLE lines (id int PRIMARY KEY, version int NOT NULL DEFAULT 1);
INSERT INTO lines SELECT generate_series(1, 10);
SET client_min_messages = warning;
SELECT raceguard.add_version('lines', client_sends => 'current', unstated => 'reject');
RESET client_min_messages;
CALL raceguard.backfill_version('lines', batch => 4);
SELECT count(DISTINCT version) FROM lines;
CALL raceguard.backfill_version('lines');
-- Only rows that share a version are touched.
INSERT INTO lines VALUES (11), (12);
SELECT id, version INTO TEMP lines_before FROM lines;
CALL raceguard.backfill_version('lines');
SELECT count(*) FROM lines JOIN lines_before b USING (id) WHERE lines.version <> b.version;
SELECT count(DISTINCT version) FROM lines;
TRUNCATE lines;
CALL raceguard.backfill_version('lines');

-- Partitions in one go; tables that inherit are not touched, their rows have no guard.
CREATE TABLE parted (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2) PARTITION BY LIST (k);
CREATE TABLE parted_2_2 PARTITION OF parted_2 FOR VALUES IN (2);
INSERT INTO parted SELECT n, 1 + n % 2 FROM generate_series(1, 9) n;
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1), (2);
SET client_min_messages = warning;
SELECT raceguard.add_version('parted'), raceguard.add_version('parent');
CALL raceguard.backfill_version('parted', 2);
CALL raceguard.backfill_version('parent', 1);
RESET client_min_messages;
SELECT count(DISTINCT version) FROM parted;
SELECT tableoid::regclass, count(DISTINCT version) FROM parent GROUP BY 1 ORDER BY 1;

-- Guards of other kinds have nothing to do with it: no parent is bumped, no key is locked.
CREATE TABLE carts (id int PRIMARY KEY);
CREATE TABLE items (id int PRIMARY KEY, cart int REFERENCES carts);
INSERT INTO carts VALUES (1), (2);
INSERT INTO items SELECT n, 1 + n % 2 FROM generate_series(1, 5) n;
SET client_min_messages = warning;
SELECT raceguard.add_version('carts'), raceguard.add_version('items'),
       raceguard.add_parent_version('items', 'carts'), raceguard.add_key_lock('items', 'cart');
BEGIN;
SELECT raceguard.backfill_version_step('items');
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
COMMIT;
CALL raceguard.backfill_version('items');
SELECT count(DISTINCT version) FROM items;
SELECT * FROM carts ORDER BY id;
UPDATE items SET cart = 1 WHERE id = 1;
SELECT * FROM carts ORDER BY id;
RESET client_min_messages;

-- Small columns have less room between two rows, or too little.
CREATE TABLE small (id int, version smallint DEFAULT 1);
INSERT INTO small SELECT generate_series(1, 100);
SET client_min_messages = warning;
SELECT raceguard.add_version('small');
CALL raceguard.backfill_version('small');
RESET client_min_messages;
SELECT count(DISTINCT version), max(version) FROM small;
INSERT INTO small SELECT generate_series(1, 30000);
CALL raceguard.backfill_version('small');

-- Refused.
BEGIN;
CALL raceguard.backfill_version('lines');
ROLLBACK;
CREATE FUNCTION in_function() RETURNS void LANGUAGE plpgsql AS $$BEGIN CALL raceguard.backfill_version('lines'); END$$;
SELECT in_function();
\set VERBOSITY sqlstate
BEGIN;
CALL raceguard.backfill_version('lines');
ROLLBACK;
CALL raceguard.backfill_version('small');
\set VERBOSITY default
CREATE TABLE unguarded (id int PRIMARY KEY);
CALL raceguard.backfill_version('unguarded');
CALL raceguard.backfill_version('lines', 0);
CALL raceguard.backfill_version('lines', NULL);
CALL raceguard.backfill_version(NULL);
CREATE TABLE stamped (id int PRIMARY KEY, version timestamptz NOT NULL DEFAULT now());
SET client_min_messages = warning;
SELECT raceguard.add_version('stamped', client_sends => 'current');
RESET client_min_messages;
CALL raceguard.backfill_version('stamped');
CREATE ROLE swap_backfill_other;
GRANT USAGE ON SCHEMA raceguard TO swap_backfill_other;
GRANT ALL ON orders TO swap_backfill_other;
SET ROLE swap_backfill_other;
CALL raceguard.backfill_version('orders');
SELECT raceguard.backfill_version_step('orders');
RESET ROLE;
-- An owner from whom row security hides rows would leave them out.
CREATE ROLE swap_backfill_owner;
GRANT USAGE ON SCHEMA raceguard TO swap_backfill_owner;
ALTER TABLE orders OWNER TO swap_backfill_owner;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SET ROLE swap_backfill_owner;
CALL raceguard.backfill_version('orders');
RESET ROLE;
-- A trigger that swallows rows stops it.
CREATE TABLE swallowed (id int PRIMARY KEY);
INSERT INTO swallowed VALUES (1), (2);
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER swallow BEFORE UPDATE ON swallowed FOR EACH ROW EXECUTE FUNCTION swallow();
SET client_min_messages = warning;
SELECT raceguard.add_version('swallowed');
CALL raceguard.backfill_version('swallowed');
ALTER TABLE swallowed DISABLE TRIGGER swallow;
CALL raceguard.backfill_version('swallowed');
SELECT count(DISTINCT version) FROM swallowed;
-- A trigger that writes to the table itself is judged as anybody is.
CREATE TABLE nosy (id int PRIMARY KEY, n int DEFAULT 0);
INSERT INTO nosy VALUES (1), (2);
SELECT raceguard.add_version('nosy');
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN IF NEW.version > 1000 THEN UPDATE nosy SET n = n + 1, version = 500 WHERE id <> NEW.id; END IF; RETURN NEW; END';
CREATE TRIGGER meddle AFTER UPDATE ON nosy FOR EACH ROW EXECUTE FUNCTION meddle();
CALL raceguard.backfill_version('nosy', 1);

DROP OWNED BY swap_backfill_owner, swap_backfill_other CASCADE;
DROP ROLE swap_backfill_owner, swap_backfill_other;
