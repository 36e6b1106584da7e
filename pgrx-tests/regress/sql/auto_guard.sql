-- Tables get their guard when they are created.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
CREATE SCHEMA app;
SELECT raceguard.auto_guard('version', '{"unstated": "reject"}', 'app');
SELECT raceguard.auto_guard('key_lock', '{"key": "owner_id"}', where_column => 'owner_id');
\dy
SET client_min_messages = warning;
CREATE TABLE app.orders (id int PRIMARY KEY);
CREATE TABLE app.copies AS SELECT 1 AS id;
SELECT 2 AS id INTO app.selected;
CREATE TABLE app.parts (id int, owner_id int) PARTITION BY LIST (id);
CREATE TABLE app.part1 PARTITION OF app.parts FOR VALUES IN (1);
CREATE TABLE app.heirs () INHERITS (app.orders);
CREATE TABLE app."Like" (LIKE app.parts);
CREATE TABLE elsewhere (id int, owner_id int);
CREATE TABLE plain (id int);
CREATE TEMP TABLE passing (id int, owner_id int);
CREATE SCHEMA whole CREATE TABLE posts (id int, owner_id int);
CREATE TABLE IF NOT EXISTS plain (id int);
CREATE VIEW app.seen AS SELECT * FROM app.orders;
SELECT target, guard, definition FROM raceguard.guards ORDER BY target::text, guard;
SELECT tgname, tgparentid <> 0 AS clone FROM pg_trigger WHERE tgrelid = 'app.part1'::regclass ORDER BY 1;
SELECT * FROM app.copies, app.selected;
UPDATE app.copies SET id = 3;

-- A table that is attached later has a guard of its own in the way.
ALTER TABLE app.parts ATTACH PARTITION app."Like" FOR VALUES IN (2);
SELECT raceguard.drop_guard('app."Like"', guard) FROM raceguard.guards WHERE target = 'app."Like"'::regclass;
ALTER TABLE app.parts ATTACH PARTITION app."Like" FOR VALUES IN (2);

-- As whoever creates the table.
CREATE ROLE auto_guard_some;
GRANT CREATE, USAGE ON SCHEMA app TO auto_guard_some;
SET ROLE auto_guard_some;
CREATE TABLE app.others (id int, owner_id int);
SELECT raceguard.auto_guard('version');
SELECT raceguard.drop_auto_guard('version', 'app');
RESET ROLE;
SELECT target, guard FROM raceguard.guards WHERE target = 'app.others'::regclass ORDER BY 2;

-- An error says what it was about.
\set VERBOSITY default
CREATE TABLE app.wrong (id int, version text);
\set VERBOSITY terse
SELECT to_regclass('app.wrong');
ALTER EVENT TRIGGER raceguard_auto_version_app DISABLE;
CREATE TABLE app.wrong (id int, version text);
RESET client_min_messages;
-- The same again; another.
SELECT raceguard.auto_guard('version', '{"unstated": "reject"}', 'app');
SELECT raceguard.auto_guard('version', '{"unstated": "reject"}', 'app');
SELECT raceguard.auto_guard('version', '{"unstated": "warn"}', 'app');
SELECT evtname, evtenabled FROM pg_event_trigger ORDER BY 1;
-- Names in the options are those of the caller's search_path, whatever that is when a table is created.
CREATE FUNCTION app.lowered(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
SET search_path = app;
SELECT raceguard.auto_guard('key_lock', '{"key": "lowered(mail)"}', 'public', 'mail');
RESET search_path;
CREATE TABLE public.accounts (mail text);
SELECT definition FROM raceguard.guards WHERE target = 'public.accounts'::regclass;
-- A name too long for Postgres.
CREATE SCHEMA "A schema whose name has so many characters that no more fit";
SELECT raceguard.auto_guard('version', '{}', 'A schema whose name has so many characters that no more fit');
SELECT raceguard.drop_auto_guard('version', 'A schema whose name has so many characters that no more fit');

-- Bad input.
\set VERBOSITY default
SELECT raceguard.auto_guard('nix');
SELECT raceguard.auto_guard('cap', '{}', 'app');
SELECT raceguard.auto_guard('version', '{"mod": "observe"}');
SELECT raceguard.auto_guard('version', schema => 'nix');
SELECT raceguard.drop_auto_guard('cap', 'app');
SET ROLE auto_guard_some;
SELECT raceguard.auto_guard('version');
RESET ROLE;
\set VERBOSITY terse
SELECT raceguard.auto_guard(NULL);
SELECT raceguard.auto_guard('version', NULL);
SELECT raceguard.drop_auto_guard(NULL);
SELECT raceguard.guard_new_tables('version', '{}', NULL, NULL);
-- Nothing of it depends on a table; the extension goes when the event triggers have gone.
ALTER EXTENSION raceguard UPDATE;
DROP EXTENSION raceguard;
SELECT raceguard.drop_auto_guard('version', 'app'), raceguard.drop_auto_guard('key_lock', NULL, 'owner_id');
SELECT raceguard.drop_auto_guard('version', 'app');
CREATE TABLE app.free (id int, owner_id int);
SELECT count(*) FROM raceguard.guards WHERE target = 'app.free'::regclass;
SET client_min_messages = warning;
CALL raceguard.uninstall(dry_run => false);
DROP EXTENSION raceguard;
SELECT proname FROM pg_proc WHERE prorettype = 'event_trigger'::regtype AND pronamespace::regnamespace::text = 'raceguard';
CREATE EXTENSION raceguard;
DROP OWNED BY auto_guard_some;
DROP ROLE auto_guard_some;
