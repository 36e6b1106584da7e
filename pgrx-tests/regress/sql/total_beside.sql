-- Totals beside version guards, parent versions and other triggers; plan_total and recount; what a session leaves.
CREATE EXTENSION raceguard;
\set VERBOSITY default
\set SHOW_CONTEXT never

-- A total moves no version, needs none to be stated, and bumps no aggregate above.
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, note text);
CREATE TABLE items (id int PRIMARY KEY, "order" int REFERENCES orders ON DELETE CASCADE);
SELECT raceguard.add_version('customers'), raceguard.add_version('orders', unstated => 'reject');
SELECT raceguard.add_parent_version('orders', 'customers');
SELECT raceguard.add_total('items', 'orders', 'items');
INSERT INTO customers VALUES (1);
INSERT INTO orders VALUES (1, 1), (2, 1);
INSERT INTO items VALUES (1, 1), (2, 1), (3, 2);
SELECT * FROM orders ORDER BY id;
SELECT * FROM customers;
-- A parent version on the same foreign key moves it by one, in either mode of settling.
SELECT raceguard.add_parent_version('items', 'orders');
INSERT INTO items VALUES (4, 1);
SELECT raceguard.add_total('items', 'orders', 'items', settle => 'commit', replace => true);
INSERT INTO items VALUES (5, 1);
BEGIN;
UPDATE orders SET note = 'x', version = version + 1 WHERE id = 2;
DELETE FROM items WHERE id = 3;
COMMIT;
SELECT * FROM orders ORDER BY id;
SELECT * FROM customers;
SELECT raceguard.drop_guard('items', 'parent_version'), raceguard.drop_guard('items', 'total');
SELECT raceguard.add_total('items', 'orders', 'items');

-- A trigger of the parent that writes its row, of the child that writes the child again, of the parent that suppresses.
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'counted ' || NEW.items; RETURN NEW; END $$;
CREATE TRIGGER a_touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION twin() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.id < 100 THEN INSERT INTO items VALUES (NEW.id + 100, NEW."order"); END IF; RETURN NULL; END $$;
CREATE TRIGGER a_twin AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION twin();
INSERT INTO items VALUES (6, 2), (7, 2);
SELECT * FROM orders ORDER BY id;
DROP TRIGGER a_twin ON items;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER a_none BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
INSERT INTO items VALUES (8, 2);
DROP TRIGGER a_none ON orders;
-- A trigger of the parent that writes another total in the guard's name fails the statement.
CREATE FUNCTION cheat() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.id = 2 THEN UPDATE orders SET items = 99, version = version + 1 WHERE id = 1; END IF; RETURN NEW; END $$;
CREATE TRIGGER a_cheat BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION cheat();
INSERT INTO items VALUES (9, 2);
SELECT id, items FROM orders ORDER BY id;
DROP TRIGGER a_cheat ON orders;
SELECT * FROM raceguard.check_guards(deep => true) WHERE severity = 'error';

CREATE TABLE ev (id int PRIMARY KEY, top int);
CREATE TABLE bo (id int PRIMARY KEY, ev int REFERENCES ev);
INSERT INTO ev VALUES (1, 1);

-- On a live table, step by step.
SELECT * FROM raceguard.plan_total('bo', 'ev', 'n', at_most => 'top');
INSERT INTO bo VALUES (1, 1);
SELECT format('%s', ddl) FROM raceguard.plan_total('bo', 'ev', 'n', at_most => 'top') ORDER BY step \gexec
SELECT * FROM ev;
SELECT * FROM raceguard.plan_total('bo', 'ev', 'n', at_most => 'top');
SELECT raceguard.add_total('bo', 'ev', 'n', at_most => 'top');
INSERT INTO bo VALUES (2, 1);
SELECT * FROM raceguard.check_guards(deep => true);

-- recount mends what was written where no trigger fires.
SET session_replication_role = replica;
DELETE FROM bo;
RESET session_replication_role;
CALL raceguard.recount('bo');
SELECT * FROM ev;
CALL raceguard.recount('bo', batch => 0);
CALL raceguard.recount('bo', 'nope');
CALL raceguard.recount('items', batch => 1);
BEGIN;
CALL raceguard.recount('bo');
ROLLBACK;
SELECT guard, kind, passed, refused FROM raceguard.stats WHERE target = 'bo'::regclass;

-- A call of the condition's function by hand does no harm that goes unseen.
BEGIN;
SELECT raceguard.total_due(true), raceguard.total_due(true), raceguard.total_parent_due();
INSERT INTO bo VALUES (1, 1);
COMMIT;
SELECT * FROM ev;
SELECT raceguard.add_total('bo', 'ev', 'n', at_most => 'top', settle => 'commit', replace => true);
BEGIN;
SELECT raceguard.total_due(true);
DELETE FROM bo;
COMMIT;
SELECT * FROM bo;
\set VERBOSITY verbose
SET raceguard.error_style = integrity;
INSERT INTO bo VALUES (5, 1), (6, 1);
RESET raceguard.error_style;
