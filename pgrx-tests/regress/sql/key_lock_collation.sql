-- Keys that are equal in a nondeterministic collation, and in citext, are one key.
-- A Postgres built without ICU or without contrib has nothing to show here.
SELECT NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext')
    OR NOT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i') AS lacks_them \gset
\if :lacks_them
\quit
\endif
CREATE EXTENSION raceguard;
CREATE EXTENSION citext;
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE people (email text COLLATE nocase, name citext, plain text);
SELECT raceguard.add_key_lock('people', 'email');
BEGIN;
INSERT INTO people (email) VALUES ('Bob@example.com'), ('BOB@EXAMPLE.COM');
SELECT raceguard.lock_key('people', 'bob@example.com');
SELECT count(*) FROM raceguard.locks;
SELECT raceguard.lock_key('people', 'alice@example.com');
SELECT count(*) FROM raceguard.locks;
ROLLBACK;
SELECT raceguard.add_key_lock('people', 'name', replace => true);
BEGIN;
INSERT INTO people (name) VALUES ('Bob'), ('BOB');
SELECT raceguard.lock_key('people', 'bob'), raceguard.lock_keys('people', '["bOB"]');
SELECT count(*) FROM raceguard.locks;
ROLLBACK;
SELECT raceguard.add_key_lock('people', '(plain COLLATE nocase)', replace => true);
BEGIN;
INSERT INTO people (plain) VALUES ('Bob'), ('BOB');
SELECT raceguard.lock_key('people', 'bob');
SELECT count(*) FROM raceguard.locks;
ROLLBACK;
SELECT raceguard.add_key_lock('people', 'lower(plain)', replace => true);
BEGIN;
INSERT INTO people (plain) VALUES ('Bob'), ('BOB');
SELECT raceguard.lock_key('people', 'bob');
SELECT count(*) FROM raceguard.locks;
ROLLBACK;
DROP TABLE people;
DROP COLLATION nocase;
