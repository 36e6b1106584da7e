-- uninstall: all guards go, and DROP EXTENSION needs no CASCADE.
\set VERBOSITY terse
\pset format unaligned
\pset footer off
CREATE EXTENSION raceguard;
CREATE ROLE uninstall_owner;
GRANT CREATE ON SCHEMA public TO uninstall_owner;
CALL raceguard.uninstall();

SET client_min_messages = warning;
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Orders" (id int PRIMARY KEY, note text);
SELECT raceguard.add_version('"Shop"."Orders"');
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES "Shop"."Orders");
SELECT raceguard.add_parent_version('items', '"Shop"."Orders"');
CREATE TABLE posts (id int PRIMARY KEY, user_id int, at timestamptz, note text);
SELECT raceguard.add_key_lock('posts', 'user_id'), raceguard.add_cap('posts', 'user_id', 3),
       raceguard.add_cap('posts', 'note', 5, slot_column => 'place', guard => 'notes'),
       raceguard.add_cooldown('posts', 'user_id', 'at', '1 hour'), raceguard.add_version('posts');
CREATE TABLE seats (region text, k int, PRIMARY KEY (region, k)) PARTITION BY LIST (region);
CREATE TABLE seats_north PARTITION OF seats FOR VALUES IN ('north');
SELECT raceguard.add_cap('seats', 'region', 1), raceguard.add_version('seats');
-- Written by hand, and what is left of a key lock and of a cap.
CREATE TABLE by_hand (id int PRIMARY KEY, version bigint);
CREATE TRIGGER its_version BEFORE UPDATE ON by_hand FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version');
CREATE TABLE remains (id int PRIMARY KEY, k int);
SELECT raceguard.add_key_lock('remains', 'k'), raceguard.add_cap('remains', 'k', 2);
DROP TRIGGER zz_raceguard_key_lock ON remains;
DROP TRIGGER zz_raceguard_cap ON remains;
-- A guard that is off and one that observes.
SELECT raceguard.set_mode('posts', 'cooldown', 'observe');
ALTER TABLE posts DISABLE TRIGGER zz_raceguard_version;
-- Event triggers: one made for a kind and a schema, and one of an own function, which stays.
CREATE FUNCTION raceguard.of_new_tables() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER "raceguard's" ON ddl_command_end EXECUTE FUNCTION raceguard.of_new_tables();
CREATE FUNCTION own() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER own ON ddl_command_end EXECUTE FUNCTION own();
RESET client_min_messages;

-- Nothing is dropped in a dry run, which is the default.
CALL raceguard.uninstall();
SELECT count(*) FROM raceguard.guards;
CALL raceguard.uninstall(drop_columns => true);
SELECT count(*) FROM raceguard.guards;

-- Whoever does not own all is told of the first table, and nothing is dropped.
ALTER TABLE posts OWNER TO uninstall_owner;
SET ROLE uninstall_owner;
CALL raceguard.uninstall();
CALL raceguard.uninstall(dry_run => false);
RESET ROLE;
SELECT count(*) FROM raceguard.guards;

-- Bad input.
CALL raceguard.uninstall(NULL);
CALL raceguard.uninstall(true, NULL);

-- What else depends on raceguard is named.
CREATE VIEW guarded AS SELECT target FROM raceguard.guards;
BEGIN;
CALL raceguard.uninstall(dry_run => false);
SELECT count(*) FROM raceguard.guards;
SELECT attname FROM pg_attribute WHERE attrelid = 'posts'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
DROP VIEW guarded;
CALL raceguard.uninstall(dry_run => false);
DROP EXTENSION raceguard;
ROLLBACK;
DROP VIEW guarded;

CALL raceguard.uninstall(dry_run => false, drop_columns => true);
DROP EXTENSION raceguard;
SELECT c.oid::regclass AS kept, attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relkind IN ('r', 'p') AND attname IN ('version', 'slot', 'place') AND relnamespace <> 'pg_catalog'::regnamespace
   AND NOT attisdropped ORDER BY 1, 2;
SELECT tgname FROM pg_trigger WHERE NOT tgisinternal;
SELECT evtname FROM pg_event_trigger;
SELECT count(*) AS functions FROM pg_proc WHERE pronamespace = to_regnamespace('raceguard');
DROP EVENT TRIGGER own;
SELECT conname FROM pg_constraint WHERE conname LIKE 'raceguard%';
INSERT INTO posts VALUES (1, 42, now(), 'x'), (2, 42, now(), 'x'), (3, 42, now(), 'x'), (4, 42, now(), 'x');
DROP OWNED BY uninstall_owner;
DROP ROLE uninstall_owner;

-- With DDL looked at, and guards for tables to come: all of it goes, and stands again where the transaction is rolled back.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
CREATE SCHEMA app;
SELECT raceguard.auto_guard('version', '{"unstated": "reject"}', 'app'), raceguard.auto_guard('key_lock', '{"key": "k"}', where_column => 'k');
SELECT raceguard.protect_ddl('error');
CREATE TABLE app.made (id int PRIMARY KEY, k int, at timestamptz);
SELECT raceguard.add_cap('app.made', 'k', 2), raceguard.add_cooldown('app.made', 'k', 'at', '1 hour');
CREATE TABLE app.more (id int PRIMARY KEY, made_id int CONSTRAINT made REFERENCES app.made);
SELECT raceguard.add_parent_version('app.more', 'app.made');
ALTER TABLE app.more ADD other_id int CONSTRAINT other REFERENCES app.made;
SELECT raceguard.add_parent_version('app.more', 'app.made', 'other', replace => true);
SELECT target, guard FROM raceguard.guards ORDER BY 1, 2;
RESET client_min_messages;
CALL raceguard.uninstall();
BEGIN;
CALL raceguard.uninstall(dry_run => false);
ROLLBACK;
SELECT count(*) FROM raceguard.guards;
SELECT evtname FROM pg_event_trigger ORDER BY 1;
CREATE TABLE app.late (id int PRIMARY KEY);
ALTER TABLE app.late DROP COLUMN version;
CALL raceguard.uninstall(dry_run => false, drop_columns => true);
SELECT evtname FROM pg_event_trigger;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE NOT tgisinternal;
DROP EXTENSION raceguard;
SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace('raceguard');
SELECT c.oid::regclass, attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'app'::regnamespace AND c.relkind = 'r' AND attname IN ('version', 'slot') AND NOT attisdropped;
DROP SCHEMA app CASCADE;

-- An owner of all of it may.
CREATE ROLE uninstall_owner;
GRANT CREATE ON SCHEMA public TO uninstall_owner;
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
SET ROLE uninstall_owner;
CREATE TABLE mine (id int PRIMARY KEY);
SELECT raceguard.add_version('mine');
RESET client_min_messages;
CALL raceguard.uninstall(dry_run => false);
RESET ROLE;
DROP EXTENSION raceguard;
DROP OWNED BY uninstall_owner;
DROP ROLE uninstall_owner;
