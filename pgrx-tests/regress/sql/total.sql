-- Totals: a column of the parent always equals the count or the sum of its children.
CREATE EXTENSION raceguard;
\set VERBOSITY verbose
\set SHOW_CONTEXT never

CREATE TABLE events (id int PRIMARY KEY, name text, capacity int);
CREATE TABLE bookings (id int PRIMARY KEY, event_id int REFERENCES events ON DELETE CASCADE ON UPDATE CASCADE, seats int);
INSERT INTO events VALUES (1, 'a', 3), (2, 'b', 5), (3, 'c', NULL);
INSERT INTO bookings VALUES (10, 1, 1), (11, 1, 1), (20, 2, 1);
SELECT raceguard.add_total('bookings', 'events', 'booked', at_most => 'capacity');
SELECT * FROM events ORDER BY id;
\d events
\d bookings
SELECT guard, kind, definition, whole, enabled FROM raceguard.guards WHERE kind = 'total';
SELECT * FROM raceguard.check_guards(deep => true);

-- The bound, told with parent, total, bound, asked.
INSERT INTO bookings VALUES (12, 1, 1);
INSERT INTO bookings VALUES (13, 1, 1);
INSERT INTO bookings SELECT 100 + i, 2, 1 FROM generate_series(1, 9) AS i;
\set VERBOSITY sqlstate
UPDATE events SET capacity = 2 WHERE id = 1;
\set VERBOSITY verbose
UPDATE bookings SET event_id = 1 WHERE id = 20;
SELECT * FROM events ORDER BY id;
-- NULL is no bound.
INSERT INTO bookings SELECT 300 + i, 3, 1 FROM generate_series(1, 9) AS i;
SELECT booked FROM events WHERE id = 3;

-- The column belongs to the guard.
UPDATE events SET booked = 0 WHERE id = 1;
UPDATE events SET booked = 3, name = 'aa' WHERE id = 1;
INSERT INTO events VALUES (4, 'd', 1, 77);
SELECT * FROM events ORDER BY id;

-- Moves, deletes, upserts, MERGE, a row that counts for nobody.
UPDATE bookings SET event_id = 2 WHERE event_id = 1 AND id = 12;
DELETE FROM bookings WHERE id = 11;
INSERT INTO bookings VALUES (10, 1, 1) ON CONFLICT DO NOTHING;
INSERT INTO bookings VALUES (10, 1, 1) ON CONFLICT (id) DO UPDATE SET event_id = 4;
INSERT INTO bookings VALUES (99, NULL, 1);
MERGE INTO bookings b USING (VALUES (10, 2), (40, 4)) AS v(id, event) ON b.id = v.id
    WHEN MATCHED THEN UPDATE SET event_id = v.event
    WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.event, 1);
SELECT * FROM events ORDER BY id;
SELECT event_id, count(*) FROM bookings GROUP BY 1 ORDER BY 1;

-- A statement counts as a whole: a swap in a full event passes, in either order of its parts.
TRUNCATE bookings;
SELECT * FROM events ORDER BY id;
INSERT INTO bookings VALUES (1, 4, 1);
WITH gone AS (DELETE FROM bookings WHERE id = 1) INSERT INTO bookings VALUES (2, 4, 1);
WITH gone AS (DELETE FROM bookings WHERE id = 2 RETURNING *) INSERT INTO bookings SELECT 3, event_id, 1 FROM gone;
WITH come AS (INSERT INTO bookings VALUES (4, 4, 1)) DELETE FROM bookings WHERE id = 3;
WITH come AS (INSERT INTO bookings VALUES (5, 4, 1)) INSERT INTO bookings VALUES (6, 4, 1);
SELECT * FROM events WHERE id = 4;

-- Cascades: of a delete, and of a key that changes.
INSERT INTO bookings VALUES (21, 2, 1), (22, 2, 1);
UPDATE events SET id = 5 WHERE id = 2;
SELECT * FROM events ORDER BY id;
DELETE FROM events WHERE id = 5;
SELECT * FROM events ORDER BY id;
SELECT * FROM bookings ORDER BY id;

-- Savepoints and exceptions.
BEGIN;
SAVEPOINT a;
INSERT INTO bookings VALUES (31, 3, 1), (32, 3, 1);
ROLLBACK TO a;
INSERT INTO bookings VALUES (33, 3, 1);
SAVEPOINT b;
INSERT INTO bookings VALUES (34, 3, 1);
RELEASE b;
COMMIT;
SELECT booked FROM events WHERE id = 3;
\set VERBOSITY sqlstate
DO $$
BEGIN
    INSERT INTO bookings VALUES (41, 4, 1);
    RAISE NOTICE 'not reached';
EXCEPTION WHEN sqlstate 'RG403' THEN
    RAISE NOTICE 'full';
    INSERT INTO bookings VALUES (42, 3, 1);
END $$;
\set VERBOSITY verbose
SELECT id, booked FROM events ORDER BY id;
SELECT * FROM raceguard.check_guards(deep => true);

-- A parent and its children in one statement and transaction.
BEGIN;
INSERT INTO events VALUES (6, 'f', 2);
INSERT INTO bookings VALUES (61, 6, 1);
COMMIT;
WITH p AS (INSERT INTO events VALUES (7, 'g', 2) RETURNING id) INSERT INTO bookings SELECT 71, id, 1 FROM p;
-- Deleted and there again, with children of its own.
BEGIN;
DELETE FROM events WHERE id = 6;
INSERT INTO events VALUES (6, 'f again', 2);
INSERT INTO bookings VALUES (62, 6, 1), (63, 6, 1);
COMMIT;
BEGIN;
TRUNCATE events, bookings;
INSERT INTO events VALUES (6, 'f again', 2), (7, 'g', 1);
INSERT INTO bookings VALUES (62, 6, 1), (63, 6, 1);
COMMIT;
SELECT * FROM events ORDER BY id;
SELECT * FROM raceguard.check_guards(deep => true);

-- In replica role nothing fires, and recounting mends.
SET session_replication_role = replica;
DELETE FROM bookings WHERE id = 62;
RESET session_replication_role;
SELECT * FROM events ORDER BY id;
SELECT severity, problem, detail FROM raceguard.check_guards(deep => true);

-- Taken off: the triggers and the CHECK go, the column if asked.
SELECT raceguard.drop_guard('bookings', 'total');
\d events
SELECT raceguard.add_total('bookings', 'events', 'booked');
SELECT * FROM events ORDER BY id;
SELECT raceguard.drop_guard('bookings', 'total', drop_column => true);
SELECT * FROM events ORDER BY id;
SELECT tgname FROM pg_trigger WHERE NOT tgisinternal;
