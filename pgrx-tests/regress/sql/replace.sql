-- replace => true keeps readers going, and the sessions a guard fires in.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE FUNCTION locks(target regclass) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(mode, ', ' ORDER BY mode) FROM pg_locks
    WHERE relation = $1 AND pid = pg_backend_pid() AND mode IN ('ShareRowExclusiveLock', 'AccessExclusiveLock')
$$;
CREATE TABLE t (id int PRIMARY KEY, k int, at timestamptz) ;
CREATE TABLE parted (id int, k int) PARTITION BY LIST (id);
CREATE TABLE part1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int, p int CONSTRAINT fp REFERENCES parents, q int CONSTRAINT fq REFERENCES parents);
SELECT raceguard.add_version('t'), raceguard.add_key_lock('t', 'k'), raceguard.add_cooldown('t', 'k', 'at', '1 hour'),
       raceguard.add_version('parted'), raceguard.add_version('parents'), raceguard.add_parent_version('children', 'parents', 'fp');
ALTER TABLE t ENABLE ALWAYS TRIGGER zz_raceguard_version;
ALTER TABLE t ENABLE ALWAYS TRIGGER zz_raceguard_key_lock;
ALTER TABLE t ENABLE ALWAYS TRIGGER zz_raceguard_cooldown;
ALTER TABLE ONLY part1 ENABLE ALWAYS TRIGGER zz_raceguard_version;
ALTER TABLE children ENABLE ALWAYS TRIGGER zz_raceguard_parent_version_truncate;

BEGIN;
SELECT raceguard.add_version('t', unstated => 'reject', replace => true);
SELECT raceguard.add_key_lock('t', 'id', replace => true);
SELECT raceguard.add_cooldown('t', 'k', 'at', '2 hours', replace => true);
SELECT raceguard.add_version('parted', unstated => 'reject', replace => true);
SELECT raceguard.add_parent_version('children', 'parents', 'fq', replace => true);
SELECT locks('t'), locks('parted'), locks('part1'), locks('children');
COMMIT;
SELECT tgrelid::regclass, tgname, tgenabled, tgargs FROM pg_trigger
WHERE NOT tgisinternal OR tgrelid = 'part1'::regclass ORDER BY 1, 2;
SELECT target, guard, enabled, whole FROM raceguard.guards ORDER BY 1, 2;

-- What has to be enabled again is told, also on a partition.
ALTER TABLE t DISABLE TRIGGER zz_raceguard_version;
ALTER TABLE t ENABLE REPLICA TRIGGER zz_raceguard_key_lock;
ALTER TABLE part1 DISABLE TRIGGER USER;
SELECT raceguard.add_version('t', replace => true);
SELECT raceguard.add_key_lock('t', 'k', replace => true);
SELECT raceguard.add_version('parted', replace => true);
SELECT target, guard, enabled, whole FROM raceguard.guards ORDER BY 1, 2;

-- A trigger under a name of its own has to go.
ALTER TRIGGER zz_raceguard_version ON t RENAME TO mine;
BEGIN;
SELECT raceguard.add_version('t', unstated => 'warn', replace => true);
SELECT locks('t');
COMMIT;
SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1;

-- Another column, which has to be filled: the old guard does not judge that.
ALTER TABLE t ADD rev int;
INSERT INTO t (id) VALUES (1), (2);
SELECT raceguard.add_version('t', unstated => 'reject', replace => true);
SELECT raceguard.add_version('t', 'rev', unstated => 'reject', replace => true);
SELECT id, rev, version FROM t ORDER BY 1;
UPDATE t SET k = 1;
UPDATE t SET k = 1, rev = 2;

-- ---- A cap: another order of filling is a matter of its triggers; another rule is one of its CHECK and index, which readers
-- wait for.
CREATE TABLE posts (id int PRIMARY KEY, k int);
SELECT raceguard.add_cap('posts', 'k', 3);
ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_cap;
ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_cap_full;
INSERT INTO posts VALUES (1, 1), (2, 1);
DELETE FROM posts WHERE id = 1;
CREATE TABLE before AS SELECT oid, tgname FROM pg_trigger WHERE tgrelid = 'posts'::regclass;
BEGIN;
SELECT raceguard.add_cap('posts', 'k', 3, fill => 'append', replace => true);
SELECT locks('posts');
COMMIT;
INSERT INTO posts VALUES (3, 1) RETURNING slot;
SELECT tgname, tgenabled, encode(tgargs, 'escape') AS arguments, t.oid = before.oid AS as_before
FROM pg_trigger t JOIN before USING (tgname) WHERE tgrelid = 'posts'::regclass ORDER BY 1;
SELECT definition, enabled, whole FROM raceguard.guards WHERE target = 'posts'::regclass;
-- The same again keeps nobody who reads waiting either.
BEGIN;
SELECT raceguard.add_cap('posts', 'k', 3, fill => 'append');
SELECT locks('posts');
COMMIT;
-- Not without replace.
SELECT raceguard.add_cap('posts', 'k', 3);
-- It reads nothing, so it may be done online.
SELECT raceguard.add_cap('posts', 'k', 3, online => true, replace => true);
BEGIN;
SELECT raceguard.add_cap('posts', 'k', 4, replace => true);
SELECT locks('posts');
ROLLBACK;
-- One that is not whole is put up anew.
BEGIN;
ALTER TABLE posts DROP CONSTRAINT raceguard_cap_slots;
SELECT raceguard.add_cap('posts', 'k', 3, fill => 'append', replace => true);
SELECT definition, whole FROM raceguard.guards WHERE target = 'posts'::regclass;
ROLLBACK;
BEGIN;
ALTER TABLE posts DISABLE TRIGGER zz_raceguard_cap_full;
SELECT raceguard.add_cap('posts', 'k', 3, fill => 'append', replace => true);
SELECT definition, enabled, whole FROM raceguard.guards WHERE target = 'posts'::regclass;
ROLLBACK;
BEGIN;
SELECT raceguard.set_mode('posts', 'cap', 'observe');
SELECT raceguard.add_cap('posts', 'k', 3, fill => 'append', replace => true);
SELECT definition, whole FROM raceguard.guards WHERE target = 'posts'::regclass;
ROLLBACK;
-- With partitions, one of whose clones fires for replicated rows too.
CREATE TABLE visits (k int, day int, n int) PARTITION BY LIST (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES IN (2);
SELECT raceguard.add_cap('visits', 'k, day', 3);
ALTER TABLE ONLY visits_2 ENABLE ALWAYS TRIGGER zz_raceguard_cap;
BEGIN;
SELECT raceguard.add_cap('visits', 'k, day', 3, fill => 'append', replace => true);
SELECT locks('visits'), locks('visits_1');
COMMIT;
SELECT tgrelid::regclass, tgname, tgenabled, encode(tgargs, 'escape') AS arguments FROM pg_trigger
WHERE tgrelid IN ('visits'::regclass, 'visits_1'::regclass, 'visits_2'::regclass) ORDER BY 1, 2;

-- ---- A parent version that follows one foreign key and then the other: each has a trigger that bumps, the one that is not
-- followed idles.
ALTER TABLE children ENABLE TRIGGER zz_raceguard_parent_version_truncate;
INSERT INTO parents VALUES (1), (2);
INSERT INTO children VALUES (1, 1, 2);
SELECT id, version FROM parents ORDER BY 1;
BEGIN;
SELECT raceguard.add_parent_version('children', 'parents', 'fp', replace => true);
SELECT locks('children');
COMMIT;
SELECT tgname, tgenabled, tgargs FROM pg_trigger WHERE tgrelid = 'children'::regclass AND NOT tgisinternal ORDER BY 1;
UPDATE children SET id = 2;
SELECT id, version FROM parents ORDER BY 1;
SELECT * FROM raceguard.plan_parent_version('children', 'parents', 'fq', replace => true);
-- Where the triggers fire for replicated rows, the new one does.
SELECT format('ALTER TABLE children ENABLE ALWAYS TRIGGER %I', tgname) FROM pg_trigger
WHERE tgrelid = 'children'::regclass AND NOT tgisinternal ORDER BY 1 \gexec
ALTER TABLE children ADD r int CONSTRAINT fr REFERENCES parents;
SELECT raceguard.add_parent_version('children', 'parents', 'fr', replace => true);
SELECT tgname, tgenabled, tgargs FROM pg_trigger WHERE tgrelid = 'children'::regclass AND NOT tgisinternal ORDER BY 1;
SELECT problem, detail FROM raceguard.check_guards('children');
-- The foreign key that is followed is remembered by its parent.
ALTER TABLE children DROP CONSTRAINT fp, DROP CONSTRAINT fq;
ALTER TABLE children RENAME CONSTRAINT fr TO fz;
UPDATE children SET r = 2;
SELECT id, version FROM parents ORDER BY 1;
-- Under a name that led to another parent before.
CREATE TABLE others (id int PRIMARY KEY);
SELECT raceguard.add_version('others');
ALTER TABLE children DROP CONSTRAINT fz, ADD CONSTRAINT fr FOREIGN KEY (r) REFERENCES others NOT VALID;
SELECT raceguard.add_parent_version('children', 'others', 'fr', replace => true);
INSERT INTO others VALUES (2), (3);
UPDATE children SET r = 3;
SELECT id, version FROM others ORDER BY 1;
SELECT enabled, whole FROM raceguard.guards WHERE target = 'children'::regclass;
SELECT raceguard.drop_guard('children', 'parent_version');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'children'::regclass AND NOT tgisinternal;
