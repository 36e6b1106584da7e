-- What a superuser has written into a table runs the owner's code: triggers, keys, predicates. It runs as
-- the owner, and can leave nothing behind that would run as the superuser later.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE owner_rights_owner;
CREATE SCHEMA shop AUTHORIZATION owner_rights_owner;
SET ROLE owner_rights_owner;
-- Each of these fails, loudly, as anybody else.
CREATE FUNCTION shop.mine(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'owner_rights_owner' THEN RAISE EXCEPTION 'the owner''s function runs as %', current_user; END IF;
    RETURN $1;
END $$;
CREATE TABLE shop.fired (what text);
CREATE FUNCTION shop.fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'owner_rights_owner' THEN RAISE EXCEPTION 'the owner''s trigger runs as %', current_user; END IF;
    INSERT INTO shop.fired VALUES (lower(TG_OP) || ' ' || TG_TABLE_NAME);
    RETURN NEW;
END $$;
CREATE TABLE shop.items (id int PRIMARY KEY, k int CHECK (shop.mine(k) IS NOT NULL), at timestamptz, version bigint,
    twice int GENERATED ALWAYS AS (shop.mine(k) * 2) STORED);
CREATE TRIGGER fire BEFORE UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.fire();
INSERT INTO shop.items SELECT n, n / 2, timestamptz '2026-01-01 00:00+00' + n * interval '1 day' FROM generate_series(1, 4) n;
RESET ROLE;

-- A column that is filled.
SELECT raceguard.add_version('shop.items', unstated => 'reject');
SELECT what, count(*) FROM shop.fired GROUP BY what;
TRUNCATE shop.fired;
-- Versions that are numbered, in the caller's transaction and in several.
SELECT raceguard.backfill_version_step('shop.items', 2);
SELECT what, count(*) FROM shop.fired GROUP BY what;
CALL raceguard.backfill_version('shop.items', 1);
SELECT what, count(*) FROM shop.fired GROUP BY what;
SELECT count(DISTINCT version) FROM shop.items;
TRUNCATE shop.fired;
-- A cap: rows counted and numbered, a CHECK with the predicate, another size.
SELECT raceguard.add_cap('shop.items', 'shop.mine(k)', 1, predicate => 'shop.mine(k) > 0');
SELECT raceguard.add_cap('shop.items', 'shop.mine(k)', 2, predicate => 'shop.mine(k) > 0');
SELECT raceguard.set_cap('shop.items', 3);
SELECT raceguard.set_cap('shop.items', 1);
SELECT step FROM raceguard.plan_cap('shop.items', 'shop.mine(k)', 3, predicate => 'shop.mine(k) > 0');
-- A cap put up step by step.
SELECT raceguard.drop_guard('shop.items', 'cap', drop_column => true);
SELECT ddl FROM raceguard.plan_cap('shop.items', 'shop.mine(k)', 2, predicate => 'shop.mine(k) > 0')
    WHERE ddl NOT LIKE '%VALID%' \gexec
SELECT id, slot FROM shop.items ORDER BY id;
SELECT what, count(*) FROM shop.fired GROUP BY what;
-- A cooldown: the rows that stand, and an index to be found again, for a key with a constant in it.
SELECT raceguard.add_cooldown('shop.items', 'shop.mine(k)', 'at', '2 days', predicate => 'shop.mine(k) > 0');
SELECT raceguard.add_cooldown('shop.items', 'shop.mine(k)', 'at', '1 day', predicate => 'shop.mine(k) > 0');
SET ROLE owner_rights_owner;
SELECT raceguard.add_cooldown('shop.items', '(k + shop.mine(1))', 'at', '1 day', guard => 'second');
RESET ROLE;
SELECT raceguard.drop_guard('shop.items', 'cooldown');
SELECT raceguard.drop_guard('shop.items', 'second');

-- Partitions of another owner, whose rights the root's has: each is written as its own.
CREATE ROLE owner_rights_other;
GRANT USAGE ON SCHEMA shop TO owner_rights_other;
GRANT owner_rights_other TO owner_rights_owner;
CREATE TABLE shop.parts (id int, version bigint NOT NULL DEFAULT 1) PARTITION BY RANGE (id);
CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE shop.parts_2 PARTITION OF shop.parts FOR VALUES FROM (10) TO (20);
ALTER TABLE shop.parts OWNER TO owner_rights_owner;
ALTER TABLE shop.parts_1 OWNER TO owner_rights_owner;
ALTER TABLE shop.parts_2 OWNER TO owner_rights_other;
INSERT INTO shop.parts SELECT n FROM generate_series(5, 14) n;
CREATE FUNCTION shop.who() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING '% written as %', TG_TABLE_NAME, current_user; RETURN NEW; END $$;
CREATE TRIGGER who BEFORE UPDATE ON shop.parts_1 FOR EACH ROW WHEN (OLD.id = 5) EXECUTE FUNCTION shop.who();
CREATE TRIGGER who BEFORE UPDATE ON shop.parts_2 FOR EACH ROW WHEN (OLD.id = 10) EXECUTE FUNCTION shop.who();
SELECT raceguard.add_version('shop.parts');
CALL raceguard.backfill_version('shop.parts');
SELECT count(DISTINCT version) FROM shop.parts;
-- The root's owner gets no rights on the other's partition by it, and the other none of his.
REVOKE owner_rights_other FROM owner_rights_owner;
ALTER TABLE shop.parts DISABLE TRIGGER zz_raceguard_version;
SET client_min_messages = error;
UPDATE shop.parts SET version = 7;
SET client_min_messages = warning;
ALTER TABLE shop.parts ENABLE TRIGGER zz_raceguard_version;
SET ROLE owner_rights_owner;
CALL raceguard.backfill_version('shop.parts');
RESET ROLE;
SELECT raceguard.add_cap('shop.parts', 'id', 1, predicate => 'id > 0');

-- Nothing is left behind: no setting, no deferred trigger, no temporary table, no other role.
CREATE TABLE shop.traps (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 1);
ALTER TABLE shop.traps OWNER TO owner_rights_owner;
SELECT raceguard.add_version('shop.traps');
SET ROLE owner_rights_owner;
INSERT INTO shop.traps VALUES (1), (2);
CREATE FUNCTION shop.set_trap() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('search_path', 'shop', false), set_config('raceguard.error_style', 'integrity', false); RETURN NEW; END $$;
CREATE FUNCTION shop.temp_trap() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN CREATE TEMP TABLE pg_class (oid oid); RETURN NEW; END $$;
CREATE FUNCTION shop.role_trap() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RESET ROLE; RETURN NEW; END $$;
CREATE TRIGGER trap BEFORE UPDATE ON shop.traps FOR EACH ROW EXECUTE FUNCTION shop.set_trap();
RESET ROLE;
SELECT raceguard.backfill_version_step('shop.traps');
SHOW search_path;
SHOW raceguard.error_style;
UPDATE shop.traps SET version = version + 1;
SHOW search_path;
RESET search_path;
RESET raceguard.error_style;
ALTER TABLE shop.traps DISABLE TRIGGER trap, DISABLE TRIGGER zz_raceguard_version;
UPDATE shop.traps SET version = 7;
ALTER TABLE shop.traps ENABLE TRIGGER zz_raceguard_version;
DROP TRIGGER trap ON shop.traps;
CREATE TRIGGER trap BEFORE UPDATE ON shop.traps FOR EACH ROW EXECUTE FUNCTION shop.temp_trap();
SELECT raceguard.backfill_version_step('shop.traps');
CREATE OR REPLACE TRIGGER trap BEFORE UPDATE ON shop.traps FOR EACH ROW EXECUTE FUNCTION shop.role_trap();
SELECT raceguard.backfill_version_step('shop.traps');
DROP TRIGGER trap ON shop.traps;
CREATE CONSTRAINT TRIGGER trap AFTER UPDATE ON shop.traps DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.fire();
SELECT raceguard.backfill_version_step('shop.traps');
SELECT current_user = session_user AS back_again;
-- The owner himself may have all that.
SET ROLE owner_rights_owner;
SELECT raceguard.backfill_version_step('shop.traps');
RESET ROLE;

-- Row security that is forced on the owner does not bind a superuser, nor who calls in his name.
DROP TRIGGER trap ON shop.traps;
ALTER TABLE shop.traps DROP COLUMN version CASCADE;
SELECT raceguard.drop_guard('shop.traps', 'version');
ALTER TABLE shop.traps ADD version bigint;
ALTER TABLE shop.traps ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT raceguard.add_version('shop.traps');
SELECT raceguard.add_cap('shop.traps', 'id', 1);
SELECT raceguard.backfill_version_step('shop.traps');
SELECT count(version), count(slot) FROM shop.traps;
DROP SCHEMA shop CASCADE;
DROP ROLE owner_rights_owner, owner_rights_other;
