-- Numbers with a counter: the parent's row keeps the number given last.
CREATE EXTENSION raceguard;
\set VERBOSITY terse

CREATE TABLE projects (id int PRIMARY KEY, name text);
CREATE TABLE tickets (id int PRIMARY KEY, project int REFERENCES projects ON UPDATE CASCADE, note text UNIQUE);
INSERT INTO projects SELECT n, 'p' || n FROM generate_series(1, 9) n;
INSERT INTO tickets VALUES (2, 1), (1, 1), (3, 2), (4, NULL);
SELECT raceguard.add_number('tickets', 'project', counter => 'last_ticket');
\d tickets
\d projects
SELECT target, guard, kind, trigger_name, definition, enabled, whole FROM raceguard.guards;
SELECT id, project, number FROM tickets ORDER BY id;
SELECT id, last_ticket FROM projects WHERE id < 4 ORDER BY id;

-- In row order, keys mixed; the counters follow.
INSERT INTO tickets VALUES (10, 1), (11, 2), (12, 1), (13, NULL), (14, 3) RETURNING id, project, number;
SELECT id, last_ticket FROM projects WHERE id < 4 ORDER BY id;
-- A number is not given again after its row is deleted, moved away or has lost its key.
DELETE FROM tickets WHERE id = 12;
INSERT INTO tickets VALUES (15, 1) RETURNING number;
UPDATE tickets SET project = 2 WHERE id = 15 RETURNING number;
UPDATE tickets SET project = NULL WHERE id = 15 RETURNING number;
INSERT INTO tickets VALUES (16, 1), (17, 2) RETURNING project, number;
DELETE FROM tickets;
INSERT INTO tickets VALUES (20, 1), (21, 2), (22, 3) RETURNING project, number;
TRUNCATE tickets;
INSERT INTO tickets VALUES (20, 1) RETURNING number;

-- A rollback takes the counter back: no gap; nor does a savepoint, an exception, or a statement that fails leave one.
BEGIN;
INSERT INTO tickets VALUES (30, 4), (31, 4) RETURNING number;
SELECT last_ticket FROM projects WHERE id = 4;
ROLLBACK;
BEGIN;
INSERT INTO tickets VALUES (30, 4) RETURNING number;
SAVEPOINT s;
INSERT INTO tickets VALUES (31, 4) RETURNING number;
DELETE FROM tickets WHERE id = 31;
SELECT last_ticket FROM projects WHERE id = 4;
ROLLBACK TO s;
SELECT last_ticket FROM projects WHERE id = 4;
INSERT INTO tickets VALUES (32, 4) RETURNING number;
DELETE FROM tickets WHERE id = 32;
INSERT INTO tickets VALUES (33, 4) RETURNING number;
COMMIT;
INSERT INTO tickets VALUES (34, 4), (35, 4), (34, 4);
DO $$
BEGIN
    FOR i IN 40..43 LOOP
        BEGIN
            INSERT INTO tickets VALUES (i, 4);
            IF i < 43 THEN RAISE 'undone'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
END $$;
SELECT t.number, last_ticket FROM tickets t JOIN projects p ON p.id = project WHERE project = 4 ORDER BY 1;

-- A stated number is kept and judged by the index, and the counter follows.
INSERT INTO tickets (id, project, number) VALUES (50, 5, 7) RETURNING number;
INSERT INTO tickets (id, project, number) VALUES (51, 5, 7);
INSERT INTO tickets (id, project, number) VALUES (51, 5, 2) RETURNING number;
DELETE FROM tickets WHERE project = 5;
INSERT INTO tickets (id, project) VALUES (52, 5) RETURNING number;
UPDATE tickets SET project = 6, number = 30 WHERE id = 52 RETURNING number;
DELETE FROM tickets WHERE id = 52;
INSERT INTO tickets (id, project) VALUES (53, 6) RETURNING number;
-- Nobody else writes the counter; to write back what is there, or the rest of the row, changes nothing.
\set VERBOSITY verbose
UPDATE projects SET last_ticket = 0 WHERE id = 6;
\set VERBOSITY terse
UPDATE projects SET last_ticket = last_ticket + 1;
UPDATE projects SET last_ticket = last_ticket, name = 'six' WHERE id = 6 RETURNING last_ticket;
INSERT INTO projects VALUES (6, 'six') ON CONFLICT (id) DO UPDATE SET last_ticket = 99;
MERGE INTO projects p USING (VALUES (6)) AS v(id) ON p.id = v.id WHEN MATCHED THEN UPDATE SET last_ticket = 0;
-- A new project begins at 0, or where it says.
INSERT INTO projects VALUES (20, 'new') RETURNING last_ticket;
INSERT INTO projects VALUES (21, 'restored', 41) RETURNING last_ticket;
INSERT INTO projects VALUES (22, 'none', NULL) RETURNING last_ticket;
INSERT INTO tickets (id, project) VALUES (54, 20), (55, 21), (56, 22) RETURNING project, number;

-- Upserts and MERGE: what is not inserted uses up no number.
INSERT INTO tickets VALUES (60, 7, 'x') RETURNING number;
INSERT INTO tickets VALUES (60, 7) ON CONFLICT (id) DO UPDATE SET note = 'y' RETURNING id, number, note;
INSERT INTO tickets VALUES (60, 7) ON CONFLICT DO NOTHING RETURNING number;
INSERT INTO tickets VALUES (61, 7), (60, 7), (62, 7)
    ON CONFLICT (id) DO UPDATE SET number = EXCLUDED.number, note = 'z' RETURNING id, number;
INSERT INTO tickets VALUES (63, 7), (61, 7), (64, 7) ON CONFLICT DO NOTHING RETURNING id, number;
MERGE INTO tickets t USING (VALUES (64, 7), (65, 7)) AS v(id, project) ON t.id = v.id
    WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, project) VALUES (v.id, v.project);
SELECT t.id, t.number, last_ticket FROM tickets t JOIN projects p ON p.id = project WHERE project = 7 ORDER BY number;
-- COPY, with and without numbers.
COPY tickets (id, project) FROM stdin;
70	8
71	8
\.
COPY tickets (id, project, number) FROM stdin;
72	8	10
73	8	\N
\.
SELECT t.id, t.number, last_ticket FROM tickets t JOIN projects p ON p.id = project WHERE project = 8 ORDER BY number;
-- The project has another id: its tickets keep their numbers, and its counter goes with it.
UPDATE projects SET id = 80 WHERE id = 8;
INSERT INTO tickets (id, project) VALUES (74, 80) RETURNING number;
SELECT last_ticket FROM projects WHERE id = 80;
-- A project that comes again in the same transaction begins anew.
BEGIN;
INSERT INTO tickets (id, project) VALUES (75, 9), (76, 9) RETURNING number;
DELETE FROM tickets WHERE project = 9;
DELETE FROM projects WHERE id = 9;
INSERT INTO projects VALUES (9, 'again');
INSERT INTO tickets (id, project) VALUES (77, 9) RETURNING number;
SELECT last_ticket FROM projects WHERE id = 9;
ROLLBACK;
-- No such project: the foreign key says so, and the counter is not asked.
INSERT INTO tickets (id, project) VALUES (78, 999);
-- A trigger that deletes a row and writes another, while the statement that wrote it is not done yet.
CREATE FUNCTION replaced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = 'first' THEN
        DELETE FROM tickets WHERE note = 'second';
        INSERT INTO tickets (id, project, note) VALUES (82, 9, 'third');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER a AFTER INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION replaced();
INSERT INTO tickets (id, project, note) VALUES (80, 9, 'first'), (81, 9, 'second');
SELECT t.id, t.number, last_ticket FROM tickets t JOIN projects p ON p.id = project WHERE project = 9 ORDER BY number;
DROP TRIGGER a ON tickets;
SELECT * FROM raceguard.check_guards('tickets', deep => true) WHERE severity <> 'info';

-- The same call changes nothing; another definition is refused.
SELECT raceguard.add_number('tickets', 'project', counter => 'last_ticket');
SELECT raceguard.add_number('tickets', NULL, counter => 'last_ticket', foreign_key => 'tickets_project_fkey');
SELECT raceguard.add_number('tickets', 'project');
SELECT raceguard.add_number('tickets', 'project', start => 100, counter => 'last_ticket');
-- Readers go on where only triggers differ.
BEGIN;
SELECT raceguard.add_number('tickets', 'project', start => 100, counter => 'last_ticket', replace => true);
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('tickets'::regclass, 'projects'::regclass)
    AND mode IN ('ShareRowExclusiveLock', 'AccessExclusiveLock') ORDER BY 1, 2;
COMMIT;
INSERT INTO tickets (id, project) VALUES (90, 3), (91, 80) RETURNING number;
INSERT INTO projects VALUES (30, 'new', NULL) RETURNING last_ticket;
-- Without the counter the highest number is given again; with it again, not.
SELECT raceguard.add_number('tickets', 'project', replace => true);
SELECT tgname FROM pg_trigger WHERE tgrelid IN ('tickets'::regclass, 'projects'::regclass) AND NOT tgisinternal ORDER BY 1;
UPDATE projects SET last_ticket = 0;
SELECT raceguard.add_number('tickets', 'project', counter => 'last_ticket', replace => true);
SELECT p.id, last_ticket, max(number) FROM projects p JOIN tickets t ON project = p.id GROUP BY 1 HAVING last_ticket <> max(number);

-- What is wrong is found, refuses rows where it must, and is mended.
ALTER TABLE tickets DISABLE TRIGGER zz_raceguard_number_counter;
INSERT INTO tickets (id, project) VALUES (92, 1);
SELECT severity, problem, remedy FROM raceguard.check_guards('tickets') WHERE severity <> 'info';
SELECT * FROM raceguard.repair_guard('tickets', 'number');
DROP TRIGGER zz_raceguard_number_counter ON tickets;
INSERT INTO tickets (id, project) VALUES (92, 1);
SELECT severity, problem, remedy FROM raceguard.check_guards('tickets') WHERE severity <> 'info';
SELECT * FROM raceguard.repair_guard('tickets', 'number');
DROP TRIGGER zz_raceguard_keep_last_ticket ON projects;
INSERT INTO tickets (id, project) VALUES (92, 1);
SELECT severity, problem, remedy FROM raceguard.check_guards('tickets') WHERE severity <> 'info';
SELECT * FROM raceguard.repair_guard('tickets', 'number');
ALTER TABLE projects DISABLE TRIGGER zz_raceguard_keep_last_ticket;
INSERT INTO tickets (id, project) VALUES (92, 1);
SELECT severity, problem, remedy FROM raceguard.check_guards('tickets') WHERE severity <> 'info';
SELECT * FROM raceguard.repair_guard('tickets', 'number');
INSERT INTO tickets (id, project) VALUES (92, 1) RETURNING number;
-- Rows that came where no trigger fires: found by a deep look. Even so the next number is right, and none is given again.
SET session_replication_role = replica;
INSERT INTO tickets (id, project, number) VALUES (93, 1, 200);
INSERT INTO tickets (id, project, number) VALUES (94, 2, 200);
RESET session_replication_role;
SELECT severity, problem, detail, remedy FROM raceguard.check_guards('tickets', deep => true) WHERE severity <> 'info';
DELETE FROM tickets WHERE id = 94;
INSERT INTO tickets (id, project) VALUES (95, 1), (96, 2) RETURNING project, number;
SELECT problem FROM raceguard.check_guards('tickets', deep => true) WHERE severity <> 'info';
SET session_replication_role = replica;
UPDATE projects SET last_ticket = 0 WHERE id = 1;
RESET session_replication_role;
SELECT raceguard.add_number('tickets', 'project', start => 1, counter => 'last_ticket');
SELECT last_ticket FROM projects WHERE id = 1;
-- Renames that the guard is not told of, and one that it is.
ALTER TABLE projects RENAME last_ticket TO latest;
INSERT INTO tickets (id, project) VALUES (97, 1);
SELECT severity, problem FROM raceguard.check_guards('tickets') WHERE severity <> 'info';
ALTER TABLE projects RENAME latest TO last_ticket;
ALTER TABLE tickets RENAME CONSTRAINT tickets_project_fkey TO of_project;
INSERT INTO tickets (id, project) VALUES (97, 1) RETURNING number;
ALTER TABLE tickets RENAME CONSTRAINT of_project TO tickets_project_fkey;
SELECT raceguard.protect_ddl('warn');
ALTER TABLE projects RENAME last_ticket TO latest;
ALTER TABLE tickets RENAME CONSTRAINT tickets_project_fkey TO of_project;
INSERT INTO tickets (id, project) VALUES (98, 1) RETURNING number;
SELECT severity, problem FROM raceguard.check_guards('tickets') WHERE severity <> 'info';
SELECT definition FROM raceguard.guards;
SELECT raceguard.protect_ddl('off');

-- drop_guard: the protection goes, the columns stay, unless asked.
SELECT raceguard.drop_guard('tickets', 'number');
UPDATE projects SET latest = latest + 1 WHERE id = 1;
SELECT raceguard.add_number('tickets', 'project', counter => 'latest', foreign_key => 'of_project');
SELECT raceguard.drop_guard('tickets', 'number', drop_column => true);
\d tickets
\d projects
DROP FUNCTION replaced() CASCADE;
DROP EXTENSION raceguard;
