-- The calls do what an UPDATE of the caller would do, with the caller's rights and search_path.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
CREATE ROLE swap_rights_owner;
CREATE ROLE swap_rights_clerk;
GRANT CREATE ON SCHEMA public TO swap_rights_owner;
GRANT USAGE ON SCHEMA raceguard TO swap_rights_owner, swap_rights_clerk;
-- What became of a statement, with every field of the error.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text; said text; detail text; hint text; s text; t text; c text; k text;
BEGIN
    EXECUTE statement INTO result;
    RETURN coalesce(result, 'nothing');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME, k = CONSTRAINT_NAME;
    RETURN concat_ws(E'\n  ', SQLSTATE || ': ' || said, nullif(detail, ''), nullif(hint, ''),
        nullif(concat_ws(' ', 'schema ' || nullif(s, ''), 'table ' || nullif(t, ''),
                              'column ' || nullif(c, ''), 'constraint ' || nullif(k, '')), ''));
END $$;
\pset format unaligned
\pset tuples_only on
SET ROLE swap_rights_owner;
CREATE TABLE orders (id int PRIMARY KEY, clerk name, note text, secret text);
INSERT INTO orders VALUES (1, 'swap_rights_clerk', 'a', 's'), (2, 'somebody', 'a', 's'), (3, 'swap_rights_clerk', 'locked', 's');
SELECT raceguard.add_version('orders');
-- No privilege, no write; and no word about the row.
SET ROLE swap_rights_clerk;
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "b"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 9}', 7, '{"note": "b"}')$$);
SELECT try($$SELECT raceguard.compare_and_delete('orders', '{"id": 1}', 1)$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 1}', '{"note": "x"}', '{"note": "b"}')$$);
-- The row comes back whole, so it takes SELECT on the whole row.
SET ROLE swap_rights_owner;
GRANT SELECT (id, clerk, note, version), UPDATE (note, version) ON orders TO swap_rights_clerk;
SET ROLE swap_rights_clerk;
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "b"}')$$);
SET ROLE swap_rights_owner;
GRANT SELECT ON orders TO swap_rights_clerk;
SET ROLE swap_rights_clerk;
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "b"}');
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 2, '{"secret": "b"}')$$);
SELECT try($$SELECT raceguard.compare_and_delete('orders', '{"id": 1}', 2)$$);
-- Row security: a row that may not be seen is not there, whatever version is stated.
SET ROLE swap_rights_owner;
GRANT UPDATE, DELETE ON orders TO swap_rights_clerk;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON orders FOR SELECT USING (clerk = current_user);
CREATE POLICY mine_to_write ON orders FOR UPDATE USING (clerk = current_user AND note <> 'locked');
CREATE POLICY mine_to_delete ON orders FOR DELETE USING (clerk = current_user AND note <> 'locked');
SET ROLE swap_rights_clerk;
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 2, '{"note": "c"}');
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 2, '{"note": "d"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 2}', 1, '{"note": "d"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 2}', 7, '{"note": "d"}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 2}', '{"note": "x"}', '{"note": "d"}')$$);
SELECT try($$SELECT raceguard.compare_and_delete('orders', '{"id": 2}', 1)$$);
-- A row that may be seen and not written says so.
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 3}', 1, '{"note": "open"}')$$);
SELECT try($$SELECT raceguard.compare_and_delete('orders', '{"id": 3}', 1)$$);
SELECT try($$SELECT raceguard.compare_and_delete('orders', '{"id": 3}', 2)$$);
-- A row that would leave the caller's sight is refused by Postgres.
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 3, '{"clerk": "somebody"}')$$);
-- The statements are planned for the role that runs them, in one session too.
SET ROLE swap_rights_owner;
SELECT raceguard.compare_and_swap('orders', '{"id": 2}', 1, '{"note": "by the owner"}');
SET ROLE swap_rights_clerk;
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 2}', 2, '{"note": "d"}')$$);
RESET ROLE;

-- A trigger that swallows the row is told from a stale version.
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE swallowed (id int PRIMARY KEY, note text);
INSERT INTO swallowed VALUES (1, 'a');
CREATE TRIGGER swallow BEFORE UPDATE OR DELETE ON swallowed FOR EACH ROW EXECUTE FUNCTION swallow();
SELECT try($$SELECT raceguard.compare_and_swap('swallowed', '{"id": 1}', raceguard.row_version(xmin), '{"note": "b"}') FROM swallowed$$);
SELECT try($$SELECT raceguard.compare_and_delete('swallowed', '{"id": 1}', raceguard.row_version(xmin)) FROM swallowed$$);

-- Triggers run with the caller's search_path. Operators of the caller's do not get into the statements.
CREATE SCHEMA app;
CREATE TABLE app.log (note text);
CREATE FUNCTION app.logged() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.note); RETURN NEW; END';
CREATE TABLE app.docs (id varchar PRIMARY KEY, note text);
INSERT INTO app.docs VALUES ('one', 'a');
CREATE TRIGGER logged BEFORE UPDATE ON app.docs FOR EACH ROW EXECUTE FUNCTION app.logged();
SELECT raceguard.add_version('app.docs');
CREATE SCHEMA evil;
CREATE FUNCTION evil.same(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR evil.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = evil.same);
CREATE FUNCTION evil.same(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.same);
CREATE FUNCTION evil.to_jsonb(anyelement) RETURNS jsonb LANGUAGE sql AS 'SELECT ''"evil"''::jsonb';
SET search_path = app, evil, pg_catalog;
SELECT raceguard.compare_and_swap('docs', '{"id": "one"}', 1, '{"note": "b"}');
SELECT public.try($$SELECT raceguard.compare_and_swap('docs', '{"id": "two"}', 2, '{"note": "c"}')$$);
SELECT public.try($$SELECT raceguard.compare_and_swap('docs', '{"id": "one"}', 1, '{"note": "c"}')$$);
SELECT raceguard.swap_columns('docs', '{"id": "one"}', '{"note": "b"}', '{"note": "c"}');
SELECT public.try($$SELECT raceguard.swap_columns('docs', '{"id": "one"}', '{"note": "b"}', '{"note": "d"}')$$);
SELECT * FROM log;
RESET search_path;

-- Tables change between calls; so do names.
CREATE TABLE changing (id int PRIMARY KEY, note text);
INSERT INTO changing VALUES (1, 'a');
SELECT raceguard.compare_and_swap('changing', '{"id": 1}', raceguard.row_version(xmin), '{"note": "b"}') FROM changing;
SELECT raceguard.add_version('changing');
SELECT raceguard.compare_and_swap('changing', '{"id": 1}', 1, '{"note": "c"}');
ALTER TABLE changing RENAME note TO body;
SELECT try($$SELECT raceguard.compare_and_swap('changing', '{"id": 1}', 2, '{"note": "d"}')$$);
SELECT raceguard.compare_and_swap('changing', '{"id": 1}', 2, '{"body": "d"}');
ALTER TABLE changing ALTER body TYPE int USING 5;
SELECT raceguard.compare_and_swap('changing', '{"id": 1}', 3, '{"body": 6}');
ALTER TABLE changing RENAME TO changed;
SELECT raceguard.compare_and_swap('changed', '{"id": 1}', 4, '{"body": 7}');
ALTER SCHEMA app RENAME TO shop;
SELECT raceguard.compare_and_swap('shop.docs', '{"id": "one"}', 3, '{"id": "two"}') FROM (SELECT set_config('search_path', 'shop', false)) s;
RESET search_path;
BEGIN;
ALTER TABLE changed ADD COLUMN extra int;
SELECT raceguard.compare_and_swap('changed', '{"id": 1}', 5, '{"extra": 1}');
SAVEPOINT renamed;
ALTER TABLE changed RENAME extra TO spare;
SELECT raceguard.compare_and_swap('changed', '{"id": 1}', 6, '{"spare": 2}');
ROLLBACK TO renamed;
SELECT raceguard.compare_and_swap('changed', '{"id": 1}', 6, '{"extra": 3}');
ROLLBACK;
SELECT try($$SELECT raceguard.compare_and_swap('changed', '{"id": 1}', 5, '{"extra": 1}')$$);
ALTER TABLE changed DROP CONSTRAINT changing_pkey, ADD PRIMARY KEY (id, body);
SELECT try($$SELECT raceguard.compare_and_swap('changed', '{"id": 1}', 5, '{"body": 8}')$$);
SELECT raceguard.compare_and_swap('changed', '{"id": 1, "body": 7}', 5, '{"body": 8}');
ALTER TABLE changed DROP COLUMN version CASCADE;
SELECT try($$SELECT raceguard.compare_and_swap('changed', '{"id": 1, "body": 8}', 6, '{"body": 9}', 'version')$$);
DROP TABLE changed;
CREATE TABLE changed (id int PRIMARY KEY, body text);
INSERT INTO changed VALUES (1, 'new');
SELECT raceguard.compare_and_swap('changed', '{"id": 1}', raceguard.row_version(xmin), '{"body": "newer"}') FROM changed;

-- Partitions under one guard; rows move and keep their version. A leaf may be named itself.
CREATE TABLE parted (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_n PARTITION OF parted FOR VALUES IN ('north');
CREATE TABLE parted_s (note text, region text NOT NULL, id int NOT NULL);
ALTER TABLE parted ATTACH PARTITION parted_s FOR VALUES IN ('south');
SELECT raceguard.add_version('parted', unstated => 'reject');
INSERT INTO parted VALUES (1, 'north', 'a');
SELECT raceguard.compare_and_swap('parted', '{"id": 1, "region": "north"}', 1, '{"region": "south"}');
SELECT raceguard.swap_columns('parted', '{"id": 1, "region": "south"}', '{"note": "a"}', '{"note": "b"}');
SELECT try($$SELECT raceguard.compare_and_swap('parted', '{"id": 1, "region": "south"}', 2, '{"note": "c"}')$$);
SELECT raceguard.compare_and_swap('parted_s', '{"id": 1, "region": "south"}', 3, '{"note": "c"}');
SELECT raceguard.compare_and_delete('parted', '{"id": 1, "region": "south"}', 4);
-- Inheritance: neither key nor guard extends to the children; each is named itself.
CREATE TABLE parent (id int PRIMARY KEY, note text);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
SELECT raceguard.add_version('parent');
INSERT INTO parent VALUES (1, 'parent'); INSERT INTO child VALUES (1, 'child'), (2, 'child');
SELECT raceguard.compare_and_swap('parent', '{"id": 1}', 1, '{"note": "changed"}');
SELECT try($$SELECT raceguard.compare_and_swap('parent', '{"id": 2}', 1, '{"note": "changed"}')$$);
SELECT raceguard.compare_and_swap('child', '{"id": 2}', raceguard.row_version(xmin), '{"note": "changed"}') FROM child WHERE id = 2;
SELECT tableoid::regclass, id, note, version FROM parent ORDER BY 1, 2;
-- A call from a trigger of the same table, on another row.
CREATE TABLE chain (id int PRIMARY KEY, next int, n int);
INSERT INTO chain VALUES (1, 2, 0), (2, 3, 0), (3, NULL, 0);
SELECT raceguard.add_version('chain');
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    IF NEW.next IS NOT NULL THEN
        PERFORM raceguard.compare_and_swap('chain', jsonb_build_object('id', c.id), c.version, jsonb_build_object('n', c.n + 1))
           FROM chain c WHERE id = NEW.next;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER follow AFTER UPDATE ON chain FOR EACH ROW EXECUTE FUNCTION follow();
SELECT raceguard.compare_and_swap('chain', '{"id": 1}', 1, '{"n": 1}');
SELECT * FROM chain ORDER BY id;
-- Many sets of columns: the statements kept are bounded, and all of them work.
CREATE TABLE wide (id int PRIMARY KEY);
DO $$ BEGIN
    FOR i IN 1..120 LOOP EXECUTE format('ALTER TABLE wide ADD c%s int', i); END LOOP;
    INSERT INTO wide VALUES (1);
    FOR r IN 1..2 LOOP FOR i IN 1..120 LOOP
        PERFORM raceguard.swap_columns('wide', '{"id": 1}', to_jsonb(w), jsonb_build_object('c' || i, r)) FROM wide w;
    END LOOP; END LOOP;
END $$;
SELECT c1, c60, c120, raceguard.row_hash(w) IS NOT NULL FROM wide w;

REVOKE ALL ON SCHEMA public, raceguard FROM swap_rights_owner, swap_rights_clerk;
DROP OWNED BY swap_rights_owner, swap_rights_clerk CASCADE;
DROP ROLE swap_rights_owner, swap_rights_clerk;
