-- Numbers per key: what each way of writing does to the number.
CREATE EXTENSION raceguard;
\set VERBOSITY terse

CREATE TABLE invoices (id int PRIMARY KEY, org int, note text UNIQUE);
INSERT INTO invoices VALUES (3, 1), (1, 1), (2, 1), (4, 2), (5, NULL);
SELECT raceguard.add_number('invoices', 'org');
\d invoices
SELECT id, org, number FROM invoices ORDER BY id;
SELECT target, guard, kind, trigger_name, definition, enabled, mode, whole FROM raceguard.guards;

-- Multi-row INSERT in row order, keys mixed; a NULL in the key gets none.
INSERT INTO invoices VALUES (10, 1), (11, 2), (12, 1), (13, NULL), (14, 3) RETURNING id, org, number;
-- A rollback leaves no gap, nor does a savepoint, nor a statement that fails at its last row.
BEGIN;
INSERT INTO invoices VALUES (20, 3) RETURNING number;
ROLLBACK;
BEGIN;
INSERT INTO invoices VALUES (20, 3) RETURNING number;
SAVEPOINT s;
INSERT INTO invoices VALUES (21, 3) RETURNING number;
ROLLBACK TO s;
INSERT INTO invoices VALUES (21, 3) RETURNING number;
COMMIT;
INSERT INTO invoices VALUES (22, 3), (23, 3), (22, 3);
INSERT INTO invoices VALUES (22, 3) RETURNING number;

-- A stated number is kept and judged by the index; the next one follows the highest.
INSERT INTO invoices (id, org, number) VALUES (30, 4, 7) RETURNING number;
INSERT INTO invoices (id, org, number) VALUES (31, 4, 7);
INSERT INTO invoices (id, org, number) VALUES (31, 4, 2) RETURNING number;
INSERT INTO invoices (id, org) VALUES (32, 4) RETURNING number;
INSERT INTO invoices (id, org, number) VALUES (33, NULL, 5) RETURNING number;
-- The highest is used again when its row is gone; a gap below is not.
DELETE FROM invoices WHERE id IN (31, 32);
INSERT INTO invoices (id, org) VALUES (34, 4) RETURNING number;

-- An UPDATE leaves the number alone: 428C9 for another one, or none.
UPDATE invoices SET note = 'a' WHERE id = 1 RETURNING number;
UPDATE invoices SET note = 'b', number = 1, org = 1 WHERE id = 1 RETURNING number;
\set VERBOSITY verbose
UPDATE invoices SET number = 9 WHERE id = 1;
\set VERBOSITY terse
UPDATE invoices SET number = NULL WHERE id = 1;
-- Another key: its next number, or the one that is stated; a stale one does no harm.
UPDATE invoices SET org = 2 WHERE id = 10 RETURNING org, number;
UPDATE invoices SET org = 1, number = 3 WHERE id = 10 RETURNING org, number;
UPDATE invoices SET org = 1, number = 50 WHERE id = 14 RETURNING org, number;
UPDATE invoices SET org = 2, number = 1 WHERE id = 14;
UPDATE invoices SET org = NULL WHERE id = 14 RETURNING org, number;
UPDATE invoices SET number = 5 WHERE id = 14 RETURNING org, number;
UPDATE invoices SET org = 2 WHERE id = 14 RETURNING org, number;
-- Many rows change their key at once.
UPDATE invoices SET org = 8 WHERE org = 1 AND number < 4;
SELECT id, org, number FROM invoices WHERE org IN (1, 8) ORDER BY org, number;

-- Upserts: one that inserts nothing uses up no number, and EXCLUDED has the number of the row that is there.
INSERT INTO invoices VALUES (40, 5, 'x') RETURNING number;
INSERT INTO invoices VALUES (40, 5) ON CONFLICT (id) DO UPDATE SET note = 'y' RETURNING id, number, note;
INSERT INTO invoices VALUES (40, 5) ON CONFLICT DO NOTHING RETURNING number;
INSERT INTO invoices VALUES (41, 5), (40, 5), (42, 5)
    ON CONFLICT (id) DO UPDATE SET number = EXCLUDED.number, note = 'z' RETURNING id, number;
INSERT INTO invoices VALUES (43, 5), (41, 5), (44, 5) ON CONFLICT DO NOTHING RETURNING id, number;
INSERT INTO invoices VALUES (40, 6) ON CONFLICT (id) DO UPDATE SET org = EXCLUDED.org, number = EXCLUDED.number
    RETURNING id, org, number;
INSERT INTO invoices (id, org, number) VALUES (45, 5, 2) ON CONFLICT (org, number) DO UPDATE SET note = 'two' RETURNING id, number, note;
INSERT INTO invoices (id, org) VALUES (45, 5) ON CONFLICT (org, number) DO UPDATE SET note = 'no' RETURNING id, number, note;
-- MERGE.
MERGE INTO invoices i USING (VALUES (45, 5), (46, 5)) AS v(id, org) ON i.id = v.id
    WHEN MATCHED THEN UPDATE SET note = 'merged'
    WHEN NOT MATCHED THEN INSERT (id, org) VALUES (v.id, v.org);
SELECT id, number, note FROM invoices WHERE org = 5 ORDER BY number;
-- COPY, with and without numbers.
COPY invoices (id, org) FROM stdin;
50	9
51	9
\.
COPY invoices (id, org, number) FROM stdin;
52	9	10
53	9	\N
\.
SELECT id, number FROM invoices WHERE org = 9 ORDER BY id;
-- A row that a CTE and a trigger write too.
WITH first AS (INSERT INTO invoices VALUES (60, 10) RETURNING number),
     second AS (INSERT INTO invoices VALUES (61, 10) RETURNING number)
SELECT first.number, second.number FROM first, second;
CREATE FUNCTION copy_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id < 1000 THEN INSERT INTO invoices (id, org) VALUES (NEW.id + 1000, NEW.org); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER copy_once AFTER INSERT ON invoices FOR EACH ROW EXECUTE FUNCTION copy_once();
INSERT INTO invoices VALUES (70, 11), (71, 11) RETURNING id, number;
SELECT id, number FROM invoices WHERE org = 11 ORDER BY number;
DROP TRIGGER copy_once ON invoices;

-- Levels that keep their snapshot: the number is the next one all the same.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM invoices WHERE org = 12;
INSERT INTO invoices VALUES (80, 12) RETURNING number;
COMMIT;

-- With the guard off nobody is given a number, and one that is written twice is refused all the same.
ALTER TABLE invoices DISABLE TRIGGER zz_raceguard_number;
INSERT INTO invoices VALUES (81, 12), (82, 12) RETURNING number;
INSERT INTO invoices (id, org, number) VALUES (83, 12, 1);
SELECT severity, problem, remedy FROM raceguard.check_guards('invoices', deep => true);
SELECT * FROM raceguard.repair_guard('invoices', 'number');
SELECT problem, detail, remedy FROM raceguard.check_guards('invoices', deep => true);
-- A row that stands without a number gets one when it is written, or by the call.
UPDATE invoices SET note = 'mended' WHERE id = 82 RETURNING number;
SELECT raceguard.add_number('invoices', 'org');
SELECT id, number FROM invoices WHERE org = 12 ORDER BY id;
SELECT raceguard.add_number('invoices', 'org');

-- Columns of a key with other types, expressions, a start, a smallint column.
CREATE TABLE tickets (id int PRIMARY KEY, project text COLLATE "C", opened timestamp NOT NULL, no smallint);
INSERT INTO tickets VALUES (1, 'Ab', '2026-01-01', 1005), (2, 'aB', '2026-02-01', NULL), (3, 'x', '2025-12-31', NULL), (4, 'x', '2025-12-30', 7);
SELECT raceguard.add_number('tickets', 'lower(project), date_part(''year'', opened)', 'no', start => 1000);
SELECT id, no FROM tickets ORDER BY id;
INSERT INTO tickets VALUES (5, 'AB', '2026-05-05'), (6, 'ab', '2027-05-05'), (7, 'X', '2025-01-01') RETURNING id, no;
UPDATE tickets SET project = 'aB' WHERE id = 5 RETURNING no;
UPDATE tickets SET opened = '2027-01-01' WHERE id = 5 RETURNING no;
INSERT INTO tickets VALUES (8, 'ab', '2027-05-05', 32766), (9, 'ab', '2027-05-05', NULL) RETURNING no;
\set VERBOSITY verbose
INSERT INTO tickets VALUES (10, 'ab', '2027-05-05');
\set VERBOSITY terse
ALTER TABLE tickets ALTER COLUMN no TYPE bigint;
INSERT INTO tickets VALUES (10, 'ab', '2027-05-05') RETURNING no;
INSERT INTO tickets VALUES (11, 'ab', '2027-05-05', 9223372036854775807), (12, 'ab', '2027-05-05', NULL);

-- The whole table; two guards on one table; a primary key that is the index already.
CREATE TABLE letters (id int PRIMARY KEY);
SELECT raceguard.add_number('letters', NULL);
INSERT INTO letters VALUES (5), (3), (4) RETURNING id, number;
CREATE TABLE lines ("Order" int, line int, item int, PRIMARY KEY ("Order", line));
SELECT raceguard.add_number('lines', '"Order"', 'line');
SELECT raceguard.add_number('lines', 'item', 'of item', guard => 'of_item');
\d lines
INSERT INTO lines ("Order", item) VALUES (1, 7), (1, 7), (2, 7), (1, 8) RETURNING *;
SELECT raceguard.drop_guard('lines', 'number');
SELECT raceguard.drop_guard('lines', 'of_item', drop_column => true);
\d lines

-- The column may be NOT NULL: then nothing goes in while the guard is off.
ALTER TABLE letters ALTER COLUMN number SET NOT NULL;
INSERT INTO letters VALUES (5) ON CONFLICT (id) DO UPDATE SET id = 6 RETURNING id, number;
INSERT INTO letters VALUES (7) RETURNING number;

-- A key that is renamed by a foreign key keeps its numbers.
CREATE TABLE orgs (id int PRIMARY KEY);
INSERT INTO orgs VALUES (1), (2);
CREATE TABLE members (id int PRIMARY KEY, org int REFERENCES orgs ON UPDATE CASCADE ON DELETE SET NULL);
SELECT raceguard.add_number('members', 'org');
INSERT INTO members VALUES (1, 1), (2, 1), (3, 1), (4, 2);
DELETE FROM members WHERE id = 2;
UPDATE orgs SET id = 9 WHERE id = 1;
SELECT * FROM members ORDER BY id;
DELETE FROM orgs WHERE id = 9;
SELECT * FROM members ORDER BY id;

-- Locks: held until the transaction ends, one for the whole table past the limit.
BEGIN;
INSERT INTO invoices VALUES (90, 20), (91, 21);
UPDATE invoices SET note = 'no lock' WHERE id = 2;
SELECT target, locked, granted FROM raceguard.locks ORDER BY key_hash;
SET LOCAL raceguard.max_key_locks = 2;
INSERT INTO invoices VALUES (92, 22);
SELECT target, locked, granted FROM raceguard.locks WHERE locked <> 'numbers of a key';
ROLLBACK;

-- What the session remembers of a key is no more than a hint: the rows may be gone, or others come.
CREATE TABLE hinted (id int PRIMARY KEY, k int);
SELECT raceguard.add_number('hinted', 'k');
INSERT INTO hinted SELECT n, n % 2 FROM generate_series(1, 1000) n;
DELETE FROM hinted WHERE number > 5;
INSERT INTO hinted VALUES (1001, 1), (1002, 0) RETURNING number;
INSERT INTO hinted (id, k, number) VALUES (1003, 1, 20), (1004, 0, 2000000000);
INSERT INTO hinted VALUES (1005, 1), (1006, 0) RETURNING number;
TRUNCATE hinted;
INSERT INTO hinted VALUES (1, 1), (2, 1), (3, 0) RETURNING number;
-- More keys than it remembers.
INSERT INTO hinted SELECT n, n % 200 FROM generate_series(1000, 1999) n;
SELECT count(*), max(number), count(DISTINCT number) FROM (SELECT * FROM hinted WHERE id >= 1000 AND k > 1) h;
DROP TABLE hinted;

-- Modes and bypass: there is nothing to refuse.
SELECT raceguard.set_mode('invoices', 'number', 'observe');
SELECT raceguard.bypass('invoices', 'number', 'because');
SELECT target, guard, kind, passed, refused FROM raceguard.stats WHERE target = 'letters'::regclass;

-- Another definition.
SELECT raceguard.add_number('invoices', 'org', start => 100);
SELECT raceguard.add_number('invoices', 'org', start => 100, replace => true);
INSERT INTO invoices VALUES (100, 30) RETURNING number;
SELECT raceguard.add_number('invoices', 'org, note', replace => true);
\d invoices
SELECT raceguard.drop_guard('invoices', 'number', drop_column => true);
\d invoices
