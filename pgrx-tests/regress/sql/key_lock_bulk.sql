-- Bulk jobs on default settings: a million keys in one statement. One lock per key would fill the
-- server's lock table (53200) at some ten thousand keys.
CREATE EXTENSION raceguard;
SELECT setting = boot_val AS as_shipped FROM pg_settings WHERE name = 'max_locks_per_transaction';
SHOW raceguard.max_key_locks;
CREATE TABLE bulk (id int, n int) WITH (autovacuum_enabled = off);
SELECT raceguard.add_key_lock('bulk', 'id');
CREATE VIEW held AS
SELECT locked, granted, count(*) FROM raceguard.locks WHERE pid = pg_backend_pid() GROUP BY 1, 2 ORDER BY 1;

BEGIN;
INSERT INTO bulk SELECT i, 0 FROM generate_series(1, 1000000) i;
SELECT * FROM held;
COMMIT;
BEGIN;
UPDATE bulk SET n = n + 1;
SELECT * FROM held;
COMMIT;
SELECT count(*), sum(n) FROM bulk;
-- Rows of few keys need no more locks than keys.
BEGIN;
UPDATE bulk SET id = id % 10 WHERE id <= 1000;
SELECT * FROM held;
ROLLBACK;
BEGIN;
INSERT INTO bulk SELECT i % 10, 0 FROM generate_series(1, 100000) i;
SELECT * FROM held;
ROLLBACK;
BEGIN;
DELETE FROM bulk WHERE id <= 100000;
SELECT * FROM held;
ROLLBACK;

-- lock_keys knows the number beforehand, and takes one lock from the start.
BEGIN;
SELECT raceguard.lock_keys('bulk', (SELECT jsonb_agg(i) FROM generate_series(1, 2000) i));
SELECT * FROM held;
ROLLBACK;
BEGIN;
SELECT raceguard.lock_keys('bulk', (SELECT jsonb_agg(i % 900) FROM generate_series(1, 2000) i));
SELECT * FROM held;
ROLLBACK;
-- try_lock_key past the limit
BEGIN;
SET LOCAL raceguard.max_key_locks = 2;
SELECT count(*) FILTER (WHERE raceguard.try_lock_key('bulk', i)) FROM generate_series(1, 10) i;
SELECT * FROM held;
ROLLBACK;

-- A limit above what the lock table holds: 53200 as for any lock, with a HINT that names it.
BEGIN;
SET LOCAL raceguard.max_key_locks = 1000000;
UPDATE bulk SET n = n + 1 WHERE id <= 100000;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SET raceguard.max_key_locks = 0;

-- The limit decides whom a few keys block, so not everyone may set it: two keys of somebody who may write
-- the table are two keys, and a third key stays free.
CREATE ROLE raceguard_bulk_writer;
GRANT INSERT ON bulk TO raceguard_bulk_writer;
SET ROLE raceguard_bulk_writer;
SET raceguard.max_key_locks = 1;
SET LOCAL raceguard.max_key_locks = 1;
SELECT set_config('raceguard.max_key_locks', '1', true);
ALTER ROLE raceguard_bulk_writer SET raceguard.max_key_locks = 1;
BEGIN;
SELECT raceguard.lock_keys('bulk', '[1, 2]');
SELECT locked, count(*) FROM raceguard.locks GROUP BY locked;
ROLLBACK;
RESET ROLE;
-- A superuser may let a role that runs bulk jobs.
GRANT SET ON PARAMETER raceguard.max_key_locks TO raceguard_bulk_writer;
SET ROLE raceguard_bulk_writer;
SET raceguard.max_key_locks = 1;
BEGIN;
SELECT raceguard.lock_keys('bulk', '[1, 2]');
SELECT locked, count(*) FROM raceguard.locks GROUP BY locked;
ROLLBACK;
RESET raceguard.max_key_locks;
RESET ROLE;
-- Set before the library is loaded it has no more effect.
REVOKE SET ON PARAMETER raceguard.max_key_locks FROM raceguard_bulk_writer;
\c -
SET ROLE raceguard_bulk_writer;
SET raceguard.max_key_locks = 1;
BEGIN;
SELECT raceguard.lock_keys('bulk', '[1, 2]');
SELECT locked, count(*) FROM raceguard.locks GROUP BY locked;
ROLLBACK;
RESET ROLE;
DROP OWNED BY raceguard_bulk_writer;
DROP ROLE raceguard_bulk_writer;

-- A guard with a namespace takes every lock one by one: 53200, and its HINT says why.
SELECT raceguard.add_key_lock('bulk', 'id', namespace => 5000, replace => true);
BEGIN;
UPDATE bulk SET n = n + 1 WHERE id <= 1000;
SELECT * FROM held;
UPDATE bulk SET n = n + 1 WHERE id <= 100000;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
SELECT count(raceguard.lock_key('bulk', i)) FROM generate_series(1, 100000) i;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
SELECT count(raceguard.try_lock_key('bulk', i)) FROM generate_series(1, 100000) i;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
DROP VIEW held;
DROP TABLE bulk;
