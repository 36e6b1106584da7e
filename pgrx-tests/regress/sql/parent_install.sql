-- add_parent_version: what it makes, what it refuses, and what becomes of the guard later.
CREATE EXTENSION raceguard;
-- An error with its SQLSTATE and fields, on lines of its own.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text; state text; named text;
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE, named = TABLE_NAME;
    RETURN concat_ws(E'\n', state || ' ' || message, 'DETAIL: ' || nullif(detail, ''),
        'HINT: ' || nullif(hint, ''), 'TABLE: ' || nullif(named, ''));
END $$;
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

CREATE TABLE orders (id int PRIMARY KEY);
CREATE TABLE items (id int PRIMARY KEY, order_id int, other_id int);
CREATE TABLE lonely (id int PRIMARY KEY);
CREATE VIEW seen AS SELECT * FROM orders;

-- Bad input.
SELECT try($$SELECT raceguard.add_parent_version('nothing', 'orders')$$);
SELECT try($$SELECT raceguard.add_parent_version(NULL, 'orders')$$);
SELECT try($$SELECT raceguard.add_parent_version('items', NULL)$$);
SELECT try($$SELECT raceguard.add_parent_version('items', 'orders', replace => NULL)$$);
SELECT try($$SELECT raceguard.add_parent_version('seen', 'orders')$$);
SELECT try($$SELECT raceguard.add_parent_version('items', 'seen')$$);
SELECT try($$SELECT raceguard.add_parent_version('items', 'pg_class')$$);
SELECT try($$SELECT raceguard.add_parent_version('items', 'orders')$$);
ALTER TABLE items ADD FOREIGN KEY (other_id) REFERENCES lonely;
SELECT try($$SELECT raceguard.add_parent_version('items', 'orders')$$);
ALTER TABLE items ADD FOREIGN KEY (order_id) REFERENCES orders;
SELECT try($$SELECT raceguard.add_parent_version('items', 'orders')$$);
SELECT raceguard.add_version('orders');
ALTER TABLE items ADD CONSTRAINT "It's other" FOREIGN KEY (other_id) REFERENCES orders NOT VALID;
SELECT try($$SELECT raceguard.add_parent_version('items', 'orders')$$);
SELECT try($$SELECT raceguard.add_parent_version('items', 'orders', foreign_key => 'items_other_id_fkey')$$);
SELECT try($$SELECT raceguard.add_parent_version('items', 'orders', foreign_key => 'items_pkey')$$);
SELECT count(*) FROM raceguard.guards WHERE target = 'items'::regclass;

SET client_min_messages = notice;
-- Made once; again it is a notice; another foreign key to the same parent needs replace.
SELECT raceguard.add_parent_version('items', 'orders', foreign_key => 'It''s other');
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'items'::regclass AND NOT tgisinternal ORDER BY tgname;
SELECT raceguard.add_parent_version('items', 'orders', foreign_key => 'It''s other');
SELECT try($$SELECT raceguard.add_parent_version('items', 'orders', foreign_key => 'items_order_id_fkey')$$);
SELECT raceguard.add_parent_version('items', 'orders', foreign_key => 'items_order_id_fkey', replace => true);
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'items'::regclass AND NOT tgisinternal ORDER BY tgname;

SET client_min_messages = warning;

-- The triggers written by hand, as pg_dump or a migration writes them, do the same.
INSERT INTO orders VALUES (1);
INSERT INTO items VALUES (1, 1);
SELECT version FROM orders;
CREATE TABLE definitions AS
    SELECT pg_get_triggerdef(oid) AS ddl FROM pg_trigger WHERE tgrelid = 'items'::regclass AND NOT tgisinternal;
SELECT raceguard.drop_guard('items', 'parent_version');
SELECT count(try(ddl)) FROM definitions;
UPDATE items SET id = 2;
SELECT version FROM orders;
-- The companions are no guards of their own.
SELECT try($$SELECT raceguard.drop_guard('items', 'parent_version_bump')$$);
SELECT guard, kind, trigger_name, definition, enabled FROM raceguard.guards WHERE target = 'items'::regclass;

-- What the guard stands on goes away: writes are refused, not left unguarded.
ALTER TABLE orders RENAME version TO v;
SELECT left(try('UPDATE items SET id = 3; SET CONSTRAINTS ALL IMMEDIATE'), 5);
ALTER TABLE orders RENAME v TO version;
SELECT raceguard.drop_guard('orders', 'version');
SELECT try('UPDATE items SET id = 3; SET CONSTRAINTS ALL IMMEDIATE');
SELECT raceguard.add_version('orders');
ALTER TABLE items RENAME CONSTRAINT items_order_id_fkey TO renamed;
SELECT try('UPDATE items SET id = 3');
SELECT try($$SELECT raceguard.add_parent_version('items', 'orders', 'renamed')$$);
SELECT raceguard.add_parent_version('items', 'orders', 'renamed', replace => true);
SELECT try('UPDATE items SET id = 3; SET CONSTRAINTS ALL IMMEDIATE');
SELECT version FROM orders;
ALTER TABLE items DROP CONSTRAINT renamed;
SELECT try('UPDATE items SET id = 4');
SELECT raceguard.drop_guard('items', 'parent_version');
SELECT try('UPDATE items SET id = 4');

ALTER TABLE items DROP CONSTRAINT items_other_id_fkey;

-- In one transaction: the pending bump stands in the way of DDL on the child, as a deferred
-- foreign key would; SET CONSTRAINTS does it first.
SELECT raceguard.add_parent_version('items', 'orders');
BEGIN;
UPDATE items SET other_id = 1;
SELECT try('TRUNCATE items');
SET CONSTRAINTS ALL IMMEDIATE;
TRUNCATE items;
SELECT version FROM orders;
COMMIT;
-- The table goes while its note is pending elsewhere.
CREATE TABLE more (id int PRIMARY KEY, order_id int REFERENCES orders);
SELECT raceguard.add_parent_version('more', 'orders');
BEGIN;
INSERT INTO items VALUES (9, NULL, NULL);
INSERT INTO more VALUES (1, 1);
DROP TABLE more;
COMMIT;
SELECT version FROM orders;

-- The extension does not go while the triggers stand.
SELECT try('DROP EXTENSION raceguard') LIKE '2BP01%';

-- Partitions: the guard belongs on the partitioned table; a parent's partition is no parent.
CREATE TABLE roots (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE roots_1 PARTITION OF roots FOR VALUES FROM (0) TO (10);
CREATE TABLE leaves (id int PRIMARY KEY, root_id int REFERENCES roots) PARTITION BY RANGE (id);
CREATE TABLE leaves_1 PARTITION OF leaves FOR VALUES FROM (0) TO (10);
SELECT raceguard.add_version('roots');
SELECT try($$SELECT raceguard.add_parent_version('leaves', 'roots_1')$$);
SELECT raceguard.add_parent_version('leaves_1', 'roots');
INSERT INTO roots VALUES (1);
INSERT INTO leaves VALUES (1, 1);
SELECT version FROM roots;
SELECT try($$SELECT raceguard.add_parent_version('leaves', 'roots')$$);
SELECT raceguard.drop_guard('leaves_1', 'parent_version');
SELECT raceguard.add_parent_version('leaves', 'roots');
SELECT try($$SELECT raceguard.add_parent_version('leaves_1', 'roots', replace => true)$$);
UPDATE leaves SET root_id = 1;
SELECT version FROM roots;
SELECT target, guard FROM raceguard.guards WHERE kind = 'parent_version' ORDER BY 1, 2;
