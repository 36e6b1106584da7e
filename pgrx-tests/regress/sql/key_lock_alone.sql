-- Where no other BEFORE trigger stands between the two of a key lock the second one has nothing to do, and the
-- first turns it off for the rest of the statement.
CREATE EXTENSION raceguard;
CREATE TABLE posts (id int PRIMARY KEY, "userId" int, title text);
INSERT INTO posts SELECT i, i % 3, 'old' FROM generate_series(1, 6) i;
SELECT raceguard.add_key_lock('posts', '"userId"');

-- How often a statement calls which trigger.
CREATE FUNCTION calls(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || statement LOOP
        IF line LIKE 'Trigger %' THEN RETURN NEXT line; END IF;
    END LOOP;
END $$;
-- Keys this transaction holds.
CREATE VIEW held AS
SELECT target, count(*) FROM raceguard.locks WHERE pid = pg_backend_pid() GROUP BY 1 ORDER BY 1;
-- What is counted in a transaction is there when it has ended.
CREATE VIEW counted AS SELECT target, passed, bypassed FROM raceguard.stats ORDER BY target::text;

BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = 'new'$$);
SELECT * FROM held;
COMMIT;
SELECT * FROM counted;
BEGIN;
SELECT * FROM calls($$INSERT INTO posts SELECT i, i FROM generate_series(11, 15) i$$);
SELECT * FROM calls($$DELETE FROM posts WHERE id > 10$$);
SELECT * FROM calls($$UPDATE posts SET "userId" = 10 + id$$);
SELECT * FROM held;
ROLLBACK;
SELECT * FROM counted;
-- A statement of one row, and an empty one.
SELECT * FROM calls($$UPDATE posts SET title = 'new' WHERE id = 1$$);
SELECT * FROM calls($$UPDATE posts SET title = 'new' WHERE id = 0$$);

-- Every statement begins anew, a prepared one too.
PREPARE change AS UPDATE posts SET title = $1;
EXECUTE change('a');
EXECUTE change('b');
SELECT * FROM counted;
BEGIN;
COPY posts ("userId", id) FROM stdin;
11	11
12	12
13	13
\.
SELECT * FROM held;
ROLLBACK;
SELECT * FROM counted;

-- Statements with several events, and two tables in one statement.
BEGIN;
SELECT * FROM calls($$INSERT INTO posts SELECT i, 20 + i FROM generate_series(4, 8) i
    ON CONFLICT (id) DO UPDATE SET "userId" = 30 + EXCLUDED.id$$);
SELECT * FROM held;
SELECT * FROM calls($$MERGE INTO posts p USING generate_series(5, 12) i ON p.id = i
    WHEN MATCHED AND i = 6 THEN DELETE WHEN MATCHED THEN UPDATE SET "userId" = 40 + i
    WHEN NOT MATCHED THEN INSERT VALUES (i, 50 + i)$$);
SELECT * FROM held;
ROLLBACK;
CREATE TABLE notes (post int REFERENCES posts ON DELETE CASCADE, project int);
INSERT INTO notes SELECT 1 + i % 6, i FROM generate_series(1, 12) i;
SELECT raceguard.add_key_lock('notes', 'project');
BEGIN;
SELECT * FROM calls($$WITH moved AS (UPDATE posts SET title = 'c' RETURNING id)
    UPDATE notes SET post = moved.id FROM moved WHERE moved.id = notes.post$$);
DELETE FROM posts;
SELECT * FROM held;
COMMIT;
SELECT * FROM counted;
INSERT INTO posts SELECT i, i % 3, 'old' FROM generate_series(1, 6) i;

-- Partitions: each has its own triggers, a row that moves meets those of both.
CREATE TABLE parted (id int, key int) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
SELECT raceguard.add_key_lock('parted', 'key');
BEGIN;
SELECT * FROM calls($$INSERT INTO parted SELECT 1 + i % 2, i FROM generate_series(1, 6) i$$);
SELECT * FROM calls($$UPDATE parted SET id = 3 - id$$);
SELECT * FROM held;
COMMIT;
SELECT * FROM counted;

-- A trigger between the two, whatever its event: the second one locks what it has made of the row.
CREATE FUNCTION gives_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW."userId" := 100 + NEW.id; RETURN NEW; END $$;
CREATE TRIGGER between BEFORE UPDATE ON posts FOR EACH ROW WHEN (NEW.title = 'moved') EXECUTE FUNCTION gives_key();
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = 'new'$$);
SELECT * FROM held;
SELECT * FROM calls($$UPDATE posts SET title = 'moved'$$);
SELECT * FROM held;
SELECT * FROM calls($$INSERT INTO posts SELECT i, i FROM generate_series(11, 15) i$$);
ROLLBACK;
SELECT * FROM counted;
-- One that does not fire stands between nothing; one that replicas fire does.
ALTER TABLE posts DISABLE TRIGGER between;
SELECT * FROM calls($$UPDATE posts SET title = 'moved'$$);
ALTER TABLE posts ENABLE REPLICA TRIGGER between;
SELECT * FROM calls($$UPDATE posts SET title = 'moved'$$);
DROP TRIGGER between ON posts;
-- The two fire in different sessions: one may have to do without the other.
ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_key_lock;
SELECT * FROM calls($$UPDATE posts SET title = 'new'$$);
ALTER TABLE posts ENABLE TRIGGER zz_raceguard_key_lock;
-- They have different keys, as a migration by hand may leave them.
DROP TRIGGER "!raceguard_key_lock" ON posts;
CREATE TRIGGER "!raceguard_key_lock" BEFORE INSERT OR UPDATE OR DELETE ON posts
    FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_first_guard('id');
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = 'new'$$);
SELECT * FROM held;
ROLLBACK;
SELECT raceguard.drop_guard('posts', 'key_lock');
SELECT raceguard.add_key_lock('posts', '"userId"');

-- The table changes under the running statement: that goes on with its triggers, the next one has the new.
CREATE FUNCTION adds_between(id int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF id = 1 THEN
        CREATE TRIGGER between BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
    END IF;
    RETURN 'added';
END $$;
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = adds_between(id)$$);
SELECT * FROM held;
SELECT * FROM calls($$UPDATE posts SET title = 'next'$$);
SELECT * FROM held;
ROLLBACK;
CREATE OR REPLACE FUNCTION adds_between(id int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF id = 4 THEN
        CREATE TRIGGER between BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
        CREATE OR REPLACE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON posts
            FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id');
    END IF;
    RETURN 'added';
END $$;
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = adds_between(id)$$);
SELECT * FROM held;
SELECT * FROM calls($$UPDATE posts SET title = 'next'$$);
SELECT * FROM held;
ROLLBACK;
-- A trigger that the table no longer has between the two, but that the statement still fires.
CREATE TRIGGER between BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
CREATE FUNCTION moves_between(id int, moment int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF id = moment THEN
        CREATE OR REPLACE TRIGGER between AFTER UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
    END IF;
    RETURN 'moved';
END $$;
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = moves_between(id, 1)$$);
SELECT * FROM held;
UPDATE posts SET "userId" = id;
SELECT * FROM calls($$UPDATE posts SET title = 'next'$$);
ROLLBACK;
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = moves_between(id, 4)$$);
SELECT * FROM held;
ROLLBACK;
DROP TRIGGER between ON posts;
-- The same with one that fires for another event, so that the second one goes on to look at each row.
CREATE TRIGGER another BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
CREATE TRIGGER between BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION gives_key();
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = moves_between(id, 1)$$);
SELECT * FROM held;
ROLLBACK;
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = moves_between(id, 4)$$);
SELECT * FROM held;
ROLLBACK;
DROP TRIGGER between ON posts;
DROP TRIGGER another ON posts;

-- Bypassed rows are counted once, before and after the second one is off.
SELECT * FROM counted;
CREATE FUNCTION opens(id int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF id = 4 THEN
        PERFORM raceguard.bypass('posts', 'key_lock', 'a test');
    ELSIF id = 6 THEN
        PERFORM raceguard.end_bypass('posts');
    END IF;
    RETURN 'bypassed';
END $$;
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = opens(id)$$);
SELECT * FROM held;
COMMIT;
SELECT * FROM counted;
BEGIN;
SELECT raceguard.bypass('posts', 'key_lock', 'a test');
SELECT * FROM calls($$UPDATE posts SET title = 'x'$$);
SELECT * FROM held;
COMMIT;
SELECT * FROM counted;

-- A guard that observes tells by its second trigger.
SELECT raceguard.set_mode('posts', 'key_lock', 'observe');
SELECT * FROM calls($$UPDATE posts SET title = 'x'$$);
SELECT * FROM counted;

-- Savepoints and errors within a statement.
SELECT raceguard.set_mode('posts', 'key_lock', 'enforce');
INSERT INTO notes SELECT 1 + i % 6, i FROM generate_series(1, 12) i;
CREATE FUNCTION fails(id int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE notes SET project = project + 1;
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
    RETURN 'failed';
END $$;
BEGIN;
SELECT * FROM calls($$UPDATE posts SET title = fails(id)$$);
SAVEPOINT s;
UPDATE posts SET title = 'y';
ROLLBACK TO s;
SELECT * FROM held;
UPDATE posts SET title = 'z', "userId" = 7;
SELECT * FROM held;
COMMIT;
SELECT * FROM counted;
