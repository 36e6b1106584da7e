-- raceguard in two minutes, in one session. Paste it into psql in any database whose server has raceguard
-- (`make demo PSQL=1` opens one). All it makes is in a schema "tour", which it drops at the end.
-- A statement below "-- error: CODE" is refused with that SQLSTATE: that is what it is there to show.

CREATE EXTENSION IF NOT EXISTS raceguard;
CREATE SCHEMA tour;
SET search_path = tour;

\echo 1. No lost update: Ann and Bob have both read version 1 of an order.

CREATE TABLE orders (id int PRIMARY KEY, address text);
INSERT INTO orders VALUES (42, 'Old Street');
SELECT raceguard.add_version('orders', unstated => 'reject');

UPDATE orders SET address = 'Ann Street', version = 2 WHERE id = 42;
-- error: RG409
UPDATE orders SET address = 'Bob Street', version = 2 WHERE id = 42;
-- error: RG428
UPDATE orders SET address = 'Nobody Said Which Version Street' WHERE id = 42;

\echo The same in one call, which tells a stale row from one that is gone:

SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 2, '{"address": "Carl Street"}');
-- error: RG404
SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 1, '{"address": "Carl Street"}');

\echo 2. A cap: two seats in each boat, whoever inserts and however many at once.

CREATE TABLE seats (boat text, passenger text);
SELECT raceguard.add_cap('seats', 'boat', 2);

INSERT INTO seats VALUES ('Argo', 'Ann'), ('Argo', 'Bob'), ('Beagle', 'Carl');
-- error: RG403
INSERT INTO seats VALUES ('Argo', 'Carl');
DELETE FROM seats WHERE passenger = 'Ann';
INSERT INTO seats VALUES ('Argo', 'Carl') RETURNING *;

\echo 3. A cooldown: one mail to an address a day, judged by both sides in time.

CREATE TABLE mails (address text, sent timestamptz);
SELECT raceguard.add_cooldown('mails', 'address', at => 'sent', period => '1 day');

INSERT INTO mails VALUES ('ann', '2026-03-02 10:00+00');
-- error: RG429
INSERT INTO mails VALUES ('ann', '2026-03-03 09:59+00');
INSERT INTO mails VALUES ('ann', '2026-03-03 10:00+00');

\echo 4. A total: as many guests as the event's own row has seats. It keeps the number, and a CHECK compares.

CREATE TABLE events (name text PRIMARY KEY, capacity int);
CREATE TABLE bookings (event text REFERENCES events, guest text);
SELECT raceguard.add_total('bookings', 'events', 'booked', at_most => 'capacity');

INSERT INTO events VALUES ('fair', 2);
INSERT INTO bookings VALUES ('fair', 'Ann'), ('fair', 'Bob');
-- error: RG403
INSERT INTO bookings VALUES ('fair', 'Carl');
UPDATE events SET capacity = 3;
INSERT INTO bookings VALUES ('fair', 'Carl');
-- error: 23514
UPDATE events SET capacity = 2;
TABLE events;

\echo 5. Numbers: 1, 2, 3 for each company, none twice, and none left out by a rollback.

CREATE TABLE invoices (company text NOT NULL, amount int);
SELECT raceguard.add_number('invoices', 'company');

INSERT INTO invoices VALUES ('Acme', 10), ('Bolt', 20);
BEGIN;
INSERT INTO invoices VALUES ('Acme', 30) RETURNING *;
ROLLBACK;
INSERT INTO invoices VALUES ('Acme', 40) RETURNING *;

\echo 6. Stock: never below zero, and a basket is taken whole or not at all.

CREATE TABLE products (name text PRIMARY KEY, stock int);
INSERT INTO products VALUES ('tea', 3), ('cups', 1);

SELECT raceguard.take('products', '{"name": "tea"}', 'stock', 2);
-- error: RG422
SELECT raceguard.take_all('products', 'stock', '[{"name": "cups", "amount": 1}, {"name": "tea", "amount": 2}]');
TABLE products;

\echo 7. One writer of a key at a time: every write of a boat now waits for the others, and so does this.

SELECT raceguard.add_key_lock('seats', 'boat');
BEGIN;
SELECT raceguard.lock_key('seats', 'Argo'::text);
SELECT target, granted FROM raceguard.locks;
COMMIT;

\echo 8. A serializable transaction, repeated by the server until it meets no conflict.

CALL raceguard.retry($$UPDATE products SET stock = stock + 1 WHERE name = 'tea'$$, attempts => NULL);

\echo What stands: guards are triggers, columns, CHECKs and indexes. \d shows them, pg_dump carries them.

SELECT target, guard, definition FROM raceguard.guards ORDER BY target::text, guard;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA tour CASCADE;
RESET client_min_messages;
\echo The races themselves, with many sessions at once: make demo. How to go on: README.md.
