-- What add_*, add_guards and drop_guard alter runs CHECKs, keys and predicates of the table's owner: as the owner, whoever calls.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE owner_code_owner;
CREATE SCHEMA shop AUTHORIZATION owner_code_owner;
SET ROLE owner_code_owner;
CREATE FUNCTION shop.mine(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'owner_code_owner' THEN RAISE EXCEPTION 'the owner''s function runs as %', current_user; END IF;
    RETURN $1;
END $$;

-- ---- NOT NULL looks whether it follows from a CHECK, and evaluates what is constant there.
CREATE TABLE shop.adopted (id int PRIMARY KEY, version bigint CHECK (shop.mine(1) = 1));
CREATE TABLE shop.added (id int CHECK (shop.mine(1) = 1));
CREATE TABLE shop.rolled_out (id int, version bigint CHECK (shop.mine(1) = 1));
CREATE TABLE shop.half_made (id int, version bigint DEFAULT 1 CHECK (shop.mine(1) = 1));
RESET ROLE;
SELECT raceguard.add_version('shop.adopted');
SELECT raceguard.add_version('shop.added');
SELECT raceguard.drop_guard('shop.adopted', 'version', drop_column => true);
-- The long steps of a plan are done: add_guards runs the short ones itself.
SELECT ddl FROM raceguard.plan_version('shop.half_made') WHERE ddl LIKE '%CONSTRAINT%' AND ddl NOT LIKE '%DROP%' \gexec
SELECT ddl FROM raceguard.plan_version('shop.half_made');
CALL raceguard.add_guards('version', schemas => '{shop}', exclude => '{shop.adopted}');
SELECT target, kind, whole FROM raceguard.guards ORDER BY target::text;

-- ---- A cap: column, CHECK, index.
SELECT raceguard.add_cap('shop.added', 'id', 3);
SELECT raceguard.set_mode('shop.added', 'cap', 'observe');
SELECT raceguard.set_mode('shop.added', 'cap', 'enforce');
SELECT raceguard.drop_guard('shop.added', 'cap', drop_column => true);

-- ---- The key of a guard that the owner made by hand is compared, and not evaluated.
SET ROLE owner_code_owner;
CREATE TABLE shop.rooms (id int PRIMARY KEY, hall int, at timestamptz);
CREATE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON shop.rooms FOR EACH ROW
    EXECUTE FUNCTION raceguard.key_lock_guard('(hall + shop.mine(1))');
CREATE TRIGGER zz_raceguard_cooldown AFTER INSERT OR UPDATE ON shop.rooms FOR EACH ROW
    EXECUTE FUNCTION raceguard.cooldown_guard('hall', 'at=at', 'period=1 day', 'predicate=(hall > shop.mine(1))');
RESET ROLE;
SELECT raceguard.add_key_lock('shop.rooms', 'hall', replace => true);
SELECT raceguard.add_cooldown('shop.rooms', 'hall', 'at', '1 day', replace => true);
SELECT kind, definition FROM raceguard.guards WHERE target = 'shop.rooms'::regclass ORDER BY kind;

-- ---- An index over what is constant.
SET ROLE owner_code_owner;
CREATE TABLE shop.parts (id int, hall int, at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES FROM (0) TO (10);
SELECT raceguard.add_cooldown('shop.parts', '(hall + shop.mine(1))', 'at', '1 day', predicate => 'hall > shop.mine(1)');
DROP INDEX shop.parts_cooldown_idx;
RESET ROLE;
SELECT repair_guard FROM raceguard.repair_guard('shop.parts', 'cooldown');
DROP SCHEMA shop CASCADE;
DROP ROLE owner_code_owner;
