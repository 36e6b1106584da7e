-- insert_or_get: the row inserted, or the one that is there.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
CREATE TABLE people (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    team int,
    badge int DEFAULT 100,
    name text,
    short text GENERATED ALWAYS AS (left(name, 3)) STORED,
    gone boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX ON people (lower(email)) WHERE NOT gone;
ALTER TABLE people ADD UNIQUE NULLS NOT DISTINCT (team, badge);
CREATE UNIQUE INDEX ON people (short);
SELECT * FROM raceguard.insert_or_get('people', '{"email": "Ann@example.org", "team": 1, "name": "Annabel"}');
-- By an expression and predicate, by columns one of which has its default or is NULL, by a generated column.
SELECT * FROM raceguard.insert_or_get('people', '{"email": "ann@EXAMPLE.org", "team": 2}');
SELECT * FROM raceguard.insert_or_get('people', '{"email": "bob@example.org", "team": 1}');
SELECT * FROM raceguard.insert_or_get('people', '{"email": "bob@example.org", "name": "Anneliese"}');
SELECT (raceguard.insert_or_get('people', '{"email": "c@example.org", "badge": null}')).inserted;
SELECT * FROM raceguard.insert_or_get('people', '{"email": "d@example.org", "badge": null}');
UPDATE people SET gone = true, team = -1 WHERE id = 1;
SELECT inserted FROM raceguard.insert_or_get('people', '{"email": "ann@example.org", "team": 2}');
-- Under another search_path, with a type and an equality of its own.
CREATE EXTENSION citext;
CREATE TABLE tags (tag citext PRIMARY KEY, n int);
SET search_path = pg_catalog;
SELECT * FROM raceguard.insert_or_get('public.tags', '{"tag": "Red", "n": 1}');
SELECT * FROM raceguard.insert_or_get('public.tags', '{"tag": "RED", "n": 2}');
RESET search_path;
-- On a table with a cap.
CREATE TABLE capped (id int PRIMARY KEY, k int);
SELECT raceguard.add_cap('capped', 'k', 1);
SELECT * FROM raceguard.insert_or_get('capped', '{"id": 1, "k": 1}');
SELECT * FROM raceguard.insert_or_get('capped', '{"id": 1, "k": 1}');
SELECT * FROM raceguard.insert_or_get('capped', '{"id": 2, "k": 1}');
-- What is wrong.
SELECT raceguard.insert_or_get(NULL, '{}');
SELECT raceguard.insert_or_get('people', NULL);
SELECT raceguard.insert_or_get('people', '[1]');
SELECT raceguard.insert_or_get('people', '{"nix": 1}');
SELECT raceguard.insert_or_get('people', '{"name": "Zoe"}');
-- A trigger that changes the key hides the row; the error says so.
CREATE FUNCTION shorten() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.k := NEW.k / 10; RETURN NEW; END $$;
CREATE TABLE shortened (k int UNIQUE);
CREATE TRIGGER shorten BEFORE INSERT ON shortened FOR EACH ROW EXECUTE FUNCTION shorten();
SELECT * FROM raceguard.insert_or_get('shortened', '{"k": 10}');
\set VERBOSITY default
SELECT * FROM raceguard.insert_or_get('shortened', '{"k": 11}');
DROP TABLE people, tags, capped, shortened;
