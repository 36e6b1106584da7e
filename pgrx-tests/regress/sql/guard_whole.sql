-- What the view guards says of a guard that stands and cannot do its work, whoever looks, and of triggers
-- whose arguments are a stranger's.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
CREATE VIEW guards AS SELECT target, guard, enabled, whole FROM raceguard.guards ORDER BY target::text, guard;
GRANT SELECT ON guards TO PUBLIC;
CREATE ROLE guard_whole_stranger;
CREATE ROLE guard_whole_looker;

-- ---- The key of a key lock and of a cooldown, and a predicate: a column or a function is gone.
CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2';
CREATE TABLE locked (id int PRIMARY KEY, k int);
CREATE TABLE mails (id int PRIMARY KEY, address text, kind int, at timestamptz);
SELECT raceguard.add_key_lock('locked', 'half(k), id');
SELECT raceguard.add_cooldown('mails', 'lower(address)', 'at', '1 day', predicate => 'kind > 0');
TABLE guards;
ALTER TABLE locked RENAME k TO key;
ALTER TABLE mails RENAME kind TO sort;
TABLE guards;
\set VERBOSITY sqlstate
INSERT INTO locked VALUES (1, 1);
INSERT INTO mails VALUES (1, 'a', 1, now());
\set VERBOSITY default
ALTER TABLE locked RENAME key TO k;
ALTER TABLE mails RENAME sort TO kind;
ALTER TABLE mails RENAME address TO addr;
TABLE guards;
ALTER TABLE mails RENAME addr TO address;
DROP FUNCTION half;
TABLE guards;
-- One that reads otherwise may be there again.
CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2';
TABLE guards;
-- An option that is none.
CREATE OR REPLACE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON locked
    FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('k', 'namespace=many');
TABLE guards;
DROP TABLE locked, mails;
DROP FUNCTION half;

-- ---- To look runs nothing of the owner's, needs none of his rights, and keeps no lock.
CREATE SCHEMA hidden;
GRANT CREATE, USAGE ON SCHEMA hidden TO guard_whole_stranger;
SET ROLE guard_whole_stranger;
CREATE FUNCTION hidden.spy() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN RAISE WARNING 'run as %', current_user; RETURN 1; END $$;
CREATE TABLE hidden.bait (id int, at timestamp);
SET client_min_messages = error;
SELECT raceguard.add_key_lock('hidden.bait', '(id + hidden.spy())');
SELECT raceguard.add_cooldown('hidden.bait', 'id', 'at', '1 day', predicate => 'id > hidden.spy()');
RESET client_min_messages;
SET ROLE guard_whole_looker;
BEGIN;
TABLE guards;
SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'bait';
COMMIT;
SET ROLE guard_whole_stranger;
DROP TABLE hidden.bait;
DROP FUNCTION hidden.spy;
RESET ROLE;

-- ---- A cap behind which another trigger writes the slot of an UPDATE.
CREATE TABLE posts (id int PRIMARY KEY, k int);
SELECT raceguard.add_cap('posts', 'k', 2);
TABLE guards;
CREATE FUNCTION zero() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.slot := 0; RETURN NEW; END';
CREATE TRIGGER zzz BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION zero();
TABLE guards;
SELECT raceguard.add_cap('posts', 'k', 2);
TABLE guards;
DROP TABLE posts;

-- ---- More arguments than a guard has: the trigger refuses every write, and nobody else has to read them.
SET ROLE guard_whole_stranger;
CREATE TABLE hidden.bulky (id int);
DO $$ BEGIN EXECUTE format(
    'CREATE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON hidden.bulky
         FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard(%L)', 'id' || repeat(' ', 4194304)); END $$;
INSERT INTO hidden.bulky VALUES (1);
-- Nor does it claim other people's locks.
DO $$ BEGIN EXECUTE format(
    'CREATE TRIGGER other BEFORE INSERT OR UPDATE OR DELETE ON hidden.bulky
         FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard(''id'', ''namespace=5'', %L)', repeat('x', 4194304)); END $$;
CREATE TRIGGER third BEFORE INSERT OR UPDATE OR DELETE ON hidden.bulky
    FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id', 'namespace=6');
BEGIN;
LOCK TABLE hidden.bulky IN ACCESS SHARE MODE;
SELECT pg_advisory_xact_lock(5, 1), pg_advisory_xact_lock(6, 1);
SELECT target, key_hash FROM raceguard.locks ORDER BY target;
COMMIT;
SET ROLE guard_whole_looker;
SELECT guard, kind, definition, enabled, whole FROM raceguard.guards ORDER BY guard;
SET ROLE guard_whole_stranger;
DROP TABLE hidden.bulky;
RESET ROLE;

-- ---- A call that puts up a guard leaves the session's settings alone.
CREATE TABLE mails (id int, at timestamptz);
SET intervalstyle = 'iso_8601';
BEGIN;
SELECT raceguard.add_cooldown('mails', 'id', 'at', '1 day 02:00');
SHOW intervalstyle;
COMMIT;
SELECT definition FROM raceguard.guards;
RESET intervalstyle;
DROP TABLE mails;

DROP SCHEMA hidden;
DROP ROLE guard_whole_stranger, guard_whole_looker;
