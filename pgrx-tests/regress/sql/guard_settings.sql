-- A guard means the same in every session: no setting of who adds it, or of who writes, changes what its key and predicate
-- say, or whether it is the one that stands.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE TABLE events (id int, at timestamptz, day date, ratio float8, waits interval, name text, "Upper" int, tags text[]);

-- ---- Constants of each type whose text depends on a setting, in the key or predicate of each kind of guard.
CREATE FUNCTION add_all() RETURNS void LANGUAGE sql AS $$
    SELECT raceguard.add_key_lock('events', $k$(CASE WHEN day > '2026-02-03' AND at > '2026-02-03 04:05:06+00' AND ratio > 0.1234567890123456
        AND waits > '-1 mons +2 days -03:04:05' AND name <> E'a\\b' THEN "Upper" END)$k$);
    SELECT raceguard.add_cap('events', 'id, ("Upper" + 0)', 3, predicate => $p$day > '2026-02-03' AND at > '2026-02-03 04:05:06+00' AND ratio > 0.1234567890123456
        AND waits > '-1 mons +2 days -03:04:05' AND name::bytea <> '\x61ff' AND tags <> '{NULL,a}'$p$);
    SELECT raceguard.add_cooldown('events', 'id, ("Upper" + 0)', 'at', '1 day', predicate => $p$day > '2026-02-03' AND at > '2026-02-03 04:05:06+00' AND ratio > 0.1234567890123456
        AND waits > '-1 mons +2 days -03:04:05' AND tags <> '{NULL,a}'$p$);
$$;
SELECT add_all();
CREATE TABLE first_definitions AS SELECT guard, definition FROM raceguard.guards;
SELECT guard, definition FROM first_definitions ORDER BY guard;

-- The same calls with other settings: nothing to do.
SET client_min_messages = notice;
SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'; SET TimeZone = 'Asia/Kolkata'; SET extra_float_digits = -15;
SET bytea_output = 'escape'; SET quote_all_identifiers = on;
SELECT add_all();
SELECT guard FROM raceguard.guards EXCEPT SELECT guard FROM first_definitions;
SELECT guard, whole, definition = (SELECT definition FROM first_definitions f WHERE f.guard = g.guard) AS same FROM raceguard.guards g ORDER BY guard;
SELECT problem, guard, detail FROM raceguard.check_guards('events', deep => true) WHERE severity <> 'info';
RESET ALL;
-- Added with those settings.
SET client_min_messages = warning;
SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'; SET TimeZone = 'Asia/Kolkata'; SET extra_float_digits = -15;
SET bytea_output = 'escape'; SET quote_all_identifiers = on;
SELECT raceguard.drop_guard('events', 'key_lock'), raceguard.drop_guard('events', 'cap', true), raceguard.drop_guard('events', 'cooldown');
SELECT add_all();
RESET ALL;
SET client_min_messages = warning;
SELECT guard, whole, definition = (SELECT definition FROM first_definitions f WHERE f.guard = g.guard) AS same FROM raceguard.guards g ORDER BY guard;

-- ---- What a writer's session makes of the text. The third of April is not the fourth of March.
CREATE TABLE days (id int, day date, at timestamptz, note text);
SET DateStyle = 'ISO, DMY';
SELECT raceguard.add_cooldown('days', 'id', 'at', '1 day', predicate => 'day > ''03/04/2026''');
RESET DateStyle;
SELECT definition->>'predicate' AS predicate FROM raceguard.guards WHERE target = 'days'::regclass;
-- Written by hand, it means what it means to a server without settings, in every session: the fourth of March.
SELECT raceguard.drop_guard('days', 'cooldown');
CREATE INDEX ON days (id, at) WHERE day > date '2026-03-04' AND note <> 'a\b';
CREATE TRIGGER zz_raceguard_cooldown AFTER INSERT OR UPDATE ON days FOR EACH ROW EXECUTE FUNCTION
    raceguard.cooldown_guard('id', 'at=at', 'period=1 day', 'predicate=(day > date ''03/04/2026'' AND note <> ''a\b'')');
SET DateStyle = 'ISO, DMY';
-- Strings that are not standard are gone with Postgres 19.
DO $$
BEGIN
    IF current_setting('server_version_num')::int < 190000 THEN
        PERFORM set_config(setting, 'off', false) FROM unnest('{standard_conforming_strings,escape_string_warning}'::text[]) setting;
    END IF;
END $$;
INSERT INTO days VALUES (1, '2026-03-20', '2026-05-01 00:00+00', 'x');
INSERT INTO days VALUES (1, '2026-03-20', '2026-05-01 01:00+00', 'x');
SELECT problem, detail FROM raceguard.check_guards('days') WHERE severity <> 'info';
RESET ALL;
DROP TABLE events, days;
