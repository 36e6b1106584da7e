-- Tokens for tables that cannot get a version column: row_version(xmin) (A9) and row_hash(row) (C3).
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
CREATE TABLE legacy (id int PRIMARY KEY, note text);
INSERT INTO legacy VALUES (1, 'a');
-- Without a guard, auto is xmin.
SELECT raceguard.row_version(xmin) AS read FROM legacy \gset
SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', :'read', '{"note": "b"}');
SELECT regexp_replace(try(format($$SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', %L, '{"note": "c"}')$$, :'read')), 'version \d+', 'version N', 'g');
SELECT raceguard.row_version(xmin) AS read FROM legacy \gset
SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', :read, '{"note": "c"}', 'xmin');
-- The token is the number of the transaction that wrote the row.
BEGIN;
UPDATE legacy SET note = 'd';
SELECT raceguard.row_version(xmin) = pg_current_xact_id()::text AS of_this_transaction FROM legacy;
COMMIT;
-- Locking a row, a rolled-back update and VACUUM leave the token alone. An update that changes
-- nothing does not: somebody has written the row.
SELECT raceguard.row_version(xmin) AS read FROM legacy \gset
BEGIN; SELECT id FROM legacy FOR UPDATE; COMMIT;
BEGIN; UPDATE legacy SET note = 'x'; ROLLBACK;
VACUUM FREEZE legacy;
SELECT raceguard.row_version(xmin) = :'read' AS same FROM legacy;
UPDATE legacy SET note = note;
SELECT raceguard.row_version(xmin) = :'read' AS same FROM legacy;
SELECT raceguard.compare_and_delete('legacy', '{"id": 1}', raceguard.row_version(xmin)) FROM legacy;
-- The token has the epoch, so it is a number past 32 bits on an old server; frozen rows of old have none.
SELECT raceguard.row_version('2'::xid), raceguard.row_version('1'::xid), raceguard.row_version(NULL) IS NULL;
SELECT raceguard.row_version((pg_current_xact_id()::text::bigint % 4294967296)::text::xid) = pg_current_xact_id()::text;
-- A number from the future of the counter belongs to the epoch before; there is none before the first.
SELECT raceguard.row_version('4294967295'::xid);
SELECT try($$SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', -1, '{"note": "c"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', '0x10', '{"note": "c"}', 'xmin')$$);
SELECT try($$SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', 'abc', '{"note": "c"}', 'hash')$$);
SELECT try($$SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', 12, '{"note": "c"}', 'hash')$$);
-- A partitioned table has both tokens too, also for a row that moves.
CREATE TABLE parted (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_n PARTITION OF parted FOR VALUES IN ('north');
CREATE TABLE parted_s (note text, region text NOT NULL, id int NOT NULL);
ALTER TABLE parted ATTACH PARTITION parted_s FOR VALUES IN ('south');
INSERT INTO parted VALUES (1, 'north', 'a');
SELECT raceguard.compare_and_swap('parted', '{"id": 1, "region": "north"}', raceguard.row_version(xmin), '{"region": "south"}', 'xmin') FROM parted;
SELECT raceguard.compare_and_swap('parted', '{"id": 1, "region": "south"}', raceguard.row_hash(p), '{"note": "b"}', 'hash') FROM parted p;
SELECT raceguard.compare_and_delete('parted', '{"id": 1, "region": "south"}', raceguard.row_version(xmin)) FROM parted p;

-- The hash: the same for the same row whatever the session's settings and however it is stored.
CREATE TABLE hashed (id int PRIMARY KEY, at timestamptz, day date, span interval, raw bytea, real_one float8, doc json,
    small_real float4, amount numeric, long_text text, flag boolean, one "char", words text[], during int4range, place point);
INSERT INTO hashed VALUES (1, '2026-03-29 01:30+00', '2026-02-28', '1 mon 2 days', '\xdeadbeef', 0.1, '{"a":  1}',
    1.1, 1.0, repeat('long ', 10000), true, 'x', '{a,b}', '[1,5)', '(1,2)');
SELECT raceguard.row_hash(h) AS hash FROM hashed h \gset
SELECT length(:'hash'), :'hash' ~ '^[0-9a-f]{64}$' AS hex;
SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'escape'; SET extra_float_digits = 0;
SELECT raceguard.row_hash(h) = :'hash' AS same FROM hashed h;
RESET TimeZone; RESET DateStyle; RESET IntervalStyle; RESET bytea_output; RESET extra_float_digits;
-- Compressed, in line or out of line. The long text is stored in another way each time.
ALTER TABLE hashed ALTER long_text SET STORAGE external;
UPDATE hashed SET long_text = long_text || '';
SELECT raceguard.row_hash(h) = :'hash' AS same, pg_column_size(long_text) > 49999 AS plain FROM hashed h;
ALTER TABLE hashed ALTER long_text SET STORAGE main;
UPDATE hashed SET long_text = long_text || '';
SELECT raceguard.row_hash(h) = :'hash' AS same, pg_column_size(long_text) < 10000 AS compressed FROM hashed h;
SELECT raceguard.compare_and_swap('hashed', '{"id": 1}', raceguard.row_hash(h), '{"flag": false}', 'hash') ->> 'flag' FROM hashed h;
SELECT left(try(format($$SELECT raceguard.compare_and_swap('hashed', '{"id": 1}', %L, '{"flag": true}', 'hash')$$, :'hash')), 5);
SELECT raceguard.compare_and_swap('hashed', '{"id": 1}', upper(raceguard.row_hash(h)), '{"flag": true}', 'hash') ->> 'flag' FROM hashed h;
SELECT raceguard.row_hash(h) = :'hash' AS back_again FROM hashed h;
-- What differs, differs.
SELECT count(DISTINCT raceguard.row_hash(r)) AS different FROM (VALUES (NULL::text, 1.0), ('', 1.0), ('', 1.00), ('', NULL), (' ', 1.0), ('0', 1.0)) r(a, b);
SELECT raceguard.row_hash(ROW('ab'::text, 'c'::text)) <> raceguard.row_hash(ROW('a'::text, 'bc'::text)) AS fields,
       raceguard.row_hash(ROW(NULL::text, 'a'::text)) <> raceguard.row_hash(ROW('a'::text, NULL::text)) AS nulls,
       raceguard.row_hash(ROW(1, ROW(2, 3))) <> raceguard.row_hash(ROW(1, 2, 3)) AS nesting,
       raceguard.row_hash(ROW('{"a":1}'::json)) <> raceguard.row_hash(ROW('{"a": 1}'::json)) AS json_text,
       raceguard.row_hash(ROW()) IS NOT NULL AS empty_row, raceguard.row_hash(NULL) IS NULL AS no_row;
SELECT raceguard.row_hash(ROW(1::int, 'a'::text)) = raceguard.row_hash(r) AS named FROM (SELECT 1::int AS x, 'a'::text AS y) r;
-- Columns: dropped ones are as if they had never been; ones added later count from the start.
CREATE TABLE shaped (a int, gone text, b text);
INSERT INTO shaped VALUES (1, 'x', 'y');
ALTER TABLE shaped DROP COLUMN gone;
SELECT raceguard.row_hash(s) = raceguard.row_hash(ROW(1, 'y'::text)) AS dropped FROM shaped s;
ALTER TABLE shaped ADD COLUMN late int DEFAULT 5;
SELECT raceguard.row_hash(s) = raceguard.row_hash(ROW(1, 'y'::text, 5)) AS missing FROM shaped s;
UPDATE shaped SET b = b;
SELECT raceguard.row_hash(s) = raceguard.row_hash(ROW(1, 'y'::text, 5)) AS stored FROM shaped s;
-- Composite values count by their columns, stored long or short.
CREATE TYPE place AS (street text, number int);
CREATE TABLE homes (id int PRIMARY KEY, home place, others place[]);
INSERT INTO homes VALUES (1, ROW(repeat('Street ', 2000), 7), ARRAY[ROW('B', 2)::place]);
SELECT raceguard.row_hash(h) AS hash FROM homes h \gset
ALTER TABLE homes ALTER home SET STORAGE external;
UPDATE homes SET home = ROW((home).street, (home).number);
SELECT raceguard.row_hash(h) = :'hash' AS same FROM homes h;
-- A column that a type gains counts as one that a table gains.
ALTER TYPE place ADD ATTRIBUTE floor int;
SELECT raceguard.row_hash(h) = :'hash' AS same FROM homes h;
SELECT raceguard.compare_and_swap('homes', '{"id": 1}', raceguard.row_hash(h), '{"home": {"street": "S", "number": 1, "floor": 2}}', 'hash') FROM homes h;
-- The same value everywhere: a definition that changed would refuse every token that is out.
SELECT raceguard.row_hash(ROW(1::int, 'Old Street'::text, NULL::text, 1.50, true));
-- A guard does not mind which token is compared.
SELECT raceguard.add_version('legacy', unstated => 'reject');
INSERT INTO legacy VALUES (2, 'a');
SELECT raceguard.compare_and_swap('legacy', '{"id": 2}', raceguard.row_version(xmin), '{"note": "b"}', 'xmin') FROM legacy;
SELECT raceguard.compare_and_swap('legacy', '{"id": 2}', raceguard.row_hash(l), '{"note": "c"}', 'hash') FROM legacy l;
SELECT try($$SELECT raceguard.compare_and_swap('legacy', '{"id": 2}', raceguard.row_hash(l), '{"note": "d", "version": 3}', 'hash') FROM legacy l$$);
SELECT proname, provolatile, proparallel, proisstrict FROM pg_proc
 WHERE pronamespace = 'raceguard'::regnamespace AND proname IN ('row_version', 'row_hash', 'compare_and_swap', 'swap_columns') ORDER BY 1, 2, pronargs;
