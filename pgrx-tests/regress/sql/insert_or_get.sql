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
SELECT * FROM raceguard.insert_or_get('people', '{"email": "Ann@example.org", "team": 1, "name": "Annabel"}', '{email}');
-- By an expression and predicate, by columns one of which has its default or is NULL, by a generated column.
SELECT * FROM raceguard.insert_or_get('people', '{"email": "ann@EXAMPLE.org", "team": 2}', '{email}');
SELECT * FROM raceguard.insert_or_get('people', '{"email": "bob@example.org", "team": 1}', '{badge,team}');
SELECT * FROM raceguard.insert_or_get('people', '{"email": "bob@example.org", "name": "Anneliese"}', '{short}');
SELECT (raceguard.insert_or_get('people', '{"email": "c@example.org", "badge": null}', '{team,badge}')).inserted;
SELECT * FROM raceguard.insert_or_get('people', '{"email": "d@example.org", "badge": null}', '{team,badge,team}');
UPDATE people SET gone = true, team = -1 WHERE id = 1;
SELECT inserted FROM raceguard.insert_or_get('people', '{"email": "ann@example.org", "team": 2}', '{email}');
-- By another one than the key it is a conflict like any other, also with a row that the key does not find.
SELECT * FROM raceguard.insert_or_get('people', '{"email": "new@example.org", "team": 2}', '{email}');
SELECT * FROM raceguard.insert_or_get('people', '{"email": "ann@example.org", "team": 77}', '{team,badge}');
-- Both by one row: the key's.
SELECT inserted FROM raceguard.insert_or_get('people', '{"email": "ann@example.org", "team": 2}', '{email}');
-- Which one is meant is said by the row where only one can answer, and else has to be said.
CREATE TABLE accounts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE, username text UNIQUE, tenant int);
ALTER TABLE accounts ADD UNIQUE (id, tenant), ADD UNIQUE (email, tenant);
CREATE UNIQUE INDEX accounts_email_again ON accounts (email);
CREATE UNIQUE INDEX accounts_even ON accounts (tenant) WHERE tenant % 2 = 0;
CREATE UNIQUE INDEX accounts_odd ON accounts (tenant) WHERE tenant % 2 = 1;
INSERT INTO accounts (email, username) VALUES ('ann', 'annie');
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "ann"}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"username": "annie"}');
\set VERBOSITY default
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "bob", "username": "annie"}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "bob", "username": "annie"}', '{email}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "bob", "username": "annie"}', '{username}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "bob"}', '{tenant,username}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "bob"}', '{nix}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "bob"}', '{}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "bob"}', '{NULL}');
\set VERBOSITY terse
SELECT * FROM raceguard.insert_or_get('accounts', '{"tenant": 1}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"tenant": 1}', '{tenant}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"tenant": 2, "email": "eve"}', '{tenant}');
SELECT inserted FROM raceguard.insert_or_get('accounts', '{}');
-- No unique index at all, and one that is deferred.
CREATE TABLE none (a int);
SELECT * FROM raceguard.insert_or_get('none', '{"a": 1}');
SELECT * FROM raceguard.insert_or_get('none', '{"a": 1}');
\set VERBOSITY default
SELECT * FROM raceguard.insert_or_get('none', '{"a": 1}', '{a}');
\set VERBOSITY terse
CREATE TABLE later (a int UNIQUE DEFERRABLE);
SELECT * FROM raceguard.insert_or_get('later', '{"a": 1}', '{a}');
-- A key over functions of a schema that is in nobody's way, and one that is.
CREATE SCHEMA fold;
CREATE FUNCTION fold.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT pg_catalog.upper($1)';
CREATE TABLE words (w text, n int);
CREATE UNIQUE INDEX ON words (lower(w));
CREATE UNIQUE INDEX ON words (fold.lower(w), n);
SET search_path = fold, pg_catalog;
SELECT * FROM raceguard.insert_or_get('public.words', '{"w": "A"}', '{w}');
SELECT * FROM raceguard.insert_or_get('public.words', '{"w": "a"}', '{w}');
SELECT * FROM raceguard.insert_or_get('public.words', '{"w": "b", "n": 1}', '{w,n}');
SELECT * FROM raceguard.insert_or_get('public.words', '{"w": "B", "n": 1}', '{n,w}');
RESET search_path;
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
SELECT raceguard.insert_or_get('people', '{"name": "Zoe"}', '{email}');
-- A trigger that changes the key hides the row; the error says so.
CREATE FUNCTION shorten() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.k := NEW.k / 10; RETURN NEW; END $$;
CREATE TABLE shortened (k int UNIQUE);
CREATE TRIGGER shorten BEFORE INSERT ON shortened FOR EACH ROW EXECUTE FUNCTION shorten();
SELECT * FROM raceguard.insert_or_get('shortened', '{"k": 10}');
\set VERBOSITY default
SELECT * FROM raceguard.insert_or_get('shortened', '{"k": 11}');
DROP TABLE people, tags, capped, shortened, accounts, none, later, words;

-- Columns may have the names that raceguard's own statements use.
CREATE TABLE odd (id int, raceguard_row text, given text, r int, t int, x int, jsonb_populate_record int,
    doubled int GENERATED ALWAYS AS (r * 2) STORED);
CREATE UNIQUE INDEX ON odd (lower(raceguard_row));
SELECT * FROM raceguard.insert_or_get('odd', '{"id": 1, "raceguard_row": "A", "given": "b", "r": 2}');
SELECT * FROM raceguard.insert_or_get('odd', '{"id": 2, "raceguard_row": "a", "given": "c", "r": 2}');
CREATE TABLE lone (raceguard_row int DEFAULT 7 UNIQUE);
SELECT * FROM raceguard.insert_or_get('lone', '{}');
SELECT * FROM raceguard.insert_or_get('lone', '{}');
DROP TABLE odd, lone;

-- Statements that the session keeps prepared: the table is dropped and made anew, the index changed, a column retyped.
CREATE TABLE anew (id int, name text);
CREATE UNIQUE INDEX anew_name ON anew (lower(name));
CREATE UNIQUE INDEX anew_id ON anew (id) WHERE id > 0;
SELECT inserted FROM raceguard.insert_or_get('anew', '{"name": "a"}'), generate_series(1, 7);
SELECT inserted FROM raceguard.insert_or_get('anew', '{"name": "A", "id": -1}');
DROP TABLE anew;
CREATE TABLE anew (name varchar(9), id bigint);
CREATE UNIQUE INDEX anew_name ON anew (lower(name));
CREATE UNIQUE INDEX anew_id ON anew (id) WHERE id > 0;
SELECT inserted FROM raceguard.insert_or_get('anew', '{"name": "A", "id": -1}');
SELECT inserted FROM raceguard.insert_or_get('anew', '{"name": "a", "id": -1}');
DROP INDEX anew_name;
CREATE UNIQUE INDEX anew_name ON anew (upper(name), id);
SELECT inserted FROM raceguard.insert_or_get('anew', '{"name": "a", "id": -2}');
SELECT inserted FROM raceguard.insert_or_get('anew', '{"name": "A", "id": -2}');
ALTER TABLE anew ALTER id TYPE numeric;
SELECT inserted FROM raceguard.insert_or_get('anew', '{"name": "A", "id": -2.0}');
DROP TABLE anew;

-- One index can answer where a cap's cannot: its slot is not given. One that is given counts.
\set VERBOSITY terse
CREATE TABLE seats (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who text UNIQUE, room int);
DO $$ BEGIN PERFORM raceguard.add_cap('seats', 'room', 2); END $$;
SELECT inserted FROM raceguard.insert_or_get('seats', '{"who": "Ann", "room": 1}');
SELECT inserted FROM raceguard.insert_or_get('seats', '{"who": "Ann", "room": 1}');
SELECT inserted FROM raceguard.insert_or_get('seats', '{"who": "Bob", "room": 1, "slot": 1}');
SELECT inserted FROM raceguard.insert_or_get('seats', '{"who": "Bob", "room": 1, "slot": 1}', '{who}');
SELECT inserted FROM raceguard.insert_or_get('seats', '{"who": "Ann", "room": 1, "slot": 1}', '{room,slot}');
DROP TABLE seats;
