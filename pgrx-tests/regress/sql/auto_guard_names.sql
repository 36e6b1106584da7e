-- Each auto_guard has an event trigger of its own, and drop_auto_guard takes away no other.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA al;
CREATE SCHEMA al_k;
CREATE SCHEMA "al.k";
SELECT raceguard.auto_guard('version', '{}', 'al', 'k');
SELECT raceguard.auto_guard('version', '{"unstated": "warn"}', 'al_k');
SELECT raceguard.auto_guard('version', '{"unstated": "warn"}', 'al.k');
SELECT raceguard.auto_guard('version', '{"unstated": "reject"}', where_column => 'al_k');
SELECT raceguard.auto_guard('version', '{"unstated": "reject"}', where_column => 'al.k');
SELECT raceguard.drop_auto_guard('version', 'al', 'k');
SELECT raceguard.drop_auto_guard('version', 'al.k');
SELECT raceguard.drop_auto_guard('version', 'al.k');
CREATE TABLE al.none (k int);
CREATE TABLE al_k.warned (k int);
CREATE TABLE al.refused (al_k int);
SELECT target, definition FROM raceguard.guards ORDER BY target::text;
SELECT raceguard.drop_auto_guard('version', 'al_k');
SELECT raceguard.drop_auto_guard('version', where_column => 'al_k');
SELECT raceguard.drop_auto_guard('version', where_column => 'al.k');
SELECT count(*) FROM pg_event_trigger;

-- A name that was cut short may be that of another.
CREATE SCHEMA "A schema whose name has so many characters that no more fit";
SELECT raceguard.auto_guard('version', '{}', 'A schema whose name has so many characters that no more fit') AS long \gset
SELECT substr(:'long', length('raceguard_auto_version_') + 1) AS other \gset
CREATE SCHEMA :"other";
SELECT raceguard.auto_guard('version', '{}', :'other');
SELECT raceguard.drop_auto_guard('version', :'other');
SELECT raceguard.drop_auto_guard('version', 'A schema whose name has so many characters that no more fit');
SELECT raceguard.auto_guard('version', '{}', :'other') = :'long' AS the_same;
SELECT raceguard.drop_auto_guard('version', :'other');

-- No function of the same name is preferred.
CREATE FUNCTION raceguard.guard_new_tables(text, text, text, text) RETURNS void LANGUAGE plpgsql
    AS $$ BEGIN RAISE 'another function'; END $$;
SELECT raceguard.auto_guard('version', '{}', 'al');
SELECT raceguard.auto_guard('version', '{}', 'al_k', 'k');
CREATE TABLE al.guarded (id int);
CREATE TABLE al_k.guarded (k int);
SELECT target FROM raceguard.guards WHERE target::text LIKE '%guarded';
SELECT raceguard.drop_auto_guard('version', 'al'), raceguard.drop_auto_guard('version', 'al_k', 'k');
DROP FUNCTION raceguard.guard_new_tables(text, text, text, text);
