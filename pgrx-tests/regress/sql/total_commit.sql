-- Totals that are settled when the transaction ends, and parents that come after their children.
CREATE EXTENSION raceguard;
\set VERBOSITY terse

CREATE TABLE events (id int PRIMARY KEY, capacity int);
CREATE TABLE bookings (id int PRIMARY KEY, event_id int REFERENCES events ON DELETE CASCADE DEFERRABLE);
SELECT raceguard.add_total('bookings', 'events', 'booked', at_most => 'capacity', settle => 'commit');
INSERT INTO events VALUES (1, 2), (2, 2);
-- Insert before delete passes; the total is written at COMMIT, or when constraints are made immediate.
BEGIN;
INSERT INTO bookings VALUES (1, 1), (2, 1), (3, 1);
SELECT booked FROM events WHERE id = 1;
DELETE FROM bookings WHERE id = 1;
COMMIT;
SELECT * FROM events ORDER BY id;
-- The refusal comes at COMMIT.
BEGIN;
INSERT INTO bookings VALUES (4, 1);
COMMIT;
BEGIN;
INSERT INTO bookings VALUES (4, 2);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT * FROM events ORDER BY id;
INSERT INTO bookings VALUES (5, 2);
SELECT * FROM events ORDER BY id;
INSERT INTO bookings VALUES (6, 2);
ROLLBACK;
-- A statement counts as a whole under immediate constraints too.
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO bookings VALUES (7, 2), (8, 2);
UPDATE bookings SET event_id = CASE event_id WHEN 1 THEN 2 ELSE 1 END;
SELECT * FROM events ORDER BY id;
ROLLBACK;
-- Savepoints.
BEGIN;
INSERT INTO bookings VALUES (9, 2);
SAVEPOINT a;
INSERT INTO bookings VALUES (10, 2), (11, 2);
ROLLBACK TO a;
INSERT INTO bookings VALUES (12, 2);
SAVEPOINT b;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO b;
COMMIT;
SELECT * FROM events ORDER BY id;
-- A transaction is prepared with its totals.
SELECT current_setting('max_prepared_transactions')::int > 0 AS can_prepare;
TRUNCATE bookings;
SELECT * FROM events ORDER BY id;
SELECT count(*) FROM raceguard.check_guards(deep => true);

-- Children first, under a deferred foreign key: settled by the statement where the parent is there, else at COMMIT.
SELECT raceguard.add_total('bookings', 'events', 'booked', at_most => 'capacity', settle => 'statement', replace => true);
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO bookings VALUES (1, 3), (2, 3);
INSERT INTO events VALUES (3, 2, 50);
INSERT INTO bookings VALUES (3, 1);
COMMIT;
SELECT * FROM events ORDER BY id;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO bookings VALUES (11, 4), (12, 4), (13, 4);
INSERT INTO events VALUES (4, 2);
COMMIT;
-- Gone and there again, its children never gone.
CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);
SELECT raceguard.add_total('b', 'a', 'n');
INSERT INTO a VALUES (1);
INSERT INTO b VALUES (1, 1), (2, 1);
BEGIN;
DELETE FROM a WHERE id = 1;
INSERT INTO a VALUES (1);
COMMIT;
SELECT * FROM a;
BEGIN;
UPDATE a SET id = 2;
UPDATE b SET a = 2 WHERE id = 1;
INSERT INTO b VALUES (3, 2);
UPDATE b SET a = 2 WHERE id = 2;
COMMIT;
SELECT * FROM a;
SELECT * FROM raceguard.check_guards(deep => true);
