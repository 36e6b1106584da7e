-- Ignored columns: the guard compares the rows' bytes. Whether it finds a change in the columns that
-- count has to agree with record_image_ne, over random rows of every storage there is.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
SELECT setseed(0.42);
CREATE TABLE sample (
    id int PRIMARY KEY, gone text, ignored_1 text, b bool, s smallint, c "char", n name, t text, num numeric,
    ignored_2 int, tz timestamptz, gone_too int, u uuid, by bytea, arr int[], f float8, p point, i interval, m macaddr,
    tt timetz, ch char(9), ignored_3 numeric, vb varbit, bx box, tail text);
INSERT INTO sample (id, gone, gone_too) VALUES (1, 'still in the tuple', 7);
ALTER TABLE sample DROP COLUMN gone, DROP COLUMN gone_too;
SELECT raceguard.add_version('sample', ignore => '{ignored_1,ignored_2,ignored_3}');
-- Columns younger than the row, with and without a value for it; stored plain, compressed and out of line.
ALTER TABLE sample ADD COLUMN young text DEFAULT 'young', ADD COLUMN younger int, ADD COLUMN youngest int DEFAULT 5;
ALTER TABLE sample ALTER COLUMN by SET STORAGE EXTERNAL;

-- A value of the column's type as text, from few enough that equal ones are frequent. Sizes are those
-- of a one-byte header, a four-byte header, a compressed value and one out of line.
CREATE FUNCTION some_value(kind text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN random() < 0.2 THEN NULL ELSE CASE kind
        WHEN 'boolean' THEN (n > 1)::text
        WHEN 'numeric' THEN (ARRAY['1.0', '1.00', '-12345678901234567890.5', 'NaN'])[n]
        WHEN 'timestamp with time zone' THEN (ARRAY['2026-01-01 00:00:00+00', '2026-01-01 00:00:00.000001+00', 'infinity', '2026-06-01 00:00:00+00'])[n]
        WHEN 'time with time zone' THEN (ARRAY['12:00:00+00', '13:00:00+01', '00:00:00+00', '12:00:00.000001+00'])[n]
        WHEN 'uuid' THEN '00000000-0000-0000-0000-00000000000' || n
        WHEN 'bytea' THEN repeat('x', (ARRAY[1, 120, 130, 9000])[n])
        WHEN 'integer[]' THEN (ARRAY['{}', '{1}', '{NULL,1}', '{1,2,3}'])[n]
        WHEN 'double precision' THEN (ARRAY['0', '-0', '1.5', 'NaN'])[n]
        WHEN 'point' THEN format('(%s,2)', n)
        WHEN 'box' THEN format('((%s,2),(3,4))', n)
        WHEN 'interval' THEN (ARRAY['1 day', '24 hours', '1 mon', '30 days'])[n]
        WHEN 'macaddr' THEN '00:00:00:00:00:0' || n
        WHEN 'bit varying' THEN repeat('1', n)
        WHEN 'text' THEN (ARRAY['', 'a', repeat('long', 40), repeat('compressible', 500)])[n]
        ELSE n::text
    END END FROM (SELECT 1 + floor(random() * 4)::int AS n) one
$$;
CREATE FUNCTION rounds(count int, OUT disagreements int, OUT both_seen bool) LANGUAGE plpgsql AS $$
DECLARE
    columns text[] := ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = 'sample'::regclass
                            AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'version') ORDER BY attnum);
    kinds text[] := ARRAY(SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'sample'::regclass
                          AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'version') ORDER BY attnum);
    counted text := (SELECT string_agg(quote_ident(name), ', ') FROM unnest(columns) name WHERE name NOT LIKE 'ignored%');
    assignments text; picked int; changed bool; bumped bool; seen_changed int := 0; seen_same int := 0;
    old_row sample; new_row sample;
BEGIN
    disagreements := 0;
    FOR round IN 1..count LOOP
        assignments := 'id = id';
        FOR i IN 1..floor(random() * 4)::int LOOP
            picked := 1 + floor(random() * cardinality(columns))::int;
            IF position(format(' %I =', columns[picked]) IN assignments) = 0 THEN
                assignments := assignments || format(', %I = %L::%s', columns[picked], some_value(kinds[picked]), kinds[picked]);
            END IF;
        END LOOP;
        SELECT * INTO old_row FROM sample;
        EXECUTE 'UPDATE sample SET ' || assignments || ' RETURNING *' INTO new_row;
        EXECUTE format('SELECT o.r *<> n.r FROM (SELECT ROW(%1$s) AS r FROM (SELECT ($1).*) x) o, (SELECT ROW(%1$s) AS r FROM (SELECT ($2).*) y) n', counted)
            INTO changed USING old_row, new_row;
        bumped := new_row.version = old_row.version + 1;
        IF changed <> bumped OR new_row.version - old_row.version NOT IN (0, 1) THEN
            disagreements := disagreements + 1;
            RAISE WARNING 'round %: changed %, bumped %: %', round, changed, bumped, assignments;
        END IF;
        seen_changed := seen_changed + changed::int;
        seen_same := seen_same + (NOT changed)::int;
    END LOOP;
    both_seen := seen_changed > count / 5 AND seen_same > count / 5;
END $$;
SELECT * FROM rounds(5000);
-- Again from a tuple that holds every column, and one that holds none but the key.
VACUUM FULL sample;
SELECT * FROM rounds(500);
DELETE FROM sample;
INSERT INTO sample (id, young, youngest) VALUES (1, NULL, NULL);
SELECT * FROM rounds(500);

-- Rows older than some of their columns: the value that ALTER TABLE gave them counts as theirs.
CREATE TABLE elder (id int PRIMARY KEY, seen int, note text);
INSERT INTO elder SELECT i, 0, CASE WHEN i % 2 = 0 THEN 'note ' || i END FROM generate_series(1, 6) i;
SELECT raceguard.add_version('elder', ignore => '{seen}');
ALTER TABLE elder ADD COLUMN a text DEFAULT 'given', ADD COLUMN b int, ADD COLUMN c bigint DEFAULT 7;
UPDATE elder SET seen = 1 WHERE id IN (1, 2) RETURNING *;
UPDATE elder SET seen = 1, a = 'given', b = NULL, c = 7 WHERE id IN (3, 4) RETURNING *;
ALTER TABLE elder ADD COLUMN d text DEFAULT 'later';
UPDATE elder SET d = 'later' WHERE id < 5 RETURNING *;
UPDATE elder SET a = 'taken' WHERE id = 5 RETURNING *;
UPDATE elder SET d = NULL WHERE id = 6 RETURNING *;
UPDATE elder SET b = 1 WHERE id = 1 RETURNING *;
UPDATE elder SET c = 8 WHERE id = 2 RETURNING *;
