-- Whose rights move a parent's version, and what a stranger cannot do with them.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
CREATE ROLE raceguard_shop NOLOGIN;
CREATE ROLE raceguard_clerk NOLOGIN;
CREATE ROLE raceguard_stranger NOLOGIN;
CREATE SCHEMA shop AUTHORIZATION raceguard_shop;
GRANT USAGE ON SCHEMA shop TO raceguard_clerk, raceguard_stranger;
CREATE SCHEMA den AUTHORIZATION raceguard_stranger;
CREATE SCHEMA desk AUTHORIZATION raceguard_clerk;

SET ROLE raceguard_shop;
CREATE TABLE shop.orders (id int PRIMARY KEY, branch text NOT NULL DEFAULT 'north');
CREATE TABLE shop.items (id int PRIMARY KEY, order_id int REFERENCES shop.orders, quantity int);
SELECT raceguard.add_version('shop.orders', unstated => 'reject');
SELECT raceguard.add_parent_version('shop.items', 'shop.orders');
INSERT INTO shop.orders VALUES (1), (2);
-- Row security, forced on the owner too: nobody sees any order.
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.orders FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON shop.items TO raceguard_clerk;
RESET ROLE;

-- The clerk may write items and has no right at all on orders; operators of his own do not matter.
SET ROLE raceguard_clerk;
SET search_path = desk, shop, pg_catalog;
CREATE FUNCTION desk.trap(int, int) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the clerk''s code runs as %', current_user; END $$;
CREATE OPERATOR desk.= (FUNCTION = desk.trap, LEFTARG = int, RIGHTARG = int);
CREATE FUNCTION desk.trap(bigint, int) RETURNS bigint LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the clerk''s code runs as %', current_user; END $$;
CREATE OPERATOR desk.+ (FUNCTION = desk.trap, LEFTARG = bigint, RIGHTARG = int);
INSERT INTO items VALUES (1, 1, 1), (2, 1, 1), (3, 2, 1);
UPDATE items SET quantity = 2 WHERE id OPERATOR(pg_catalog.=) 3;
SELECT count(*) FROM orders;
SELECT id FROM items WHERE id = 3;
RESET search_path;
RESET ROLE;
SELECT id, version FROM shop.orders ORDER BY id;
-- Row security on the child hides rows from the clerk, not from the guard that truncates.
SET ROLE raceguard_shop;
ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.items FORCE ROW LEVEL SECURITY;
RESET ROLE;
SET ROLE raceguard_clerk;
SELECT count(*) FROM shop.items;
TRUNCATE shop.items;
RESET ROLE;
SELECT id, version FROM shop.orders ORDER BY id;

-- A trigger on the parent acts as the parent's owner, and cannot become anyone else.
SET ROLE raceguard_shop;
CREATE FUNCTION shop.who() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING '% moves order %', current_user, NEW.id; SET ROLE raceguard_clerk; RETURN NEW; END $$;
CREATE TRIGGER who BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.who();
ALTER TABLE shop.items NO FORCE ROW LEVEL SECURITY;
INSERT INTO shop.items VALUES (4, 1, 1);
DROP TRIGGER who ON shop.orders;
SELECT current_user;
RESET ROLE;

-- Nor does it leave anything behind that would run as whoever writes the child: no setting, no deferred
-- trigger.
GRANT UPDATE ON shop.items TO raceguard_clerk;
SET ROLE raceguard_shop;
CREATE FUNCTION shop.trap() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('search_path', 'den', false); RETURN NEW; END $$;
CREATE TRIGGER trap BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.trap();
RESET ROLE;
SELECT id, version FROM shop.orders ORDER BY id;
INSERT INTO shop.items VALUES (6, 1, 1);
SHOW search_path;
SELECT id, version FROM shop.orders ORDER BY id;
DROP TRIGGER trap ON shop.orders;
CREATE CONSTRAINT TRIGGER trap AFTER UPDATE ON shop.orders DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION shop.who();
INSERT INTO shop.items VALUES (7, 1, 1);
-- The parent's owner may have it for his own writes.
SET ROLE raceguard_shop;
ALTER FUNCTION shop.who() RENAME TO nobody;
CREATE FUNCTION shop.who() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING '% moved order %', current_user, NEW.id; RETURN NEW; END $$;
DROP TRIGGER trap ON shop.orders;
CREATE CONSTRAINT TRIGGER trap AFTER UPDATE ON shop.orders DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION shop.who();
INSERT INTO shop.items VALUES (7, 1, 1);
DROP TRIGGER trap ON shop.orders;
DELETE FROM shop.items WHERE id IN (6, 7);
RESET ROLE;
SELECT id, version FROM shop.orders ORDER BY id;

-- A stranger attaches the trigger function to a table of his own. Without a foreign key:
SET ROLE raceguard_stranger;
CREATE TABLE den.items (id int, order_id int);
CREATE TRIGGER bump AFTER INSERT OR UPDATE OR DELETE ON den.items FOR EACH ROW
    EXECUTE FUNCTION raceguard.parent_version_guard('items_order_id_fkey');
INSERT INTO den.items VALUES (1, 1);
-- He may not make one.
ALTER TABLE den.items ADD CONSTRAINT items_order_id_fkey FOREIGN KEY (order_id) REFERENCES shop.orders;
-- A foreign key to his own table, or a constraint of another kind, leads nowhere else.
CREATE TABLE den.orders (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 1);
ALTER TABLE den.items ADD CONSTRAINT items_order_id_fkey CHECK (order_id > 0);
INSERT INTO den.items VALUES (1, 1);
ALTER TABLE den.items DROP CONSTRAINT items_order_id_fkey;
ALTER TABLE den.items ADD CONSTRAINT items_order_id_fkey FOREIGN KEY (order_id) REFERENCES den.orders;
INSERT INTO den.orders VALUES (1);
INSERT INTO den.items VALUES (1, 1);
RESET ROLE;
-- Allowed to refer to orders, he still may not move their versions.
GRANT REFERENCES ON shop.orders TO raceguard_stranger;
SET ROLE raceguard_stranger;
ALTER TABLE den.items DROP CONSTRAINT items_order_id_fkey;
ALTER TABLE den.items ADD CONSTRAINT items_order_id_fkey FOREIGN KEY (order_id) REFERENCES shop.orders;
INSERT INTO den.items VALUES (1, 1);
CREATE TRIGGER truncated BEFORE TRUNCATE ON den.items
    EXECUTE FUNCTION raceguard.parent_version_truncate('items_order_id_fkey');
ALTER TABLE den.items DISABLE TRIGGER bump;
INSERT INTO den.items VALUES (1, 1);
TRUNCATE den.items;
SELECT raceguard.add_parent_version('den.items', 'shop.orders');
RESET ROLE;
SELECT id, version FROM shop.orders ORDER BY id;
-- With UPDATE on the version column he may not either while row security of the parent applies to him: by
-- hand he could not write the rows that it hides.
GRANT UPDATE (version) ON shop.orders TO raceguard_stranger;
SET ROLE raceguard_stranger;
DROP TRIGGER truncated ON den.items;
ALTER TABLE den.items ENABLE TRIGGER bump;
INSERT INTO den.items VALUES (2, 2);
SELECT raceguard.add_parent_version('den.items', 'shop.orders');
RESET ROLE;
SELECT id, version FROM shop.orders ORDER BY id;
-- Without row security he may, by add_parent_version or by hand.
ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY;
SET ROLE raceguard_stranger;
INSERT INTO den.items VALUES (2, 2);
DROP TRIGGER bump ON den.items;
SELECT raceguard.add_parent_version('den.items', 'shop.orders');
INSERT INTO den.items VALUES (3, 2);
-- Other people's tables stay theirs.
SELECT raceguard.add_parent_version('shop.items', 'shop.orders', replace => true);
SELECT raceguard.drop_guard('shop.items', 'parent_version');
RESET ROLE;
SELECT id, version FROM shop.orders ORDER BY id;
REVOKE UPDATE (version) ON shop.orders FROM raceguard_stranger;
INSERT INTO den.items VALUES (4, 2);

-- parent_version_due called by hand must not let a child's write slip through.
BEGIN;
SELECT raceguard.parent_version_due();
INSERT INTO shop.items VALUES (5, 1, 1);
COMMIT;
BEGIN;
SAVEPOINT a;
SELECT raceguard.parent_version_due();
ROLLBACK TO SAVEPOINT a;
INSERT INTO shop.items VALUES (5, 1, 1);
COMMIT;
SELECT id, version FROM shop.orders ORDER BY id;

-- The functions refuse to run as anything but the triggers they are.
SELECT raceguard.parent_version_guard();
CREATE TABLE plain (id int);
CREATE TRIGGER early BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION raceguard.parent_version_guard('x');
INSERT INTO plain VALUES (1);
DROP TRIGGER early ON plain;
CREATE TRIGGER bare AFTER INSERT OR UPDATE OR DELETE ON plain FOR EACH ROW EXECUTE FUNCTION raceguard.parent_version_guard();
INSERT INTO plain VALUES (1);
DROP TRIGGER bare ON plain;
CREATE TRIGGER statement AFTER INSERT ON plain EXECUTE FUNCTION raceguard.parent_version_bump();
INSERT INTO plain VALUES (1);
DROP TRIGGER statement ON plain;
CREATE TRIGGER statement AFTER INSERT ON plain EXECUTE FUNCTION raceguard.parent_version_truncate('x');
INSERT INTO plain VALUES (1);
DROP TABLE plain;

DROP SCHEMA den, desk, shop CASCADE;
DROP ROLE raceguard_shop, raceguard_clerk, raceguard_stranger;
