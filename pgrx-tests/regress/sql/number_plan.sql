-- Numbers put on a table step by step, and what the guard does between the steps.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
CREATE TABLE busy (id int PRIMARY KEY, k int, note text);
INSERT INTO busy SELECT n, n % 3 FROM generate_series(1, 2000) n;
INSERT INTO busy VALUES (2001, NULL);
SELECT raceguard.add_version('busy', unstated => 'reject');
SELECT * FROM raceguard.plan_number('busy', 'k', start => 10);
SELECT ddl FROM raceguard.plan_number('busy', 'k', start => 10) WHERE step <= 3 \gexec
-- A step that is done is left out of the plan.
SELECT step, lock_mode, ddl FROM raceguard.plan_number('busy', 'k', start => 10);
SELECT ddl FROM raceguard.plan_number('busy', 'k', start => 10) WHERE step = 1 \gexec
\d busy
-- From here on rows are left without a number until their turn; a stated one is kept.
INSERT INTO busy VALUES (0, 1), (3000, 1), (3001, NULL), (3002, 7) RETURNING id, number;
INSERT INTO busy (id, k, number) VALUES (3003, 9, 40) RETURNING number;
INSERT INTO busy VALUES (3003, 9) ON CONFLICT (id) DO UPDATE SET note = 'again', version = 2, number = EXCLUDED.number RETURNING number;
UPDATE busy SET note = 'x', version = version + 1 WHERE id = 5 RETURNING number;
UPDATE busy SET k = 2, version = version + 1 WHERE id = 3003 RETURNING number;
SELECT severity, problem, remedy FROM raceguard.check_guards('busy') WHERE severity = 'error';
SELECT definition, whole FROM raceguard.guards WHERE kind = 'number';
BEGIN;
CALL raceguard.number_rows('busy');
ROLLBACK;
CALL raceguard.number_rows('busy');
-- In the order of the primary key, from start on, without a gap; no version has moved.
SELECT k, count(*), min(number), max(number), bool_and(number = 9 + nth) AS in_order
FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY id) AS nth FROM busy) b GROUP BY k ORDER BY k;
SELECT version, count(*) FROM busy GROUP BY 1 ORDER BY 1;
SELECT ddl FROM raceguard.plan_number('busy', 'k', start => 10);
SELECT ddl FROM raceguard.plan_number('busy', 'k', start => 10) \gexec
SELECT * FROM raceguard.plan_number('busy', 'k', start => 10);
SELECT raceguard.add_number('busy', 'k', start => 10);
INSERT INTO busy VALUES (4000, 7) RETURNING number;
\d busy
SELECT * FROM raceguard.check_guards('busy', deep => true);
-- Rows that were written while the guard was off.
ALTER TABLE busy DISABLE TRIGGER zz_raceguard_number;
INSERT INTO busy VALUES (4001, 7), (4002, 7);
ALTER TABLE busy ENABLE TRIGGER zz_raceguard_number;
CALL raceguard.number_rows('busy', 'number');
SELECT id, number FROM busy WHERE k = 7 ORDER BY id;
SELECT ddl FROM raceguard.plan_number('busy', 'k', start => 11);
SELECT ddl FROM raceguard.plan_number('busy', 'k', start => 11, replace => true);

-- A plan that was begun is ended by add_number as well, or taken back by drop_guard.
CREATE TABLE begun (id int PRIMARY KEY, k int NOT NULL);
INSERT INTO begun SELECT n, 1 FROM generate_series(1, 3) n;
SELECT ddl FROM raceguard.plan_number('begun', 'k') WHERE step <= 4 \gexec
SELECT raceguard.add_number('begun', 'k');
SELECT * FROM begun ORDER BY id;
\d begun
SELECT raceguard.drop_guard('begun', 'number', drop_column => true);
SELECT ddl FROM raceguard.plan_number('begun', 'k') WHERE step <= 4 \gexec
SELECT raceguard.drop_guard('begun', 'number', drop_column => true);
\d begun

-- An empty table, and one whose rows all have a number, need no numbering.
CREATE TABLE fresh (k int);
SELECT ddl FROM raceguard.plan_number('fresh', 'k');
CREATE TABLE numbered (id int PRIMARY KEY, k int NOT NULL, n int NOT NULL);
INSERT INTO numbered VALUES (1, 1, 1), (2, 1, 2);
SELECT ddl FROM raceguard.plan_number('numbered', 'k', 'n');

-- Partitions, and a key that needs quoting.
CREATE TABLE "My parts" (id int, "K" int NOT NULL) PARTITION BY LIST ("K");
CREATE TABLE "My parts 1" PARTITION OF "My parts" FOR VALUES IN (1);
CREATE TABLE "My parts 2" PARTITION OF "My parts" FOR VALUES IN (2);
INSERT INTO "My parts" SELECT n, 1 + n % 2 FROM generate_series(1, 6) n;
SELECT step, ddl, lock_mode, own_transaction FROM raceguard.plan_number('"My parts"', '"K"');
SELECT ddl FROM raceguard.plan_number('"My parts"', '"K"') \gexec
SELECT * FROM "My parts" ORDER BY "K", number;

-- Bad input.
\set VERBOSITY default
CALL raceguard.number_rows('fresh');
CALL raceguard.number_rows(NULL);
CALL raceguard.number_rows('busy', NULL);
INSERT INTO numbered VALUES (3, 1, 3);
CREATE UNIQUE INDEX rival ON numbered (id, n);
SELECT raceguard.plan_number('numbered', 'k', 'n');
-- A trigger that keeps a row from being numbered.
CREATE TABLE kept (id int PRIMARY KEY, k int);
INSERT INTO kept VALUES (1, 1);
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER swallow BEFORE UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION swallow();
SELECT ddl FROM raceguard.plan_number('kept', 'k') WHERE step <= 4 \gexec
CALL raceguard.number_rows('kept');
