-- Tables with every kind of guard, and rows with versions and slots that only their history explains:
-- what a dump, and an upgrade to another major, have to keep.
CREATE EXTENSION raceguard;
CREATE SCHEMA "other schema";
CREATE FUNCTION "other schema".half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 2';
CREATE TABLE "other schema"."Posts" (id int PRIMARY KEY, "userId" int, "createdAt" timestamp, highlighted boolean DEFAULT true);
SELECT raceguard.add_key_lock('"other schema"."Posts"', '"userId"');
SELECT raceguard.add_cap('"other schema"."Posts"', '"other schema".half("userId"), date_trunc(''week'', "createdAt")', 3,
                         predicate => 'highlighted');
SELECT raceguard.add_version('"other schema"."Posts"', unstated => 'reject', ignore => '{slot}');
INSERT INTO "other schema"."Posts" SELECT n, n / 3, '2026-03-02' FROM generate_series(0, 17) n WHERE n % 6 < 3;
UPDATE "other schema"."Posts" SET "createdAt" = '2026-03-03', version = version + 1 WHERE id % 2 = 0;
-- Gaps, which the restore must not fill.
DELETE FROM "other schema"."Posts" WHERE id % 6 = 0;
CREATE TABLE visits (room int, day date, id int) PARTITION BY RANGE (day);
CREATE TABLE visits_may PARTITION OF visits FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
SELECT raceguard.add_cap('visits', 'room, day', 2, slot_column => 'place', fill => 'append');
INSERT INTO visits SELECT 1, '2026-05-01', n FROM generate_series(1, 2) n;
CREATE TABLE mails (id int PRIMARY KEY, address text, sent timestamptz);
SELECT raceguard.add_cooldown('mails', 'address', 'sent', '1 day');
-- Backwards, as a table comes to lie after updates: each row is judged on both sides in time.
INSERT INTO mails SELECT n, 'ann', '2026-03-31'::timestamptz - n * interval '1 day' FROM generate_series(1, 20) n;
CREATE TABLE notes (id int PRIMARY KEY, note text, changed timestamptz NOT NULL DEFAULT now());
SELECT raceguard.add_version('notes', 'changed', client_sends => 'current');
INSERT INTO notes VALUES (1, 'first', '2026-03-02');
CREATE TABLE orders (id int PRIMARY KEY, address text);
SELECT raceguard.add_version('orders');
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders);
SELECT raceguard.add_parent_version('items', 'orders');
INSERT INTO orders VALUES (1, 'Old Street'), (2, 'Main Street');
INSERT INTO items VALUES (1, 1);
INSERT INTO items VALUES (2, 1), (3, 2);
-- More keys than a transaction locks one by one.
CREATE TABLE many (id int PRIMARY KEY);
SELECT raceguard.add_key_lock('many', 'id');
INSERT INTO many SELECT generate_series(1, 2500);
-- A parent version that has followed another foreign key before.
CREATE TABLE lots (id int PRIMARY KEY, first int CONSTRAINT first REFERENCES orders, second int CONSTRAINT second REFERENCES orders);
SELECT raceguard.add_parent_version('lots', 'orders', 'first');
SELECT raceguard.add_parent_version('lots', 'orders', 'second', replace => true);
