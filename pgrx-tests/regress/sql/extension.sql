-- The extension comes and goes, and tells its version.
CREATE EXTENSION raceguard;
SELECT raceguard.version() = extversion AS same_version
  FROM pg_extension WHERE extname = 'raceguard';
SELECT extname, nspname, extrelocatable
  FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
 WHERE extname = 'raceguard';
DROP EXTENSION raceguard;
SELECT count(*) AS functions_left
  FROM pg_proc WHERE pronamespace = to_regnamespace('raceguard');

-- An ordinary role that may create objects in the database creates the extension, guards its tables
-- and lets another role write to them. Nothing is preloaded.
CREATE ROLE regress_raceguard_owner;
CREATE ROLE regress_raceguard_writer;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_raceguard_owner', current_database()) \gexec
SET ROLE regress_raceguard_owner;
CREATE EXTENSION raceguard;
CREATE SCHEMA regress_shop;
CREATE TABLE regress_shop.orders (id int PRIMARY KEY, customer int, address text);
GRANT USAGE ON SCHEMA regress_shop TO regress_raceguard_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON regress_shop.orders TO regress_raceguard_writer;
SET client_min_messages = warning;
SELECT raceguard.add_version('regress_shop.orders', unstated => 'reject');
SELECT raceguard.add_key_lock('regress_shop.orders', 'customer');
SELECT raceguard.add_cap('regress_shop.orders', 'customer', 1);

SET ROLE regress_raceguard_writer;
INSERT INTO regress_shop.orders VALUES (1, 7, 'Old Street');
INSERT INTO regress_shop.orders VALUES (2, 7, 'Old Street');
UPDATE regress_shop.orders SET address = 'A Street' WHERE id = 1;
UPDATE regress_shop.orders SET address = 'A Street', version = version + 1 WHERE id = 1;
SELECT raceguard.drop_guard('regress_shop.orders', 'cap');
SELECT target, guard, kind, trigger_name, definition, enabled, mode FROM raceguard.guards ORDER BY guard;

-- The extension does not go while guards stand, and stays in its schema.
SET ROLE regress_raceguard_owner;
DROP EXTENSION raceguard;
ALTER EXTENSION raceguard SET SCHEMA regress_shop;
SELECT raceguard.drop_guard('regress_shop.orders', 'nothing');
SELECT raceguard.drop_guard('regress_shop.orders', 'cap', drop_column => true);
SELECT raceguard.drop_guard('regress_shop.orders', 'key_lock');
SELECT raceguard.drop_guard('regress_shop.orders', 'version');
SELECT count(*) AS triggers_left FROM pg_trigger WHERE tgrelid = 'regress_shop.orders'::regclass;
SELECT attname FROM pg_attribute
 WHERE attrelid = 'regress_shop.orders'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
DROP EXTENSION raceguard;

-- Every function and view says what it is for.
CREATE EXTENSION raceguard;
SELECT p.oid::regprocedure AS without_comment FROM pg_proc p
 WHERE p.pronamespace = 'raceguard'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
UNION ALL
SELECT NULL FROM pg_class c
 WHERE c.relnamespace = 'raceguard'::regnamespace AND obj_description(c.oid, 'pg_class') IS NULL;
DROP EXTENSION raceguard;
DROP SCHEMA regress_shop CASCADE;
RESET ROLE;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_raceguard_owner', current_database()) \gexec
DROP ROLE regress_raceguard_owner, regress_raceguard_writer;
