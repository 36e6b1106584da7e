-- A guard never stops without a word: triggers that are off, and what add_* makes of them.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
-- Prints the SQLSTATE of the statement before it.
\set code '\\echo SQLSTATE :SQLSTATE'
CREATE VIEW guards AS SELECT target, guard, enabled, whole FROM raceguard.guards ORDER BY target::text, guard;

-- ---- A cap whose trigger that refuses is off: a full cap refuses all the same.
CREATE TABLE posts (id int PRIMARY KEY, k int);
SELECT raceguard.add_cap('posts', 'k', 2);
INSERT INTO posts VALUES (1, 1), (2, 1);
ALTER TABLE posts DISABLE TRIGGER zz_raceguard_cap_full;
TABLE guards;
-- While a slot is free nothing is missed.
INSERT INTO posts VALUES (3, 2) RETURNING slot;
INSERT INTO posts VALUES (4, 1);
:code
-- The guard cannot tell it from a row that goes in.
INSERT INTO posts VALUES (1, 1) ON CONFLICT DO NOTHING;
:code
-- The same definition again: put up anew, not blessed.
SELECT raceguard.add_cap('posts', 'k', 2);
TABLE guards;
\set VERBOSITY sqlstate
INSERT INTO posts VALUES (4, 1);
-- Gone; for replicated rows only; attached otherwise; for another column.
DROP TRIGGER zz_raceguard_cap_full ON posts;
INSERT INTO posts VALUES (4, 1);
CREATE TRIGGER zz_raceguard_cap_full AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION raceguard.cap_full_guard('slot', 'slots=2');
INSERT INTO posts VALUES (4, 1);
ALTER TABLE posts ENABLE REPLICA TRIGGER zz_raceguard_cap_full;
INSERT INTO posts VALUES (4, 1);
DROP TRIGGER zz_raceguard_cap_full ON posts;
CREATE TRIGGER zz_raceguard_cap_full AFTER INSERT ON posts FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION raceguard.cap_full_guard('slot', 'slots=2');
INSERT INTO posts VALUES (4, 1);
DROP TRIGGER zz_raceguard_cap_full ON posts;
CREATE TRIGGER zz_raceguard_cap_full AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION raceguard.cap_full_guard('id', 'slots=2');
INSERT INTO posts VALUES (4, 1);
DROP TRIGGER zz_raceguard_cap_full ON posts;
-- Under another name it does its work.
CREATE TRIGGER aa AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION raceguard.cap_full_guard('slot', 'slots=2');
INSERT INTO posts VALUES (4, 1);
TABLE guards;
DROP TRIGGER aa ON posts;
SELECT raceguard.add_cap('posts', 'k', 2);
-- DISABLE TRIGGER USER, and only one of the two enabled again.
ALTER TABLE posts DISABLE TRIGGER USER;
ALTER TABLE posts ENABLE TRIGGER zz_raceguard_cap;
INSERT INTO posts VALUES (4, 1);
ALTER TABLE posts ENABLE TRIGGER USER;
-- A guard that fires for replicated rows needs a companion that does.
ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_cap;
SET session_replication_role = replica;
INSERT INTO posts VALUES (4, 2) RETURNING slot;
INSERT INTO posts VALUES (5, 2);
RESET session_replication_role;
INSERT INTO posts VALUES (5, 2);
ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_cap_full;
SET session_replication_role = replica;
INSERT INTO posts VALUES (5, 2);
RESET session_replication_role;
-- Another number of slots: they stay as they are enabled.
SELECT raceguard.set_cap('posts', 3);
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'posts'::regclass ORDER BY tgname;
-- The same number: nothing to do, unless a trigger is off.
SELECT raceguard.set_cap('posts', 3);
ALTER TABLE posts DISABLE TRIGGER zz_raceguard_cap_full;
\set VERBOSITY default
SELECT raceguard.set_cap('posts', 3);
TABLE guards;
SELECT id, k, slot FROM posts ORDER BY id;
DROP TABLE posts;

-- ---- The same call again on a guard that is disabled, of every kind.
CREATE TABLE orders (id int PRIMARY KEY, customer int, at timestamp);
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders);
SELECT raceguard.add_version('orders', unstated => 'reject');
SELECT raceguard.add_key_lock('orders', 'customer');
SELECT raceguard.add_cap('orders', 'customer', 3);
SELECT raceguard.add_cooldown('orders', 'customer', 'at', '1 day');
SELECT raceguard.add_parent_version('items', 'orders');
ALTER TABLE orders DISABLE TRIGGER USER;
ALTER TABLE items DISABLE TRIGGER USER;
TABLE guards;
INSERT INTO orders VALUES (1, 7, '2026-03-01', 1, 1);
SELECT raceguard.add_version('orders', unstated => 'reject');
SELECT raceguard.add_key_lock('orders', 'customer');
SELECT raceguard.add_cap('orders', 'customer', 3);
SELECT raceguard.add_cooldown('orders', 'customer', 'at', '1 day');
SELECT raceguard.add_parent_version('items', 'orders');
TABLE guards;
-- And once more: nothing to do.
SELECT raceguard.add_version('orders', unstated => 'reject');
SELECT raceguard.add_key_lock('orders', 'customer');
SELECT raceguard.add_cap('orders', 'customer', 3);
SELECT raceguard.add_cooldown('orders', 'customer', 'at', '1 day');
SELECT raceguard.add_parent_version('items', 'orders');
-- What was written meanwhile is looked at where that can be told.
ALTER TABLE orders DISABLE TRIGGER zz_raceguard_cooldown;
INSERT INTO orders VALUES (2, 7, '2026-03-01');
SELECT raceguard.add_cooldown('orders', 'customer', 'at', '1 day');
:code
TABLE guards;
DELETE FROM orders WHERE id = 2;
SELECT raceguard.add_cooldown('orders', 'customer', 'at', '1 day');
-- For replicated rows only is as good as off.
ALTER TABLE orders ENABLE REPLICA TRIGGER zz_raceguard_version;
TABLE guards;
SELECT raceguard.add_version('orders', unstated => 'reject');

-- ---- A parent version: TRUNCATE would pass.
ALTER TABLE items DISABLE TRIGGER zz_raceguard_parent_version_truncate;
TRUNCATE items;
:code
INSERT INTO items VALUES (1, 1);
:code
ALTER TABLE items ENABLE TRIGGER zz_raceguard_parent_version_truncate;
DROP TRIGGER zz_raceguard_parent_version_truncated ON items;
\set VERBOSITY sqlstate
INSERT INTO items VALUES (1, 1);
TABLE guards;
SELECT raceguard.add_parent_version('items', 'orders');
INSERT INTO items VALUES (1, 1);
SELECT version FROM orders;
-- Without the trigger that bumps at the end, each statement bumps; it is put up all the same.
ALTER TABLE items DISABLE TRIGGER zz_raceguard_parent_version_bump;
BEGIN;
INSERT INTO items VALUES (2, 1);
SELECT version FROM orders;
ROLLBACK;
TABLE guards;
SELECT raceguard.add_parent_version('items', 'orders');
DROP TRIGGER zz_raceguard_parent_version_bump ON items;
CREATE CONSTRAINT TRIGGER zz_raceguard_parent_version_bump AFTER INSERT OR UPDATE OR DELETE ON items
    NOT DEFERRABLE FOR EACH ROW WHEN (raceguard.parent_version_due()) EXECUTE FUNCTION raceguard.parent_version_bump();
TABLE guards;
SELECT raceguard.add_parent_version('items', 'orders');
TABLE guards;
ALTER TABLE items DROP CONSTRAINT items_order_id_fkey;
TABLE guards;
DROP TABLE items, orders;

-- ---- A partition whose guard is off.
\set VERBOSITY default
CREATE TABLE parted (id int, day int, body text, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2) PARTITION BY LIST (day);
CREATE TABLE parted_2_1 PARTITION OF parted_2 DEFAULT;
SELECT raceguard.add_version('parted', unstated => 'reject');
SELECT raceguard.add_cap('parted', 'day', 2);
INSERT INTO parted (id, day) VALUES (1, 1), (2, 1), (1, 2), (2, 2);
ALTER TABLE parted_2_1 DISABLE TRIGGER zz_raceguard_version;
ALTER TABLE parted_2_1 DISABLE TRIGGER zz_raceguard_cap_full;
TABLE guards;
INSERT INTO parted (id, day) VALUES (3, 2);
:code
\set VERBOSITY sqlstate
INSERT INTO parted (id, day) VALUES (3, 1);
UPDATE parted SET version = 999 WHERE day = 2;
SELECT raceguard.add_version('parted', unstated => 'reject');
SELECT raceguard.add_cap('parted', 'day', 2);
TABLE guards;
UPDATE parted SET version = 999 WHERE day = 1;
UPDATE parted SET version = 5 WHERE day = 2;
INSERT INTO parted (id, day) VALUES (3, 2);
-- On the root alone: the next partition would begin without.
ALTER TABLE ONLY parted DISABLE TRIGGER zz_raceguard_version;
TABLE guards;
SELECT raceguard.add_version('parted', unstated => 'reject');
TABLE guards;
DROP TABLE parted;
