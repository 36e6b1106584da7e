-- The version column: its types, its adoption, and what becomes of it under ALTER TABLE.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;

-- smallint, integer and bigint, to the end of their range: an error, never a wrap.
CREATE TABLE small (id int PRIMARY KEY, body text, version smallint NOT NULL DEFAULT 1);
CREATE TABLE medium (id int PRIMARY KEY, body text, version integer NOT NULL DEFAULT 1);
CREATE TABLE large (id int PRIMARY KEY, body text, version bigint NOT NULL DEFAULT 1);
SELECT raceguard.add_version(name) FROM unnest('{small,medium,large}'::regclass[]) name;
INSERT INTO small VALUES (1, 'first', 1), (2, 'below zero', -2), (3, 'last but one', 32766);
INSERT INTO medium VALUES (1, 'first', 1), (2, 'below zero', -2), (3, 'last but one', 2147483646);
INSERT INTO large VALUES (1, 'first', 1), (2, 'below zero', -2), (3, 'last but one', 9223372036854775806);
UPDATE small SET body = 'x' RETURNING *;
UPDATE medium SET body = 'x' RETURNING *;
UPDATE large SET body = 'x' RETURNING *;
\set VERBOSITY sqlstate
UPDATE small SET body = 'y' WHERE id = 3;
UPDATE medium SET body = 'y' WHERE id = 3;
UPDATE large SET body = 'y' WHERE id = 3;
UPDATE large SET body = 'y', version = version + 1 WHERE id = 3;
UPDATE small SET body = 'y', version = 1 WHERE id = 2;
\set VERBOSITY default
UPDATE small SET body = 'y' WHERE id = 3;
UPDATE small SET body = 'y', version = 0 WHERE id = 2 RETURNING *;
-- The way out, while the guard stands. A session that knew the old type notices.
ALTER TABLE small ALTER COLUMN version TYPE integer;
UPDATE small SET body = 'y' WHERE id = 3 RETURNING *;
ALTER TABLE small ALTER COLUMN version TYPE bigint;
UPDATE small SET body = 'z', version = 32769 WHERE id = 3 RETURNING *;
ALTER TABLE medium ALTER COLUMN version TYPE bigint;
UPDATE medium SET body = 'y' WHERE id = 3 RETURNING *;
UPDATE medium SET body = 'y', version = 2147483648 WHERE id = 3;

-- Rows older than the column, which hold no value of their own, and rows with NULLs around it.
CREATE TABLE wide (id int PRIMARY KEY, a text, b int, c text);
INSERT INTO wide VALUES (1, NULL, NULL, NULL), (2, 'a', 2, 'c');
SELECT raceguard.add_version('wide', ignore => '{b}');
ALTER TABLE wide ADD COLUMN d text DEFAULT 'given';
UPDATE wide SET b = 3 RETURNING *;
UPDATE wide SET c = 'x' RETURNING *;
UPDATE wide SET a = NULL, version = 3 RETURNING *;
ALTER TABLE wide DROP COLUMN a;
UPDATE wide SET b = 4, d = 'given' RETURNING *;
UPDATE wide SET b = 4, d = 'taken' RETURNING *;
-- A new column counts at once; generated ones never do.
ALTER TABLE wide ADD COLUMN e int, ADD COLUMN f int GENERATED ALWAYS AS (b * 2) STORED;
UPDATE wide SET b = 5 RETURNING *;
UPDATE wide SET e = 5 RETURNING *;
-- Values are compared byte by byte: 1.0 is not 1.00, and what was stored out of line is read.
CREATE TABLE exact (id int PRIMARY KEY, n numeric, long text, seen int);
SELECT raceguard.add_version('exact', ignore => '{seen}');
INSERT INTO exact VALUES (1, 1.0, repeat('long ', 10000), 0);
UPDATE exact SET seen = 1, n = 1.0, long = long || '' RETURNING id, n, seen, version;
UPDATE exact SET seen = 2, n = 1.00 RETURNING id, n, seen, version;
UPDATE exact SET seen = 3, long = long || '!' RETURNING id, n, seen, version;

-- An existing column is adopted: NULLs filled, NOT NULL and DEFAULT set, and told.
SET client_min_messages = notice;
CREATE TABLE adopted (id int PRIMARY KEY, body text, lock_version int);
INSERT INTO adopted VALUES (1, 'a', 7), (2, 'b', NULL), (3, 'c', NULL);
SELECT raceguard.add_version('adopted', 'lock_version', unstated => 'reject');
INSERT INTO adopted VALUES (4, 'd') RETURNING *;
UPDATE adopted SET body = 'x', lock_version = lock_version + 1 RETURNING *;
-- Even where the guard to be replaced would refuse the filling.
ALTER TABLE adopted ALTER COLUMN lock_version DROP NOT NULL;
INSERT INTO adopted VALUES (5, 'e', NULL);
SELECT raceguard.add_version('adopted', 'lock_version', client_sends => 'current', unstated => 'reject', replace => true);
TABLE adopted ORDER BY id;
-- A column made nullable behind the guard's back: NULL is a version too, followed by 1.
ALTER TABLE adopted ALTER COLUMN lock_version DROP NOT NULL;
INSERT INTO adopted VALUES (6, 'f', NULL);
UPDATE adopted SET body = 'x', lock_version = 1 WHERE id = 6;
UPDATE adopted SET body = 'x', lock_version = NULL WHERE id = 6 RETURNING *;
UPDATE adopted SET body = 'x', lock_version = NULL WHERE id = 6;
-- Its own default stays; one that is ready is taken as it is; an indexed one is told.
CREATE SEQUENCE numbers START 100;
CREATE TABLE numbered (id int PRIMARY KEY, version bigint NOT NULL DEFAULT nextval('numbers'));
CREATE INDEX numbered_version ON numbered (id, version);
SELECT raceguard.add_version('numbered', unstated => 'reject');
INSERT INTO numbered VALUES (1) RETURNING *;
SET client_min_messages = warning;

-- timestamptz: later with every update, by at least the column's precision.
CREATE TABLE stamped (id int PRIMARY KEY, body text, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE stamped_3 (id int PRIMARY KEY, body text, at timestamptz(3));
CREATE TABLE stamped_0 (id int PRIMARY KEY, body text, at timestamptz(0));
INSERT INTO stamped_3 VALUES (1, 'a', NULL);
SELECT raceguard.add_version(name, 'at', client_sends => 'current') FROM unnest('{stamped,stamped_3,stamped_0}'::regclass[]) name;
SELECT at <= clock_timestamp() AND at > clock_timestamp() - interval '1 minute' AS filled FROM stamped_3;
INSERT INTO stamped VALUES (1, 'a');
INSERT INTO stamped_0 VALUES (1, 'a');
-- A thousand updates, many of them within one microsecond, millisecond or second.
CREATE FUNCTION rising(target regclass, step interval) RETURNS TABLE (updates int, each_later bool, by_the_step bool, on_grid bool)
LANGUAGE plpgsql AS $$
DECLARE
    before timestamptz; after timestamptz;
BEGIN
    updates := 0; each_later := true; by_the_step := true; on_grid := true;
    EXECUTE format('SELECT at FROM %s', target) INTO before;
    FOR i IN 1..1000 LOOP
        EXECUTE format('UPDATE %s SET body = $1, at = $2 RETURNING at', target) USING i, before INTO after;
        updates := updates + 1;
        each_later := each_later AND after > before;
        by_the_step := by_the_step AND after >= before + step;
        on_grid := on_grid AND extract(microseconds FROM after)::bigint % (extract(epoch FROM step) * 1e6)::bigint = 0;
        before := after;
    END LOOP;
    RETURN NEXT;
END $$;
SELECT * FROM rising('stamped', '1 microsecond');
SELECT * FROM rising('stamped_3', '1 millisecond');
SELECT * FROM rising('stamped_0', '1 second');
-- The clock was set back: the row is from the future, and still moves on.
INSERT INTO stamped VALUES (2, 'from the future', '2999-12-31 23:59:59.999999+00');
SET TimeZone = 'UTC';
UPDATE stamped SET body = 'x' WHERE id = 2 RETURNING at;
UPDATE stamped SET body = 'x', at = '3000-01-01 00:00:00+00' WHERE id = 2 RETURNING at;
-- Stale, in the session's own time zone.
UPDATE stamped SET body = 'x', at = '3000-01-01 00:00:00+00' WHERE id = 2;
SET TimeZone = 'Asia/Kolkata';
UPDATE stamped SET body = 'x', at = NULL WHERE id = 2;
RESET TimeZone;
-- There is nothing after infinity.
INSERT INTO stamped VALUES (3, 'forever', 'infinity'), (4, 'ever', '-infinity');
\set VERBOSITY sqlstate
UPDATE stamped SET body = 'x' WHERE id = 3;
\set VERBOSITY default
UPDATE stamped SET body = 'x' WHERE id = 4 RETURNING at > now() - interval '1 minute' AS now;
-- Another precision while the guard stands.
ALTER TABLE stamped ALTER COLUMN at TYPE timestamptz(0);
DELETE FROM stamped WHERE id > 1;
SELECT * FROM rising('stamped', '1 second');

-- HOT updates stay HOT: the version is not indexed, so no index has to be written.
CREATE TABLE hot (id int PRIMARY KEY, body text, other int) WITH (fillfactor = 10);
CREATE INDEX ON hot (other);
INSERT INTO hot SELECT i, 'a', i FROM generate_series(1, 100) i;
SELECT raceguard.add_version('hot', ignore => '{body}');
UPDATE hot SET body = 'b';
UPDATE hot SET body = 'c', version = version + 1;
UPDATE hot SET id = id;
SELECT pg_stat_force_next_flush();
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'hot';
UPDATE hot SET other = other + 1000;
SELECT pg_stat_force_next_flush();
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'hot';
