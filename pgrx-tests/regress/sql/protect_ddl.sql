-- protect_ddl: guards follow renames, and DDL that breaks them is told of or refused.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
\set code '\\echo SQLSTATE :SQLSTATE'
SET client_min_messages = error;
CREATE TABLE orders (id int PRIMARY KEY, note text, seen int);
CREATE TABLE items (id int PRIMARY KEY, order_id int CONSTRAINT items_order REFERENCES orders);
CREATE TABLE posts (id int PRIMARY KEY, user_id int, featured boolean DEFAULT true);
CREATE TABLE mails (id int PRIMARY KEY, address text, kind int, sent timestamptz);
CREATE TABLE rooms (id int PRIMARY KEY, "Room" int, day date);
CREATE TABLE days (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE days_1 (filler int, note text, day date NOT NULL, id int NOT NULL);
ALTER TABLE days_1 DROP COLUMN filler;
ALTER TABLE days ATTACH PARTITION days_1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE plain (id int PRIMARY KEY, a int);
SELECT raceguard.add_version('orders', ignore => '{seen}');
SELECT raceguard.add_parent_version('items', 'orders');
SELECT raceguard.add_cap('posts', 'user_id', 2, predicate => 'featured');
SELECT raceguard.add_cooldown('mails', 'lower(address), kind', 'sent', '1 day', predicate => 'kind > 0');
SELECT raceguard.add_key_lock('rooms', '"Room", (day + 1)');
SELECT raceguard.add_version('days');
SELECT raceguard.add_cap('days', 'id, day', 2);
CREATE VIEW definitions AS SELECT target, guard, definition, enabled, whole FROM raceguard.guards ORDER BY target::text COLLATE "C", guard;

-- ---- Who may, and how.
SELECT raceguard.protect_ddl('loud');
SELECT raceguard.protect_ddl(NULL);
CREATE ROLE protect_ddl_stranger;
SET ROLE protect_ddl_stranger;
SELECT raceguard.protect_ddl();
RESET ROLE;
SELECT raceguard.ddl_warn();
SELECT raceguard.protect_ddl();
SELECT raceguard.protect_ddl('error');
SELECT evtname, evtevent, evtfoid::regproc, evtenabled, evttags FROM pg_event_trigger ORDER BY 1;

-- ---- Renames are followed.
SET client_min_messages = notice;
ALTER TABLE orders RENAME version TO lock_version;
ALTER TABLE orders RENAME COLUMN seen TO last_seen;
ALTER TABLE orders RENAME note TO remark;
ALTER TABLE items RENAME CONSTRAINT items_order TO items_to_orders;
ALTER TABLE posts RENAME slot TO place;
ALTER TABLE posts RENAME user_id TO author;
ALTER TABLE posts RENAME featured TO shown;
ALTER TABLE mails RENAME sent TO sent_at;
ALTER TABLE mails RENAME kind TO "Sort";
ALTER TABLE mails RENAME address TO addr;
ALTER TABLE rooms RENAME "Room" TO hall;
ALTER TABLE rooms RENAME day TO "the day";
ALTER TABLE plain RENAME a TO b;
SET client_min_messages = error;
TABLE definitions;
-- Guards that are off, or fire always, stay so.
ALTER EVENT TRIGGER raceguard_protect_ddl DISABLE;
ALTER TABLE ONLY days_1 DISABLE TRIGGER zz_raceguard_version;
ALTER TABLE orders ENABLE ALWAYS TRIGGER zz_raceguard_version;
ALTER EVENT TRIGGER raceguard_protect_ddl ENABLE;
SELECT raceguard.protect_ddl('warn');
ALTER TABLE days RENAME version TO v;
ALTER TABLE orders RENAME lock_version TO version;
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgname = 'zz_raceguard_version' ORDER BY 1;
ALTER TABLE ONLY days_1 ENABLE TRIGGER zz_raceguard_version;
ALTER TABLE orders ENABLE TRIGGER zz_raceguard_version;
SELECT raceguard.protect_ddl('error');
ALTER TABLE days RENAME slot TO place;
TABLE definitions;
-- They work.
INSERT INTO orders VALUES (1, 'a', 1);
UPDATE orders SET remark = 'b', version = 9;
:code
INSERT INTO items VALUES (1, 1);
SELECT version FROM orders;
INSERT INTO posts VALUES (1, 1), (2, 1) RETURNING place;
INSERT INTO posts VALUES (3, 1);
:code
INSERT INTO mails VALUES (1, 'Ann', 1, '2026-03-01 12:00+00');
INSERT INTO mails VALUES (2, 'ANN', 1, '2026-03-01 13:00+00');
:code
INSERT INTO rooms VALUES (1, 1, '2026-03-01');
INSERT INTO days VALUES (1, '2026-01-02', 'a') RETURNING v, place;
SELECT * FROM raceguard.check_guards() WHERE severity <> 'info';

-- ---- Refused: what would leave a guard broken or off.
\set VERBOSITY default
ALTER TABLE orders DROP COLUMN version;
:code
\set VERBOSITY terse
ALTER TABLE orders DROP COLUMN last_seen;
ALTER TABLE orders ALTER version TYPE text;
ALTER TABLE orders DISABLE TRIGGER USER;
ALTER TABLE orders DISABLE TRIGGER ALL;
ALTER TABLE orders DISABLE TRIGGER zz_raceguard_version;
ALTER TABLE orders ENABLE REPLICA TRIGGER zz_raceguard_version;
DROP TRIGGER zz_raceguard_version ON orders;
ALTER TABLE items DROP CONSTRAINT items_to_orders;
DROP TRIGGER zz_raceguard_parent_version_bump ON items;
DROP TABLE orders CASCADE;
ALTER TABLE posts DROP COLUMN place;
ALTER TABLE posts DROP COLUMN author;
ALTER TABLE posts DROP CONSTRAINT raceguard_cap_slots;
ALTER TABLE posts RENAME CONSTRAINT raceguard_cap_slots TO slots;
DROP INDEX posts_cap;
DROP TRIGGER zz_raceguard_cap_full ON posts;
DROP INDEX mails_cooldown_idx;
ALTER TABLE mails ALTER sent_at TYPE text;
ALTER TABLE mails DROP COLUMN addr;
ALTER TABLE rooms DROP COLUMN hall;
ALTER TABLE days_1 DISABLE TRIGGER zz_raceguard_cap;
ALTER TRIGGER zz_raceguard_cap_full ON posts RENAME TO later;
SELECT * FROM raceguard.check_guards() WHERE severity <> 'info';

-- ---- Passed: everything else.
ALTER TABLE orders ADD COLUMN more int DEFAULT 1, ADD CHECK (more > 0);
ALTER TABLE orders ALTER more TYPE bigint, ALTER more DROP DEFAULT;
ALTER TABLE orders DROP COLUMN more;
ALTER TABLE orders RENAME TO all_orders;
ALTER TABLE all_orders RENAME TO orders;
ALTER INDEX posts_cap RENAME TO posts_capped;
CREATE INDEX ON posts (shown);
DROP INDEX posts_shown_idx;
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
ALTER TABLE days DETACH PARTITION days_2;
DROP TABLE days_2;
ALTER TABLE plain DISABLE TRIGGER ALL;
ALTER TABLE plain ALTER b TYPE text;
DROP TABLE plain;
CREATE TEMP TABLE temporary (id int PRIMARY KEY);
DROP TABLE temporary;
CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER own BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION own();
DROP TRIGGER own ON orders;
-- raceguard's own calls.
SELECT raceguard.drop_guard('days', 'cap', drop_column => true);
SELECT raceguard.set_cap('posts', 3);
SELECT raceguard.add_version('orders', version_column => 'version', replace => true);
SELECT raceguard.drop_guard('mails', 'cooldown');
DROP TABLE items;
SELECT * FROM raceguard.check_guards() WHERE severity <> 'info';

-- ---- A type that goes takes the column along.
CREATE DOMAIN hall_number AS int;
CREATE TABLE halls (id int PRIMARY KEY, number hall_number);
SELECT raceguard.add_key_lock('halls', 'number');
DROP DOMAIN hall_number CASCADE;
:code
DROP TABLE halls;
DROP DOMAIN hall_number;

-- ---- One of several foreign keys to a parent: to know the parent does not tell which is followed.
CREATE TABLE people (id int PRIMARY KEY);
SELECT raceguard.add_version('people');
CREATE TABLE letters (id int PRIMARY KEY, sender int CONSTRAINT sender REFERENCES people,
    receiver int CONSTRAINT receiver REFERENCES people);
SELECT raceguard.add_parent_version('letters', 'people', 'sender');
INSERT INTO people VALUES (1), (2);
SET client_min_messages = notice;
ALTER TABLE letters RENAME CONSTRAINT sender TO "From";
ALTER TABLE letters RENAME CONSTRAINT receiver TO "To";
ALTER TABLE letters RENAME CONSTRAINT "From" TO sender;
SET client_min_messages = error;
SELECT definition, enabled, whole FROM raceguard.guards WHERE target = 'letters'::regclass;
INSERT INTO letters VALUES (1, 1, 2);
TRUNCATE letters;
SELECT id, version FROM people ORDER BY id;
SELECT * FROM raceguard.check_guards('letters');
DROP TABLE letters, people;

-- ---- Only a WARNING.
SELECT raceguard.protect_ddl('warn');
SET client_min_messages = warning;
\set VERBOSITY default
DROP INDEX posts_capped;
ALTER TABLE orders DISABLE TRIGGER USER;
ALTER TABLE orders ENABLE TRIGGER USER;
DROP TRIGGER zz_raceguard_version ON orders;
SELECT severity, problem, target FROM raceguard.check_guards() WHERE severity <> 'info';

-- ---- CREATE OR REPLACE TRIGGER puts another function in the place of a guard's.
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER zz_raceguard_key_lock BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT raceguard.drop_guard('rooms', 'key_lock');
DROP TRIGGER zz_raceguard_key_lock ON rooms;
SELECT raceguard.add_key_lock('rooms', 'hall');
SELECT raceguard.protect_ddl('error');
CREATE OR REPLACE TRIGGER zz_raceguard_key_lock BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE OR REPLACE TRIGGER "!raceguard_key_lock" BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE OR REPLACE TRIGGER mine BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE OR REPLACE TRIGGER mine AFTER UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION nothing();
DROP TRIGGER mine ON rooms;
SELECT raceguard.add_key_lock('rooms', 'hall', 7, replace => true);
SELECT raceguard.add_key_lock('rooms', 'hall', replace => true);
SELECT severity, problem, guard FROM raceguard.check_guards('rooms');

-- ---- Off. The extension goes when they have gone.
\set VERBOSITY terse
ALTER TABLE rooms RENAME hall TO "Room";
DROP TABLE orders, posts, mails, days;
SELECT raceguard.drop_guard('rooms', 'key_lock');
DROP EXTENSION raceguard;
SELECT raceguard.protect_ddl('off');
ALTER TABLE rooms RENAME "Room" TO hall;
SELECT count(*) FROM pg_event_trigger;
DROP VIEW definitions;
DROP EXTENSION raceguard;
DROP ROLE protect_ddl_stranger;
