-- The cooldown guard on one table: which rows are judged, and against which others. Who waits for
-- whom is shown by the isolation specs cooldown*.
CREATE EXTENSION raceguard;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE TABLE posts (id int PRIMARY KEY, "userId" int, "createdAt" timestamp, highlighted boolean DEFAULT true, title text);

SELECT raceguard.add_cooldown('posts', '"userId"', at => 'createdAt', period => '7 days', predicate => 'highlighted');
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'posts'::regclass;
SELECT indexdef FROM pg_indexes WHERE tablename = 'posts' ORDER BY 1;
SELECT * FROM raceguard.guards;

-- The same call again, in other words too, is a NOTICE; another one needs replace.
SELECT raceguard.add_cooldown('posts', ' "userId" ', 'createdAt', '168:00' - interval '168:00' + '7 days', predicate => '(highlighted)');
SELECT raceguard.add_cooldown('posts', '"userId"', 'createdAt', '6 days', predicate => 'highlighted');

-- Seven days between two rows of a user, in both directions of time; after exactly seven days the
-- next is allowed.
\set SHOW_CONTEXT never
INSERT INTO posts VALUES (1, 42, '2026-03-10 12:00');
INSERT INTO posts VALUES (2, 42, '2026-03-17 11:59:59.999999');
INSERT INTO posts VALUES (2, 42, '2026-03-03 12:00:00.000001');
INSERT INTO posts VALUES (2, 42, '2026-03-10 12:00');
INSERT INTO posts VALUES (2, 42, '2026-03-17 12:00');
INSERT INTO posts VALUES (3, 42, '2026-03-03 12:00');
-- Another user, a row outside the predicate, NULL key, time or predicate, infinity: not judged.
INSERT INTO posts VALUES (4, 43, '2026-03-10 12:00');
INSERT INTO posts VALUES (5, 42, '2026-03-10 13:00', false), (6, 42, '2026-03-10 13:00', NULL);
INSERT INTO posts VALUES (7, NULL, '2026-03-10 12:00'), (8, NULL, '2026-03-10 12:00');
INSERT INTO posts VALUES (9, 42, NULL), (10, 42, NULL);
INSERT INTO posts VALUES (11, 44, 'infinity'), (12, 44, 'infinity'), (13, 44, '-infinity'), (14, 44, '-infinity'), (15, 44, '2026-03-10');

-- UPDATE of the time, the key or the predicate is judged, and of nothing else.
UPDATE posts SET "createdAt" = '2026-03-11' WHERE id = 1;
UPDATE posts SET "createdAt" = '2026-03-10 11:00' WHERE id = 1;
UPDATE posts SET "userId" = 42 WHERE id = 4;
UPDATE posts SET highlighted = true WHERE id = 5;
UPDATE posts SET title = 'edited';
UPDATE posts SET "createdAt" = "createdAt" + interval '1 hour' WHERE "userId" = 42;
UPDATE posts SET "userId" = 45 WHERE id = 5;
UPDATE posts SET highlighted = true WHERE id = 5;
UPDATE posts SET "createdAt" = '2026-04-01' WHERE id = 9;
SELECT id, "userId", "createdAt", highlighted FROM posts ORDER BY id;
-- Rows that leave make room: DELETE, another time, another key, out of the predicate.
DELETE FROM posts WHERE id = 1;
INSERT INTO posts VALUES (1, 42, '2026-03-10 13:00');
UPDATE posts SET highlighted = false WHERE id = 1;
INSERT INTO posts VALUES (16, 42, '2026-03-10 13:00');

-- A multi-row INSERT is judged row by row, against itself too, and the order does not matter.
INSERT INTO posts VALUES (20, 50, '2026-01-15'), (21, 50, '2026-01-01'), (22, 50, '2026-01-08');
INSERT INTO posts VALUES (23, 51, '2026-01-15'), (24, 51, '2026-01-01'), (25, 51, '2026-01-07');
-- Two rows may change places within one statement.
UPDATE posts SET "createdAt" = CASE id WHEN 20 THEN timestamp '2026-01-01' ELSE '2026-01-15' END WHERE id IN (20, 21);
-- COPY
COPY posts (id, "userId", "createdAt") FROM stdin;
26	52	2026-01-01
27	52	2026-01-02
\.
COPY posts (id, "userId", "createdAt") FROM stdin;
26	52	2026-01-01
27	52	2026-01-08
\.
-- An upsert is judged by what it does in the end.
INSERT INTO posts VALUES (26, 52, '2026-01-02') ON CONFLICT (id) DO NOTHING;
INSERT INTO posts VALUES (26, 52, '2026-01-02') ON CONFLICT (id) DO UPDATE SET title = 'upserted';
INSERT INTO posts VALUES (26, 52, '2026-01-02') ON CONFLICT (id) DO UPDATE SET "createdAt" = excluded."createdAt";
INSERT INTO posts VALUES (28, 52, '2026-01-02') ON CONFLICT (id) DO NOTHING;
MERGE INTO posts USING (VALUES (26), (28)) AS v (id) ON posts.id = v.id
    WHEN MATCHED THEN UPDATE SET "createdAt" = '2025-12-31'
    WHEN NOT MATCHED THEN INSERT VALUES (v.id, 52, '2026-01-06');
MERGE INTO posts USING (VALUES (26), (28)) AS v (id) ON posts.id = v.id
    WHEN MATCHED THEN UPDATE SET "createdAt" = '2025-12-30'
    WHEN NOT MATCHED THEN INSERT VALUES (v.id, 52, '2026-01-15');
SELECT id, "userId", "createdAt", title FROM posts WHERE id >= 20 ORDER BY id;

-- The error keeps its fields; it is a normal error for savepoints and EXCEPTION blocks.
DO $$
DECLARE s text; c text; t text; col text; m text; d text; h text;
BEGIN
    INSERT INTO posts VALUES (30, 50, '2026-01-02');
EXCEPTION WHEN SQLSTATE 'RG429' THEN
    GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME, col = COLUMN_NAME, c = CONSTRAINT_NAME,
        m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RAISE NOTICE '%.% % % | % | % | %', s, t, col, c, m, d, h;
END $$;
-- A row that is dated in the present is told how long to wait, one dated in the future where it fits.
CREATE FUNCTION told(at timestamp) RETURNS text LANGUAGE plpgsql AS $$
DECLARE h text;
BEGIN
    INSERT INTO posts VALUES (31, 60, at);
EXCEPTION WHEN SQLSTATE 'RG429' THEN
    GET STACKED DIAGNOSTICS h = PG_EXCEPTION_HINT;
    RETURN regexp_replace(h, '\d\d\d\d-\d\d-\d\d \S+', '(when)', 'g');
END $$;
BEGIN;
INSERT INTO posts VALUES (32, 60, localtimestamp - interval '5 days 1 second');
SELECT regexp_replace(told(localtimestamp), '\d\d:\d\d:\d\d', '(hours)');
SELECT regexp_replace(told(localtimestamp + interval '1 hour'), '\d\d:\d\d:\d\d', '(hours)');
SELECT told(localtimestamp - interval '6 days') LIKE 'Try again in 1 day 23:59:5_.';
ROLLBACK;
-- Other styles: class 23 for drivers, JSON for PostgREST with the seconds in Retry-After.
SET raceguard.error_style = 'integrity';
INSERT INTO posts VALUES (30, 50, '2026-01-02');
\echo :SQLSTATE
SET raceguard.error_style = 'postgrest';
INSERT INTO posts VALUES (30, 50, '2026-01-02');
CREATE FUNCTION retry_after() RETURNS int LANGUAGE plpgsql AS $$
DECLARE d text;
BEGIN
    INSERT INTO posts VALUES (33, 61, localtimestamp), (34, 61, localtimestamp);
EXCEPTION WHEN SQLSTATE 'PGRST' THEN
    GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
    RETURN (d::jsonb -> 'headers' ->> 'Retry-After')::int;
END $$;
SELECT retry_after() BETWEEN 604790 AND 604800 AS seven_days;
RESET raceguard.error_style;

-- next_allowed tells before trying.
SELECT raceguard.next_allowed('posts', '12345') BETWEEN now() AND clock_timestamp() AS at_once;
SELECT raceguard.next_allowed('posts', '[12345]') BETWEEN now() AND clock_timestamp() AS at_once;
SELECT raceguard.next_allowed('posts', 'null') BETWEEN now() AND clock_timestamp() AS at_once;
BEGIN;
INSERT INTO posts VALUES (40, 70, localtimestamp - interval '2 days'), (41, 70, localtimestamp + interval '9 days');
SELECT raceguard.next_allowed('posts', '70') - now() AS after;
INSERT INTO posts SELECT 42, 70, raceguard.next_allowed('posts', '70');
SELECT raceguard.next_allowed('posts', '70') - now() AS after;
SAVEPOINT s;
\set VERBOSITY sqlstate
INSERT INTO posts SELECT 43, 70, raceguard.next_allowed('posts', '70') - interval '1 microsecond';
\set VERBOSITY default
ROLLBACK TO s;
INSERT INTO posts SELECT 43, 70, raceguard.next_allowed('posts', '70');
COMMIT;

-- The guard does not see rows that were rolled back, and sees what this transaction did before.
BEGIN;
INSERT INTO posts VALUES (50, 80, '2026-01-01');
SAVEPOINT s;
INSERT INTO posts VALUES (51, 80, '2026-01-02');
ROLLBACK TO s;
UPDATE posts SET "createdAt" = '2026-02-01' WHERE id = 50;
INSERT INTO posts VALUES (51, 80, '2026-01-02');
COMMIT;

-- Disabled, the guard judges nothing; enabled again, it judges new rows.
ALTER TABLE posts DISABLE TRIGGER zz_raceguard_cooldown;
INSERT INTO posts VALUES (60, 90, '2026-01-01'), (61, 90, '2026-01-02');
SELECT enabled FROM raceguard.guards;
ALTER TABLE posts ENABLE TRIGGER zz_raceguard_cooldown;
INSERT INTO posts VALUES (62, 90, '2026-01-03');
-- What an UPDATE leaves alone is not judged, where rows stand too close already.
UPDATE posts SET title = 'edited', "createdAt" = "createdAt" WHERE id IN (60, 61);
UPDATE posts SET "createdAt" = "createdAt" + interval '1 second' WHERE id = 60;
-- It cannot be put on a table whose rows break it; replace checks them too.
SELECT raceguard.add_cooldown('posts', '"userId"', 'createdAt', '1 day 00:00:01', predicate => 'highlighted', replace => true);
SELECT raceguard.add_cooldown('posts', '"userId"', 'createdAt', '1 day', predicate => 'highlighted', replace => true);
SELECT count(*) FROM pg_indexes WHERE tablename = 'posts';

-- A predicate whose SQL function Postgres inlines: the index that add_cooldown makes is found again.
CREATE FUNCTION in_lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE TABLE inlined (id int PRIMARY KEY, k int, name text, at timestamp);
SELECT raceguard.add_cooldown('inlined', 'k', 'at', '1 day', predicate => 'in_lower(name) <> ''y''');
INSERT INTO inlined VALUES (1, 1, 'N', '2026-01-01');
INSERT INTO inlined VALUES (2, 1, 'N', '2026-01-01 12:00');
INSERT INTO inlined VALUES (3, 1, 'Y', '2026-01-01 12:00');
SELECT raceguard.drop_guard('inlined', 'cooldown');
DROP TABLE inlined;
DROP FUNCTION in_lower(text);


-- drop_guard takes the index along, and the writes pass.
SELECT raceguard.drop_guard('posts', 'cooldown');
INSERT INTO posts VALUES (62, 90, '2026-01-01');
SELECT indexdef FROM pg_indexes WHERE tablename = 'posts';
SELECT * FROM raceguard.guards;
DROP EXTENSION raceguard;
