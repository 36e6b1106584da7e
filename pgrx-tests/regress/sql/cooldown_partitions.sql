-- Cooldowns on partitioned tables: all rows of a key count, in whatever partition they lie.
CREATE EXTENSION raceguard;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

-- By time, the third partition with partitions of its own, columns in another order.
CREATE TABLE posts ("userId" int, "createdAt" timestamp, highlighted boolean DEFAULT true) PARTITION BY RANGE ("createdAt");
CREATE TABLE posts_1 PARTITION OF posts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE posts_2 (highlighted boolean DEFAULT true, dropped int, "createdAt" timestamp, "userId" int);
ALTER TABLE posts_2 DROP COLUMN dropped;
ALTER TABLE posts ATTACH PARTITION posts_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE posts_3 PARTITION OF posts FOR VALUES FROM ('2026-03-01') TO ('2026-04-01') PARTITION BY HASH ("userId");
CREATE TABLE posts_3_0 PARTITION OF posts_3 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE posts_3_1 PARTITION OF posts_3 FOR VALUES WITH (MODULUS 2, REMAINDER 1);

SELECT raceguard.add_cooldown('posts', '"userId"', 'createdAt', '7 days', predicate => 'highlighted');
SELECT target, guard FROM raceguard.guards;
INSERT INTO posts VALUES (1, '2026-01-28');
INSERT INTO posts VALUES (1, '2026-02-03 23:59');
INSERT INTO posts VALUES (1, '2026-02-04'), (1, '2026-02-26');
INSERT INTO posts VALUES (1, '2026-03-04 12:00');
INSERT INTO posts VALUES (1, '2026-03-05'), (2, '2026-03-05'), (3, '2026-03-05');
-- Whoever starts from a partition holds its root, too, as long as the tree must stay as it is.
\c
BEGIN;
SELECT raceguard.next_allowed('posts_2', '9') > '2026-01-01' AS asked;
SELECT relation::regclass, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND relation IN ('posts'::regclass, 'posts_2'::regclass) ORDER BY 1;
COMMIT;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
-- Straight into a partition
INSERT INTO posts_2 ("userId", "createdAt") VALUES (1, '2026-02-20');
INSERT INTO posts_3_0 SELECT 1, '2026-03-04' WHERE satisfies_hash_partition('posts_3'::regclass, 2, 0, 1);
INSERT INTO posts_3_1 SELECT 1, '2026-03-04' WHERE satisfies_hash_partition('posts_3'::regclass, 2, 1, 1);
-- A row that moves to another partition is judged where it arrives.
UPDATE posts SET "createdAt" = '2026-02-01' WHERE "createdAt" = '2026-01-28';
UPDATE posts SET "createdAt" = '2026-02-01' WHERE "createdAt" = '2026-02-04';
UPDATE posts SET "createdAt" = '2026-01-27' WHERE "createdAt" = '2026-01-28';
UPDATE posts SET highlighted = false WHERE "createdAt" = '2026-02-26';
INSERT INTO posts VALUES (1, '2026-02-25');
SELECT tableoid::regclass, * FROM posts WHERE "userId" = 1 ORDER BY "createdAt";
-- A partition attached later is judged and judges. Its own rows are not checked when it is attached.
CREATE TABLE posts_4 ("userId" int, "createdAt" timestamp, highlighted boolean DEFAULT true);
INSERT INTO posts_4 VALUES (1, '2026-04-05');
INSERT INTO posts VALUES (1, '2026-03-30');
ALTER TABLE posts ATTACH PARTITION posts_4 FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
INSERT INTO posts VALUES (1, '2026-04-06');
INSERT INTO posts VALUES (2, '2026-03-30');
INSERT INTO posts VALUES (2, '2026-04-01');
DELETE FROM posts WHERE "createdAt" = '2026-03-30';
INSERT INTO posts VALUES (1, '2026-03-30');
-- One that is detached does not count any more.
ALTER TABLE posts DETACH PARTITION posts_4;
INSERT INTO posts VALUES (1, '2026-03-30');
DROP TABLE posts_4;
CREATE TABLE posts_5 PARTITION OF posts FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
INSERT INTO posts VALUES (5, '2026-05-01'), (6, '2026-05-01');
SELECT raceguard.next_allowed('posts', '5') BETWEEN now() AND clock_timestamp() AS at_once;
-- Guards of partitions come from the root.
SELECT raceguard.add_cooldown('posts_1', '"userId"', 'createdAt', '7 days');
SELECT raceguard.add_cooldown('posts_3', '"userId"', 'createdAt', '7 days');
SELECT raceguard.drop_guard('posts_1', 'cooldown');
SELECT raceguard.drop_guard('posts', 'cooldown');
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_raceguard%';
SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'posts%';
DROP TABLE posts;

-- By key: only the partition of the key has to be read.
CREATE TABLE orders (id int, customer int, placed timestamptz) PARTITION BY HASH (customer);
CREATE TABLE orders_0 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT raceguard.add_cooldown('orders', 'customer', 'placed', '1 hour', max_rows => 2);
INSERT INTO orders SELECT n, n % 10, '2026-01-01' FROM generate_series(0, 19) n;
INSERT INTO orders VALUES (20, 3, '2026-01-01 00:59');
INSERT INTO orders VALUES (20, 3, '2026-01-01 01:00');
UPDATE orders SET customer = 4 WHERE id = 3;
UPDATE orders SET customer = 30 WHERE id = 3;
SELECT count(*) FROM orders;
BEGIN;
INSERT INTO orders SELECT n, 77, now() FROM generate_series(1, 2) n;
SELECT raceguard.next_allowed('orders', '77') = now() + interval '1 hour' AS in_an_hour,
       raceguard.next_allowed('orders', '78') BETWEEN now() AND clock_timestamp() AS at_once;
ROLLBACK;

-- Foreign partitions have no index.
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE TABLE mixed (k int, at timestamp) PARTITION BY RANGE (at);
CREATE FOREIGN TABLE mixed_far PARTITION OF mixed FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') SERVER nowhere;
CREATE TABLE mixed_near PARTITION OF mixed FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
SELECT raceguard.add_cooldown('mixed', 'k', 'at', '1 hour');
DROP FOREIGN TABLE mixed_far;
SELECT raceguard.add_cooldown('mixed', 'k', 'at', '1 hour');
CREATE FOREIGN TABLE mixed_far PARTITION OF mixed FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') SERVER nowhere;
INSERT INTO mixed VALUES (1, '2027-06-01');
SELECT raceguard.drop_guard('mixed', 'cooldown');
INSERT INTO mixed VALUES (1, '2027-06-01');
DROP EXTENSION raceguard CASCADE;
