-- Partitions written directly, and tables that inherit.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
\set code '\\echo SQLSTATE :SQLSTATE'
CREATE TABLE parted (day int, id int) PARTITION BY LIST (day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
-- What Postgres says of a row in the wrong partition.
INSERT INTO parted_1 VALUES (2, 1);
:code
SELECT raceguard.add_cap('parted', 'day', 2);
INSERT INTO parted_1 VALUES (1, 1) RETURNING slot;
INSERT INTO parted_1 VALUES (2, 2);
:code
INSERT INTO parted_1 VALUES (2, 2, 1);
:code
-- Also where the key is full there.
INSERT INTO parted VALUES (1, 2), (2, 1), (2, 2);
INSERT INTO parted_1 VALUES (2, 3);
:code
INSERT INTO parted_1 VALUES (2, 3) ON CONFLICT DO NOTHING;
:code
COPY parted_1 (day, id) FROM stdin;
2	3
\.
:code
UPDATE parted_1 SET day = 2 WHERE id = 1;
:code
-- A row that belongs there, moved there by an UPDATE or not.
DELETE FROM parted WHERE day = 2 AND id = 2;
UPDATE parted SET day = 2 WHERE day = 1 AND id = 1 RETURNING tableoid::regclass, slot;
DROP TABLE parted;

-- Rows of a child are no business of the parent's guards, and the calls say so.
CREATE TABLE people (id int PRIMARY KEY, team int, at timestamp);
CREATE TABLE staff () INHERITS (people);
CREATE TABLE "Guests" () INHERITS (people);
SELECT raceguard.add_version('people');
SELECT raceguard.add_key_lock('people', 'team');
SELECT raceguard.add_cap('people', 'team', 3);
SELECT raceguard.add_cooldown('people', 'team', 'at', '1 day');
CREATE TABLE teams (id int PRIMARY KEY);
SELECT raceguard.add_version('teams');
ALTER TABLE people ADD CONSTRAINT fk FOREIGN KEY (team) REFERENCES teams;
SELECT raceguard.add_parent_version('people', 'teams');
-- None, nothing to say.
DROP TABLE staff, "Guests";
SELECT raceguard.add_key_lock('people', 'team, id', replace => true);

-- The children's rows are neither counted nor refused, before and after.
CREATE TABLE rooms (id int PRIMARY KEY, house int, at timestamp);
CREATE TABLE halls () INHERITS (rooms);
INSERT INTO halls VALUES (1, 1, '2026-03-01'), (2, 1, '2026-03-01');
INSERT INTO rooms VALUES (3, 1, '2026-03-01');
\set VERBOSITY terse
SELECT raceguard.add_cap('rooms', 'house', 1);
SELECT raceguard.add_cooldown('rooms', 'house', 'at', '1 day');
INSERT INTO halls VALUES (4, 1, '2026-03-01') RETURNING slot;
INSERT INTO rooms VALUES (5, 1, '2026-03-03');
SELECT tableoid::regclass, id, slot FROM rooms ORDER BY id;
SELECT raceguard.set_cap('rooms', 2);
INSERT INTO halls VALUES (6, 1, '2026-03-01') RETURNING slot;
-- A cap of its own.
DELETE FROM halls WHERE id > 1;
SELECT raceguard.add_cap('halls', 'house', 1);
INSERT INTO halls VALUES (7, 1, '2026-03-01');
-- A child that comes later inherits the CHECK, until the call is made again.
CREATE TABLE sheds (id int PRIMARY KEY, yard int);
SELECT raceguard.add_cap('sheds', 'yard', 1);
CREATE TABLE huts () INHERITS (sheds);
INSERT INTO huts VALUES (1, 1);
SELECT step, ddl FROM raceguard.plan_cap('sheds', 'yard', 1);
SELECT raceguard.add_cap('sheds', 'yard', 1);
SELECT count(*) FROM raceguard.plan_cap('sheds', 'yard', 1);
INSERT INTO huts VALUES (1, 1), (2, 1);
\set VERBOSITY default
DROP TABLE rooms, sheds CASCADE;
