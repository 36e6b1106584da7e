-- A cursor's failure takes back nothing that it locked before the savepoint.
-- A cursor is an owner of locks of its own, and a failed one goes with the savepoint.
CREATE EXTENSION raceguard;
\set VERBOSITY sqlstate
SET client_min_messages = warning;
CREATE TABLE posts (id int PRIMARY KEY, user_id int);
SELECT raceguard.add_key_lock('posts', 'user_id');
BEGIN;
DECLARE c CURSOR FOR SELECT 1 / (2 - i), raceguard.lock_key('posts', i) FROM generate_series(1, 2) i;
FETCH c;
SAVEPOINT s;
FETCH c;
ROLLBACK TO s;
RELEASE s;
SELECT raceguard.lock_key('posts', 1);
SELECT locked, count(*) FROM raceguard.locks WHERE pid = pg_backend_pid() GROUP BY 1 ORDER BY 1;
ROLLBACK;
