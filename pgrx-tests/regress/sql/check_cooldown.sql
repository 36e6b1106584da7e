-- check_guards on cooldowns and key locks: each state is made by DDL that people run, found, mended by its remedy, and
-- not found again.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE VIEW found AS SELECT severity, problem, target, guard, remedy FROM raceguard.check_guards()
    WHERE severity <> 'info' ORDER BY severity, target::text COLLATE "C", guard, problem, remedy COLLATE "C";
-- Runs what is found, and looks again.
\set mend 'SELECT DISTINCT remedy COLLATE "C" FROM found WHERE remedy IS NOT NULL ORDER BY 1 \\gexec'
CREATE TABLE mails (id int PRIMARY KEY, address text, kind int, sent timestamptz);
SELECT raceguard.add_cooldown('mails', 'lower(address)', 'sent', '1 day', predicate => 'kind > 0');
INSERT INTO mails VALUES (1, 'Ann', 1, '2026-03-01 12:00+00');
TABLE found;

-- ---- A cooldown's columns are renamed: its own index has followed.
ALTER TABLE mails RENAME sent TO sent_at;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('mails');
:mend
TABLE found;
ALTER TABLE mails RENAME address TO addr;
TABLE found;
:mend
TABLE found;
ALTER TABLE mails RENAME kind TO sort;
TABLE found;
:mend
TABLE found;
\set VERBOSITY sqlstate
INSERT INTO mails VALUES (2, 'ANN', 1, '2026-03-01 13:00+00');
\set VERBOSITY default
SELECT definition FROM raceguard.guards;

-- ---- Its index.
DROP INDEX mails_cooldown_idx;
TABLE found;
:mend
TABLE found;
-- Another type; another name, which no index of its own tells.
ALTER TABLE mails ALTER sent_at TYPE text;
SELECT problem, detail, remedy FROM raceguard.check_guards('mails');
ALTER TABLE mails ALTER sent_at TYPE timestamptz USING sent_at::timestamptz;
TABLE found;
ALTER TABLE mails RENAME sent_at TO sent;
SELECT problem, detail, remedy FROM raceguard.check_guards('mails');
ALTER TABLE mails RENAME sent TO sent_at;
-- Arguments that are no rule.
BEGIN;
CREATE OR REPLACE TRIGGER zz_raceguard_cooldown AFTER INSERT OR UPDATE ON mails
    FOR EACH ROW EXECUTE FUNCTION raceguard.cooldown_guard('addr', 'at=sent_at');
SELECT problem, detail, remedy FROM raceguard.check_guards('mails');
ROLLBACK;

-- ---- Rows that stand too close.
ALTER TABLE mails DISABLE TRIGGER USER;
INSERT INTO mails VALUES (3, 'ann', 1, '2026-03-01 13:00+00');
ALTER TABLE mails ENABLE TRIGGER USER;
TABLE found;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('mails', deep => true);
DELETE FROM mails WHERE id = 3;
SELECT * FROM raceguard.check_guards('mails', deep => true);

-- ---- A key lock's first trigger, and its own.
CREATE TABLE bookings (id int PRIMARY KEY, room int, note text);
SELECT raceguard.add_key_lock('bookings', 'room');
TABLE found;
ALTER TABLE bookings DISABLE TRIGGER "!raceguard_key_lock";
TABLE found;
:mend
TABLE found;
DROP TRIGGER "!raceguard_key_lock" ON bookings;
TABLE found;
:mend
TABLE found;
CREATE OR REPLACE TRIGGER "!raceguard_key_lock" BEFORE INSERT OR UPDATE OR DELETE ON bookings
    FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_first_guard('id');
TABLE found;
:mend
TABLE found;
DROP TRIGGER zz_raceguard_key_lock ON bookings;
TABLE found;
:mend
TABLE found;
CREATE OR REPLACE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE ON bookings
    FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('room');
TABLE found;
:mend
TABLE found;
-- Its key: no object follows a rename.
ALTER TABLE bookings RENAME room TO hall;
SELECT problem, detail, remedy FROM raceguard.check_guards('bookings');
ALTER TABLE bookings RENAME hall TO room;
TABLE found;
-- A trigger behind it that writes the key.
CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new."room" = 1; RETURN NEW; END $$;
CREATE TRIGGER zzz_move BEFORE INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION move();
TABLE found;
:mend
TABLE found;
DROP TABLE bookings;

-- ---- Roles and databases whose sessions skip every guard.
CREATE ROLE check_replica;
ALTER ROLE check_replica SET session_replication_role = replica;
SELECT severity, problem, detail, remedy FROM raceguard.check_guards() WHERE severity = 'error';
:mend
TABLE found;
DO $$ BEGIN EXECUTE format('ALTER ROLE check_replica IN DATABASE %I SET session_replication_role = replica', current_database()); END $$;
SELECT severity, problem, detail FROM raceguard.check_guards() WHERE severity = 'error';
:mend
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_replication_role = replica', current_database()); END $$;
SELECT severity, problem, detail FROM raceguard.check_guards() WHERE severity = 'error';
:mend
TABLE found;
DROP ROLE check_replica;

-- ---- The SQL of another version than the library's.
BEGIN;
UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'raceguard';
SELECT severity, problem, regexp_replace(detail, '\d+\.\d+\.\d+(?=,)', 'x') AS detail, remedy FROM raceguard.check_guards() WHERE problem LIKE 'version%';
SELECT raceguard.ready();
UPDATE pg_extension SET extversion = '0.1.0' WHERE extname = 'raceguard';
SELECT severity, problem, remedy LIKE 'ALTER EXTENSION raceguard UPDATE TO %' FROM raceguard.check_guards() WHERE problem LIKE 'version%';
ROLLBACK;
SELECT raceguard.ready();

-- ---- An extension that goes with a role.
BEGIN;
CREATE ROLE check_owner;
UPDATE pg_extension SET extowner = 'check_owner'::regrole WHERE extname = 'raceguard';
SELECT severity, problem, detail, remedy FROM raceguard.check_guards() WHERE problem LIKE 'extension%';
ROLLBACK;
DROP TABLE mails;
