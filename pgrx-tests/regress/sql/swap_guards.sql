-- The calls state the version as the table's guard demands, whatever it demands.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
-- What became of a statement, with every field of the error.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text; said text; detail text; hint text; s text; t text; c text; k text;
BEGIN
    EXECUTE statement INTO result;
    RETURN coalesce(result, 'nothing');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME, k = CONSTRAINT_NAME;
    RETURN concat_ws(E'\n  ', SQLSTATE || ': ' || said, nullif(detail, ''), nullif(hint, ''),
        nullif(concat_ws(' ', 'schema ' || nullif(s, ''), 'table ' || nullif(t, ''),
                              'column ' || nullif(c, ''), 'constraint ' || nullif(k, '')), ''));
END $$;
\pset format unaligned
\pset tuples_only on
CREATE TABLE next_one (id int PRIMARY KEY, note text);
CREATE TABLE current_one (id int PRIMARY KEY, note text);
CREATE TABLE small_one (id int PRIMARY KEY, note text, version smallint NOT NULL DEFAULT 1);
CREATE TABLE stamped (id int PRIMARY KEY, note text, version timestamptz NOT NULL DEFAULT '2020-01-01 00:00:00.123456+00');
CREATE TABLE seen (id int PRIMARY KEY, note text, seen int);
CREATE TABLE watched (id int PRIMARY KEY, note text);
CREATE TABLE "Mixed Case" ("Id" int PRIMARY KEY, "note ""x""" text);
SELECT raceguard.add_version('next_one', unstated => 'reject');
SELECT raceguard.add_version('current_one', client_sends => 'current', unstated => 'reject');
SELECT raceguard.add_version('small_one', unstated => 'reject');
SELECT raceguard.add_version('stamped', client_sends => 'current', unstated => 'reject');
SELECT raceguard.add_version('seen', ignore => '{seen}', unstated => 'reject');
SELECT raceguard.add_version('watched', mode => 'observe');
SELECT raceguard.add_version('"Mixed Case"', 'row Version', unstated => 'reject');
INSERT INTO next_one VALUES (1); INSERT INTO current_one VALUES (1); INSERT INTO small_one VALUES (1);
INSERT INTO stamped VALUES (1); INSERT INTO seen VALUES (1); INSERT INTO watched VALUES (1);
INSERT INTO "Mixed Case" VALUES (1);

-- Either convention, and one bump each.
SELECT raceguard.compare_and_swap('next_one', '{"id": 1}', 1, '{"note": "a"}');
SELECT raceguard.swap_columns('next_one', '{"id": 1}', '{"note": "a"}', '{"note": "b"}');
SELECT raceguard.compare_and_swap('current_one', '{"id": 1}', 1, '{"note": "a"}');
SELECT raceguard.swap_columns('current_one', '{"id": 1}', '{"note": "a"}', '{"note": "b"}');
SELECT try($$SELECT raceguard.compare_and_swap('current_one', '{"id": 1}', 2, '{"note": "a"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('current_one', '{"id": 1}', 4, '{"note": "a"}')$$);
SELECT raceguard.compare_and_delete('current_one', '{"id": 1}', 3);
-- A number that the column cannot hold is only another stale version.
SELECT raceguard.compare_and_swap('small_one', '{"id": 1}', 1, '{"note": "a"}');
SELECT try($$SELECT raceguard.compare_and_swap('small_one', '{"id": 1}', 9999999999, '{"note": "a"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('small_one', '{"id": 1}', '99999999999999999999', '{"note": "a"}')$$);
UPDATE small_one SET version = version + 1;
ALTER TABLE small_one DISABLE TRIGGER USER;
UPDATE small_one SET version = 32767;
ALTER TABLE small_one ENABLE TRIGGER USER;
SELECT try($$SELECT raceguard.compare_and_swap('small_one', '{"id": 1}', 32767, '{"note": "a"}')$$);
-- Timestamps go back as the text they came as, in any time zone.
SELECT raceguard.compare_and_swap('stamped', '{"id": 1}', to_jsonb(s) ->> 'version', '{"note": "a"}') ->> 'note' FROM stamped s;
SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'ISO';
SELECT raceguard.compare_and_swap('stamped', '{"id": 1}', to_jsonb(s) ->> 'version', '{"note": "b"}') ->> 'note' FROM stamped s;
SELECT raceguard.compare_and_swap('stamped', '{"id": 1}', version::text, to_jsonb(s) || '{"note": "c"}') ->> 'note' FROM stamped s;
RESET TimeZone; RESET DateStyle;
SELECT regexp_replace(try($$SELECT raceguard.compare_and_swap('stamped', '{"id": 1}', '2020-01-01T00:00:00.123456Z', '{"note": "a"}')$$), 'stored version .*', 'stored version (now)');
SELECT try($$SELECT raceguard.compare_and_swap('stamped', '{"id": 1}', 1, '{"note": "a"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('stamped', '{"id": 1}', 'yesterdays', '{"note": "a"}')$$);
-- A change of ignored columns only is checked all the same, and bumped.
SELECT raceguard.compare_and_swap('seen', '{"id": 1}', 1, '{"seen": 1}');
SELECT try($$SELECT raceguard.compare_and_swap('seen', '{"id": 1}', 1, '{"seen": 2}')$$);
-- Observing is the guard's business; the call keeps its promise.
SELECT try($$SELECT raceguard.compare_and_swap('watched', '{"id": 1}', 7, '{"note": "a"}')$$);
SELECT raceguard.compare_and_swap('watched', '{"id": 1}', 1, '{"note": "a"}');
-- Names are names.
SELECT raceguard.compare_and_swap('"Mixed Case"', '{"Id": 1}', 1, '{"note \"x\"": "a"}');
SELECT try($$SELECT raceguard.compare_and_swap('"Mixed Case"', '{"Id": 1}', 1, '{"note \"x\"": "b"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('"Mixed Case"', '{"id": 1}', 2, '{"note \"x\"": "b"}')$$);
SELECT try($$SELECT raceguard.swap_columns('"Mixed Case"', '{"Id": 1}', '{"note \"x\"": "b"}', '{"note \"x\"": "c"}')$$);
-- A guard that is switched off moves nothing on: its version would be no version.
ALTER TABLE next_one DISABLE TRIGGER zz_raceguard_version;
SELECT try($$SELECT raceguard.compare_and_swap('next_one', '{"id": 1}', 3, '{"note": "a"}')$$);
SELECT raceguard.compare_and_swap('next_one', '{"id": 1}', raceguard.row_version(xmin), '{"note": "x"}', 'xmin') ->> 'note' FROM next_one;
ALTER TABLE next_one ENABLE ALWAYS TRIGGER zz_raceguard_version;
SELECT raceguard.compare_and_swap('next_one', '{"id": 1}', version, '{"note": "y"}') ->> 'note' FROM next_one;
-- No guard: no version column, even if one is called so.
SELECT raceguard.drop_guard('next_one', 'version');
SELECT try($$SELECT raceguard.compare_and_swap('next_one', '{"id": 1}', 1, '{"note": "z"}', 'version')$$);
SELECT raceguard.compare_and_swap('next_one', '{"id": 1}', raceguard.row_version(xmin), '{"note": "z", "version": 100}') FROM next_one;

-- Error styles.
SET raceguard.error_style = 'integrity';
SELECT try($$SELECT raceguard.compare_and_swap('seen', '{"id": 1}', 1, '{"seen": 2}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('seen', '{"id": 2}', 1, '{"seen": 2}')$$);
SET raceguard.error_style = 'postgrest';
SELECT try($$SELECT raceguard.compare_and_swap('seen', '{"id": 1}', 1, '{"seen": 2}')$$);
SELECT try($$SELECT raceguard.compare_and_delete('seen', '{"id": 2}', 1)$$);
