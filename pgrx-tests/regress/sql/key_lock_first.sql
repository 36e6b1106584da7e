-- The trigger that locks before all others: how it is made and taken away, and what upserts lock.
-- Who waits for whom is shown by the isolation specs key_lock_rules and key_lock_upsert*.
CREATE EXTENSION raceguard;
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Orders ""A""" (id int, "userId" int, title text, PRIMARY KEY (id, "userId")) PARTITION BY LIST ("userId");
CREATE TABLE "Shop".some PARTITION OF "Shop"."Orders ""A""" FOR VALUES IN (1, 2, 3);
CREATE VIEW triggers AS
SELECT tgrelid::regclass, tgname, tgfoid::regproc, encode(tgargs, 'escape') FROM pg_trigger
WHERE NOT tgisinternal OR tgparentid <> 0 ORDER BY tgrelid::regclass::text, tgname;
-- Keys this transaction holds.
CREATE VIEW held AS
SELECT target, count(*) FROM raceguard.locks WHERE pid = pg_backend_pid() GROUP BY 1 ORDER BY 1;

-- A database of version 0.1.0 has the guard alone. It locks, and the same call completes it.
CREATE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON "Shop"."Orders ""A"""
    FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('"userId"');
BEGIN;
INSERT INTO "Shop"."Orders ""A""" VALUES (1, 1);
SELECT * FROM held;
COMMIT;
SELECT raceguard.add_key_lock('"Shop"."Orders ""A"""', '"userId"');
SELECT * FROM triggers;
SELECT raceguard.add_key_lock('"Shop"."Orders ""A"""', '"userId"');
SELECT target, guard, trigger_name FROM raceguard.guards;
BEGIN;
UPDATE "Shop"."Orders ""A""" SET title = 'x';
SELECT * FROM held;
COMMIT;

-- Both follow a new key, and one with another key is put right.
SELECT raceguard.add_key_lock('"Shop"."Orders ""A"""', 'id', replace => true);
SELECT * FROM triggers;
DROP TRIGGER "!raceguard_key_lock" ON "Shop"."Orders ""A""";
CREATE TRIGGER "!other" BEFORE INSERT OR UPDATE OR DELETE ON "Shop"."Orders ""A"""
    FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_first_guard('"userId"');
SELECT raceguard.add_key_lock('"Shop"."Orders ""A"""', 'id');
SELECT * FROM triggers;

-- They go together, also where somebody has dropped one of them before.
SELECT raceguard.drop_guard('"Shop"."Orders ""A"""', 'key_lock');
SELECT * FROM triggers;
SELECT raceguard.add_key_lock('"Shop"."Orders ""A"""', '"userId"');
DROP TRIGGER zz_raceguard_key_lock ON "Shop"."Orders ""A""";
SELECT raceguard.drop_guard('"Shop"."Orders ""A"""', 'key_lock');
SELECT * FROM triggers;
SELECT raceguard.drop_guard('"Shop"."Orders ""A"""', 'key_lock');

-- Called wrongly.
CREATE TABLE posts (id int PRIMARY KEY, "userId" int, title text);
CREATE TRIGGER "!raceguard_key_lock" AFTER INSERT ON posts
    FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_first_guard('"userId"');
INSERT INTO posts VALUES (1, 1);
DROP TRIGGER "!raceguard_key_lock" ON posts;
SELECT raceguard.key_lock_first_guard();

-- Which side of the two is right for the table's own triggers.
CREATE FUNCTION gives_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW."userId" := NEW.id % 10; RETURN NEW; END $$;
CREATE TRIGGER " reads" BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
CREATE TRIGGER "zzz last" BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
CREATE TRIGGER between BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
CREATE TRIGGER zzz_after AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
SELECT raceguard.add_key_lock('posts', '"userId"');
DROP TRIGGER " reads" ON posts;
DROP TRIGGER "zzz last" ON posts;
DROP TRIGGER zzz_after ON posts;
SELECT raceguard.add_key_lock('posts', '"userId"');

-- The key that the statement gives, and the one that the trigger gives.
BEGIN;
INSERT INTO posts VALUES (12, 5);
SELECT * FROM held;
ROLLBACK;
-- No trigger that fires stands between; then one does again.
ALTER TABLE posts DISABLE TRIGGER between;
BEGIN;
INSERT INTO posts VALUES (12, 5);
SELECT * FROM held;
ROLLBACK;
ALTER TABLE posts ENABLE TRIGGER between;
BEGIN;
INSERT INTO posts VALUES (12, 5);
SELECT * FROM held;
ROLLBACK;
-- The guard locks alone where the first trigger does not fire for these rows.
ALTER TABLE posts DISABLE TRIGGER "!raceguard_key_lock";
BEGIN;
INSERT INTO posts VALUES (12, 5);
SELECT * FROM held;
ROLLBACK;
ALTER TABLE posts ENABLE TRIGGER "!raceguard_key_lock";
DROP TRIGGER between ON posts;
DROP TRIGGER "!raceguard_key_lock" ON posts;
CREATE TRIGGER "!raceguard_key_lock" BEFORE INSERT OR UPDATE OF title ON posts
    FOR EACH ROW WHEN (NEW.id > 100) EXECUTE FUNCTION raceguard.key_lock_first_guard('"userId"');
BEGIN;
INSERT INTO posts VALUES (12, 5);
UPDATE posts SET "userId" = 6;
SELECT * FROM held;
ROLLBACK;
DROP TRIGGER "!raceguard_key_lock" ON posts;
SELECT raceguard.add_key_lock('posts', '"userId"');

-- An upsert locks the keys of the row that is there and of the one it brings, or only the latter.
INSERT INTO posts VALUES (1, 10), (2, 20), (3, NULL);
BEGIN;
INSERT INTO posts VALUES (1, 11) ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title;
SELECT * FROM held;
ROLLBACK;
BEGIN;
INSERT INTO posts VALUES (1, 11) ON CONFLICT (id) DO UPDATE SET "userId" = 12;
SELECT * FROM held;
ROLLBACK;
BEGIN;
INSERT INTO posts VALUES (4, 11), (5, 11), (6, 12) ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title;
SELECT * FROM held;
ROLLBACK;
BEGIN;
INSERT INTO posts VALUES (1, 11) ON CONFLICT (id) DO NOTHING;
SELECT * FROM held;
ROLLBACK;
BEGIN;
INSERT INTO posts VALUES (1, NULL) ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title;
INSERT INTO posts VALUES (3, NULL) ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title;
SELECT * FROM held;
ROLLBACK;
-- Postgres's own refusals.
INSERT INTO posts VALUES (7, 1), (7, 2) ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title;
INSERT INTO posts VALUES (1, 1), (1, 2) ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO posts VALUES (1, 10) ON CONFLICT (id) DO UPDATE SET title = 'rr' RETURNING *;
ROLLBACK;
-- A trigger of the table's own skips the row, or gives it another primary key.
CREATE FUNCTION skips() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.title = 'skip' THEN RETURN NULL; END IF;
    NEW.id := NEW.id + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER skips BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION skips();
INSERT INTO posts VALUES (1, 10, 'skip'), (1, 30, 'not') ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title RETURNING *;
DROP TRIGGER skips ON posts;
-- Past max_key_locks, in one statement and in the next.
SET raceguard.max_key_locks = 2;
BEGIN;
INSERT INTO posts SELECT i, 100 + i FROM generate_series(1, 20) i ON CONFLICT (id) DO UPDATE SET title = 'many';
SELECT target, locked, count(*) FROM raceguard.locks GROUP BY 1, 2 ORDER BY 2;
INSERT INTO posts VALUES (21, 200) ON CONFLICT (id) DO UPDATE SET title = 'many';
SELECT target, locked, count(*) FROM raceguard.locks GROUP BY 1, 2 ORDER BY 2;
COMMIT;
RESET raceguard.max_key_locks;
SELECT count(*), count(title) FROM posts;
-- A table whose unique index somebody drops meanwhile; one without any; a prepared upsert.
PREPARE upsert AS INSERT INTO posts VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET title = 'prepared' RETURNING *;
EXECUTE upsert(1, 10);
CREATE UNIQUE INDEX ON posts (title) WHERE id < 0;
EXECUTE upsert(50, 10);
ALTER TABLE posts DROP CONSTRAINT posts_pkey;
EXECUTE upsert(1, 10);
INSERT INTO posts VALUES (1, 10) ON CONFLICT DO NOTHING;

-- A key with a NULL locks nothing, and whoever asks for it is told.
BEGIN;
SELECT raceguard.lock_key('posts', NULL::int);
SELECT raceguard.try_lock_key('posts', NULL::int);
SELECT raceguard.lock_keys('posts', '[1, null, null]');
SET LOCAL raceguard.lock_keys = posts, '[null]';
SELECT * FROM held;
COMMIT;
