-- SET runs without a snapshot, and the types of a key may call functions that need one.
CREATE EXTENSION raceguard;
CREATE TABLE words (word text);
INSERT INTO words VALUES ('open'), ('closed');
CREATE FUNCTION known(word text) RETURNS boolean IMMUTABLE
    LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.words w WHERE w.word = $1)';
CREATE FUNCTION known_too(word text) RETURNS boolean IMMUTABLE
    LANGUAGE plpgsql AS 'BEGIN RETURN public.known($1) AND EXISTS (SELECT FROM public.words w WHERE w.word = $1); END';
CREATE FUNCTION first_word() RETURNS text IMMUTABLE
    LANGUAGE sql AS 'SELECT min(word) FROM public.words';
CREATE DOMAIN word AS text CHECK (known(VALUE) AND known_too(VALUE));
CREATE TABLE t (state word);
CREATE TABLE u (state text);
SELECT raceguard.add_key_lock('t', 'state');
SELECT raceguard.add_key_lock('u', '(state || first_word())');
-- At every level, in a savepoint, and with a rule that has still to be built.
\connect
SELECT raceguard.version() <> '' AS loaded;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL raceguard.lock_keys = t, '["open"]';
SAVEPOINT s;
SET LOCAL raceguard.lock_keys = u, '["openclosed"]';
SELECT target, count(*) FROM raceguard.locks GROUP BY 1 ORDER BY 1;
ROLLBACK TO s;
SELECT target, count(*) FROM raceguard.locks GROUP BY 1 ORDER BY 1;
COMMIT;
BEGIN;
SET LOCAL raceguard.lock_keys = t, '["ajar"]';
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SET LOCAL raceguard.lock_keys = t, '["open", "closed"]';
INSERT INTO t VALUES ('open');
COMMIT;
SELECT * FROM t;
