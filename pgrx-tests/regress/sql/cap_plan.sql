-- A cap put on a table step by step, and what the guard does between the steps.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
CREATE TABLE busy (id int PRIMARY KEY, k int, note text);
INSERT INTO busy SELECT n, n % 1000 FROM generate_series(1, 3000) n;
SELECT raceguard.add_version('busy', unstated => 'reject');
SELECT * FROM raceguard.plan_cap('busy', 'k', 4, predicate => 'k < 999');
ALTER TABLE "public"."busy" ADD COLUMN "slot" integer;
CREATE UNIQUE INDEX CONCURRENTLY "busy_cap" ON "public"."busy" (k, "slot") WHERE (k < 999) AND "slot" > 0;
-- A step that is done is left out of the plan.
SELECT step, lock_mode FROM raceguard.plan_cap('busy', 'k', 4, predicate => 'k < 999');
CREATE TRIGGER "zz_raceguard_cap_full" AFTER INSERT ON "public"."busy" FOR EACH ROW EXECUTE FUNCTION raceguard.cap_full_guard('slot', 'slots=4');
CREATE TRIGGER "zz_raceguard_cap" BEFORE INSERT OR UPDATE ON "public"."busy" FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot', 'slots=4');
-- From here on rows get slots; those of before are numbered when they are written.
INSERT INTO busy VALUES (4001, 5), (4002, 999) RETURNING slot;
UPDATE busy SET note = 'x', version = version + 1 WHERE id = 5 RETURNING slot;
CALL raceguard.number_slots('busy');
SELECT slot, count(*), max(version) FROM busy GROUP BY 1 ORDER BY 1;
ALTER TABLE "public"."busy" ADD CONSTRAINT "raceguard_cap_slots" CHECK (("slot" <@ '[0,5)'::int4range) IS TRUE OR (k < 999) IS NOT TRUE) NOT VALID;
ALTER TABLE "public"."busy" VALIDATE CONSTRAINT "raceguard_cap_slots";
SELECT raceguard.add_cap('busy', 'k', 4, predicate => 'k < 999', online => true);
INSERT INTO busy VALUES (4003, 5);
SELECT raceguard.drop_guard('busy', 'cap');

-- Rows came in between that are too many: they keep their place, a writer is not refused, and the
-- numbering names them.
CREATE TABLE late (id int PRIMARY KEY, k int);
INSERT INTO late VALUES (1, 1), (2, 1), (3, 2);
SELECT ddl FROM raceguard.plan_cap('late', 'k', 2) WHERE lock_mode <> 'ROW EXCLUSIVE' AND step < 5 \gexec
INSERT INTO late VALUES (4, 1) RETURNING slot;
UPDATE late SET k = k WHERE k = 1 RETURNING id, slot;
\set VERBOSITY default
CALL raceguard.number_slots('late');
\set VERBOSITY terse
SELECT raceguard.set_cap('late', 3);
CALL raceguard.number_slots('late');
SELECT * FROM late ORDER BY id;
SELECT ddl FROM raceguard.plan_cap('late', 'k', 3);
SELECT raceguard.plan_cap('late', 'k', 4);
DROP TABLE busy, late;
-- An empty table needs no plan.
CREATE TABLE fresh (k int);
SELECT raceguard.add_cap('fresh', 'k', 2, online => true);
DROP TABLE fresh;

-- CREATE INDEX CONCURRENTLY that failed leaves an index that is not valid: the plan takes it away first, and goes
-- on with the partitions that have none yet.
CREATE TABLE days (k int NOT NULL, slot int) PARTITION BY LIST (k);
CREATE TABLE day1 PARTITION OF days FOR VALUES IN (1);
CREATE TABLE day2 PARTITION OF days FOR VALUES IN (2);
CREATE TABLE day3 PARTITION OF days FOR VALUES IN (3);
SELECT ddl FROM raceguard.plan_cap('days', 'k', 3) WHERE step = 1 \gexec
INSERT INTO day2 VALUES (2, 1), (2, 1);
SELECT ddl FROM raceguard.plan_cap('days', 'k', 3) WHERE step = 1 \gexec
TRUNCATE day2;
SELECT ddl, lock_mode, own_transaction FROM raceguard.plan_cap('days', 'k', 3) LIMIT 4;
SELECT ddl FROM raceguard.plan_cap('days', 'k', 3) \gexec
INSERT INTO days VALUES (2), (2), (3) RETURNING slot;

-- add_cap takes it away too.
CREATE TABLE once (k int NOT NULL, slot int);
INSERT INTO once VALUES (1, 1), (1, 1);
SELECT ddl FROM raceguard.plan_cap('once', 'k', 3) WHERE step = 1 \gexec
UPDATE once SET slot = NULL;
SELECT raceguard.add_cap('once', 'k', 3);
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'once'::regclass;

-- A plan that was begun and not ended: with the trigger up already, add_cap does what is missing.
CREATE TABLE half (id int PRIMARY KEY, k int);
INSERT INTO half VALUES (1, 1), (2, 1), (3, 2);
SELECT ddl FROM raceguard.plan_cap('half', 'k', 2) WHERE step < 5 \gexec
SELECT slot FROM half;
SELECT raceguard.add_cap('half', 'k', 2, online => true);
SELECT raceguard.add_cap('half', 'k', 2);
SELECT * FROM half ORDER BY id;
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'half'::regclass AND contype = 'c';
SELECT count(*) FROM raceguard.plan_cap('half', 'k', 2);
SELECT raceguard.add_cap('half', 'k', 2);
