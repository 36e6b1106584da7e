-- Triggers, functions and types replaced while a statement fires them.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
CREATE ROLE regress_cache_replaced;
GRANT CREATE ON SCHEMA public TO regress_cache_replaced;
SET ROLE regress_cache_replaced;

-- CREATE OR REPLACE TRIGGER keeps the trigger's OID. The statement that is running goes on with the
-- guard that it began with, the nested one has the new one.
CREATE TABLE t (id int PRIMARY KEY, k text, version int NOT NULL DEFAULT 1, version2 int NOT NULL DEFAULT 1);
CREATE TRIGGER zz_guard BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version');
INSERT INTO t SELECT i, 'k' || i FROM generate_series(1, 6) i;
CREATE FUNCTION replace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 3 AND pg_trigger_depth() = 1 THEN
        CREATE OR REPLACE TRIGGER zz_guard BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW
            EXECUTE FUNCTION raceguard.key_lock_guard('k');
        UPDATE t SET k = k || '!' WHERE id = 6;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER a_replace BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION replace();
UPDATE t SET k = k || '?' WHERE id < 6;
SELECT id, k, version FROM t ORDER BY id;
UPDATE t SET k = k || '.';
SELECT id, k, version FROM t ORDER BY id;

-- The same function with other arguments: what the running statement reads of the old definition is not
-- kept for the next one.
CREATE OR REPLACE TRIGGER zz_guard BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version');
UPDATE t SET version = 1, k = 'k' WHERE false;
CREATE OR REPLACE FUNCTION replace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 3 AND pg_trigger_depth() = 1 THEN
        CREATE OR REPLACE TRIGGER zz_guard BEFORE UPDATE ON t FOR EACH ROW
            EXECUTE FUNCTION raceguard.version_guard('version2');
    END IF;
    RETURN NEW;
END $$;
UPDATE t SET k = k || '1';
UPDATE t SET k = k || '2';
SELECT id, k, version, version2 FROM t ORDER BY id;

-- There and back between all guards, from a function in the key that is being evaluated.
CREATE TABLE u (id int PRIMARY KEY, k text, slot int, at timestamptz DEFAULT now(), version int NOT NULL DEFAULT 1);
SELECT raceguard.add_cap('u', 'k', 10), raceguard.add_cooldown('u', 'k', 'at', '1 second', max_rows => 100);
INSERT INTO u (id, k) SELECT i, 'k' FROM generate_series(1, 5) i;
CREATE FUNCTION change_guard(text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    choice int := (floor(random() * 5))::int;
BEGIN
    IF pg_trigger_depth() > 2 OR $1 LIKE '%inner%' THEN
        RETURN;
    END IF;
    EXECUTE 'CREATE OR REPLACE TRIGGER zz_guard BEFORE '
        || (ARRAY['UPDATE', 'INSERT OR UPDATE OR DELETE', 'INSERT OR UPDATE OR DELETE', 'INSERT OR UPDATE', 'UPDATE'])[choice + 1]
        || ' ON u FOR EACH ROW EXECUTE FUNCTION raceguard.'
        || (ARRAY['version_guard(''version'')', 'key_lock_guard(''lying(k)'')', 'key_lock_guard(''k'')',
                  'cap_guard(''slot'', ''slots=10'')', 'version_guard(''id'', ''client_sends=current'')'])[choice + 1];
    BEGIN
        UPDATE u SET k = 'inner' || random() WHERE id = 5;
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
END $$;
CREATE FUNCTION lying(k text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM change_guard(k);
    RETURN k;
END $$;
CREATE FUNCTION replace_u() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM change_guard(NEW.k);
    RETURN NEW;
END $$;
CREATE TRIGGER a_replace BEFORE UPDATE ON u FOR EACH ROW EXECUTE FUNCTION replace_u();
CREATE TRIGGER zz_guard BEFORE INSERT OR UPDATE OR DELETE ON u FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('lying(k)');
DO $$
DECLARE
    codes text[] := '{}';
BEGIN
    FOR i IN 1 .. 300 LOOP
        BEGIN
            UPDATE u SET k = 'k' || i WHERE id < 5;
        EXCEPTION WHEN OTHERS THEN
            codes := codes || sqlstate::text;
        END;
    END LOOP;
    RAISE WARNING 'internal errors: %', (SELECT count(*) FROM unnest(codes) c WHERE c = 'XX000');
END $$;

-- A rule that was replaced is freed when nobody can be using it any more.
CREATE TABLE v (id int PRIMARY KEY, k text);
INSERT INTO v VALUES (1, 'a');
CREATE FUNCTION pure(k text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT k';
SELECT raceguard.add_key_lock('v', 'pure(k)');
CREATE FUNCTION rules() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'raceguard rule' $$;
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO regress_cache_replaced;
GRANT SELECT ON pg_backend_memory_contexts TO regress_cache_replaced;
SET ROLE regress_cache_replaced;
UPDATE v SET k = 'b';
SELECT rules() AS before \gset
BEGIN;
DO $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        CREATE OR REPLACE FUNCTION pg_temp.other() RETURNS int LANGUAGE sql AS 'SELECT 1';
        UPDATE v SET k = k || i;
    END LOOP;
END $$;
SELECT rules() <= :before + 1 AS freed;
-- Savepoints rolled back over a guard that was running change nothing about that.
DO $$
BEGIN
    FOR i IN 1 .. 50 LOOP
        BEGIN
            CREATE OR REPLACE FUNCTION pure(k text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
                'BEGIN IF k LIKE ''bad%'' THEN RAISE EXCEPTION ''no''; END IF; RETURN k; END';
            UPDATE v SET k = 'bad' || i;
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
        CREATE OR REPLACE FUNCTION pure(k text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT k';
        UPDATE v SET k = 'good' || i;
    END LOOP;
END $$;
SELECT rules() <= :before + 1 AS freed;
COMMIT;
SELECT id, k FROM v;

-- What a key's expression is made of goes: types, operators, casts, functions, collations.
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 20);
CREATE FUNCTION joined(text, short) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1 || $2';
CREATE OPERATOR |+| (LEFTARG = text, RIGHTARG = short, FUNCTION = joined);
CREATE TABLE w (id int PRIMARY KEY, k text, v text);
CREATE FUNCTION to_mood(text) RETURNS mood IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
SELECT raceguard.add_key_lock('w', 'to_mood(k), (v OPERATOR(public.|+|) v::public.short)');
INSERT INTO w VALUES (1, 'sad', 'x');
\set VERBOSITY sqlstate
DROP OPERATOR |+| (text, short);
UPDATE w SET v = 'y';
CREATE OPERATOR |+| (LEFTARG = text, RIGHTARG = short, FUNCTION = joined);
UPDATE w SET v = 'y';
DROP DOMAIN short CASCADE;
UPDATE w SET v = 'y';
DROP FUNCTION to_mood(text);
DROP TYPE mood;
UPDATE w SET v = 'y';
DROP TABLE w;
UPDATE v SET k = 'end';

RESET ROLE;
\set VERBOSITY default
DROP OWNED BY regress_cache_replaced CASCADE;
DROP ROLE regress_cache_replaced;
