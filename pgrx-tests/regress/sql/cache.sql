-- What a session remembers of guards goes with their tables.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE FUNCTION rules() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'raceguard rule' $$;

CREATE TABLE kept (id int PRIMARY KEY, user_id int);
SELECT raceguard.add_version('kept');
INSERT INTO kept VALUES (1, 1);
UPDATE kept SET user_id = 2;

CREATE FUNCTION pass(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE passing_%s (id int PRIMARY KEY, user_id int)', n);
	PERFORM raceguard.add_version(format('passing_%s', n)::regclass);
	PERFORM raceguard.add_key_lock(format('passing_%s', n)::regclass, 'user_id');
	PERFORM raceguard.add_cap(format('passing_%s', n)::regclass, 'user_id', 3);
	EXECUTE format('INSERT INTO passing_%s VALUES (1, 1)', n);
	EXECUTE format('UPDATE passing_%s SET user_id = 2', n);
END $$;

-- Dropped in the transaction that made them, in a later one, and rolled back.
DO $$ BEGIN FOR i IN 1 .. 20 LOOP PERFORM pass(i); EXECUTE format('DROP TABLE passing_%s', i); COMMIT; END LOOP; END $$;
DO $$ BEGIN FOR i IN 1 .. 20 LOOP PERFORM pass(i); COMMIT; EXECUTE format('DROP TABLE passing_%s', i); COMMIT; END LOOP; END $$;
DO $$ BEGIN FOR i IN 1 .. 20 LOOP PERFORM pass(i); ROLLBACK; END LOOP; END $$;
SELECT rules() <= 1 AS forgotten;

-- What is still there works on.
UPDATE kept SET user_id = 3 RETURNING version;
SELECT pass(100);
UPDATE passing_100 SET user_id = 3 RETURNING version, slot;
SELECT rules() BETWEEN 1 AND 5 AS remembered;
