-- Totals under settings that change how values are written, and beside a trigger that puts the old total back.
CREATE EXTENSION raceguard;
\set VERBOSITY default
\set SHOW_CONTEXT never

-- A primary key of dates: the parent that has no child is found whatever DateStyle is by then.
CREATE TABLE days (day date PRIMARY KEY);
CREATE TABLE shifts (id int PRIMARY KEY, day date REFERENCES days ON UPDATE CASCADE);
SELECT raceguard.add_total('shifts', 'days', 'n', at_least => '1');
SET datestyle = 'SQL, DMY';
BEGIN;
INSERT INTO days VALUES ('03/04/2026');
SET LOCAL datestyle = 'SQL, MDY';
COMMIT;
BEGIN;
INSERT INTO days VALUES ('03/04/2026');
SET LOCAL datestyle = 'SQL, MDY';
INSERT INTO shifts VALUES (1, '04/03/2026');
COMMIT;
BEGIN;
UPDATE days SET day = '05/06/2026';
SET LOCAL datestyle = 'German';
COMMIT;
RESET datestyle;
SELECT * FROM days;

-- The same of an interval, a point in time, bytes, and a regclass.
CREATE TABLE terms (term interval, at timestamptz, raw bytea, rel regclass, PRIMARY KEY (term, at, raw, rel));
CREATE TABLE uses (id int PRIMARY KEY, term interval, at timestamptz, raw bytea, rel regclass,
    FOREIGN KEY (term, at, raw, rel) REFERENCES terms ON UPDATE CASCADE);
SELECT raceguard.add_total('uses', 'terms', 'n', at_least => '1');
SET intervalstyle = sql_standard;
BEGIN;
INSERT INTO terms VALUES ('-1 day +02:03:04', '2026-07-01 00:30+02', '\xdead', 'days');
SET LOCAL intervalstyle = iso_8601;
SET LOCAL timezone = 'America/New_York';
SET LOCAL bytea_output = escape;
SET LOCAL search_path = pg_catalog;
COMMIT;
BEGIN;
INSERT INTO terms VALUES ('-1 day +02:03:04', '2026-07-01 00:30+02', '\xdead', 'days');
INSERT INTO uses SELECT 1, term, at, raw, rel FROM terms;
SET LOCAL bytea_output = escape;
SET LOCAL search_path = pg_catalog;
COMMIT;
UPDATE terms SET raw = '\xbeef';
RESET intervalstyle;
SELECT n, count(uses.id) FROM terms LEFT JOIN uses USING (term, at, raw, rel) GROUP BY n;

-- Two parents whose keys look the same with fewer digits.
CREATE TABLE spots (x float8 PRIMARY KEY);
CREATE TABLE hits (id int PRIMARY KEY, x float8 REFERENCES spots DEFERRABLE INITIALLY DEFERRED);
SET extra_float_digits = -10;
SELECT raceguard.add_total('hits', 'spots', 'n');
INSERT INTO spots VALUES (1.0 / 3), (1.0000000001 / 3);
INSERT INTO hits SELECT k, x FROM spots, generate_series(1, 6) AS k WHERE (k > 3) = (x > (1.0 / 3)::float8);
SELECT n FROM spots ORDER BY x;
BEGIN;
CREATE TEMP TABLE kept AS SELECT x FROM spots;
DELETE FROM spots;
INSERT INTO spots SELECT x FROM kept;
COMMIT;
SELECT n FROM spots ORDER BY x;
CALL raceguard.recount('hits');
SELECT n FROM spots ORDER BY x;
SELECT raceguard.add_total('hits', 'spots', 'n', amount => '2', replace => true);
SELECT n FROM spots ORDER BY x;
RESET extra_float_digits;

-- A BEFORE UPDATE trigger of the parent that puts the old row back.
CREATE TABLE events (id int PRIMARY KEY, note text);
CREATE TABLE bookings (id int PRIMARY KEY, event int REFERENCES events);
SELECT raceguard.add_total('bookings', 'events', 'n');
INSERT INTO events VALUES (1), (2);
CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
CREATE TRIGGER put_back BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION put_back();
INSERT INTO bookings VALUES (1, 1);
SET session_replication_role = replica;
INSERT INTO bookings VALUES (1, 1);
RESET session_replication_role;
CALL raceguard.recount('bookings');
-- One that writes another row, and leaves the total alone, is in nobody's way.
CREATE OR REPLACE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.id = 1 THEN UPDATE public.events SET note = 'beside' WHERE id = 2; END IF; RETURN NEW; END $$;
CALL raceguard.recount('bookings');
INSERT INTO bookings VALUES (2, 1);
SELECT * FROM events ORDER BY id;
SELECT * FROM raceguard.check_guards(deep => true);

-- One that suppresses the UPDATE: recount says so.
CREATE OR REPLACE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CALL raceguard.recount('bookings');
SET session_replication_role = replica;
DELETE FROM bookings WHERE id = 2;
RESET session_replication_role;
CALL raceguard.recount('bookings');
DROP TRIGGER put_back ON events;
CALL raceguard.recount('bookings');
SELECT * FROM events ORDER BY id;

-- Triggers of the parent that fire behind the guard's: they may not write the total, and a key they change is followed.
CREATE TABLE halls (id int PRIMARY KEY, least numeric);
CREATE TABLE seats (id int PRIMARY KEY, hall int REFERENCES halls ON UPDATE CASCADE, price numeric);
SELECT raceguard.add_total('seats', 'halls', 'n'), raceguard.add_total('seats', 'halls', 'worth', amount => 'price', guard => 'worth');
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := 99; RETURN NEW; END $$;
CREATE TRIGGER zz_sneaky BEFORE INSERT OR UPDATE ON halls FOR EACH ROW EXECUTE FUNCTION late();
INSERT INTO halls VALUES (1);
CREATE OR REPLACE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' THEN NEW.worth := NEW.worth + 0.1; END IF; RETURN NEW; END $$;
INSERT INTO halls VALUES (1);
UPDATE halls SET least = 1;
INSERT INTO seats VALUES (1, 1, 2.5);
CREATE OR REPLACE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.least = 2 AND OLD.least IS DISTINCT FROM 2 THEN NEW.id := NEW.id + 10; END IF; RETURN NEW; END $$;
INSERT INTO halls VALUES (2);
INSERT INTO seats VALUES (1, 1, 2.50), (2, 1, 2.5), (3, 2, 1);
UPDATE halls SET least = 2;
INSERT INTO seats VALUES (4, 11, 0.1);
SELECT * FROM halls ORDER BY id;
CREATE OR REPLACE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := NEW.id + 100; RETURN NEW; END $$;
UPDATE seats SET price = 1;
CREATE OR REPLACE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.worth := NEW.worth * 1.0; RETURN NEW; END $$;
UPDATE seats SET price = 1;
SELECT * FROM halls ORDER BY id;
SELECT * FROM raceguard.check_guards(deep => true);
