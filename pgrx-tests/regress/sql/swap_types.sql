-- Values of any type pass through compare_and_swap and swap_columns unchanged, as
-- jsonb_populate_record reads them.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
SET TimeZone = 'UTC';
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
CREATE TYPE mood AS ENUM ('sad', 'fine', 'glad');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN named AS text NOT NULL;
CREATE TYPE place AS (street text, number int, tags text[]);
CREATE DOMAIN known_place AS place CHECK (VALUE IS NULL OR (VALUE).street IS NOT NULL);
CREATE TABLE everything (
    id uuid PRIMARY KEY, a_number numeric, money_sum numeric(12,2), big bigint, real_one double precision,
    words text[], grid int[][], during tstzrange, days datemultirange, m mood, share percent, name named DEFAULT 'x',
    home place, second_home known_place, homes place[], doc json, docb jsonb, raw bytea, at timestamptz, day date, span interval,
    code char(5), short varchar(3), tag text, flags bit varying(8), yes boolean, net inet, search tsvector);
INSERT INTO everything (id) VALUES ('6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001');
SELECT raceguard.add_version('everything', unstated => 'reject');
CREATE TABLE wanted AS TABLE everything WITH NO DATA;
INSERT INTO wanted VALUES ('6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001', 123456789012345678901234567890.123400, 10.50,
    9223372036854775807, 0.1, '{a,NULL,"with, comma",""}', '{{1,2},{3,4}}', '[2026-01-01,2026-02-01)',
    '{[2026-01-01,2026-01-03),[2026-02-01,2026-02-02)}', 'glad', 99, 'Bob', '("Old ""Street""",7,"{x,y}")',
    '(High,1,)', '{"(A,1,)","(B,2,\"{z}\")"}', '{"k": [1, 2.50, null]}', '{"k": 1.50, "l": null}', '\xdeadbeef00',
    '2026-03-29 01:30:00.123456+00', '2026-02-28', '1 mon 3 days 04:05:06.7', 'ab', 'xyz', 'MiXed', B'101', true, '10.0.0.1/8',
    'a:1 b:2', 1);
-- Every value by one call, and then as the row is stored.
SELECT raceguard.compare_and_swap('everything', '{"id": "6F1E7A52-9A2F-4A63-9F3A-0D9C1D0F0001"}', 1,
    to_jsonb(w) - 'id' - 'version') ->> 'version' FROM wanted w;
UPDATE wanted SET version = 2;
SELECT e *= w AS same_image FROM everything e, wanted w;
SELECT to_jsonb(e) = to_jsonb(w) AS same_json, e.a_number, e.docb FROM everything e, wanted w;
-- The whole row goes back as it came: every column is still what it was.
SELECT raceguard.swap_columns('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}',
    to_jsonb(e), '{"m": "sad"}') ->> 'm' FROM everything e;
-- Column by column: each is compared, and each conflicts when it has changed.
DO $$
DECLARE
    col text; k jsonb := '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}'; held jsonb; passed int := 0; refused int := 0;
BEGIN
    FOR col IN SELECT attname FROM pg_attribute WHERE attrelid = 'everything'::regclass AND attnum > 1
                AND NOT attisdropped AND attname <> 'version' LOOP
        held := (SELECT jsonb_build_object(col, to_jsonb(e) -> col) FROM everything e);
        PERFORM raceguard.swap_columns('everything', k, held, held);
        passed := passed + 1;
        BEGIN
            IF col <> 'name' THEN
                PERFORM raceguard.swap_columns('everything', k, jsonb_build_object(col, NULL), held);
                RAISE WARNING 'column % was not compared', col;
            END IF;
        EXCEPTION WHEN SQLSTATE 'RG409' THEN refused := refused + 1;
        END;
    END LOOP;
    RAISE WARNING '% columns swapped, % refused', passed, refused;
END $$;
-- Settings of the session play no part in what counts as changed.
SET DateStyle = 'German, DMY'; SET IntervalStyle = 'sql_standard'; SET bytea_output = 'escape'; SET TimeZone = 'America/New_York';
SELECT raceguard.swap_columns('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}',
    '{"at": "2026-03-29T01:30:00.123456+00:00", "day": "2026-02-28", "raw": "\\xdeadbeef00", "real_one": 0.1}', '{"day": "2026-02-27"}') ->> 'm';
RESET DateStyle; RESET IntervalStyle; RESET bytea_output; SET TimeZone = 'UTC';
-- NULL and JSON null are one to a client.
SELECT raceguard.swap_columns('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}', '{"tag": "MiXed"}', '{"tag": null}') ->> 'tag';
SELECT raceguard.swap_columns('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}', '{"tag": null}', '{"tag": "Bob"}') ->> 'tag';
-- A number is a number, however many zeros a client leaves out.
SELECT raceguard.swap_columns('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}', '{"money_sum": 10.5}', '{"money_sum": 11}') ->> 'money_sum';
-- What a type refuses is refused with Postgres's own error.
SELECT try($$SELECT raceguard.compare_and_swap('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}', '1', '{"m": "angry"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}', '1', '{"share": 101}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}', '1', '{"name": null}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}', '1', '{"short": "wxyz"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('everything', '{"id": "6f1e7a52-9a2f-4a63-9f3a-0d9c1d0f0001"}', '1', '{"second_home": {"number": 1}}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('everything', '{"id": "6f1e"}', '1', '{"yes": false}')$$);

-- Keys: composite, mixed case, of a domain, with a precision, an enum, a range.
CREATE TABLE lines ("orderId" bigint, line smallint, note text, PRIMARY KEY (line, "orderId"));
INSERT INTO lines VALUES (9007199254740993, 1, 'a'), (9007199254740993, 2, 'b');
SELECT raceguard.add_version('lines');
SELECT raceguard.compare_and_swap('lines', '{"orderId": 9007199254740993, "line": 2}', 1, '{"note": "c"}');
SELECT raceguard.compare_and_swap('lines', '{"orderId": "9007199254740993", "line": 2}', 2, '{"line": 3}');
SELECT try($$SELECT raceguard.compare_and_swap('lines', '{"orderId": 9007199254740993, "line": 3}', 1, '{"note": "d"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('lines', '{"orderId": 9007199254740993}', 1, '{"note": "d"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('lines', '{"orderid": 9007199254740993, "line": 1}', 1, '{"note": "d"}')$$);
CREATE TABLE rates (rate numeric(4,2) PRIMARY KEY, at timestamp(0) UNIQUE, note text);
INSERT INTO rates VALUES (1.01, '2026-01-01 00:00:01');
SELECT try($$SELECT raceguard.compare_and_delete('rates', '{"rate": 1.005}', '1')$$);
SELECT try($$SELECT raceguard.compare_and_swap('rates', '{"rate": 1.010}', raceguard.row_version(xmin), '{"note": "found"}') ->> 'note' FROM rates$$);
CREATE TABLE odd_keys (m mood, during int4range, share percent, flag boolean, day date, PRIMARY KEY (m, during, share, flag, day));
INSERT INTO odd_keys VALUES ('fine', '[1,3)', 5, true, '2026-01-01');
SELECT try($$SELECT raceguard.compare_and_swap('odd_keys', '{"m": "fine", "during": "[1,2]", "share": 5, "flag": true, "day": "2026-01-01"}', raceguard.row_version(xmin), '{"m": "glad"}') FROM odd_keys$$);
