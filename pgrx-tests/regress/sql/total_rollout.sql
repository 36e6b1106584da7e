-- Totals on many tables, on tables to come, and as a manifest asks for them; what they refuse of the calls on all guards.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE SCHEMA app;
CREATE TABLE app.orgs (id int PRIMARY KEY, seats int);
CREATE TABLE app.users (id int PRIMARY KEY, org_id int NOT NULL REFERENCES app.orgs);
CREATE TABLE app.invites (id int PRIMARY KEY, org_id int NOT NULL REFERENCES app.orgs);
CREATE TABLE app.notes (id int PRIMARY KEY, org_id int);
INSERT INTO app.orgs VALUES (1, 3), (2, NULL);
INSERT INTO app.users VALUES (1, 1), (2, 2);
INSERT INTO app.invites VALUES (1, 1);
\set total '{"parent": "app.orgs", "total_column": "used", "at_most": "seats"}'
SELECT step, target, lock_mode, own_transaction, ddl FROM raceguard.plan_guards('total', :'total', schemas => '{app}', where_column => 'org_id', exclude => '{app.notes}');
SELECT target, ddl, blocked_by FROM raceguard.plan_guards('total', :'total', schemas => '{app}', where_column => 'org_id') WHERE ddl IS NULL;
SELECT raceguard.plan_guards('total', '{"total_column": "used"}');
SELECT raceguard.plan_guards('total', '{"parent": "app.orgs"}');
SELECT raceguard.plan_guards('total', '{"parent": "app.nope", "total_column": "used"}');
SELECT raceguard.plan_guards('total', '{"parent": "app.orgs", "total_column": "used", "slots": 3}');
SELECT raceguard.plan_guards('total', '{"parent": "app.orgs", "total_column": 3}');
CALL raceguard.add_guards('total', :'total', schemas => '{app}', where_column => 'org_id');
SELECT target, guard, kind, definition, whole, mode FROM raceguard.guards ORDER BY target::text;
SELECT * FROM app.orgs ORDER BY id;
CALL raceguard.add_guards('total', :'total', schemas => '{app}', where_column => 'org_id', exclude => '{app.notes}');
SELECT count(*) FROM raceguard.plan_guards('total', :'total', schemas => '{app}', where_column => 'org_id', exclude => '{app.notes}');
INSERT INTO app.users VALUES (3, 1);
\set VERBOSITY sqlstate
INSERT INTO app.invites VALUES (2, 1);
\set VERBOSITY terse

-- Tables to come: with the foreign key in the CREATE TABLE, or refused.
SELECT raceguard.auto_guard('total', :'total', 'app', 'org_id');
CREATE TABLE app.bots (id int PRIMARY KEY, org_id int REFERENCES app.orgs);
SELECT definition FROM raceguard.guards WHERE target = 'app.bots'::regclass;
\set VERBOSITY sqlstate
INSERT INTO app.bots VALUES (1, 1);
\set VERBOSITY terse
CREATE TABLE app.lost (id int PRIMARY KEY, org_id int);
SELECT raceguard.drop_auto_guard('total', 'app', 'org_id');

-- One mode, no bypass.
\set VERBOSITY default
SELECT raceguard.set_mode('app.users', 'total', 'observe');
SELECT raceguard.set_mode('app.users', 'total', 'enforce');
SELECT raceguard.bypass('app.users', 'total', 'an import');
\set VERBOSITY terse

-- A manifest notices what is missing, and other bounds, amounts and times of settling.
SELECT raceguard.manifest('{app}') AS manifest \gset
SELECT raceguard.require_guards(:'manifest');
SELECT raceguard.require_guard('app.users', 'total', '{"parent": "app.orgs", "total_column": "used", "at_most": "seats", "settle": "statement"}');
SELECT raceguard.require_guard('app.users', 'total', '{"parent": "app.users"}');
SELECT raceguard.require_guard('app.users', 'total', '{"settle": "commit"}');
SELECT raceguard.require_guard('app.users', 'total', '{"amount": "2"}');
SELECT raceguard.require_guard('app.users', 'total', '{"at_least": "0"}');
SELECT raceguard.add_total('app.users', 'app.orgs', 'used', at_most => 'seats + 1', replace => true);
\set VERBOSITY default
SELECT raceguard.require_guards(:'manifest');
\set VERBOSITY terse
SELECT raceguard.add_total('app.users', 'app.orgs', 'used', at_most => 'seats', replace => true);
SELECT raceguard.require_guards(:'manifest');

-- All that check_guards finds of one total repair_guard mends, deep included where a statement does it.
ALTER TABLE app.users DISABLE TRIGGER USER;
INSERT INTO app.users VALUES (4, 2);
ALTER TABLE app.orgs DROP CONSTRAINT raceguard_total_used;
DROP TRIGGER zz_raceguard_keep_used_rows ON app.orgs;
DROP TRIGGER zz_raceguard_total_settle ON app.users;
SELECT severity, problem, target, guard FROM raceguard.check_guards(deep => true) ORDER BY 2, 3, 4;
SELECT * FROM raceguard.repair_guard('app.users', 'total');
SELECT severity, problem, target, guard FROM raceguard.check_guards(deep => true);
SELECT * FROM app.orgs ORDER BY id;
CALL raceguard.recount('app.users');
SELECT severity, problem, target, guard FROM raceguard.check_guards(deep => true);
SELECT * FROM app.orgs ORDER BY id;

-- Taken off, everywhere.
CALL raceguard.uninstall(dry_run => false, drop_columns => true);
\d app.orgs
