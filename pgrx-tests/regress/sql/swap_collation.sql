-- Letters that a type or a collation takes for equal are one key, and still another value.
-- A Postgres built without ICU or without contrib has nothing to show here.
SELECT NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext')
    OR NOT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i') AS lacks_them \gset
\if :lacks_them
\quit
\endif
CREATE EXTENSION raceguard;
CREATE EXTENSION citext;
SET client_min_messages = warning;
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
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
CREATE TABLE people (email citext PRIMARY KEY, name text COLLATE any_case, tag citext);
INSERT INTO people VALUES ('Bob@x.org', 'Bob', 'Bob');
SELECT raceguard.add_version('people');
-- The key is found by its own equality, under any search_path.
SET search_path = pg_catalog;
SELECT raceguard.compare_and_swap('public.people', '{"email": "bob@X.org"}', 1, '{"tag": "bob"}');
RESET search_path;
-- What was read is compared letter by letter.
SELECT raceguard.swap_columns('people', '{"email": "bob@x.org"}', '{"name": "Bob", "tag": "bob"}', '{"name": "BOB"}');
SELECT try($$SELECT raceguard.swap_columns('people', '{"email": "bob@x.org"}', '{"name": "Bob", "tag": "bob"}', '{"name": "Rob"}')$$);
SELECT try($$SELECT raceguard.swap_columns('people', '{"email": "bob@x.org"}', '{"name": "BOB", "tag": "BOB"}', '{"name": "Rob"}')$$);
-- So are hashes of rows.
CREATE TABLE hashed (id int PRIMARY KEY, name text COLLATE any_case, tag citext);
INSERT INTO hashed VALUES (1, 'Bob', 'Bob'), (2, 'BOB', 'Bob'), (3, 'Bob', 'BOB');
SELECT count(DISTINCT raceguard.row_hash(r)) FROM (SELECT name, tag FROM hashed) r;
SELECT raceguard.row_hash(h) AS stale FROM hashed h WHERE id = 1 \gset
UPDATE hashed SET name = 'bob' WHERE id = 1;
SELECT left(try(format($$SELECT raceguard.compare_and_swap('hashed', '{"id": 1}', %L, '{"name": "Rob"}', 'hash')$$, :'stale')), 5);
-- A table whose whole key is such a column.
CREATE TABLE labels (label text COLLATE any_case PRIMARY KEY, n int);
INSERT INTO labels VALUES ('Red', 1);
SELECT raceguard.add_version('labels');
SELECT raceguard.compare_and_swap('labels', '{"label": "RED"}', 1, '{"n": 2}');
