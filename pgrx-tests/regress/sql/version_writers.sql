-- Every way to write a row passes the version guard, and bumps exactly once.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
CREATE TABLE stock (id int PRIMARY KEY, name text, quantity int NOT NULL);
INSERT INTO stock VALUES (1, 'pen', 10), (2, 'ink', 20), (3, 'nib', 30);
SELECT raceguard.add_version('stock');

-- UPDATE ... FROM, stating and not.
UPDATE stock SET quantity = quantity - n FROM (VALUES (1, 1), (2, 2)) AS sold(id, n)
WHERE stock.id = sold.id RETURNING stock.*;
UPDATE stock SET quantity = 0, version = seen + 1 FROM (VALUES (1, 2), (2, 1)) AS sold(id, seen)
WHERE stock.id = sold.id;
-- A row that the join finds twice is updated once.
UPDATE stock SET quantity = n FROM (VALUES (1, 7), (1, 7)) AS sold(id, n)
WHERE stock.id = sold.id RETURNING stock.*;

-- Writable CTE.
WITH sold AS (UPDATE stock SET quantity = quantity - 1, version = 4 WHERE id = 1 RETURNING *)
SELECT * FROM sold;
WITH sold AS (UPDATE stock SET quantity = quantity - 1, version = 4 WHERE id = 1 RETURNING *)
SELECT * FROM sold;
WITH sold AS (UPDATE stock SET quantity = quantity - 1 WHERE id = 1) SELECT 'not referred to';

-- SET (...) = (...), and from a subquery.
UPDATE stock SET (name, version) = ('pencil', 6) WHERE id = 1 RETURNING *;
UPDATE stock SET (quantity, version) = (SELECT 99, 6) WHERE id = 1;

-- Updatable views, with renamed columns and one that hides the version.
CREATE VIEW shelf AS SELECT id AS nr, quantity AS n, version AS v FROM stock WHERE id < 3;
CREATE VIEW blind_shelf AS SELECT id, quantity FROM stock;
UPDATE shelf SET n = 5, v = 7 WHERE nr = 1 RETURNING *;
UPDATE shelf SET n = 5, v = 7 WHERE nr = 1;
UPDATE shelf SET n = 4 WHERE nr = 1 RETURNING *;
UPDATE blind_shelf SET quantity = 3 WHERE id = 1;
SELECT * FROM stock WHERE id = 1;

-- Upserts. What the INSERT gives as version is what EXCLUDED.version states.
INSERT INTO stock VALUES (4, 'cap', 1) ON CONFLICT (id) DO UPDATE SET quantity = EXCLUDED.quantity RETURNING *;
INSERT INTO stock VALUES (4, 'cap', 2) ON CONFLICT (id) DO UPDATE SET quantity = EXCLUDED.quantity RETURNING *;
INSERT INTO stock VALUES (4, 'cap', 3, 3) ON CONFLICT (id) DO UPDATE SET quantity = EXCLUDED.quantity, version = EXCLUDED.version RETURNING *;
INSERT INTO stock VALUES (4, 'cap', 4, 3) ON CONFLICT (id) DO UPDATE SET quantity = EXCLUDED.quantity, version = EXCLUDED.version;
-- Without one it is the column's default, 1.
INSERT INTO stock VALUES (4, 'cap', 5) ON CONFLICT (id) DO UPDATE SET quantity = EXCLUDED.quantity, version = EXCLUDED.version;
INSERT INTO stock VALUES (4, 'cap', 6) ON CONFLICT (id) DO UPDATE SET quantity = EXCLUDED.quantity, version = stock.version + 1 RETURNING *;
INSERT INTO stock VALUES (4, 'cap', 7) ON CONFLICT DO NOTHING;
SELECT * FROM stock WHERE id = 4;

-- MERGE. Every action states the version, or none does.
CREATE TABLE shop (id int PRIMARY KEY, name text, quantity int, version bigint NOT NULL DEFAULT 10);
INSERT INTO shop VALUES (1, 'pen', 1), (2, 'ink', 2);
SELECT raceguard.add_version('shop');
MERGE INTO shop USING (VALUES (1, 50, 10), (2, 60, 10), (3, 70, 0)) AS delivery(id, n, seen) ON shop.id = delivery.id
WHEN MATCHED THEN UPDATE SET quantity = n, version = seen + 1
WHEN NOT MATCHED THEN INSERT VALUES (delivery.id, 'new', n);
TABLE shop ORDER BY id;
MERGE INTO shop USING (VALUES (2, 61, 10)) AS delivery(id, n, seen) ON shop.id = delivery.id
WHEN MATCHED THEN UPDATE SET quantity = n, version = seen + 1;
MERGE INTO shop USING (VALUES (2, 61), (3, 71)) AS delivery(id, n) ON shop.id = delivery.id
WHEN MATCHED THEN UPDATE SET quantity = n;
TABLE shop ORDER BY id;

-- Several UPDATE actions, of which one states the version: each row is judged by its own action.
-- Rows 1 and 2 have version 10; row 1 goes by the action that leaves the version alone, row 2 by
-- the one that states it. In the column of 10 the two look the same to a trigger.
CREATE FUNCTION merge_mixed(stated bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    DELETE FROM shop;
    INSERT INTO shop VALUES (1, 'pen', 1), (2, 'ink', 2);
    MERGE INTO shop USING (VALUES (1, 100), (2, 100)) AS delivery(id, n) ON shop.id = delivery.id
    WHEN MATCHED AND shop.name = 'nobody' THEN DELETE
    WHEN MATCHED AND shop.id = 1 THEN UPDATE SET quantity = n
    WHEN MATCHED THEN UPDATE SET quantity = n, version = stated;
    RETURN (SELECT string_agg(version::text, ', ' ORDER BY id) FROM shop);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE FUNCTION merge_under(sends text, unstated text, ignored name[])
RETURNS TABLE (nine text, ten text, eleven text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM raceguard.add_version('shop', client_sends => sends, unstated => unstated, ignore => ignored, replace => true);
    RETURN QUERY SELECT merge_mixed(9), merge_mixed(10), merge_mixed(11);
END $$;
SET client_min_messages = error;
SELECT * FROM unnest('{next,current}'::text[]) sends, unnest('{allow,warn,reject}'::text[]) unstated,
    unnest('{name,quantity}'::text[]) ignored, LATERAL merge_under(sends, unstated, ARRAY[ignored]::name[]);
-- warn warns of row 1 only.
SET client_min_messages = warning;
SELECT * FROM merge_under('current', 'warn', '{}');
-- The first UPDATE action that fits counts, whichever states the version.
SELECT raceguard.add_version('shop', unstated => 'reject', replace => true);
MERGE INTO shop USING (VALUES (1, 'stated', 11)) AS delivery(id, n, next) ON shop.id = delivery.id
WHEN MATCHED AND next > 0 THEN UPDATE SET name = n, version = next
WHEN MATCHED AND next > 1 THEN UPDATE SET name = n
WHEN MATCHED THEN DELETE;
MERGE INTO shop USING (VALUES (1, 'bare', 12)) AS delivery(id, n, next) ON shop.id = delivery.id
WHEN MATCHED AND next > 1 THEN UPDATE SET name = n
WHEN MATCHED AND next > 0 THEN UPDATE SET name = n, version = next;
SELECT * FROM shop WHERE id = 1;
-- As the first statement of a session.
\c -
MERGE INTO shop USING (VALUES (1, 'bare', 12)) AS delivery(id, n, next) ON shop.id = delivery.id
WHEN MATCHED AND next > 1 THEN UPDATE SET name = n
WHEN MATCHED AND next > 0 THEN UPDATE SET name = n, version = next;
SET client_min_messages = warning;

-- COPY and INSERT keep the versions they are given, as a restore needs.
COPY stock FROM stdin;
10	old	1	41
11	old	1	42
\.
COPY stock (id, name, quantity) FROM stdin;
12	new	1
\.
INSERT INTO stock SELECT id + 10, name, quantity, version FROM stock WHERE id > 9;
SELECT * FROM stock WHERE id > 9 ORDER BY id;

-- A prepared statement, through a change of the guard and of the table.
PREPARE change(int, text) AS UPDATE stock SET name = $2 WHERE id = $1 RETURNING id, name, version;
EXECUTE change(10, 'a');
SELECT raceguard.add_version('stock', unstated => 'reject', replace => true);
EXECUTE change(10, 'b');
ALTER TABLE stock ADD COLUMN note text;
EXECUTE change(10, 'b');
ALTER TABLE stock DISABLE TRIGGER zz_raceguard_version;
EXECUTE change(10, 'unguarded');
ALTER TABLE stock ENABLE TRIGGER zz_raceguard_version;
-- A guard made in a subtransaction that rolls back was never there.
BEGIN;
SAVEPOINT s;
SELECT raceguard.add_version('stock', client_sends => 'current', replace => true);
UPDATE stock SET name = 'current', version = 42 WHERE id = 10 RETURNING version;
ROLLBACK TO s;
UPDATE stock SET name = 'next', version = 43 WHERE id = 10 RETURNING version;
ROLLBACK;

-- Partitions: the guard on the root covers those attached later; a row that moves keeps its
-- version and is bumped.
CREATE TABLE events (id int, part int, body text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
SELECT raceguard.add_version('events', unstated => 'reject');
CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2);
-- Its columns stand in another order, and one was dropped.
CREATE TABLE events_3 (gone int, body text, version bigint NOT NULL DEFAULT 1, part int NOT NULL, id int NOT NULL);
ALTER TABLE events_3 DROP COLUMN gone;
ALTER TABLE events ATTACH PARTITION events_3 FOR VALUES IN (3);
INSERT INTO events VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
UPDATE events SET body = 'x';
UPDATE events SET body = 'x', version = 2 RETURNING *;
UPDATE events SET part = 2, version = 3 WHERE id = 1 RETURNING tableoid::regclass, *;
UPDATE events SET part = 3, version = 4 WHERE id = 1 RETURNING tableoid::regclass, *;
UPDATE events SET part = 3, version = 4 WHERE id = 2;
UPDATE events SET part = 1 WHERE id = 1;
UPDATE events SET body = 'third', version = 3 WHERE id = 3;
UPDATE events SET body = 'stale', version = 3 WHERE id = 3;
UPDATE events_3 SET body = 'directly', version = 4 WHERE id = 3 RETURNING *;
INSERT INTO events VALUES (3, 3, 'upsert', 5) ON CONFLICT (id, part) DO UPDATE SET body = EXCLUDED.body, version = EXCLUDED.version RETURNING *;
MERGE INTO events USING (VALUES (1, 5), (3, 0)) AS s(id, next) ON events.id = s.id
WHEN MATCHED AND s.id = 1 THEN UPDATE SET body = 'merged', version = next
WHEN MATCHED THEN UPDATE SET body = 'merged';
-- Same again, with a row for which the right action runs.
MERGE INTO events USING (VALUES (1, 5)) AS s(id, next) ON events.id = s.id
WHEN MATCHED AND s.id = 1 THEN UPDATE SET body = 'merged', version = next
WHEN MATCHED THEN UPDATE SET body = 'merged';
SELECT tableoid::regclass, * FROM events ORDER BY id;
-- A partition's guard is the root's; one of its own has to go before it is attached.
SELECT raceguard.add_version('events_1', unstated => 'reject');
SELECT raceguard.add_version('events_1', replace => true);
CREATE TABLE events_4 (id int, part int, body text, version bigint NOT NULL DEFAULT 1, PRIMARY KEY (id, part));
SELECT raceguard.add_version('events_4');
ALTER TABLE events ATTACH PARTITION events_4 FOR VALUES IN (4);
SELECT raceguard.drop_guard('events_4', 'version');
ALTER TABLE events ATTACH PARTITION events_4 FOR VALUES IN (4);
INSERT INTO events VALUES (4, 4, 'd');
UPDATE events SET body = 'x' WHERE id = 4;
CREATE TABLE logs (id int, part int) PARTITION BY LIST (part);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES IN (1);
SELECT raceguard.add_version('logs_1');
ALTER TABLE logs ADD COLUMN version bigint NOT NULL DEFAULT 1;
SELECT raceguard.add_version('logs_1');
SELECT raceguard.add_version('logs');
-- Two guards under different names judge and bump as one.
CREATE TABLE events_5 (LIKE events_4 INCLUDING ALL);
CREATE TRIGGER my_version BEFORE UPDATE ON events_5 FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version', 'unstated=reject');
ALTER TABLE events ATTACH PARTITION events_5 FOR VALUES IN (5);
INSERT INTO events VALUES (5, 5, 'e');
UPDATE events SET body = 'x', version = 2 WHERE id = 5 RETURNING *;
-- Detached, a partition loses the root's guard.
ALTER TABLE events DETACH PARTITION events_2;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'events_2'::regclass;

-- Inheritance: Postgres inherits columns, not triggers.
SET client_min_messages = notice;
CREATE TABLE parents (id int PRIMARY KEY, body text);
CREATE TABLE children () INHERITS (parents);
INSERT INTO parents VALUES (1, 'a');
INSERT INTO children VALUES (2, 'b');
SELECT raceguard.add_version('parents');
UPDATE parents SET body = 'x' RETURNING tableoid::regclass, *;
SELECT raceguard.add_version('children');
UPDATE parents SET body = 'x', version = version + 1 RETURNING tableoid::regclass, *;
SET client_min_messages = warning;

-- Foreign keys: their actions bump, and never fail for want of a version.
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE invoices (id int PRIMARY KEY, customer int REFERENCES customers ON UPDATE CASCADE ON DELETE SET NULL,
    payer int DEFAULT 9 REFERENCES customers ON UPDATE SET NULL ON DELETE SET DEFAULT);
INSERT INTO customers VALUES (1), (2), (9);
INSERT INTO invoices VALUES (1, 1, 2), (2, 2, 1);
SELECT raceguard.add_version('invoices', unstated => 'reject');
UPDATE customers SET id = 3 WHERE id = 1;
TABLE invoices ORDER BY id;
DELETE FROM customers WHERE id IN (2, 3);
TABLE invoices ORDER BY id;
UPDATE invoices SET payer = NULL;
-- Only the foreign key's own statement is free; what a trigger does in its wake is a client's.
CREATE TABLE copies (id int PRIMARY KEY, body text);
INSERT INTO copies VALUES (1, 'a');
SELECT raceguard.add_version('copies', unstated => 'reject');
CREATE FUNCTION touch_copies() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE copies SET body = 'touched';
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION touch_copies();
INSERT INTO customers VALUES (1);
UPDATE invoices SET customer = 1, version = version + 1 WHERE id = 1;
ALTER TABLE invoices DISABLE TRIGGER touch;
UPDATE invoices SET customer = 1, version = version + 1 WHERE id = 1;
ALTER TABLE invoices ENABLE TRIGGER touch;
UPDATE customers SET id = 4 WHERE id = 1;
ALTER TABLE invoices DISABLE TRIGGER touch;
UPDATE customers SET id = 4 WHERE id = 1;
SELECT * FROM invoices WHERE id = 1;
-- warn does not warn of them either.
SELECT raceguard.add_version('invoices', unstated => 'warn', replace => true);
UPDATE customers SET id = 5 WHERE id = 4;
SELECT * FROM invoices WHERE id = 1;
