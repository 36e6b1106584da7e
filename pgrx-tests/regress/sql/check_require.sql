-- require_guard, manifest, require_guards, repair_guard and ready.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA other;
CREATE TABLE orders (id int PRIMARY KEY, note text, seen int);
CREATE TABLE items (id int PRIMARY KEY, order_id int CONSTRAINT items_order REFERENCES orders);
CREATE TABLE other.posts (id int PRIMARY KEY, k int);
CREATE TABLE days (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT raceguard.add_version('orders', unstated => 'reject', ignore => '{seen,note}');
SELECT raceguard.add_parent_version('items', 'orders');
SELECT raceguard.add_cap('other.posts', 'k', 3);
SELECT raceguard.add_cap('other.posts', 'id', 2, slot_column => 'other_slot', guard => 'second');
SELECT raceguard.add_version('days');
SELECT raceguard.add_key_lock('days', 'id');

-- ---- require_guard.
SELECT raceguard.require_guard('orders', 'version');
SELECT raceguard.require_guard('orders', 'version', '{"unstated": "reject", "ignore": ["seen", "note"], "client_sends": "next", "mode": "enforce"}');
SELECT raceguard.require_guard('other.posts', 'cap', '{"slots": 3}');
SELECT raceguard.require_guard('other.posts', 'cap', '{"slots": 2, "key": "id", "predicate": null, "fill": "lowest"}');
SELECT raceguard.require_guard('other.posts', 'cap', guard => 'second');
SELECT raceguard.require_guard('days_1', 'key_lock');
-- What is not so.
SELECT raceguard.require_guard('orders', 'cap');
SELECT raceguard.require_guard('other.posts', 'cap', guard => 'third');
SELECT raceguard.require_guard('orders', 'version', '{"unstated": "warn"}');
SELECT raceguard.require_guard('orders', 'version', '{"ignore": ["seen"]}');
SELECT raceguard.require_guard('other.posts', 'cap', '{"slots": 4}', 'cap');
SELECT raceguard.require_guard('days', 'version', '{"ignore": ["id"]}');
ALTER TABLE days_2 DISABLE TRIGGER zz_raceguard_version;
SELECT raceguard.require_guard('days', 'version');
ALTER TABLE days_2 ENABLE TRIGGER zz_raceguard_version;
ALTER TABLE other.posts DISABLE TRIGGER zz_raceguard_second_full;
SELECT raceguard.require_guard('other.posts', 'cap', guard => 'second');
ALTER TABLE other.posts ENABLE TRIGGER zz_raceguard_second_full;
SELECT raceguard.add_version('orders', unstated => 'reject', ignore => '{seen,note}', mode => 'observe', replace => true);
SELECT raceguard.require_guard('orders', 'version');
SELECT raceguard.require_guard('orders', 'version', '{"mode": "observe"}');
SELECT raceguard.require_guard('orders', 'version', '{"mode": "enforce"}');
SELECT raceguard.add_version('orders', unstated => 'reject', ignore => '{seen,note}', replace => true);
CREATE TABLE heir () INHERITS (orders);
SELECT raceguard.require_guard('orders', 'version');
DROP TABLE heir;
-- Bad input.
SELECT raceguard.require_guard('orders', 'lock');
SELECT raceguard.require_guard('orders', 'version', '{"slots": 3}');
SELECT raceguard.require_guard('orders', 'version', '[]');
SELECT raceguard.require_guard('orders', 'version', '3');
SELECT raceguard.require_guard('orders', NULL);
SELECT raceguard.require_guard('orders', 'version', NULL);
SELECT raceguard.require_guard(NULL, 'version');
SELECT raceguard.require_guard('nowhere', 'version');
SELECT raceguard.require_guard('orders_pkey', 'version');

-- ---- The manifest.
SELECT jsonb_pretty(raceguard.manifest());
SELECT raceguard.manifest('{other}');
SELECT raceguard.manifest('{}');
SELECT raceguard.manifest('{nowhere}');
SELECT raceguard.manifest('{NULL}');
CREATE TABLE kept AS SELECT raceguard.manifest() AS m;
SELECT raceguard.require_guards(m) FROM kept;
-- A new partition and a dropped one are as they should be; one that was detached is not.
CREATE TABLE days_3 PARTITION OF days FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
DROP TABLE days_1;
SELECT raceguard.require_guards(m) FROM kept;
ALTER TABLE days DETACH PARTITION days_2;
SELECT raceguard.require_guards(m) FROM kept;
-- All that is missing, at once.
SELECT raceguard.drop_guard('orders', 'version');
ALTER TABLE other.posts DISABLE TRIGGER USER;
DROP TABLE items;
SELECT raceguard.require_guards(m) FROM kept;
DROP TABLE days;
SELECT raceguard.require_guards('{"manifest": 1, "guards": []}');
-- A document that is none.
SELECT raceguard.require_guards(NULL);
SELECT raceguard.require_guards('[]');
SELECT raceguard.require_guards('{}');
SELECT raceguard.require_guards('{"manifest": 2, "guards": []}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": {}}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": [], "more": 1}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": [7]}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": [{"kind": "cap"}]}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": [{"target": "orders", "kind": "cap"}, {"target": "t", "kind": "lock"}]}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": [{"target": "orders", "kind": "cap", "definition": []}]}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": [{"target": "orders", "kind": "cap", "definition": {"slot": 1}}]}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": [{"target": "orders", "kind": "cap", "partitions": ["a", 1]}]}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": [{"target": "orders", "kind": "cap", "guard": 1}]}');
SELECT raceguard.require_guards('{"manifest": 1, "guards": [{"target": "no; table", "kind": "cap"}]}');

-- ---- repair_guard: what check_guards names, once each.
SELECT repair_guard FROM raceguard.repair_guard('other.posts', 'cap');
SELECT problem, guard FROM raceguard.check_guards();
SELECT repair_guard FROM raceguard.repair_guard('other.posts', 'zz_raceguard_second');
SELECT repair_guard FROM raceguard.repair_guard('other.posts', 'second');
SELECT problem, guard FROM raceguard.check_guards();
-- One whose own trigger is gone is known by what is left of it.
DROP TRIGGER zz_raceguard_second ON other.posts;
SELECT repair_guard FROM raceguard.repair_guard('other.posts', 'second');
SELECT raceguard.require_guard('other.posts', 'cap', '{"slots": 2}');
SELECT raceguard.repair_guard('other.posts', 'third');
SELECT raceguard.repair_guard('other.posts', NULL);
SELECT raceguard.repair_guard(NULL, 'cap');
CREATE ROLE check_require_stranger;
GRANT USAGE ON SCHEMA other TO check_require_stranger;
SET ROLE check_require_stranger;
SELECT raceguard.repair_guard('other.posts', 'cap');
-- Where the library is not there, ready says so.
RESET ROLE;
BEGIN;
UPDATE pg_proc SET probin = '$libdir/raceguard_not_there' WHERE oid = 'raceguard.version()'::regprocedure;
SELECT raceguard.ready();
ROLLBACK;
SET ROLE check_require_stranger;
-- To look needs no right.
SELECT raceguard.require_guard('other.posts', 'cap');
SELECT raceguard.ready();
RESET ROLE;
REVOKE USAGE ON SCHEMA other FROM check_require_stranger;
DROP ROLE check_require_stranger;
DROP TABLE other.posts, orders, kept;
