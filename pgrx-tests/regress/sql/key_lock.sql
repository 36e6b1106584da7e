-- The key lock guard on one table: what is locked, by which name, and that writes do what they
-- say. Who waits for whom is shown by the isolation specs key_lock*.
CREATE EXTENSION raceguard;
CREATE TABLE posts (id int PRIMARY KEY, "userId" int, "createdAt" timestamptz, title text);
-- Keys this transaction holds, by table and hash.
CREATE VIEW held AS
SELECT target, locked, count(*) FROM raceguard.locks WHERE pid = pg_backend_pid() GROUP BY 1, 2 ORDER BY 1, 2;

SELECT raceguard.add_key_lock('posts', '"userId"');
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'posts'::regclass;

-- The same call again is a NOTICE; another one needs replace.
SELECT raceguard.add_key_lock('posts', ' "userId" ');
SELECT raceguard.add_key_lock('posts', '"userId", title');
SELECT raceguard.add_key_lock('posts', '"userId", title', replace => true);
SELECT raceguard.add_key_lock('posts', '"userId"', replace => true);

-- Every kind of write locks its key; the lock goes with the transaction.
BEGIN;
INSERT INTO posts VALUES (1, 42), (2, 42), (3, 43);
SELECT * FROM held;
COMMIT;
SELECT * FROM held;
BEGIN;
UPDATE posts SET title = 'x' WHERE id = 1;
SELECT * FROM held;
ROLLBACK;
-- A row that moves from one key to another locks both.
BEGIN;
UPDATE posts SET "userId" = 44 WHERE id = 1;
SELECT * FROM held;
ROLLBACK;
-- DELETE deletes: the trigger of the article, which returns NEW, would cancel it.
BEGIN;
DELETE FROM posts WHERE id = 1 RETURNING *;
SELECT * FROM held;
COMMIT;
SELECT * FROM posts ORDER BY id;
-- A NULL key locks nothing.
BEGIN;
INSERT INTO posts VALUES (4, NULL);
UPDATE posts SET title = 'y' WHERE id = 4;
DELETE FROM posts WHERE id = 4;
SELECT * FROM held;
COMMIT;
-- COPY, MERGE and upserts pass through the guard as well.
BEGIN;
COPY posts (id, "userId") FROM stdin;
5	50
6	51
\.
SELECT * FROM held;
ROLLBACK;
BEGIN;
INSERT INTO posts VALUES (2, 99) ON CONFLICT (id) DO UPDATE SET title = 'upserted';
SELECT * FROM held;
ROLLBACK;
BEGIN;
MERGE INTO posts USING (VALUES (2), (9)) AS v (id) ON posts.id = v.id
    WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, 77);
SELECT * FROM held;
ROLLBACK;

-- lock_key takes the lock that a write takes, so the write adds none.
BEGIN;
SELECT raceguard.lock_key('posts', 42);
INSERT INTO posts VALUES (7, 42);
SELECT * FROM held;
ROLLBACK;
-- Locks are given back by ROLLBACK TO SAVEPOINT.
BEGIN;
SAVEPOINT s;
SELECT raceguard.lock_key('posts', 42);
SELECT * FROM held;
ROLLBACK TO s;
SELECT * FROM held;
UPDATE posts SET title = 'z' WHERE id = 2;
SELECT * FROM held;
COMMIT;

-- Two guarded tables never share a key.
CREATE TABLE comments (id int PRIMARY KEY, "userId" int);
SELECT raceguard.add_key_lock('comments', '"userId"');
BEGIN;
SELECT raceguard.lock_key('posts', 42), raceguard.lock_key('comments', 42);
SELECT * FROM held;
SELECT count(DISTINCT (classid, objid)) AS locks, count(DISTINCT objid) AS hashes
FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 21063;
COMMIT;

-- With a namespace the lock is pg_advisory_xact_lock(namespace, key) and nothing else.
SELECT raceguard.add_key_lock('posts', '"userId"', namespace => 5000);
SELECT raceguard.add_key_lock('posts', '"userId"', namespace => 5000, replace => true);
BEGIN;
UPDATE posts SET title = 'z' WHERE id = 2;
SELECT classid, objid, objsubid, mode FROM pg_locks WHERE locktype = 'advisory';
SELECT target, locked, key_hash, granted FROM raceguard.locks;
COMMIT;
BEGIN;
SELECT raceguard.lock_key('posts', -7), raceguard.try_lock_key('posts', 42);
SELECT classid, objid::bigint - 4294967296 * (objid::bigint >> 31) AS objid, objsubid, mode
FROM pg_locks WHERE locktype = 'advisory' ORDER BY 2;
COMMIT;
SELECT raceguard.add_key_lock('posts', '"userId"', namespace => -1, replace => true);
BEGIN;
INSERT INTO posts VALUES (8, 42);
SELECT classid, objid, objsubid FROM pg_locks WHERE locktype = 'advisory';
SELECT target, locked, key_hash FROM raceguard.locks;
ROLLBACK;

-- The canonical key: names qualified outside pg_catalog, no more parentheses than are needed.
CREATE SCHEMA app;
CREATE FUNCTION app.bucket(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 10';
SET search_path = public, app;
SELECT raceguard.add_key_lock('posts',
    '"userId", lower(title), ("userId" + 1), (("userId" + 1) * ("userId" - 1)), ((title || '')'')), bucket("userId"), date_trunc(''week'', "createdAt" AT TIME ZONE ''UTC'')',
    replace => true);
RESET search_path;
SELECT definition ->> 'key' AS key FROM raceguard.guards WHERE guard = 'key_lock' AND target = 'posts'::regclass;
BEGIN;
INSERT INTO posts VALUES (9, 42, now(), 'T');
SELECT * FROM held;
ROLLBACK;

-- Rename: the table's new name is followed, a key column's is not.
SELECT raceguard.add_key_lock('posts', '"userId"', replace => true);
ALTER TABLE posts RENAME TO articles;
BEGIN;
UPDATE articles SET title = 'a' WHERE id = 2;
SELECT raceguard.lock_key('articles', 1);
SELECT * FROM held;
ROLLBACK;
ALTER TABLE articles RENAME "userId" TO author;
UPDATE articles SET title = 'a' WHERE id = 2;
DELETE FROM articles;
SELECT raceguard.lock_key('articles', 42);
ALTER TABLE articles RENAME author TO "userId";
UPDATE articles SET title = 'a' WHERE id = 2;
ALTER TABLE articles DROP "userId";
INSERT INTO articles VALUES (10);
SELECT raceguard.drop_guard('articles', 'key_lock');
INSERT INTO articles VALUES (10);
SELECT guard FROM raceguard.guards WHERE target = 'articles'::regclass;
-- A guard whose key is broken may also be replaced.
SELECT raceguard.add_key_lock('articles', 'upper(title)');
ALTER TABLE articles RENAME title TO headline;
UPDATE articles SET headline = 'b';
SELECT raceguard.add_key_lock('articles', 'upper(headline)', replace => true);
UPDATE articles SET headline = 'b';
-- A key whose type can no longer be locked, and one whose function is gone.
ALTER TABLE articles ADD extra int;
SELECT raceguard.add_key_lock('articles', 'extra', replace => true);
ALTER TABLE articles ALTER extra TYPE json USING NULL;
UPDATE articles SET headline = 'c';
ALTER TABLE articles ALTER extra TYPE int USING NULL;
SELECT raceguard.add_key_lock('articles', 'app.bucket(extra)', replace => true);
UPDATE articles SET headline = 'c';
DROP FUNCTION app.bucket(int);
UPDATE articles SET headline = 'c';

-- Off: no trigger, no locks, and the extension can go only with its guards.
SELECT raceguard.drop_guard('articles', 'key_lock');
DROP EXTENSION raceguard;
SELECT raceguard.drop_guard('comments', 'key_lock');
DROP VIEW held;
DROP EXTENSION raceguard;
DROP TABLE articles, comments;
DROP SCHEMA app;
