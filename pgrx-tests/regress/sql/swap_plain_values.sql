-- Values that compare_and_swap reads out of JSON by itself come out as jsonb_populate_record reads them, with its errors.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
CREATE DOMAIN short AS smallint CHECK (value < 100);
CREATE TABLE things (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 1, s smallint, i int, b bigint, t text, v varchar,
    v3 varchar(3), f boolean, d short, n numeric, j jsonb, c char(3), o oid);
SELECT raceguard.add_version('things');
INSERT INTO things (id) VALUES (1);

-- What a value becomes, or the error.
CREATE FUNCTION by_swap(name text, value jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    now bigint := (SELECT version FROM things WHERE id = 1);
    answer text;
BEGIN
    PERFORM raceguard.compare_and_swap('things', '{"id": 1}', now, jsonb_build_object(name, value));
    EXECUTE format('SELECT coalesce(%I::text, ''NULL'') FROM things WHERE id = 1', name) INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
CREATE FUNCTION by_populate(name text, value jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SELECT coalesce(%I::text, ''NULL'') FROM jsonb_populate_record(NULL::things, $1)', name)
       INTO answer USING jsonb_build_object(name, value);
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
CREATE TEMP TABLE tried AS
SELECT name, value, by_swap(name, value) AS swapped, by_populate(name, value) AS populated
  FROM unnest('{s,i,b,t,v,v3,f,d,n,j,c,o}'::text[]) WITH ORDINALITY AS names(name, at),
       unnest(ARRAY['0', '-1', '7', '99', '100', '32767', '32768', '-32768', '-32769', '2147483647', '2147483648', '-2147483648',
           '9223372036854775807', '9223372036854775808', '-9223372036854775808', '-9223372036854775809', '1.0', '1.5', '1e3', '1e30',
           '-0', '0.0', '""', '"7"', '" 7 "', '"abc"', '"abcd"', '"abc "', '"ä€😀"', '"t"', '"off"', '"NULL"', '"null"', 'true', 'false',
           'null', '[]', '[1]', '{}', '{"a": 1}']::jsonb[]) WITH ORDINALITY AS vals(value, v_at)
 ORDER BY names.at, v_at;
SELECT count(*), count(*) FILTER (WHERE swapped IS DISTINCT FROM populated) AS differ FROM tried;
SELECT * FROM tried WHERE swapped IS DISTINCT FROM populated;
SELECT name, count(*) FILTER (WHERE swapped !~ '^[0-9A-Z]{5}: ') AS taken FROM tried GROUP BY name ORDER BY name;
SELECT name, value, swapped FROM tried WHERE name = 's';

-- Keys likewise, one value of which is not read here among them.
CREATE TABLE places (a int, b text, c numeric(10, 2), at int, PRIMARY KEY (a, b, c));
INSERT INTO places VALUES (1, 'x', 1.5, 0);
SELECT raceguard.compare_and_swap('places', '{"a": 1, "b": "x", "c": 1.50}', (SELECT raceguard.row_version(xmin) FROM places), '{"at": 1}');
SELECT raceguard.compare_and_swap('places', '{"a": "1", "b": "x", "c": 1.5}', (SELECT raceguard.row_version(xmin) FROM places), '{"at": 2}');
SELECT raceguard.compare_and_swap('places', '{"a": 1.0, "b": "x", "c": 1.5}', (SELECT raceguard.row_version(xmin) FROM places), '{"at": 3}');
SELECT raceguard.compare_and_swap('places', '{"a": 2, "b": "x y", "c": 1.5}', (SELECT raceguard.row_version(xmin) FROM places), '{"at": 3}');
SELECT raceguard.compare_and_swap('places', '{"a": null, "b": "x", "c": 1.5}', (SELECT raceguard.row_version(xmin) FROM places), '{"at": 3}');
