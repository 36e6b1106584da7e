CREATE EXTENSION raceguard;
CREATE VIEW counted AS
SELECT target, guard, passed, conflicts, missing, refused, observed, waited, escalated, failed
FROM raceguard.stats ORDER BY target::text, guard;

-- ---- a version guard
CREATE TABLE orders (id int PRIMARY KEY, note text, touched int);
SELECT raceguard.add_version('orders', unstated => 'reject', ignore => '{touched}');
INSERT INTO orders SELECT generate_series(1, 5);
SELECT * FROM counted;
UPDATE orders SET note = 'a', version = version + 1;
UPDATE orders SET touched = 1 WHERE id = 1;
UPDATE orders SET note = 'b', version = 1 WHERE id = 1;
UPDATE orders SET note = 'b' WHERE id = 1;
-- An INSERT is not judged; what passed and what did not is counted apart.
SELECT * FROM counted;
SELECT s.kind, s.mode, s.enabled, s.wait_time, now() - s.last_conflict_at < interval '1 minute' AS lately,
       s.last_conflict_xid
FROM raceguard.stats s;
UPDATE orders SET note = 'b', version = 1 WHERE id = 1;
SELECT last_conflict_xid = xmin::text::xid8 AS is_the_writer FROM raceguard.stats, orders WHERE id = 1;

-- ---- nothing is lost with a transaction that rolls back
SELECT raceguard.stats_reset() IS NOT NULL;
BEGIN;
UPDATE orders SET note = 'c', version = version + 1;
SAVEPOINT s;
UPDATE orders SET note = 'c', version = version + 1 WHERE id = 1;
UPDATE orders SET note = 'c', version = 1 WHERE id = 1;
ROLLBACK TO s;
-- The rows that passed are added when the transaction ends, the conflict is there.
SELECT passed, conflicts FROM counted;
ROLLBACK;
SELECT passed, conflicts FROM counted;
DO $$
BEGIN
    UPDATE orders SET note = 'd', version = version + 1 WHERE id = 2;
    UPDATE orders SET note = 'd' WHERE id = 2;
EXCEPTION WHEN SQLSTATE 'RG428' THEN
END $$;
SELECT passed, conflicts, missing FROM counted;

-- ---- the other guards
CREATE TABLE seats (id int PRIMARY KEY, hall int);
SELECT raceguard.add_cap('seats', 'hall', 2);
INSERT INTO seats VALUES (1, 1), (2, 1);
INSERT INTO seats VALUES (3, 1);
-- An upsert that inserts nothing is refused nothing.
INSERT INTO seats VALUES (2, 1) ON CONFLICT DO NOTHING;
INSERT INTO seats VALUES (4, 2);
UPDATE seats SET hall = 1 WHERE id = 4;
CREATE TABLE mails (address text, sent timestamptz DEFAULT now());
SELECT raceguard.add_cooldown('mails', 'address', 'sent', '1 day');
INSERT INTO mails VALUES ('ann');
\set VERBOSITY terse
INSERT INTO mails VALUES ('ann');
\set VERBOSITY default
INSERT INTO mails VALUES (NULL);
CREATE TABLE posts (id int, user_id int);
SELECT raceguard.add_key_lock('posts', 'user_id');
SET raceguard.max_key_locks = 2;
INSERT INTO posts SELECT n, n FROM generate_series(1, 5) n;
RESET raceguard.max_key_locks;
CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders);
SELECT raceguard.add_parent_version('lines', 'orders');
INSERT INTO lines VALUES (1, 1), (2, 1);
SELECT * FROM counted;

-- ---- partitions count with their root
CREATE TABLE parts (id int, region int, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2) PARTITION BY LIST (region);
CREATE TABLE parts_2a PARTITION OF parts_2 FOR VALUES IN (2);
SELECT raceguard.add_version('parts');
INSERT INTO parts VALUES (1, 1), (2, 2);
UPDATE parts SET note = 'a';
UPDATE parts SET note = 'b', version = 7 WHERE id = 2;
SELECT * FROM counted WHERE target = 'parts'::regclass;

-- ---- a guard that cannot judge
ALTER TABLE orders RENAME version TO v;
UPDATE orders SET note = 'e';
ALTER TABLE orders RENAME v TO version;
SELECT failed, missing FROM counted WHERE target = 'orders'::regclass AND guard = 'version';

-- ---- a guard that observes
SELECT raceguard.add_version('orders', unstated => 'reject', mode => 'observe', replace => true);
SET client_min_messages = error;
UPDATE orders SET note = 'f' WHERE id = 1;
UPDATE orders SET note = 'f', version = 1 WHERE id = 1;
RESET client_min_messages;
SELECT passed, conflicts, missing, observed FROM counted WHERE target = 'orders'::regclass AND guard = 'version';
SELECT mode FROM raceguard.stats WHERE target = 'orders'::regclass AND guard = 'version';

-- ---- dropped and made again: a new guard
SELECT raceguard.drop_guard('mails', 'cooldown');
SELECT count(*) FROM counted WHERE target = 'mails'::regclass;
SELECT raceguard.add_cooldown('mails', 'address', 'sent', '1 day');
SELECT passed, refused FROM counted WHERE target = 'mails'::regclass;

-- ---- raceguard.track
SELECT raceguard.stats_reset('seats') IS NOT NULL, raceguard.stats_reset('posts', 'key_lock') IS NOT NULL;
SELECT guard, passed, refused, escalated FROM counted WHERE target IN ('seats'::regclass, 'posts'::regclass);
SET raceguard.track = refusals;
UPDATE seats SET hall = 3 WHERE id = 4;
INSERT INTO seats VALUES (3, 1);
SELECT passed, refused FROM counted WHERE target = 'seats'::regclass;
SET raceguard.track = 'none';
INSERT INTO seats VALUES (3, 1);
SELECT passed, refused FROM counted WHERE target = 'seats'::regclass;
RESET raceguard.track;
UPDATE seats SET hall = 4 WHERE id = 4;
SELECT passed, refused FROM counted WHERE target = 'seats'::regclass;
SET raceguard.track = most;

-- ---- stats_info
SELECT backing <> 'none' AS backed, slots >= used AS fits, used > 5 AS used, overflow >= 0 AS counted,
       stats_since < stats_reset AS was_reset, library_version = extension_version AS same_version
FROM raceguard.stats_info;

-- ---- who may do what
CREATE ROLE stats_clerk;
SET ROLE stats_clerk;
SELECT sum(refused) FROM raceguard.stats;
SELECT backing IS NOT NULL AS there FROM raceguard.stats_info;
SELECT raceguard.stats_reset();
SET raceguard.track = 'none';
RESET ROLE;
DROP ROLE stats_clerk;
SELECT raceguard.stats_reset(NULL, 'cap');
SELECT raceguard.stats_reset('seats', 'version');
SELECT raceguard.stats_reset('nobody', 'version');
SELECT raceguard.stats_reset(1234567::regclass);
SELECT raceguard.stats_reset('counted');
-- By the trigger's name too, as drop_guard.
SELECT raceguard.stats_reset('seats', 'zz_raceguard_cap') IS NOT NULL;
SELECT passed, refused FROM counted WHERE target = 'seats'::regclass;
