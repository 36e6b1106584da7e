-- Numbers on many tables, on tables to come, and as a manifest asks for them.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
CREATE SCHEMA shop;
CREATE TABLE shop.invoices (id int PRIMARY KEY, org int NOT NULL);
INSERT INTO shop.invoices VALUES (2, 1), (1, 1), (3, 2);
CREATE TABLE shop.orders (id int PRIMARY KEY, org int NOT NULL);
CREATE TABLE shop.notes (id int PRIMARY KEY);
SELECT step, target, lock_mode, own_transaction, ddl FROM raceguard.plan_guards('number', '{"key": "org", "start": 5}', schemas => '{shop}', where_column => 'org');
CALL raceguard.add_guards('number', '{"key": "org", "start": 5}', schemas => '{shop}', where_column => 'org');
SELECT target, kind, definition, whole FROM raceguard.guards ORDER BY target::text;
SELECT * FROM shop.invoices ORDER BY id;
SELECT step, target, ddl FROM raceguard.plan_guards('number', '{"key": "org", "start": 5}', schemas => '{shop}', where_column => 'org');
SELECT raceguard.plan_guards('number', '{"start": 5}', schemas => '{shop}');
SELECT raceguard.plan_guards('number', '{"key": "org", "slots": 5}', schemas => '{shop}');
-- Tables to come.
SELECT raceguard.auto_guard('number', '{"key": "org"}', 'shop', 'org');
CREATE TABLE shop.bills (id int PRIMARY KEY, org int NOT NULL);
INSERT INTO shop.bills VALUES (1, 1), (2, 1) RETURNING number;
CREATE TABLE shop.other (id int PRIMARY KEY);
SELECT target, definition FROM raceguard.guards WHERE target = 'shop.bills'::regclass;
-- A manifest notices what is missing.
SELECT raceguard.manifest('{shop}') AS manifest \gset
SELECT raceguard.require_guards(:'manifest');
DROP TRIGGER zz_raceguard_number ON shop.bills;
\set VERBOSITY default
SELECT raceguard.require_guards(:'manifest');
\set VERBOSITY terse
CALL raceguard.uninstall(dry_run => false, drop_columns => true);
\d shop.invoices
