-- check_guards on caps: each state is made by DDL that people run, found, mended by its remedy, and not found again.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE VIEW found AS SELECT severity, problem, target, guard, remedy FROM raceguard.check_guards()
    WHERE severity <> 'info' ORDER BY severity, target::text COLLATE "C", guard, problem, remedy COLLATE "C";
-- Runs what is found, and looks again.
\set mend 'SELECT DISTINCT remedy COLLATE "C" FROM found WHERE remedy IS NOT NULL ORDER BY 1 \\gexec'
CREATE TABLE posts (id int PRIMARY KEY, k int, featured boolean DEFAULT true);
SELECT raceguard.add_cap('posts', 'k', 3, predicate => 'featured');
INSERT INTO posts VALUES (1, 1), (2, 1), (3, 2);
TABLE found;

-- ---- The trigger that refuses: off, in another state, gone, without an event.
ALTER TABLE posts DISABLE TRIGGER zz_raceguard_cap_full;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('posts');
:mend
TABLE found;
ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_cap;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('posts');
:mend
TABLE found;
ALTER TABLE posts ENABLE TRIGGER zz_raceguard_cap;
:mend
TABLE found;
DROP TRIGGER zz_raceguard_cap_full ON posts;
TABLE found;
:mend
TABLE found;
CREATE FUNCTION zero() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.slot := 0; RETURN NEW; END';
CREATE TRIGGER zzz BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION zero();
TABLE found;
:mend
TABLE found;

-- ---- The CHECK: gone, NOT VALID, with another bound.
ALTER TABLE posts DROP CONSTRAINT raceguard_cap_slots;
TABLE found;
:mend
TABLE found;
ALTER TABLE posts DROP CONSTRAINT raceguard_cap_slots;
ALTER TABLE posts ADD CONSTRAINT raceguard_cap_slots CHECK ((slot <@ '[0,4)'::int4range) IS TRUE OR featured IS NOT TRUE) NOT VALID;
TABLE found;
:mend
TABLE found;
ALTER TABLE posts DROP CONSTRAINT raceguard_cap_slots;
ALTER TABLE posts ADD CONSTRAINT raceguard_cap_slots CHECK ((slot <@ '[0,9)'::int4range) IS TRUE OR featured IS NOT TRUE);
TABLE found;
:mend
TABLE found;

-- ---- The index: not valid, a second one, gone.
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'posts_cap'::regclass;
TABLE found;
:mend
TABLE found;
CREATE UNIQUE INDEX second ON posts (id, slot) WHERE slot > 0;
SELECT problem, detail, remedy FROM raceguard.check_guards('posts');
DROP INDEX second;
BEGIN;
DROP INDEX posts_cap;
SELECT problem, detail, remedy FROM raceguard.check_guards('posts');
ROLLBACK;

-- ---- The slot column: renamed, dropped, NOT NULL.
ALTER TABLE posts RENAME slot TO place;
TABLE found;
:mend
TABLE found;
INSERT INTO posts VALUES (4, 2) RETURNING place;
ALTER TABLE posts RENAME place TO slot;
:mend
TABLE found;
BEGIN;
ALTER TABLE posts DROP COLUMN slot;
SELECT problem, detail, remedy FROM raceguard.check_guards('posts');
ROLLBACK;
BEGIN;
UPDATE posts SET featured = false WHERE id = 3;
DELETE FROM posts WHERE slot IS NULL;
ALTER TABLE posts ALTER slot SET NOT NULL;
TABLE found;
:mend
TABLE found;
ROLLBACK;
-- Arguments that are no rule.
BEGIN;
CREATE OR REPLACE TRIGGER zz_raceguard_cap BEFORE INSERT OR UPDATE ON posts
    FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot');
SELECT problem, detail, remedy FROM raceguard.check_guards('posts');
ROLLBACK;

-- ---- Rows that are not counted, and too many rows of a key.
ALTER TABLE posts DISABLE TRIGGER USER;
INSERT INTO posts VALUES (10, 5, true, 0), (11, 5, true, 1);
ALTER TABLE posts ENABLE TRIGGER USER;
TABLE found;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('posts', deep => true);
SELECT remedy FROM raceguard.check_guards('posts', deep => true) WHERE problem = 'slot_zero' \gexec
SELECT severity, problem FROM raceguard.check_guards('posts', deep => true);
BEGIN;
ALTER TABLE posts DISABLE TRIGGER USER;
ALTER TABLE posts DROP CONSTRAINT raceguard_cap_slots;
INSERT INTO posts SELECT n, 7, true, NULL FROM generate_series(20, 24) n;
INSERT INTO posts VALUES (30, 8, true, 9);
ALTER TABLE posts ENABLE TRIGGER USER;
SELECT severity, problem, detail, remedy FROM raceguard.check_guards('posts', deep => true);
ROLLBACK;

-- ---- A table made by LIKE has the CHECK and the index, and no trigger.
CREATE TABLE copy (LIKE posts INCLUDING ALL);
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('copy');
:mend
TABLE found;
INSERT INTO copy VALUES (1, 1) RETURNING slot;
DROP TABLE copy;
CREATE TABLE copy (LIKE posts INCLUDING CONSTRAINTS);
TABLE found;
:mend
TABLE found;
INSERT INTO copy VALUES (1, 1) RETURNING slot;
DROP TABLE copy;
-- So has one whose guard's trigger somebody dropped.
DROP TRIGGER zz_raceguard_cap ON posts;
TABLE found;
:mend
TABLE found;

-- ---- A child that inherits gets the CHECK without a trigger that gives slots.
CREATE TABLE late_posts () INHERITS (posts);
TABLE found;
:mend
TABLE found;
INSERT INTO late_posts VALUES (1, 1) RETURNING slot;
DROP TABLE late_posts;

-- ---- A partition that is detached keeps the CHECK and the index.
CREATE TABLE visits (k int, day date, n int) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT raceguard.add_cap('visits', 'k, day', 2);
INSERT INTO visits VALUES (1, '2026-01-05', 1), (1, '2026-02-05', 1);
ALTER TABLE visits DETACH PARTITION visits_2;
TABLE found;
:mend
TABLE found;
INSERT INTO visits_2 VALUES (1, '2026-02-05', 1) RETURNING slot;
-- The index made anew as for a table in use, the root's first: it is valid when each partition has its part.
CREATE TABLE visits_3 PARTITION OF visits FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
DROP INDEX visits_cap;
CREATE UNIQUE INDEX visits_cap ON ONLY visits (k, day, slot) WHERE slot > 0;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('visits');
CREATE UNIQUE INDEX CONCURRENTLY visits_1_cap ON visits_1 (k, day, slot) WHERE slot > 0;
ALTER INDEX visits_cap ATTACH PARTITION visits_1_cap;
TABLE found;
:mend
TABLE found;
SELECT relid, isleaf FROM pg_partition_tree('visits_cap') ORDER BY 1;
INSERT INTO visits VALUES (1, '2026-01-05', 2) RETURNING slot;
-- By raceguard's own call.
DROP INDEX visits_cap;
CREATE UNIQUE INDEX visits_cap ON ONLY visits (k, day, slot) WHERE slot > 0;
SELECT raceguard.repair_guard('visits', 'cap');
TABLE found;
-- The clone on a partition.
ALTER TABLE visits_1 DISABLE TRIGGER zz_raceguard_cap_full;
TABLE found;
:mend
TABLE found;
DROP TABLE visits, visits_2;

-- ---- DROP EXTENSION leaves CHECK and index, and CREATE EXTENSION finds them.
CREATE TABLE whole (id int);
SELECT raceguard.add_cap('whole', NULL, 2);
DROP TRIGGER zz_raceguard_cap ON whole;
DROP TRIGGER zz_raceguard_cap_full ON whole;
TABLE found;
:mend
TABLE found;
INSERT INTO whole VALUES (1) RETURNING slot;
DROP TABLE whole;

-- ---- One that observes has no CHECK that would hold on to the type of its slot column: an ORM's migration retypes it, and
-- a schema file that is run again puts the CHECK up.
CREATE TABLE seats (id int PRIMARY KEY, room int);
SELECT raceguard.add_cap('seats', 'room', 2);
INSERT INTO seats VALUES (1, 1), (2, 1);
SELECT raceguard.set_mode('seats', 'cap', 'observe');
TABLE found;
ALTER TABLE seats ALTER slot TYPE numeric;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('seats');
INSERT INTO seats VALUES (3, 2);
:mend
TABLE found;
INSERT INTO seats VALUES (3, 2) RETURNING slot, pg_typeof(slot);
ALTER TABLE seats ADD CONSTRAINT raceguard_cap_slots CHECK ((slot <@ '[0,3)'::int4range) IS TRUE);
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('seats');
INSERT INTO seats VALUES (4, 1);
:mend
TABLE found;
INSERT INTO seats VALUES (4, 1) RETURNING slot;
-- One that observes and was forgotten: its remedy enforces, and needs room.
SELECT remedy FROM raceguard.check_guards('seats') WHERE problem = 'observe' \gexec
DELETE FROM seats WHERE id = 4;
SELECT remedy FROM raceguard.check_guards('seats') WHERE problem = 'observe' \gexec
SELECT * FROM raceguard.check_guards('seats');
SELECT mode, whole FROM raceguard.guards WHERE target = 'seats'::regclass;
-- Under another name, with a predicate.
CREATE TABLE "Seats" (id int PRIMARY KEY, room int, booked boolean DEFAULT true);
SELECT raceguard.add_cap('"Seats"', 'room', 2, slot_column => 'The "slot" (1.)', predicate => 'booked');
INSERT INTO "Seats" VALUES (1, 1), (2, 1);
SELECT raceguard.set_mode('"Seats"', 'cap', 'observe');
ALTER TABLE "Seats" ALTER "The ""slot"" (1.)" TYPE double precision;
TABLE found;
:mend
TABLE found;
SELECT definition, whole FROM raceguard.guards WHERE target = '"Seats"'::regclass;
-- One that observes has no CHECK that would tell when its trigger is gone: the other trigger does, and else its index.
ALTER TABLE "Seats" ENABLE ALWAYS TRIGGER zz_raceguard_cap_full;
DROP TRIGGER zz_raceguard_cap ON "Seats";
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('"Seats"');
:mend
TABLE found;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = '"Seats"'::regclass ORDER BY 1;
SELECT definition, enabled, whole FROM raceguard.guards WHERE target = '"Seats"'::regclass;
INSERT INTO "Seats" VALUES (3, 2), (4, 2), (5, 2) RETURNING "The ""slot"" (1.)";
DROP TRIGGER zz_raceguard_cap ON "Seats";
SELECT raceguard.drop_guard('"Seats"', 'cap');
SELECT raceguard.add_cap('seats', 'room', 3, guard => 'second', slot_column => 'place');
SELECT raceguard.set_mode('seats', 'second', 'observe');
DROP TRIGGER zz_raceguard_second ON seats;
SELECT severity, problem, target, guard, remedy FROM raceguard.check_guards('seats');
SELECT raceguard.repair_guard('seats', 'second');
TABLE found;
CREATE TABLE copy (LIKE seats INCLUDING INDEXES);
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('copy');
DROP INDEX copy_room_place_idx;
SELECT raceguard.add_cap('copy', 'room', 2);
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('copy');
DROP TABLE posts, seats, "Seats", copy;
