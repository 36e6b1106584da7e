-- Guards for many tables: planned, added, added to new tables. Waits are the subject of pgrx-tests/rollout.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
CREATE SCHEMA app;
CREATE SCHEMA "Other";
CREATE TABLE app.orders (id int PRIMARY KEY, owner_id int);
CREATE TABLE app.parts (id int, owner_id int) PARTITION BY LIST (id);
CREATE TABLE app.part1 PARTITION OF app.parts FOR VALUES IN (1);
CREATE TABLE app.plain (id int);
CREATE TABLE app.wrong (id int, version text);
CREATE TABLE "Other"."Posts" (id int, owner_id int);
CREATE TABLE left_out (id int);
CREATE TEMP TABLE passing (id int);
CREATE VIEW app.seen AS SELECT * FROM app.orders;

SELECT step, target, ddl, lock_mode, own_transaction, size, blocked_by
FROM raceguard.plan_guards('version', '{"unstated": "reject"}', '{app}');
SELECT DISTINCT target FROM raceguard.plan_guards('version', exclude => '{app.plain, left_out}') ORDER BY 1;
SELECT DISTINCT target FROM raceguard.plan_guards('version', where_column => 'owner_id') ORDER BY 1;
SELECT target, ddl FROM raceguard.plan_guards('key_lock', '{"key": "owner_id"}', '{app}', exclude => '{app.orders}');
SELECT DISTINCT target, size FROM raceguard.plan_guards('cap', '{"key": "owner_id", "slots": 3, "predicate": "id > 0"}', '{Other}');

-- Unlike with add_*, one table that cannot have the guard does not keep the others from theirs.
CALL raceguard.add_guards('version', '{"unstated": "reject", "ignore": ["id"]}', '{app}');
SELECT target, kind, definition FROM raceguard.guards ORDER BY 1;
\set VERBOSITY default
CALL raceguard.add_guards('version', '{"unstated": "reject", "ignore": ["id"]}', '{app}');
\set VERBOSITY terse
ALTER TABLE app.wrong DROP COLUMN version;
CALL raceguard.add_guards('version', '{"unstated": "reject", "ignore": ["id"]}', '{app}');
SELECT count(*) FROM raceguard.plan_guards('version', '{"unstated": "reject", "ignore": ["id"]}', '{app}');
-- Another definition, and in its place.
CALL raceguard.add_guards('version', schemas => '{app}', exclude => '{app.parts, app.plain}');
CALL raceguard.add_guards('version', '{"replace": true, "unstated": null}', schemas => '{app}');
CALL raceguard.add_guards('version', '{"replace": true}', schemas => '{app}');
SELECT target, definition FROM raceguard.guards ORDER BY 1;

-- Small tables get what would be steps of their own at once; larger ones do not.
INSERT INTO "Other"."Posts" SELECT n, n FROM generate_series(1, 300) n;
CREATE TABLE "Other".large (id int, owner_id int, filler text);
INSERT INTO "Other".large SELECT n, n, repeat('x', 1000) FROM generate_series(1, 9000) n;
\set VERBOSITY default
CALL raceguard.add_guards('cap', '{"key": "owner_id", "slots": 2}', '{Other}');
\set VERBOSITY terse
SELECT target, guard, whole FROM raceguard.guards WHERE kind = 'cap';
SELECT slot, count(*) FROM "Other"."Posts" GROUP BY 1;
-- What is left of a plan whose long steps are done is short.
ALTER TABLE "Other".large ADD at timestamptz;
SELECT ddl FROM raceguard.plan_cooldown('"Other".large', 'owner_id', 'at', '1 second') WHERE own_transaction \gexec
CALL raceguard.add_guards('cooldown', '{"key": "owner_id", "at": "at", "period": "1 second"}', '{Other}', 'at');
SELECT target, guard, whole FROM raceguard.guards WHERE kind = 'cooldown';

-- Children of one parent.
CREATE TABLE app.lines (id int, order_id int REFERENCES app.orders);
CREATE TABLE app.notes (id int, order_id int REFERENCES app.orders);
SET search_path = app, public;
CALL raceguard.add_guards('parent_version', '{"parent": "orders"}', '{app}', 'order_id');
RESET search_path;
SELECT target, guard FROM raceguard.guards WHERE kind = 'parent_version' ORDER BY 1;

-- Not the owner's.
CREATE ROLE rollout_some;
GRANT USAGE ON SCHEMA "Other" TO rollout_some;
SET ROLE rollout_some;
SELECT target, ddl, blocked_by FROM raceguard.plan_guards('key_lock', '{"key": "owner_id"}', '{Other}');
CALL raceguard.add_guards('key_lock', '{"key": "owner_id"}', '{Other}');
RESET ROLE;

-- Bad input.
\set VERBOSITY default
SELECT raceguard.plan_guards('versions');
SELECT raceguard.plan_guards('version', '{"unstatd": "warn"}');
SELECT raceguard.plan_guards('version', '{"target": "app.orders"}');
SELECT raceguard.plan_guards('cap', '{"key": "id"}');
SELECT raceguard.plan_guards('cap', '{"key": "id", "slots": "3"}');
SELECT raceguard.plan_guards('cap', '{"key": "id", "slots": 3.5}');
SELECT raceguard.plan_guards('cap', '{"key": "id", "slots": 99999999999}');
SELECT raceguard.plan_guards('version', '{"replace": "yes"}');
SELECT raceguard.plan_guards('version', '{"ignore": "id"}');
SELECT raceguard.plan_guards('version', '{"ignore": ["id", 3]}');
SELECT raceguard.plan_guards('cooldown', '{"key": "id", "at": "at", "period": "long"}');
SELECT raceguard.plan_guards('cooldown', '{"key": "id", "at": "at", "period": {"days": 1}}');
SELECT raceguard.plan_guards('parent_version', '{"parent": "nix"}');
SELECT raceguard.plan_guards('version', '[]');
SELECT raceguard.plan_guards('version', '3');
SELECT raceguard.plan_guards('version', schemas => '{app, nix}');
SELECT raceguard.plan_guards('version', schemas => '{app, NULL}');
\set VERBOSITY terse
SELECT raceguard.plan_guards(NULL);
SELECT raceguard.plan_guards('version', NULL);
SELECT raceguard.plan_guards('version', exclude => NULL);
SELECT count(*) FROM raceguard.plan_guards('version', schemas => '{}');
CALL raceguard.add_guards('versions');
CALL raceguard.add_guards('version', '{"unstatd": "warn"}');
CALL raceguard.add_guards('version', lock_timeout => '0');
CALL raceguard.add_guards('version', lock_timeout => NULL);
CALL raceguard.add_guards('version', lock_timeout => '100 years');
CALL raceguard.add_guards('version', attempts => 0);
CALL raceguard.add_guards('version', schemas => '{nix}');
BEGIN;
CALL raceguard.add_guards('version');
ROLLBACK;
DO $$ BEGIN CALL raceguard.add_guards('version', schemas => '{Other}', exclude => '{app.orders}'); END $$;
SHOW lock_timeout;
DROP OWNED BY rollout_some;
DROP ROLE rollout_some;
