-- A parent version belongs to a parent: its foreign key may be renamed, and another one take its name.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
CREATE TABLE orders (id int PRIMARY KEY);
CREATE TABLE buyers (id int PRIMARY KEY);
CREATE TABLE items (id int PRIMARY KEY, order_id int CONSTRAINT parent REFERENCES orders,
    buyer_id int CONSTRAINT buyer REFERENCES buyers);
SELECT raceguard.add_version('orders'), raceguard.add_version('buyers');
SELECT raceguard.add_parent_version('items', 'orders');
INSERT INTO orders VALUES (1);
INSERT INTO buyers VALUES (1);
INSERT INTO items VALUES (1, 1, 1);
SELECT o.version, b.version FROM orders o, buyers b;
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'zz_raceguard_parent_version_bump';
-- Renamed.
ALTER TABLE items RENAME CONSTRAINT parent TO was_parent;
UPDATE items SET id = 2;
SELECT o.version, b.version FROM orders o, buyers b;
-- The other foreign key takes the name.
ALTER TABLE items RENAME CONSTRAINT buyer TO parent;
UPDATE items SET id = 3;
SELECT o.version, b.version FROM orders o, buyers b;
TRUNCATE items;
SELECT o.version, b.version FROM orders o, buyers b;
INSERT INTO items VALUES (3, 1, 1);
SELECT enabled, whole FROM raceguard.guards WHERE target = 'items'::regclass;
-- The same call again, with the foreign key as it is called now, and for the other parent.
SET client_min_messages = notice;
\set VERBOSITY default
SELECT raceguard.add_parent_version('items', 'orders');
SELECT raceguard.add_parent_version('items', 'orders', 'was_parent');
SELECT raceguard.add_parent_version('items', 'buyers');
SET client_min_messages = warning;
UPDATE items SET id = 4;
SELECT o.version, b.version FROM orders o, buyers b;
-- Both guards were added under one name.
TRUNCATE items;
SELECT o.version, b.version FROM orders o, buyers b;
INSERT INTO items VALUES (4, 1, 1);
SELECT raceguard.drop_guard('items', 'parent_version_buyers');
-- A third one to the first parent: by name it is none of them.
ALTER TABLE items ADD CONSTRAINT another FOREIGN KEY (order_id) REFERENCES orders;
UPDATE items SET id = 5;
TRUNCATE items;
SELECT whole FROM raceguard.guards WHERE target = 'items'::regclass;
SELECT raceguard.add_parent_version('items', 'orders', 'another', replace => true);
UPDATE items SET id = 5;
-- All are gone.
ALTER TABLE items DROP CONSTRAINT another, DROP CONSTRAINT was_parent;
UPDATE items SET id = 6;
SELECT whole FROM raceguard.guards WHERE target = 'items'::regclass;
-- With a new one it goes on.
ALTER TABLE items ADD FOREIGN KEY (order_id) REFERENCES orders;
UPDATE items SET id = 6;
SELECT o.version, b.version FROM orders o, buyers b;
-- The parent may be renamed and moved; once it is gone there is nothing to find.
ALTER TABLE orders RENAME TO purchases;
CREATE SCHEMA shop;
ALTER TABLE purchases SET SCHEMA shop;
UPDATE items SET id = 7;
SELECT o.version, b.version FROM shop.purchases o, buyers b;
DROP TABLE shop.purchases CASCADE;
UPDATE items SET id = 8;
SELECT raceguard.drop_guard('items', 'parent_version');
DROP TABLE items;
-- On partitions, whose foreign keys have names of their own.
CREATE TABLE orders (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (10);
SELECT raceguard.add_version('orders');
CREATE TABLE items (id int, order_id int CONSTRAINT parent REFERENCES orders,
    buyer_id int CONSTRAINT buyer REFERENCES buyers) PARTITION BY RANGE (id);
CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (10);
SELECT raceguard.add_parent_version('items', 'orders');
CREATE TABLE items_2 (buyer_id int, order_id int, id int);
ALTER TABLE items ATTACH PARTITION items_2 FOR VALUES FROM (10) TO (20);
ALTER TABLE items RENAME CONSTRAINT parent TO was_parent;
ALTER TABLE items RENAME CONSTRAINT buyer TO parent;
INSERT INTO orders VALUES (1);
INSERT INTO items VALUES (1, 1, 1);
INSERT INTO items VALUES (11, 1, 1);
SELECT o.version, b.version FROM orders o, buyers b;
DROP TABLE items, orders;
-- Without the right to put triggers on the parent, and as version 0.1.0 made it: by name.
CREATE ROLE raceguard_child NOLOGIN;
CREATE SCHEMA child AUTHORIZATION raceguard_child;
CREATE TABLE orders (id int PRIMARY KEY);
SELECT raceguard.add_version('orders');
GRANT SELECT, REFERENCES, UPDATE ON orders TO raceguard_child;
INSERT INTO orders VALUES (1);
SET ROLE raceguard_child;
CREATE TABLE child.items (id int, order_id int CONSTRAINT parent REFERENCES orders);
SET client_min_messages = notice;
SELECT raceguard.add_parent_version('child.items', 'orders');
SET client_min_messages = warning;
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'zz_raceguard_parent_version_bump';
INSERT INTO child.items VALUES (1, 1);
ALTER TABLE child.items RENAME CONSTRAINT parent TO was_parent;
INSERT INTO child.items VALUES (2, 1);
RESET ROLE;
SELECT version FROM orders;
DROP SCHEMA child CASCADE;
REVOKE ALL ON orders FROM raceguard_child;
DROP ROLE raceguard_child;
-- A trigger that bumps without an argument, as version 0.1.0 made it, remembers nothing.
CREATE TABLE items (id int, order_id int CONSTRAINT parent REFERENCES orders);
CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON items
    FOR EACH ROW EXECUTE FUNCTION raceguard.parent_version_guard('parent');
CREATE CONSTRAINT TRIGGER bumped AFTER INSERT OR UPDATE OR DELETE ON items FROM buyers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (raceguard.parent_version_due())
    EXECUTE FUNCTION raceguard.parent_version_bump();
INSERT INTO items VALUES (1, 1);
SELECT version FROM orders;
