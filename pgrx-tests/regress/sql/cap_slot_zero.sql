-- Slot 0 passes the CHECK of a cap and is not counted: every way to leave a row there.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
\set code '\\echo SQLSTATE :SQLSTATE'
CREATE TABLE posts (id int PRIMARY KEY, k int, shown boolean NOT NULL DEFAULT true);
SELECT raceguard.add_cap('posts', 'k', 2, predicate => 'shown');
INSERT INTO posts VALUES (1, 1), (2, 1);

-- ---- A trigger that fires after the guard, for UPDATE: the guard does not let it have the last word unseen.
CREATE FUNCTION zero() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.slot := 0; RETURN NEW; END $$;
CREATE TRIGGER zzz BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION zero();
UPDATE posts SET id = id;
:code
-- A trigger that sorts before the guard is nothing to it: the guard comes last.
ALTER TRIGGER zzz ON posts RENAME TO aaa;
UPDATE posts SET id = id RETURNING id, slot;
ALTER TRIGGER aaa ON posts RENAME TO zzz;
-- Nor is one that is off, or one of raceguard's own.
ALTER TABLE posts DISABLE TRIGGER zzz;
UPDATE posts SET id = id RETURNING id, slot;
ALTER TABLE posts ENABLE TRIGGER zzz;
-- add_cap again: the trigger that refuses then looks at updated rows too.
SELECT raceguard.add_cap('posts', 'k', 2, predicate => 'shown');
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'zz_raceguard_cap_full';
UPDATE posts SET id = id;
:code
-- Outside the predicate any slot may stand.
UPDATE posts SET shown = false WHERE id = 2 RETURNING id, slot;
-- A later trigger that leaves the slot alone does no harm.
CREATE OR REPLACE FUNCTION zero() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
UPDATE posts SET shown = true RETURNING id, slot;
SELECT raceguard.add_cap('posts', 'k', 2, predicate => 'shown');
SELECT enabled, whole FROM raceguard.guards;

-- ---- The same for INSERT, where the trigger that refuses looks anyway, unless it is off.
DROP TRIGGER zzz ON posts;
CREATE OR REPLACE FUNCTION zero() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.slot := 0; RETURN NEW; END $$;
CREATE TRIGGER zzz BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION zero();
INSERT INTO posts VALUES (3, 2);
:code
ALTER TABLE posts DISABLE TRIGGER zz_raceguard_cap_full;
INSERT INTO posts VALUES (3, 2);
:code
DROP TRIGGER zzz ON posts;
-- Stated by the writer it is as good as none.
INSERT INTO posts VALUES (3, 2, true, 0) RETURNING slot;
UPDATE posts SET slot = 0 WHERE id = 3 RETURNING slot;
ALTER TABLE posts ENABLE TRIGGER zz_raceguard_cap_full;

-- ---- In replica role no guard fires: what remains, and who counts it.
SET session_replication_role = replica;
INSERT INTO posts VALUES (4, 1);
:code
INSERT INTO posts VALUES (4, 1, true, 3);
:code
INSERT INTO posts VALUES (4, 2, true, 0);
UPDATE posts SET slot = 0 WHERE id = 1;
RESET session_replication_role;
SELECT id, k, slot FROM posts ORDER BY id;
SELECT raceguard.set_cap('posts', 5);
:code
SELECT count(*) FROM raceguard.plan_cap('posts', 'k', 2, predicate => 'shown') WHERE ddl LIKE 'CALL %';
-- An UPDATE gives such a row a slot, if there is one.
UPDATE posts SET id = id WHERE id = 4 RETURNING slot;
SELECT raceguard.add_cap('posts', 'k', 2, predicate => 'shown');
SELECT id, k, slot FROM posts ORDER BY id;
SELECT raceguard.add_cap('posts', 'k', 2, predicate => 'shown');
-- Too many of a key: named, and the row stays as it is.
SET session_replication_role = replica;
INSERT INTO posts VALUES (5, 1, true, 0);
RESET session_replication_role;
UPDATE posts SET id = id WHERE id = 5 RETURNING slot;
SELECT raceguard.add_cap('posts', 'k', 2, predicate => 'shown');
:code
CALL raceguard.number_slots('posts');
:code
DELETE FROM posts WHERE id = 2;
CALL raceguard.number_slots('posts');
SELECT id, k, slot FROM posts ORDER BY id;
-- The trigger that refuses can be made to fire for replicated rows as well.
ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_cap_full;
SET session_replication_role = replica;
INSERT INTO posts VALUES (6, 3, true, 0);
:code
RESET session_replication_role;

-- ---- The CHECK is gone, or does not hold for all rows: the guard itself refuses a slot that there is not.
\set VERBOSITY sqlstate
ALTER TABLE posts DROP CONSTRAINT raceguard_cap_slots;
INSERT INTO posts VALUES (6, 3, true, 7);
INSERT INTO posts VALUES (6, 3, true, -1);
UPDATE posts SET slot = 7 WHERE id = 1;
SELECT enabled, whole FROM raceguard.guards;
ALTER TABLE posts ADD CONSTRAINT raceguard_cap_slots CHECK ((slot <@ '[0,3)'::int4range) IS TRUE OR shown IS NOT TRUE) NOT VALID;
SELECT enabled, whole FROM raceguard.guards;
ALTER TABLE posts VALIDATE CONSTRAINT raceguard_cap_slots;
SELECT enabled, whole FROM raceguard.guards;
-- An index of another form is not the cap's.
DROP INDEX posts_cap;
CREATE UNIQUE INDEX posts_cap ON posts (k, slot);
INSERT INTO posts VALUES (6, 3);
SELECT enabled, whole FROM raceguard.guards;
