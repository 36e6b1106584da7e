-- Parent versions where the same condition is written for keys of different types: what is kept of one
-- foreign key must never serve another.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;

-- integer and bigint children of a bigint parent, in one session.
CREATE TABLE par (id bigint PRIMARY KEY);
SELECT raceguard.add_version('par');
CREATE TABLE c4 (id int, pid int REFERENCES par);
CREATE TABLE c8 (id int, pid bigint REFERENCES par);
SELECT raceguard.add_parent_version('c4', 'par'), raceguard.add_parent_version('c8', 'par');
INSERT INTO par VALUES (1), (4294967297);
INSERT INTO c4 VALUES (1, 1);
INSERT INTO c8 VALUES (1, 4294967297);
SELECT * FROM par ORDER BY id;

-- The column changes its type while the session lives.
CREATE TABLE grows (id int, pid int REFERENCES par);
SELECT raceguard.add_parent_version('grows', 'par');
INSERT INTO grows VALUES (1, 1);
ALTER TABLE grows ALTER pid TYPE bigint;
INSERT INTO grows VALUES (2, 4294967297);
SELECT * FROM par ORDER BY id;

-- Types passed by reference and by value.
CREATE TABLE words (id text PRIMARY KEY);
SELECT raceguard.add_version('words');
CREATE TABLE by_text (id int, word text REFERENCES words);
CREATE TABLE by_name (id int, word name REFERENCES words);
SELECT raceguard.add_parent_version('by_text', 'words'), raceguard.add_parent_version('by_name', 'words');
INSERT INTO words VALUES ('a'), ('b');
INSERT INTO by_text VALUES (1, 'a');
INSERT INTO by_name VALUES (1, 'b');
INSERT INTO by_text VALUES (2, 'b');
SELECT * FROM words ORDER BY id;

-- A type of one's own with an implicit cast, then a plain number.
CREATE ROLE regress_parent_types;
GRANT CREATE ON SCHEMA public TO regress_parent_types;
SET ROLE regress_parent_types;
CREATE TYPE pair AS (a text, b text);
CREATE FUNCTION as_float(pair) RETURNS float8 IMMUTABLE LANGUAGE sql AS $$ SELECT length(($1).a)::float8 $$;
CREATE CAST (pair AS float8) WITH FUNCTION as_float(pair) AS IMPLICIT;
CREATE TABLE floats (id float8 PRIMARY KEY);
SELECT raceguard.add_version('floats');
CREATE TABLE pairs (id int, pid pair REFERENCES floats);
CREATE TABLE numbers (id int, pid bigint REFERENCES floats);
SELECT raceguard.add_parent_version('pairs', 'floats'), raceguard.add_parent_version('numbers', 'floats');
INSERT INTO floats VALUES (1), (2);
INSERT INTO pairs VALUES (1, ROW('x', 'y'));
INSERT INTO numbers VALUES (1, 2);
INSERT INTO pairs VALUES (2, ROW('xx', 'y'));
SELECT * FROM floats ORDER BY id;

-- The cast goes, and is made anew by another function.
DROP CAST (pair AS float8);
INSERT INTO numbers VALUES (2, 1);
CREATE FUNCTION as_float_two(pair) RETURNS float8 IMMUTABLE LANGUAGE sql AS $$ SELECT 2::float8 $$;
CREATE CAST (pair AS float8) WITH FUNCTION as_float_two(pair) AS IMPLICIT;
INSERT INTO numbers VALUES (3, 1);
SELECT * FROM floats ORDER BY id;
RESET ROLE;
DROP OWNED BY regress_parent_types CASCADE;
DROP ROLE regress_parent_types;

-- What was noted is not read by a foreign key that came later. Postgres itself says no where an event
-- of the table is pending; the events of several tables are one.
CREATE TABLE c2 (id int, pid int REFERENCES par);
SELECT raceguard.add_parent_version('c2', 'par');
BEGIN;
INSERT INTO c4 VALUES (2, 1);
INSERT INTO c2 VALUES (2, 1);
ALTER TABLE c2 ALTER pid TYPE smallint;
\set VERBOSITY verbose
COMMIT;
\set VERBOSITY default
BEGIN;
INSERT INTO c4 VALUES (2, 1);
INSERT INTO c2 VALUES (2, 1);
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE c2 ALTER pid TYPE smallint;
INSERT INTO c2 VALUES (3, 1);
COMMIT;
SELECT * FROM par ORDER BY id;
BEGIN;
INSERT INTO c4 VALUES (3, 1);
INSERT INTO c2 VALUES (4, 1);
DROP TABLE c2;
COMMIT;
SELECT * FROM par ORDER BY id;

-- A trigger on one parent changes the tables through which the others are reached.
CREATE TABLE upper_parent (id int PRIMARY KEY);
CREATE TABLE lower_parent (id int PRIMARY KEY, up int REFERENCES upper_parent);
CREATE TABLE leaf_a (pid int REFERENCES lower_parent);
CREATE TABLE first_parent (id int PRIMARY KEY);
CREATE TABLE leaf_b (pid int REFERENCES first_parent);
SELECT raceguard.add_version('upper_parent'), raceguard.add_version('lower_parent'), raceguard.add_version('first_parent');
SELECT raceguard.add_parent_version('leaf_a', 'lower_parent'), raceguard.add_parent_version('leaf_b', 'first_parent'),
       raceguard.add_parent_version('lower_parent', 'upper_parent');
INSERT INTO upper_parent VALUES (1);
INSERT INTO lower_parent VALUES (1, 1);
INSERT INTO first_parent VALUES (1);
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE leaf_b ALTER pid TYPE bigint;
    RAISE WARNING 'changed';
    RETURN NEW;
END $$;
CREATE TRIGGER change BEFORE UPDATE ON upper_parent FOR EACH ROW EXECUTE FUNCTION change();
BEGIN;
INSERT INTO leaf_a VALUES (1);
INSERT INTO leaf_b VALUES (1);
COMMIT;
SELECT 'upper' AS parent, version FROM upper_parent UNION ALL SELECT 'lower', version FROM lower_parent
UNION ALL SELECT 'first', version FROM first_parent ORDER BY 1;
