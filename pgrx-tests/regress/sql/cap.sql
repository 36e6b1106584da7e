-- Caps: what each way of writing does to the slot.
CREATE EXTENSION raceguard;
\set VERBOSITY terse

-- Article D, case 3: three highlighted posts per user and week.
CREATE TABLE posts (
    id int PRIMARY KEY,
    "userId" int,
    "createdAt" timestamp NOT NULL DEFAULT '2024-05-01',
    highlighted boolean NOT NULL DEFAULT true
);
SELECT raceguard.add_cap('posts', '"userId", date_trunc(''week'', "createdAt")', 3,
                         predicate => 'highlighted');
\d posts
SELECT target, guard, kind, definition, enabled FROM raceguard.guards;

-- Multi-row INSERT, the gap first, a full cap.
INSERT INTO posts VALUES (1, 7), (2, 7), (3, 8) RETURNING id, slot;
DELETE FROM posts WHERE id = 1;
INSERT INTO posts VALUES (4, 7) RETURNING id, slot;
INSERT INTO posts VALUES (5, 7) RETURNING id, slot;
\set VERBOSITY verbose
INSERT INTO posts VALUES (6, 7);
\set VERBOSITY terse
INSERT INTO posts VALUES (6, 9), (7, 9), (8, 9), (9, 9);
SELECT count(*) FROM posts WHERE "userId" = 9;
-- Another week is another key; outside the predicate there is no slot; a NULL in the key is not capped.
INSERT INTO posts VALUES (10, 7, '2024-05-08') RETURNING slot;
INSERT INTO posts VALUES (11, 7, '2024-05-01', false) RETURNING slot;
INSERT INTO posts SELECT n, NULL FROM generate_series(20, 25) n RETURNING slot;

-- Into and out of the predicate, to another key, and back with the old slot.
UPDATE posts SET highlighted = true WHERE id = 11;
UPDATE posts SET highlighted = false WHERE id = 4 RETURNING slot;
UPDATE posts SET highlighted = true WHERE id = 11 RETURNING slot;
UPDATE posts SET "userId" = 8 WHERE id = 2 RETURNING slot;
UPDATE posts SET "userId" = 7 WHERE id = 2 RETURNING slot;
-- An ORM writes all columns, with a slot that is stale.
UPDATE posts SET "userId" = 8, slot = 2 WHERE id = 2 RETURNING slot;
UPDATE posts SET "userId" = 8, slot = NULL, highlighted = true WHERE id = 2 RETURNING slot;
UPDATE posts SET slot = 0 WHERE id = 2 RETURNING slot;
-- A slot that the writer names is kept, and judged by the index and the CHECK.
UPDATE posts SET slot = 3 WHERE id = 2 RETURNING slot;
UPDATE posts SET slot = 1 WHERE id = 2 RETURNING slot;
UPDATE posts SET slot = 4 WHERE id = 2;
INSERT INTO posts (id, "userId", slot) VALUES (30, 8, 2) RETURNING slot;
INSERT INTO posts (id, "userId", slot) VALUES (31, 8, 2);
INSERT INTO posts (id, "userId", slot) VALUES (31, 8, 4);
INSERT INTO posts (id, "userId", slot) VALUES (31, 8, -5);
INSERT INTO posts (id, "userId", slot) VALUES (31, 12, 0) RETURNING slot;
-- Two rows swap slots: row by row, as with any unique index, so by way of a free slot.
UPDATE posts SET slot = 5 - slot WHERE "userId" = 8 AND slot IN (2, 3);
BEGIN;
DELETE FROM posts WHERE id = 3;
UPDATE posts SET slot = 1 WHERE id = 2 RETURNING id, slot;
UPDATE posts SET slot = 3 WHERE id = 30 RETURNING id, slot;
UPDATE posts SET slot = 2 WHERE id = 2 RETURNING id, slot;
ROLLBACK;

-- Upserts at a full cap: one that inserts nothing passes, a row that goes in is refused.
SELECT id, "userId", slot FROM posts WHERE "userId" = 7 AND "createdAt" = '2024-05-01' ORDER BY slot, id;
INSERT INTO posts VALUES (40, 7) RETURNING slot;
INSERT INTO posts VALUES (41, 7) RETURNING slot;
INSERT INTO posts VALUES (40, 7) ON CONFLICT (id) DO UPDATE SET "createdAt" = '2024-05-02' RETURNING id, slot;
INSERT INTO posts VALUES (40, 7) ON CONFLICT DO NOTHING RETURNING id;
INSERT INTO posts VALUES (42, 7) ON CONFLICT (id) DO UPDATE SET "createdAt" = '2024-05-02' RETURNING id;
INSERT INTO posts VALUES (42, 7) ON CONFLICT DO NOTHING RETURNING id;
SELECT id, slot FROM posts WHERE "userId" = 7 AND highlighted AND "createdAt" < '2024-05-06' ORDER BY slot;
-- MERGE.
MERGE INTO posts p USING (VALUES (40, 7), (43, 9)) AS v(id, u) ON p.id = v.id
    WHEN MATCHED THEN UPDATE SET "createdAt" = '2024-05-03'
    WHEN NOT MATCHED THEN INSERT (id, "userId") VALUES (v.id, v.u);
SELECT id, slot FROM posts WHERE id IN (40, 43) ORDER BY id;
MERGE INTO posts p USING (VALUES (44, 7)) AS v(id, u) ON p.id = v.id
    WHEN NOT MATCHED THEN INSERT (id, "userId") VALUES (v.id, v.u);
-- COPY, with and without slots.
COPY posts (id, "userId") FROM stdin;
50	50
51	50
\.
COPY posts (id, "userId", slot) FROM stdin;
52	51	3
53	51	1
\.
SELECT id, slot FROM posts WHERE id BETWEEN 50 AND 53 ORDER BY id;
-- In PL/pgSQL.
DO $$ BEGIN
    INSERT INTO posts VALUES (60, 7);
EXCEPTION WHEN SQLSTATE 'RG403' THEN RAISE NOTICE 'caught: %', SQLERRM;
END $$;

-- With the guard disabled, nothing gets past the cap.
ALTER TABLE posts DISABLE TRIGGER zz_raceguard_cap;
INSERT INTO posts VALUES (61, 99);
INSERT INTO posts (id, "userId", slot) VALUES (61, 7, 1);
ALTER TABLE posts ENABLE TRIGGER zz_raceguard_cap;

-- The calls.
SELECT raceguard.next_free_slot('posts', '[7, "2024-04-29"]'), raceguard.next_free_slot('posts', '[70, "2024-04-29"]');
SELECT raceguard.insert_next_slot('posts', '{"id": 70, "userId": 70}');
SELECT raceguard.insert_next_slot('posts', '{"id": 71, "userId": 7}', on_full => 'null') IS NULL;
SELECT raceguard.insert_next_slot('posts', '{"id": 71, "userId": 7}');

-- Up and down.
SELECT raceguard.set_cap('posts', 3);
SELECT raceguard.set_cap('posts', 4);
INSERT INTO posts VALUES (72, 7) RETURNING slot;
INSERT INTO posts VALUES (73, 7);
\set VERBOSITY default
SELECT raceguard.set_cap('posts', 2);
\set VERBOSITY terse
SELECT definition ->> 'slots', pg_get_constraintdef(c.oid)
FROM raceguard.guards, pg_constraint c WHERE conname = 'raceguard_cap_slots';
UPDATE posts SET highlighted = false WHERE slot > 2;
SELECT raceguard.set_cap('posts', 2);
INSERT INTO posts VALUES (73, 7);

-- An index under another name, and the one that REINDEX CONCURRENTLY leaves beside it for a while.
ALTER INDEX posts_cap RENAME TO "another name";
REINDEX INDEX CONCURRENTLY "another name";
CREATE UNIQUE INDEX twin ON posts ("userId", date_trunc('week', "createdAt"), slot) WHERE highlighted AND slot > 0;
INSERT INTO posts VALUES (80, 80), (81, 80) RETURNING slot;
DROP INDEX twin;
CREATE UNIQUE INDEX other ON posts (highlighted, slot) WHERE slot > 0 AND id > 1000000;
INSERT INTO posts VALUES (82, 82);
DROP INDEX other, "another name";
INSERT INTO posts VALUES (82, 82);
SELECT raceguard.drop_guard('posts', 'cap', drop_column => true);
\d posts
DROP TABLE posts;

-- Several caps on one table, one of them filled by appending.
CREATE TABLE seats (id int PRIMARY KEY, flight int NOT NULL, passenger int NOT NULL, dropped text, big bigint, small smallint);
ALTER TABLE seats DROP COLUMN dropped;
SELECT raceguard.add_cap('seats', 'flight', 4, slot_column => 'big', fill => 'append', guard => 'seats');
SELECT raceguard.add_cap('seats', 'passenger', 2, slot_column => 'small', guard => 'per passenger');
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'seats'::regclass AND contype = 'c' ORDER BY 1;
INSERT INTO seats VALUES (1, 1, 1), (2, 1, 2), (3, 1, 1) RETURNING id, big, small;
DELETE FROM seats WHERE id = 1;
INSERT INTO seats VALUES (4, 1, 3), (5, 1, 4) RETURNING id, big, small;
INSERT INTO seats VALUES (6, 1, 5);
INSERT INTO seats VALUES (7, 2, 1), (8, 2, 1);
SELECT raceguard.drop_guard('seats', 'seats');
INSERT INTO seats VALUES (9, 1, 6) RETURNING id, big, small;
DROP TABLE seats;

-- Rows that stand already are numbered in primary-key order; no trigger fires, no version moves.
CREATE TABLE old_rows (id int PRIMARY KEY, owner text, note text);
INSERT INTO old_rows VALUES (5, 'a'), (3, 'a'), (4, 'b'), (1, NULL), (2, NULL);
SELECT raceguard.add_version('old_rows', unstated => 'reject');
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'fired'; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON old_rows DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shout();
BEGIN;
SELECT raceguard.add_cap('old_rows', 'lower(owner)', 2);
ALTER TABLE old_rows ADD COLUMN later int;
COMMIT;
SELECT id, owner, slot, version FROM old_rows ORDER BY id;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'old_rows'::regclass ORDER BY 1;
-- The same again, and something else.
SELECT raceguard.add_cap('old_rows', 'lower(owner)', 2);
SELECT raceguard.add_cap('old_rows', 'lower(owner)', 3);
SELECT raceguard.add_cap('old_rows', 'owner', 2);
SELECT raceguard.add_cap('old_rows', 'lower(owner)', 2, predicate => 'id > 0');
SELECT raceguard.add_cap('old_rows', 'lower(owner)', 3, predicate => 'id > 1', replace => true);
SELECT id, slot FROM old_rows ORDER BY id;
DROP TABLE old_rows;

-- A slot column and an index that are there already are taken over.
CREATE TABLE adopted (id int PRIMARY KEY, k int NOT NULL, n int CHECK (n IS NULL OR n BETWEEN 1 AND 3));
CREATE UNIQUE INDEX right_shape ON adopted (k, n) WHERE n > 0;
CREATE UNIQUE INDEX wrong_shape ON adopted (k, n) WHERE n IS NOT NULL;
INSERT INTO adopted VALUES (1, 1, 2), (2, 1, NULL), (3, 2, 1);
SELECT raceguard.add_cap('adopted', 'k', 3, slot_column => 'n');
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'adopted'::regclass ORDER BY indexrelid::regclass::text;
SELECT * FROM adopted ORDER BY id;
INSERT INTO adopted VALUES (4, 1) RETURNING n;
DROP TABLE adopted;

-- Columns may have the names that raceguard's own statements use.
CREATE TABLE odd (id int PRIMARY KEY, raceguard_k1 int, raceguard_row text, counts boolean DEFAULT true, r int, x int, n int, nth int,
    place int, spot int, member int, free int);
INSERT INTO odd (id, raceguard_k1, r) VALUES (1, 1, 1), (2, 1, 1), (3, 2, 1);
SELECT raceguard.add_cap('odd', 'raceguard_k1, r', 1, predicate => 'counts');
SELECT raceguard.add_cap('odd', 'raceguard_k1, r', 2, predicate => 'counts');
SELECT id, slot FROM odd ORDER BY id;
SELECT raceguard.set_cap('odd', 1);
SELECT raceguard.insert_next_slot('odd', '{"id": 4, "raceguard_row": "whole", "raceguard_k1": 2, "r": 1}');
CREATE TABLE lone (raceguard_row int);
SELECT raceguard.add_cap('lone', '(1)', 1, slot_column => 'given');
SELECT raceguard.insert_next_slot('lone', '{}');
SELECT raceguard.insert_next_slot('lone', '{}', on_full => 'null');
DROP TABLE odd, lone;
