-- A total that is settled at COMMIT and a parent version on the same foreign key share one UPDATE of the parent.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE TABLE orders (id int PRIMARY KEY, note text, top int);
CREATE TABLE items (id int PRIMARY KEY, "order" int REFERENCES orders ON DELETE CASCADE, n int DEFAULT 1);
-- One line for each UPDATE of a parent.
CREATE TABLE told (nth int GENERATED ALWAYS AS IDENTITY, line text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO told (line) VALUES (format('order %s: version %s to %s, total %s to %s', NEW.id, OLD.version, NEW.version,
        to_jsonb(OLD) ->> 'total', to_jsonb(NEW) ->> 'total'));
    RETURN NULL; END $$;
CREATE TRIGGER tell AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION tell();
CREATE FUNCTION told() RETURNS SETOF text LANGUAGE sql AS 'WITH t AS (DELETE FROM told RETURNING *) SELECT line FROM t ORDER BY nth';
SELECT raceguard.add_version('orders', unstated => 'reject');
INSERT INTO orders VALUES (1, 'a', 9), (2, 'b', 9);

-- The version first, the total first; either dropped and added again; the total replaced; a total whose trigger comes
-- first by its name.
SELECT raceguard.add_parent_version('items', 'orders');
SELECT raceguard.add_total('items', 'orders', 'total', amount => 'n', at_most => 'top', settle => 'commit');
INSERT INTO items VALUES (1, 1), (2, 1);
SELECT told();
SELECT raceguard.drop_guard('items', 'parent_version');
UPDATE items SET n = 2 WHERE id = 1;
SELECT told();
SELECT raceguard.add_parent_version('items', 'orders');
UPDATE items SET "order" = 2 WHERE id = 1;
SELECT told();
SELECT raceguard.drop_guard('items', 'total');
UPDATE items SET n = 3 WHERE id = 1;
SELECT told();
SELECT raceguard.add_total('items', 'orders', 'total', amount => 'n', at_most => 'top', settle => 'commit');
DELETE FROM items WHERE id = 1;
SELECT told();
SELECT raceguard.drop_guard('items', 'parent_version'), raceguard.drop_guard('items', 'total', drop_column => true);
SELECT raceguard.add_total('items', 'orders', 'total', amount => 'n', guard => 'a_total');
SELECT raceguard.add_parent_version('items', 'orders');
INSERT INTO items VALUES (3, 1);
SELECT told();
SELECT raceguard.add_total('items', 'orders', 'total', amount => 'n', at_most => 'top', settle => 'commit', guard => 'a_total', replace => true);
INSERT INTO items VALUES (4, 1), (5, 2);
SELECT told();

-- One new version of the row, by Postgres's own count.
BEGIN;
SELECT n_tup_upd AS before FROM pg_stat_xact_user_tables WHERE relname = 'orders' \gset
INSERT INTO items VALUES (6, 1), (7, 1);
UPDATE items SET n = n + 1 WHERE id = 6;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT n_tup_upd - :before AS updates FROM pg_stat_xact_user_tables WHERE relname = 'orders';
COMMIT;
SELECT told();
-- Either trigger brought forward alone.
BEGIN;
INSERT INTO items VALUES (8, 1);
SET CONSTRAINTS zz_raceguard_parent_version_bump IMMEDIATE;
COMMIT;
SELECT told();
BEGIN;
DELETE FROM items WHERE id = 8;
SET CONSTRAINTS zz_raceguard_a_total_settle IMMEDIATE;
COMMIT;
SELECT told();

-- A write that leaves the total alone moves the version; a bound that refuses is told, and nothing is written.
UPDATE items SET id = 9 WHERE id = 7;
SELECT told();
BEGIN;
UPDATE items SET id = 10 WHERE id = 9;
INSERT INTO items SELECT i, 2 FROM generate_series(20, 40) i;
COMMIT;
SELECT told();
-- Insert before delete.
UPDATE orders SET top = 1, version = version + 1 WHERE id = 2;
BEGIN;
INSERT INTO items VALUES (11, 2);
DELETE FROM items WHERE id = 5;
COMMIT;
SELECT told();

-- A client that moves the version itself; a parent that is new; rolled back to a savepoint.
BEGIN;
UPDATE orders SET note = 'by hand', version = version + 1 WHERE id = 1;
DELETE FROM items WHERE id = 3;
COMMIT;
SELECT told();
BEGIN;
INSERT INTO orders VALUES (3, 'c', 9);
INSERT INTO items VALUES (12, 3);
COMMIT;
SELECT told();
BEGIN;
SAVEPOINT a;
INSERT INTO items VALUES (13, 3);
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO a;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO items VALUES (14, 3), (15, 3);
COMMIT;
SELECT told();
DELETE FROM orders WHERE id = 3;
TRUNCATE items;
SELECT told();

-- Bounds that are expressions, and a version that is a time, which the client sends back.
SELECT raceguard.add_total('items', 'orders', 'total', amount => 'n', at_most => 'top + 1', at_least => '-1', settle => 'commit', guard => 'a_total', replace => true);
INSERT INTO items VALUES (1, 2);
SELECT told();
INSERT INTO items VALUES (2, 2);
SELECT told();
INSERT INTO items VALUES (3, 2);
UPDATE items SET n = -5 WHERE id = 2;
SELECT told();
DELETE FROM items WHERE id = 2;
SELECT told();
CREATE TABLE carts (id int PRIMARY KEY, changed timestamptz NOT NULL DEFAULT '2026-03-02');
CREATE TABLE lines (cart int REFERENCES carts, price numeric);
SELECT raceguard.add_version('carts', 'changed', client_sends => 'current', unstated => 'reject');
SELECT raceguard.add_total('lines', 'carts', 'sum', amount => 'price', settle => 'commit');
SELECT raceguard.add_parent_version('lines', 'carts');
INSERT INTO carts VALUES (1);
BEGIN;
SELECT n_tup_upd AS before FROM pg_stat_xact_user_tables WHERE relname = 'carts' \gset
INSERT INTO lines VALUES (1, 0.1), (1, 0.2);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT n_tup_upd - :before AS updates FROM pg_stat_xact_user_tables WHERE relname = 'carts';
COMMIT;
SELECT sum, changed > '2026-03-02' AS moved FROM carts;

-- A chain: each is written once for the version, and ends with the right total.
CREATE TABLE customers (id int PRIMARY KEY);
SELECT raceguard.add_version('customers');
ALTER TABLE orders ADD customer int REFERENCES customers;
SELECT raceguard.add_parent_version('orders', 'customers');
SELECT raceguard.add_total('orders', 'customers', 'spent', amount => 'total', settle => 'commit');
INSERT INTO customers VALUES (1);
UPDATE orders SET customer = 1, version = version + 1;
INSERT INTO items VALUES (30, 1), (31, 1);
SELECT id, version, total FROM orders ORDER BY id;
SELECT * FROM customers;
SELECT * FROM raceguard.check_guards(deep => true) WHERE severity = 'error';
