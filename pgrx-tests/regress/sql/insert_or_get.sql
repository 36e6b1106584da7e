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
-- Under another search_path, with an operator class whose equality is not =: numbers without their sign.
CREATE SCHEMA other;
CREATE FUNCTION other.cmp(a int, b int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT sign(abs(a) - abs(b))::int';
CREATE FUNCTION other.lt(a int, b int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT abs(a) < abs(b)';
CREATE FUNCTION other.le(a int, b int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT abs(a) <= abs(b)';
CREATE FUNCTION other.eq(a int, b int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT abs(a) = abs(b)';
CREATE FUNCTION other.ge(a int, b int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT abs(a) >= abs(b)';
CREATE FUNCTION other.gt(a int, b int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT abs(a) > abs(b)';
CREATE OPERATOR other.|<| (FUNCTION = other.lt, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR other.|<=| (FUNCTION = other.le, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR other.|=| (FUNCTION = other.eq, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR other.|>=| (FUNCTION = other.ge, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR other.|>| (FUNCTION = other.gt, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR CLASS other.unsigned FOR TYPE int USING btree AS
    OPERATOR 1 other.|<|, OPERATOR 2 other.|<=|, OPERATOR 3 other.|=|, OPERATOR 4 other.|>=|, OPERATOR 5 other.|>|,
    FUNCTION 1 other.cmp(int, int);
CREATE TABLE tags (tag int, n int);
CREATE UNIQUE INDEX ON tags (tag other.unsigned);
SET search_path = pg_catalog;
SELECT * FROM raceguard.insert_or_get('public.tags', '{"tag": 5, "n": 1}');
SELECT * FROM raceguard.insert_or_get('public.tags', '{"tag": -5, "n": 2}');
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
