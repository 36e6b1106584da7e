-- Keys of every hashable type: equal values are one key, different values are not, whoever gives
-- them (a write or a call) and in whatever form.
CREATE EXTENSION raceguard;
SET timezone = 'UTC';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN cents AS bigint CHECK (VALUE >= 0);
CREATE DOMAIN feeling AS mood;
CREATE TYPE place AS (city text, floor int);
CREATE TABLE t (
    i2 smallint, i4 int, i8 bigint, tx text, ch char(5), vc varchar(10), id uuid, num numeric,
    d date, ts timestamp, tz timestamptz, raw bytea, b boolean, e mood, dom cents, dome feeling,
    arr int[], nest text[][], comp place, r int4range, j jsonb, f8 double precision, iv interval,
    ip inet, o oid, moods mood[]);

-- The locks taken by writing two values, and by lock_key with the second: 1 if all is one key.
CREATE FUNCTION keys(col text, one text, other text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
    SET LOCAL client_min_messages = warning;
    PERFORM raceguard.add_key_lock('t', quote_ident(col), replace => true);
    EXECUTE format('INSERT INTO t (%I) VALUES (%L), (%L)', col, one, other);
    PERFORM raceguard.lock_key('t', other);
    -- A key of type jsonb stands in the list as itself, any other as a string.
    PERFORM raceguard.lock_keys('t', CASE col
        WHEN 'j' THEN jsonb_build_array(one::jsonb, other::jsonb) ELSE jsonb_build_array(one, other) END);
    SELECT count(*) INTO n FROM raceguard.locks;
    RAISE EXCEPTION USING ERRCODE = 'KEYS0', MESSAGE = n::text;
EXCEPTION WHEN SQLSTATE 'KEYS0' THEN
    RETURN SQLERRM::int;
END $$;

SELECT col, one, other, keys(col, one, other) FROM (VALUES
    ('i2', '7', '7'), ('i2', '7', '-7'),
    ('i4', '7', '7'), ('i4', '7', '8'),
    ('i8', '7', '7'), ('i8', '7', '9223372036854775807'),
    ('tx', 'a', 'a'), ('tx', 'a', 'A'), ('tx', 'a', 'a '),
    ('ch', 'a', 'a    '), ('ch', 'a', 'b'),
    ('vc', 'a', 'a'), ('vc', 'a', 'b'),
    ('id', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A0EEBC999C0B4EF8BB6D6BB9BD380A11'),
    ('id', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'),
    ('num', '1.0', '1.00'), ('num', '1.0', '1.01'), ('num', '0', '-0.000'), ('num', 'NaN', 'nan'),
    ('d', '2026-01-31', 'January 31, 2026'), ('d', '2026-01-31', '2026-02-01'),
    ('ts', '2026-01-31 00:00', '2026-01-31'), ('ts', '2026-01-31', '2026-01-31 00:00:00.000001'),
    ('tz', '2026-01-31 00:00+00', '2026-01-30 19:00-05'), ('tz', '2026-01-31 00:00+00', '2026-01-31 00:00+01'),
    ('raw', '\x6162', 'ab'), ('raw', '\x6162', '\x6163'),
    ('b', 'true', 'on'), ('b', 'true', 'false'),
    ('e', 'sad', 'sad'), ('e', 'sad', 'happy'),
    ('dom', '5', '05'), ('dom', '5', '6'),
    ('dome', 'ok', 'ok'), ('dome', 'ok', 'sad'),
    ('arr', '{1,2}', '{ 1, 2 }'), ('arr', '{1,2}', '{2,1}'), ('arr', '{NULL}', '{NULL}'),
    ('nest', '{{a},{b}}', '{{a},{b}}'), ('nest', '{{a},{b}}', '{{a},{c}}'),
    ('comp', '(x,1)', '("x",1)'), ('comp', '(x,1)', '(x,2)'),
    ('r', '[1,3)', '[1,2]'), ('r', '[1,3)', '[1,3]'),
    ('j', '{"a": 1, "b": 2}', '{"b": 2, "a": 1.0}'), ('j', '1', '2'),
    ('f8', '0', '-0'), ('f8', '0.1', '0.1000'), ('f8', '0.1', '0.2'),
    ('iv', '1 day', '24 hours'), ('iv', '1 day', '25 hours'),
    ('ip', '10.0.0.1', '10.0.0.1/32'), ('ip', '10.0.0.1', '10.0.0.2'),
    ('o', '1', '1'), ('o', '1', '4294967295'),
    ('moods', '{sad}', '{sad}'), ('moods', '{sad}', '{ok}')
) AS v (col, one, other);

-- Integers of any width, literals and parameters with and without a type meet in one key.
SELECT raceguard.add_key_lock('t', 'i8, id', replace => true);
PREPARE untyped AS SELECT raceguard.lock_key('t', $1, $2);
PREPARE untyped_target AS SELECT raceguard.lock_key($1, $2, $3);
PREPARE typed_first AS SELECT raceguard.lock_key('t', $1::smallint, $2);
PREPARE typed_last AS SELECT raceguard.lock_key('t', $1, $2::uuid);
PREPARE typed (int, uuid) AS SELECT raceguard.try_lock_key('t', $1, $2);
PREPARE strings (text, varchar) AS SELECT raceguard.lock_key('t', $1, $2);
\set id '\'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\''
BEGIN;
INSERT INTO t (i8, id) VALUES (42, :id);
EXECUTE untyped (42, :id);
EXECUTE untyped_target ('t', 42, :id);
EXECUTE typed_first (42, :id);
EXECUTE typed_last (42, :id);
EXECUTE typed (42, :id);
EXECUTE strings ('42', :id);
SELECT raceguard.lock_key('t', 42, :id), raceguard.lock_key('t', '42', :id), raceguard.lock_key('t', 42.0::int, :id::uuid);
SELECT raceguard.lock_key('t', VARIADIC ARRAY['42', :id]), raceguard.lock_key('t', 42, VARIADIC ARRAY[:id]);
SELECT raceguard.lock_keys('t', jsonb_build_array(jsonb_build_array(42, :id), jsonb_build_array('42', :id)));
SET LOCAL raceguard.lock_keys = t, '[[42, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]]';
SELECT target, locked, count(*) FROM raceguard.locks GROUP BY 1, 2;
COMMIT;
-- With three values, parameters with and without a type can't be mixed freely: say the types.
SELECT raceguard.add_key_lock('t', 'i8, id, tx', replace => true);
PREPARE first_typed AS SELECT raceguard.lock_key('t', $1::int, $2, $3);
PREPARE mixed AS SELECT raceguard.lock_key('t', $1::int, $2, $3::int);
PREPARE mixed AS SELECT raceguard.lock_key('t', $1::int, $2::uuid, $3::int);

-- The hash of a key is the same everywhere: no OID of this database is in it.
SELECT raceguard.add_key_lock('t', 'e, i8, num, tx, arr', replace => true);
BEGIN;
SELECT raceguard.lock_key('t', 'happy', 42, 1.50, 'a', '{1,2}');
SELECT key_hash FROM raceguard.locks;
COMMIT;
DROP TABLE t;
DROP TYPE mood CASCADE;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE t (e mood, i8 int, num numeric(10, 2), tx varchar, arr smallint[]);
SELECT raceguard.add_key_lock('t', 'e, i8, num, tx, arr');
BEGIN;
SELECT raceguard.lock_key('t', 'happy', 42, 1.5, 'a', '{1,2}');
SELECT key_hash FROM raceguard.locks;
COMMIT;
-- Order counts: (1, 2) is not (2, 1), and text is not run together.
SELECT raceguard.add_key_lock('t', 'i8, tx', replace => true);
BEGIN;
SELECT raceguard.lock_keys('t', '[[1, "2"], [2, "1"], [1, "12"], [11, "2"]]');
SELECT count(*) FROM raceguard.locks;
COMMIT;
DROP TABLE t;
DROP TYPE mood, place;
DROP DOMAIN cents;

-- In a list, a jsonb key that is a string keeps its quotes: "1" and 1 are two keys. So it is for a domain.
CREATE DOMAIN document AS jsonb;
CREATE TABLE j1 (k jsonb, d document);
SELECT raceguard.add_key_lock('j1', 'k');
BEGIN;
INSERT INTO j1 (k) VALUES ('"1"'), ('1'), ('"x"'), ('[1]'), ('{"a": "b"}');
SELECT count(*) AS keys FROM raceguard.locks;
SELECT raceguard.lock_keys('j1', '["1", 1, "x", [[1]], {"a": "b"}, [null]]');
SELECT raceguard.lock_key('j1', '"1"'), raceguard.lock_key('j1', '1'::jsonb), raceguard.lock_key('j1', '"x"'::jsonb);
SELECT count(*) AS keys FROM raceguard.locks;
COMMIT;
SELECT raceguard.add_key_lock('j1', 'd', replace => true);
BEGIN;
INSERT INTO j1 (d) VALUES ('"1"'), ('"x"');
SELECT raceguard.lock_keys('j1', '["1", "x"]');
SELECT count(*) AS keys FROM raceguard.locks;
COMMIT;

-- A value of type "char", which casts to text and is none.
CREATE TABLE c1 (k "char", n int);
SELECT raceguard.add_key_lock('c1', 'k');
BEGIN;
INSERT INTO c1 (k) VALUES ('x');
SELECT raceguard.lock_key('c1', 'x'::"char"), raceguard.try_lock_key('c1', 'x'::"char"), raceguard.lock_key('c1', 'x');
SELECT count(*) AS keys FROM raceguard.locks;
COMMIT;
SELECT raceguard.add_key_lock('c1', 'k, n', replace => true);
BEGIN;
INSERT INTO c1 (k, n) VALUES ('x', 1);
SELECT raceguard.lock_key('c1', 'x'::"char", 1), raceguard.try_lock_key('c1', 'x'::"char", '1'), raceguard.lock_key('c1', 'x', 1);
SELECT count(*) AS keys FROM raceguard.locks;
COMMIT;

-- A number has the hash that Postgres's own function for its type gives it, whatever the width.
CREATE TABLE numbers (s smallint, i int, b bigint);
CREATE FUNCTION hash_of(kind text, value bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE locked bigint;
BEGIN
    PERFORM raceguard.add_key_lock('numbers', kind, replace => true);
    EXECUTE format('INSERT INTO numbers (%I) VALUES ($1)', kind) USING value;
    SELECT key_hash INTO STRICT locked FROM raceguard.locks WHERE target = 'numbers'::regclass;
    RAISE EXCEPTION USING errcode = 'YY000', message = locked;
EXCEPTION WHEN SQLSTATE 'YY000' THEN
    RETURN sqlerrm;
END $$;
SET client_min_messages = warning;
SELECT count(*), bool_and(CASE kind
        WHEN 's' THEN hash_of('s', v) = hashint2(v::int2)::bigint & 4294967295
        WHEN 'i' THEN hash_of('i', v) = hashint4(v::int4)::bigint & 4294967295
        ELSE hash_of('b', v) = hashint8(v)::bigint & 4294967295 END) AS the_same
FROM (VALUES ('s', 16), ('i', 32), ('b', 64)) kinds(kind, bits),
     (VALUES (0), (1), (-1), (42), (-42), (32767), (-32768), (32768), (-32769), (2147483647), (-2147483648),
             (2147483648), (-2147483649), (9223372036854775807), (-9223372036854775808)) vals(v)
WHERE bits = 64 OR v BETWEEN -(1::bigint << bits - 1) AND (1::bigint << bits - 1) - 1;
RESET client_min_messages;
