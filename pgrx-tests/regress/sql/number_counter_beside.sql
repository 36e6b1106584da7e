-- A counter beside other guards of the parent, and partitions on either side.
CREATE EXTENSION raceguard;
\set VERBOSITY terse

CREATE TABLE projects (id int PRIMARY KEY, name text);
CREATE TABLE tickets (id int PRIMARY KEY, project int REFERENCES projects, note text);
INSERT INTO projects VALUES (1), (2);
SELECT raceguard.add_version('projects', unstated => 'reject');
SELECT raceguard.add_number('tickets', 'project', counter => 'last_ticket');
-- The counter bumps no version and states none.
INSERT INTO tickets VALUES (1, 1), (2, 1), (3, 2) RETURNING number;
SELECT id, version, last_ticket FROM projects ORDER BY id;
UPDATE projects SET name = 'x' WHERE id = 1;
UPDATE projects SET name = 'x', version = 2 WHERE id = 1 RETURNING version, last_ticket;
-- A parent version on the same foreign key bumps once; a total beside it counts.
SELECT raceguard.add_parent_version('tickets', 'projects');
SELECT raceguard.add_total('tickets', 'projects', 'tickets', at_most => '4');
INSERT INTO tickets VALUES (4, 1), (5, 1) RETURNING number;
SELECT id, version, last_ticket, tickets FROM projects ORDER BY id;
INSERT INTO tickets VALUES (6, 1);
DELETE FROM tickets WHERE id = 5;
INSERT INTO tickets VALUES (6, 1) RETURNING number;
BEGIN;
INSERT INTO tickets VALUES (7, 2);
INSERT INTO tickets VALUES (8, 2) RETURNING number;
UPDATE projects SET name = 'y', version = version + 1 WHERE id = 2 RETURNING version, last_ticket, tickets;
COMMIT;
SELECT id, version, last_ticket, tickets FROM projects ORDER BY id;
SELECT severity, problem FROM raceguard.check_guards(deep => true) WHERE severity <> 'info';
-- A number backfill of a version, and a restore of data alone, leave the counters as they are.
DELETE FROM tickets WHERE id = 8;
CREATE TEMP TABLE projects_data AS SELECT * FROM projects;
CREATE TEMP TABLE tickets_data AS SELECT * FROM tickets;
TRUNCATE projects CASCADE;
INSERT INTO projects SELECT * FROM projects_data;
INSERT INTO tickets SELECT * FROM tickets_data ORDER BY id DESC;
SELECT id, last_ticket, tickets FROM projects ORDER BY id;
INSERT INTO tickets VALUES (9, 2) RETURNING number;
DROP TABLE tickets, projects;

-- Children before their parents, under a foreign key that may wait.
CREATE TABLE orgs (id int PRIMARY KEY);
CREATE TABLE invoices (id int PRIMARY KEY, org int REFERENCES orgs DEFERRABLE INITIALLY DEFERRED);
SELECT raceguard.add_number('invoices', 'org', counter => 'last');
BEGIN;
INSERT INTO invoices VALUES (1, 1), (2, 1) RETURNING number;
INSERT INTO orgs VALUES (1);
DELETE FROM invoices WHERE id = 2;
INSERT INTO invoices VALUES (3, 1) RETURNING number;
COMMIT;
SELECT * FROM orgs;
BEGIN;
INSERT INTO invoices VALUES (4, 2) RETURNING number;
INSERT INTO orgs VALUES (2);
COMMIT;
SELECT * FROM orgs ORDER BY id;
INSERT INTO invoices VALUES (5, 2) RETURNING number;
SELECT * FROM orgs ORDER BY id;
-- A prepared transaction carries the counter.
SELECT setting::int > 0 AS prepares FROM pg_settings WHERE name = 'max_prepared_transactions';
-- A parent that goes takes its rows along.
ALTER TABLE invoices DROP CONSTRAINT invoices_org_fkey, ADD CONSTRAINT cascades FOREIGN KEY (org) REFERENCES orgs ON DELETE CASCADE;
DELETE FROM orgs WHERE id = 1;
SELECT id, org, number FROM invoices ORDER BY id;
DROP TABLE invoices, orgs;

-- Partitions on both sides; a row that moves, and one that is written into its partition.
CREATE TABLE orgs (id int PRIMARY KEY, name text) PARTITION BY LIST (id);
CREATE TABLE orgs_1 PARTITION OF orgs FOR VALUES IN (1);
CREATE TABLE orgs_2 (name text, id int NOT NULL);
ALTER TABLE orgs ATTACH PARTITION orgs_2 FOR VALUES IN (2, 3);
INSERT INTO orgs VALUES (1), (2), (3);
CREATE TABLE invoices (id int, org int REFERENCES orgs, PRIMARY KEY (id, org)) PARTITION BY LIST (org);
CREATE TABLE invoices_1 PARTITION OF invoices FOR VALUES IN (1);
CREATE TABLE invoices_2 (note text, org int NOT NULL, id int NOT NULL);
ALTER TABLE invoices_2 DROP COLUMN note;
ALTER TABLE invoices ATTACH PARTITION invoices_2 FOR VALUES IN (2, 3);
INSERT INTO invoices VALUES (1, 1), (2, 2), (3, 2);
SELECT raceguard.add_number('invoices', 'org', counter => 'last');
INSERT INTO invoices VALUES (4, 1), (5, 2), (6, 3) RETURNING org, number;
INSERT INTO invoices_2 (id, org) VALUES (7, 3) RETURNING number;
SELECT id, last FROM orgs ORDER BY id;
UPDATE invoices SET org = 1 WHERE id = 5 RETURNING number;
UPDATE invoices SET org = 3 WHERE id = 5 RETURNING number;
DELETE FROM invoices WHERE id IN (5, 7);
INSERT INTO invoices VALUES (8, 1), (9, 2), (10, 3) RETURNING org, number;
SELECT id, last FROM orgs ORDER BY id;
UPDATE orgs SET last = 0 WHERE id = 2;
UPDATE orgs_2 SET last = 0 WHERE id = 2;
SELECT raceguard.add_number('orgs_1', 'id', counter => 'x');
CREATE TABLE notes (id int PRIMARY KEY, org int REFERENCES orgs_1);
SELECT raceguard.add_number('notes', 'org', counter => 'notes');
ALTER TABLE orgs_2 DISABLE TRIGGER zz_raceguard_keep_last;
SELECT severity, problem, remedy FROM raceguard.check_guards('invoices', deep => true) WHERE severity <> 'info';
SELECT * FROM raceguard.repair_guard('invoices', 'number');
ALTER TABLE invoices_2 DISABLE TRIGGER zz_raceguard_number_counter;
INSERT INTO invoices VALUES (11, 1) RETURNING number;
INSERT INTO invoices VALUES (12, 2) RETURNING number;
SELECT * FROM raceguard.repair_guard('invoices', 'number');
INSERT INTO invoices VALUES (12, 2) RETURNING number;
SELECT severity, problem FROM raceguard.check_guards('invoices', deep => true) WHERE severity <> 'info';
DROP TABLE notes, invoices, orgs;

-- A key of several columns of other types than the parent's.
CREATE TABLE rooms (hotel text COLLATE "C", room bigint, PRIMARY KEY (hotel, room));
CREATE TABLE stays (id int PRIMARY KEY, room int, hotel varchar(10) COLLATE "C", FOREIGN KEY (hotel, room) REFERENCES rooms ON UPDATE CASCADE);
INSERT INTO rooms VALUES ('a', 1), ('a', 2), ('b', 1);
INSERT INTO stays VALUES (1, 1, 'a'), (2, 1, 'a'), (3, 1, 'b');
SELECT raceguard.add_number('stays', 'hotel, room', counter => 'last_stay');
INSERT INTO stays VALUES (4, 1, 'a'), (5, 2, 'a'), (6, NULL, 'a') RETURNING number;
DELETE FROM stays;
INSERT INTO stays VALUES (7, 1, 'a'), (8, 2, 'a') RETURNING number;
UPDATE rooms SET room = 7 WHERE hotel = 'a' AND room = 1;
INSERT INTO stays VALUES (9, 7, 'a') RETURNING number;
SELECT * FROM rooms ORDER BY 1, 2;
DROP TABLE stays, rooms;

-- The plan: columns, indexes, the counter's triggers before the guard's own, then the rows.
CREATE TABLE busy_orgs (id int PRIMARY KEY);
CREATE TABLE busy (id int PRIMARY KEY, org int REFERENCES busy_orgs);
INSERT INTO busy_orgs VALUES (1), (2), (3);
INSERT INTO busy VALUES (1, 1), (2, 1), (3, 2);
SELECT step, lock_mode, own_transaction, ddl FROM raceguard.plan_number('busy', 'org', counter => 'last');
SELECT ddl FROM raceguard.plan_number('busy', 'org', counter => 'last') WHERE step < 9 \gexec
SELECT severity, problem, remedy FROM raceguard.check_guards('busy') WHERE severity <> 'info';
INSERT INTO busy VALUES (4, 3) RETURNING number;
INSERT INTO busy (id, org, number) VALUES (5, 3, 6) RETURNING number;
SELECT step, ddl FROM raceguard.plan_number('busy', 'org', counter => 'last');
SELECT ddl FROM raceguard.plan_number('busy', 'org', counter => 'last') \gexec
SELECT id, org, number FROM busy ORDER BY id;
SELECT * FROM busy_orgs ORDER BY id;
SELECT * FROM raceguard.plan_number('busy', 'org', counter => 'last');
SELECT raceguard.add_number('busy', 'org', counter => 'last');
-- Numbers that stood before the counter are counted last.
SELECT raceguard.drop_guard('busy', 'number');
UPDATE busy_orgs SET last = 0;
SELECT ddl FROM raceguard.plan_number('busy', 'org', counter => 'last');
SELECT ddl FROM raceguard.plan_number('busy', 'org', counter => 'last') \gexec
SELECT * FROM busy_orgs ORDER BY id;
SELECT severity, problem FROM raceguard.check_guards('busy', deep => true) WHERE severity <> 'info';
-- A guard that stands gets a counter, another one, and none, while others write.
ALTER TABLE busy_orgs DROP COLUMN last CASCADE;
SELECT raceguard.drop_guard('busy', 'number');
SELECT raceguard.add_number('busy', 'org');
\set VERBOSITY default
SELECT ddl FROM raceguard.plan_number('busy', 'id', replace => true);
\set VERBOSITY terse
SELECT ddl FROM raceguard.plan_number('busy', 'org', counter => 'first', replace => true);
SELECT ddl FROM raceguard.plan_number('busy', 'org', counter => 'first', replace => true) \gexec
INSERT INTO busy VALUES (6, 1) RETURNING number;
SELECT ddl FROM raceguard.plan_number('busy', 'org', counter => 'second', replace => true);
SELECT ddl FROM raceguard.plan_number('busy', 'org', counter => 'second', replace => true) \gexec
INSERT INTO busy VALUES (7, 1) RETURNING number;
SELECT * FROM busy_orgs ORDER BY id;
UPDATE busy_orgs SET first = 0 WHERE id = 1;
SELECT ddl FROM raceguard.plan_number('busy', 'org', replace => true);
SELECT ddl FROM raceguard.plan_number('busy', 'org', replace => true) \gexec
INSERT INTO busy VALUES (8, 1) RETURNING number;
UPDATE busy_orgs SET second = 0 WHERE id = 1;
SELECT severity, problem FROM raceguard.check_guards(deep => true) WHERE severity <> 'info';
DROP EXTENSION raceguard CASCADE;
