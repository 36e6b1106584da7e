-- Totals by every way of writing, at every isolation level, with names that need quoting, and columns that others keep.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE SCHEMA "Odd Names";
SET search_path = "Odd Names", public;
CREATE TABLE "Ev'ents" ("I""d" int PRIMARY KEY, "top seats" int);
CREATE TABLE "select" (id int PRIMARY KEY, "e.v" int CONSTRAINT "f k" REFERENCES "Ev'ents" ON DELETE CASCADE ON UPDATE CASCADE, "%n" int DEFAULT 1, tag text);
SELECT raceguard.add_total('"select"', '"Ev''ents"', 'To"tal', amount => '"%n"', predicate => '"tag" IS DISTINCT FROM ''no''', at_most => '"top seats"', guard => 'My guard');
RESET search_path;
SELECT guard, definition FROM raceguard.guards;
INSERT INTO "Odd Names"."Ev'ents" VALUES (1, 5), (2, 9);
-- COPY, whole and refused as a whole.
COPY "Odd Names"."select" (id, "e.v", "%n") FROM STDIN;
1	1	2
2	1	3
3	2	1
\.
COPY "Odd Names"."select" (id, "e.v") FROM STDIN;
4	2
5	1
\.
SELECT * FROM "Odd Names"."Ev'ents" ORDER BY 1;
-- A row that a statement touches twice, RETURNING, upserts that do nothing or something, UPDATE FROM, DELETE USING.
WITH a AS (UPDATE "Odd Names"."select" SET "%n" = 1 WHERE id = 1 RETURNING id)
    INSERT INTO "Odd Names"."select" SELECT 6, 1, 1 FROM a RETURNING (SELECT "To""tal" FROM "Odd Names"."Ev'ents" WHERE "I""d" = 1);
WITH a AS (DELETE FROM "Odd Names"."select" WHERE id = 6 RETURNING *), b AS (INSERT INTO "Odd Names"."select" SELECT id + 1, 2, "%n" FROM a RETURNING *)
    UPDATE "Odd Names"."select" s SET "%n" = s."%n" + 1 FROM b WHERE s.id = 3;
INSERT INTO "Odd Names"."select" VALUES (1, 2, 9), (8, 2, 1) ON CONFLICT DO NOTHING;
INSERT INTO "Odd Names"."select" VALUES (1, 2, 9), (9, 2, 1) ON CONFLICT (id) DO UPDATE SET tag = 'no';
INSERT INTO "Odd Names"."select" VALUES (1, 2, 9) ON CONFLICT (id) DO UPDATE SET tag = 'yes' WHERE false;
DELETE FROM "Odd Names"."select" s USING "Odd Names"."Ev'ents" e WHERE s."e.v" = e."I""d" AND s.id = 2;
SELECT * FROM "Odd Names"."Ev'ents" ORDER BY 1;
SELECT "e.v", sum("%n") FILTER (WHERE tag IS DISTINCT FROM 'no') FROM "Odd Names"."select" GROUP BY 1 ORDER BY 1;
\set VERBOSITY default
INSERT INTO "Odd Names"."select" VALUES (20, 1, 99);
\set VERBOSITY terse
-- Cursors, prepared statements, functions, procedures that commit, views, rules, every isolation level.
PREPARE p (int, int) AS INSERT INTO "Odd Names"."select" VALUES ($1, $2);
EXECUTE p (30, 1);
EXECUTE p (31, 2);
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM "Odd Names"."select" WHERE id = 31 FOR UPDATE;
FETCH c;
DELETE FROM "Odd Names"."select" WHERE CURRENT OF c;
COMMIT;
CREATE PROCEDURE in_steps() LANGUAGE plpgsql AS $$ BEGIN
    FOR i IN 40..43 LOOP INSERT INTO "Odd Names"."select" VALUES (i, 2); IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END $$;
CALL in_steps();
CREATE VIEW "Odd Names".seen AS SELECT id, "e.v", "%n" FROM "Odd Names"."select" WHERE "e.v" = 1;
INSERT INTO "Odd Names".seen VALUES (50, 1, 0), (51, 2, 1);
UPDATE "Odd Names".seen SET "e.v" = 2 WHERE id = 30;
BEGIN ISOLATION LEVEL REPEATABLE READ; EXECUTE p (60, 1); COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE; EXECUTE p (61, 2); COMMIT;
DELETE FROM "Odd Names"."select" WHERE id = 40;
BEGIN ISOLATION LEVEL SERIALIZABLE; EXECUTE p (61, 2); COMMIT;
CREATE RULE instead AS ON DELETE TO "Odd Names".seen DO INSTEAD UPDATE "Odd Names"."select" SET "%n" = "%n" + 1 WHERE id = OLD.id;
DELETE FROM "Odd Names".seen WHERE id = 50;
UPDATE "Odd Names"."Ev'ents" SET "I""d" = "I""d" + 10;
SELECT * FROM "Odd Names"."Ev'ents" ORDER BY 1;
SELECT * FROM raceguard.check_guards(deep => true);
ALTER TABLE "Odd Names"."Ev'ents" RENAME TO "more; odd";
ALTER TABLE "Odd Names"."select" RENAME TO "from";
ALTER SCHEMA "Odd Names" RENAME TO "odder.";
DELETE FROM "odder."."from" WHERE id = 60;
CALL raceguard.recount('"odder."."from"', 'My guard');
SELECT * FROM "odder."."more; odd" ORDER BY 1;
SELECT * FROM raceguard.check_guards(deep => true);
SELECT raceguard.drop_guard('"odder."."from"', 'My guard', true);
\d "odder."."more; odd"

-- Columns that another guard keeps, or that a total cannot be.
CREATE TABLE p (id int PRIMARY KEY, org int, n int, gen int GENERATED ALWAYS AS (org + 1) STORED, ident int GENERATED ALWAYS AS IDENTITY, arr int[]);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, v int);
SELECT raceguard.add_version('p'), raceguard.add_cap('p', 'org', 3), raceguard.add_number('p', 'org');
\set VERBOSITY default
SELECT raceguard.add_total('c', 'p', 'version');
SELECT raceguard.add_total('c', 'p', 'slot');
SELECT raceguard.add_total('c', 'p', 'number');
SELECT raceguard.add_total('c', 'p', 'gen');
SELECT raceguard.add_total('c', 'p', 'ident');
SELECT raceguard.add_total('c', 'p', 'arr');
SELECT raceguard.add_total('c', 'p', 'ctid');
SELECT raceguard.add_total('c', 'p', 'n', at_most => 'n');
SELECT raceguard.add_total('c', 'p', 'n', at_least => 'org - n');
SELECT raceguard.add_total('c', 'p', 'n', at_most => '(SELECT 1)');
SELECT raceguard.add_total('c', 'p', 'n', at_most => 'count(*)');
SELECT raceguard.add_total('c', 'p', 'n', at_most => '', at_least => '1');
SELECT raceguard.add_total('c', 'p', 'n', predicate => '');
SELECT raceguard.add_total('c', 'p', 'n', at_least => '5', at_most => '3');
SELECT raceguard.add_total('c', 'p', 'n', guard => '');
SELECT raceguard.add_total('c', 'p', 'n', amount => NULL);
SELECT raceguard.add_total('pg_class', 'p', 'n');
CREATE VIEW w AS SELECT * FROM c;
SELECT raceguard.add_total('w', 'p', 'n');
SELECT raceguard.add_version('c', 'v');
