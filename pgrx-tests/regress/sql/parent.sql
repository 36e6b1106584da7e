-- A write to a child moves its parent's version, once per transaction and parent.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;

CREATE TABLE customers (id int PRIMARY KEY, note text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers ON UPDATE CASCADE, note text);
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, quantity int);
SELECT raceguard.add_version('customers');
SELECT raceguard.add_version('orders', ignore => '{note}');
SELECT raceguard.add_parent_version('items', 'orders');
SELECT raceguard.add_parent_version('orders', 'customers');

-- All versions as one line.
CREATE FUNCTION versions() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws('  ',
        (SELECT 'customers ' || string_agg(id || ':' || version, ' ' ORDER BY id) FROM customers),
        (SELECT 'orders ' || string_agg(id || ':' || version, ' ' ORDER BY id) FROM orders))
$$;
INSERT INTO customers VALUES (1), (2);
INSERT INTO orders VALUES (10, 1), (20, 1), (30, 2);
SELECT versions();

-- Each kind of write moves the parent and its parent, once per statement's transaction.
INSERT INTO items VALUES (1, 10, 1), (2, 10, 1), (3, 20, 1);
SELECT versions() AS after_insert;
UPDATE items SET quantity = quantity + 1 WHERE order_id = 10;
SELECT versions() AS after_update;
DELETE FROM items WHERE id = 2;
SELECT versions() AS after_delete;
INSERT INTO items VALUES (1, 10, 5) ON CONFLICT (id) DO UPDATE SET quantity = 5;
SELECT versions() AS after_upsert;
INSERT INTO items VALUES (1, 10, 5) ON CONFLICT DO NOTHING;
UPDATE items SET quantity = 0 WHERE false;
SELECT versions() AS nothing_written;
MERGE INTO items USING (VALUES (1, 10), (4, 30)) AS new (id, order_id) ON items.id = new.id
    WHEN MATCHED THEN UPDATE SET quantity = 7 WHEN NOT MATCHED THEN INSERT VALUES (new.id, new.order_id, 1);
SELECT versions() AS after_merge;

-- A child that moves bumps both parents; one without a parent bumps none.
UPDATE items SET order_id = 30 WHERE id = 3;
SELECT versions() AS after_move;
UPDATE items SET order_id = NULL WHERE id = 4;
SELECT versions() AS after_leaving;
INSERT INTO items VALUES (5, NULL, 1);
DELETE FROM items WHERE order_id IS NULL;
SELECT versions() AS without_parent;

-- Many writes in one transaction are one bump.
BEGIN;
INSERT INTO items VALUES (6, 10, 1);
UPDATE items SET quantity = 2 WHERE id = 6;
DELETE FROM items WHERE id = 6;
UPDATE orders SET customer_id = 2 WHERE id = 20;
SELECT versions() AS not_yet;
COMMIT;
SELECT versions() AS after_commit;

-- Not where the transaction bumps the parent itself, before the child or after it.
BEGIN;
UPDATE orders SET version = version + 1 WHERE id = 10 AND version = 7;
UPDATE items SET quantity = 3 WHERE order_id = 10;
COMMIT;
BEGIN;
UPDATE items SET quantity = 4 WHERE order_id = 10;
UPDATE orders SET version = version + 1 WHERE id = 10 AND version = 8;
COMMIT;
SELECT versions() AS two_swaps;
-- A write in an ignored column is no bump.
BEGIN;
UPDATE orders SET note = 'gift' WHERE id = 10;
UPDATE items SET quantity = 5 WHERE order_id = 10;
COMMIT;
SELECT versions() AS one_bump;
-- Nor is one that was rolled back.
BEGIN;
UPDATE items SET quantity = 6 WHERE order_id = 10;
SAVEPOINT before;
UPDATE orders SET version = version + 1 WHERE id = 10;
ROLLBACK TO SAVEPOINT before;
COMMIT;
SELECT versions() AS one_bump;
-- A parent inserted by the transaction has a version that nobody has read yet.
BEGIN;
INSERT INTO orders VALUES (40, 2);
INSERT INTO items VALUES (7, 40, 1);
COMMIT;
SELECT versions() AS new_order;

-- SET CONSTRAINTS ... IMMEDIATE tells the new version; it is still one bump.
BEGIN;
UPDATE items SET quantity = 1 WHERE order_id = 10;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT versions() AS within;
UPDATE items SET quantity = 2;
SELECT versions() AS within;
SET CONSTRAINTS zz_raceguard_parent_version_bump DEFERRED;
UPDATE items SET quantity = 3;
COMMIT;
SELECT versions() AS after_commit;

-- What a rollback to a savepoint undoes bumps nothing.
BEGIN;
SAVEPOINT a;
UPDATE items SET quantity = 4 WHERE order_id = 10;
ROLLBACK TO SAVEPOINT a;
UPDATE items SET quantity = 4 WHERE order_id = 40;
SAVEPOINT b;
UPDATE items SET quantity = 5 WHERE order_id = 30;
SAVEPOINT c;
RELEASE SAVEPOINT c;
RELEASE SAVEPOINT b;
COMMIT;
SELECT versions() AS orders_30_and_40;
-- A bump that was rolled back is done again.
BEGIN;
UPDATE items SET quantity = 6 WHERE order_id = 10;
SAVEPOINT a;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT versions() AS within;
ROLLBACK TO SAVEPOINT a;
SELECT versions() AS undone;
COMMIT;
SELECT versions() AS after_commit;
DO $$
BEGIN
    FOR i IN 1..3 LOOP
        BEGIN
            UPDATE items SET quantity = i WHERE order_id = 10;
            IF i <> 2 THEN RAISE EXCEPTION 'undo'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
END $$;
SELECT versions() AS once;
BEGIN;
UPDATE items SET quantity = 9;
ROLLBACK;
SELECT versions() AS same;

-- The parent goes too: silence, and its own parent moves.
DELETE FROM orders WHERE id = 40;
SELECT versions() AS without_40;
BEGIN;
UPDATE items SET quantity = 1 WHERE order_id = 30;
DELETE FROM items WHERE order_id = 30;
DELETE FROM orders WHERE id = 30;
COMMIT;
SELECT versions() AS without_30;
-- A key that cascades: the customer's own update moved its version, and the orders' theirs.
UPDATE customers SET id = 3 WHERE id = 1;
SELECT versions() AS after_cascade;

-- TRUNCATE of the child moves all its parents; of the parent, nothing is left to move.
INSERT INTO items VALUES (8, 20, 1), (9, 20, 1);
SELECT versions() AS before;
TRUNCATE items;
SELECT versions() AS after_truncate;
INSERT INTO items VALUES (1, 10, 1);
TRUNCATE orders CASCADE;
SELECT versions() AS after_truncate;

-- COPY and INSERT ... SELECT of many children: one bump, one pending event.
INSERT INTO orders VALUES (10, 2), (20, 2);
COPY items FROM PROGRAM 'seq -f "%.0f	10	1" 1 20000';
SELECT versions() AS after_copy;
BEGIN;
INSERT INTO items SELECT n, 10 + 10 * (n % 2), 1 FROM generate_series(20001, 40000) n;
-- An event per row would be 12 bytes each, 240 kB.
SELECT sum(used_bytes) < 20000 AS one_event FROM pg_backend_memory_contexts WHERE name = 'AfterTriggerEvents';
COMMIT;
SELECT versions() AS after_insert;

-- Stated as the table demands: clients that send what they read, and must.
SELECT raceguard.add_version('orders', client_sends => 'current', unstated => 'reject', replace => true);
UPDATE items SET quantity = 2 WHERE id = 1;
SELECT versions() AS current_reject;
SELECT raceguard.add_version('orders', unstated => 'reject', replace => true);
UPDATE items SET quantity = 3 WHERE id = 1;
SELECT versions() AS next_reject;
-- While the parent's guard is disabled no write moves its version, a child's neither.
ALTER TABLE orders DISABLE TRIGGER zz_raceguard_version;
UPDATE items SET quantity = 4 WHERE id = 1;
SELECT versions() AS disabled;
ALTER TABLE orders ENABLE TRIGGER zz_raceguard_version;
-- With the bump trigger disabled or immediate, the statement itself bumps.
ALTER TABLE items DISABLE TRIGGER zz_raceguard_parent_version_bump;
BEGIN;
UPDATE items SET quantity = 5 WHERE id IN (1, 20001);
SELECT versions() AS at_once;
COMMIT;
ALTER TABLE items ENABLE TRIGGER zz_raceguard_parent_version_bump;

-- timestamptz versions.
CREATE TABLE docs (id int PRIMARY KEY, version timestamptz(3) NOT NULL DEFAULT '2020-01-01');
CREATE TABLE lines (doc_id int REFERENCES docs, line int, PRIMARY KEY (doc_id, line));
SELECT raceguard.add_version('docs', client_sends => 'current', unstated => 'reject');
SELECT raceguard.add_parent_version('lines', 'docs');
INSERT INTO docs VALUES (1), (2);
INSERT INTO lines VALUES (1, 1), (1, 2);
SELECT id, version > now() - interval '1 hour' AS moved FROM docs ORDER BY id;

-- A version at the end of its type's range fails loudly.
CREATE TABLE short (id int PRIMARY KEY, version smallint NOT NULL DEFAULT 32766);
CREATE TABLE parts (id int PRIMARY KEY, short_id int REFERENCES short);
SELECT raceguard.add_version('short');
SELECT raceguard.add_parent_version('parts', 'short');
INSERT INTO short VALUES (1);
INSERT INTO parts VALUES (1, 1);
INSERT INTO parts VALUES (2, 1);
SELECT version FROM short;

-- drop_guard takes everything away.
SELECT guard, kind, definition FROM raceguard.guards WHERE target = 'items'::regclass;
SELECT raceguard.drop_guard('items', 'parent_version');
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'items'::regclass AND NOT tgisinternal;
UPDATE items SET quantity = 6 WHERE id = 1;
SELECT versions() AS unguarded;
