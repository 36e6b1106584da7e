-- Errors about a row of a partition name the root, which the client wrote to and whose guard it is.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
\set VERBOSITY verbose
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id int, year int, body text, at timestamp, PRIMARY KEY (id, year)) PARTITION BY LIST (year);
CREATE TABLE orders_old PARTITION OF shop.orders FOR VALUES IN (2024) PARTITION BY LIST (id);
CREATE TABLE orders_old_1 PARTITION OF orders_old DEFAULT;
CREATE TABLE "Orders 2026" (at timestamp, body text, year int NOT NULL, id int NOT NULL);
ALTER TABLE shop.orders ATTACH PARTITION "Orders 2026" FOR VALUES IN (2026);
INSERT INTO shop.orders VALUES (1, 2024, 'a', '2024-01-01'), (1, 2026, 'a', '2026-01-01');
-- RG409, from the root, from the partition itself, and by a call.
SELECT raceguard.add_version('shop.orders');
UPDATE shop.orders SET version = 7 WHERE year = 2026;
UPDATE "Orders 2026" SET version = 7;
UPDATE orders_old SET version = 7;
UPDATE orders_old_1 SET version = version;
SELECT raceguard.compare_and_swap('shop.orders', '{"id": 1, "year": 2024}', 7, '{"body": "b"}');
-- RG428, its warning, and observe mode.
SELECT raceguard.add_version('shop.orders', unstated => 'reject', replace => true);
UPDATE shop.orders SET body = 'b';
SELECT raceguard.add_version('shop.orders', unstated => 'warn', replace => true);
UPDATE shop.orders SET body = 'b' WHERE year = 2026;
SET client_min_messages = log;
SELECT raceguard.add_version('shop.orders', unstated => 'reject', mode => 'observe', replace => true);
UPDATE shop.orders SET body = 'c' WHERE year = 2024;
SET client_min_messages = warning;
SELECT raceguard.drop_guard('shop.orders', 'version');
-- RG403 on INSERT and UPDATE.
CREATE TABLE shop.seats (id int, year int) PARTITION BY LIST (year);
CREATE TABLE seats_2024 PARTITION OF shop.seats FOR VALUES IN (2024);
CREATE TABLE seats_2026 PARTITION OF shop.seats FOR VALUES IN (2026, 2027);
SELECT raceguard.add_cap('shop.seats', 'year', 1);
INSERT INTO shop.seats VALUES (1, 2024), (2, 2026), (3, 2027);
INSERT INTO shop.seats VALUES (4, 2024);
INSERT INTO seats_2026 VALUES (4, 2026);
UPDATE shop.seats SET year = 2024 WHERE id = 2;
UPDATE shop.seats SET year = 2026 WHERE id = 3;
-- RG429.
SELECT raceguard.add_cooldown('shop.orders', 'id', 'at', '1 day');
INSERT INTO shop.orders (id, year, at) VALUES (2, 2024, '2024-01-01'), (2, 2026, '2024-01-01 12:00');
-- In the style of PostgREST.
SET raceguard.error_style = 'postgrest';
UPDATE shop.orders SET at = '2024-01-01 12:00' WHERE year = 2026;
RESET raceguard.error_style;
-- A guard of a partition alone.
SELECT raceguard.add_version('"Orders 2026"');
UPDATE shop.orders SET version = 7 WHERE year = 2026;
-- A table that inherits is none of its parent's partitions.
CREATE TABLE base (id int PRIMARY KEY, body text);
CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (base);
INSERT INTO heir VALUES (1, 'a');
SELECT raceguard.add_version('heir', 'version');
UPDATE base SET body = 'b';
UPDATE heir SET version = 7;
