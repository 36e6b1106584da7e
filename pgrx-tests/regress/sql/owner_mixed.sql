-- Tables of several owners in one tree, and owners who may not use their schema: no code of one runs with the rights of
-- another, and what cannot be done so is refused.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE owner_mixed_ann;
CREATE ROLE owner_mixed_bob;
CREATE SCHEMA shop AUTHORIZATION owner_mixed_ann;
GRANT USAGE ON SCHEMA shop TO owner_mixed_bob;
SET ROLE owner_mixed_ann;
-- Fails, loudly, as anybody but its owner, or another whom he trusts.
CREATE FUNCTION shop.run_by(owner name) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> owner AND NOT (current_user LIKE 'owner_mixed_%' AND pg_has_role('owner_mixed_ann', 'owner_mixed_bob', 'USAGE')) THEN
        RAISE EXCEPTION 'code of % runs as %', owner, current_user;
    END IF;
    RETURN 1;
END $$;
CREATE FUNCTION shop.evil(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN shop.run_by('owner_mixed_ann'); END $$;
CREATE TABLE shop.orders (id int, k int, at timestamptz, CHECK (shop.evil(1) = 1)) PARTITION BY LIST (id);
CREATE TABLE shop.orders_1 PARTITION OF shop.orders FOR VALUES IN (1);
CREATE TABLE shop.orders_2 PARTITION OF shop.orders FOR VALUES IN (2);
RESET ROLE;
ALTER TABLE shop.orders_2 OWNER TO owner_mixed_bob;

-- ---- A column, NOT NULL, a CHECK: by a superuser, who could alter them all.
SELECT raceguard.add_version('shop.orders');
SELECT raceguard.add_cap('shop.orders', 'id, k', 3);
SELECT raceguard.add_cooldown('shop.orders', 'k', 'at', '1 day');
CALL raceguard.add_guards('version', '{}', '{shop}', where_column => 'k');
-- By a member of both, who owns neither.
CREATE ROLE owner_mixed_both;
GRANT owner_mixed_ann, owner_mixed_bob TO owner_mixed_both;
SET ROLE owner_mixed_both;
SELECT raceguard.add_version('shop.orders');
RESET ROLE;
-- By the owner of the upper table, whom Postgres would not let alter the other either.
SET ROLE owner_mixed_ann;
SELECT raceguard.add_version('shop.orders');
RESET ROLE;
-- What evaluates nothing does not ask.
SELECT raceguard.add_key_lock('shop.orders', 'k');
SELECT raceguard.set_mode('shop.orders', 'key_lock', 'observe');
SELECT raceguard.drop_guard('shop.orders', 'key_lock');

-- ---- Guards that stood before a table below came to belong to another.
ALTER TABLE shop.orders_2 OWNER TO owner_mixed_ann;
SELECT raceguard.add_version('shop.orders');
SELECT raceguard.add_cap('shop.orders', 'id, k', 3);
SELECT raceguard.add_cooldown('shop.orders', 'k', 'at', '1 day');
SET ROLE owner_mixed_ann;
INSERT INTO shop.orders VALUES (1, 1, '2026-01-01 00:00+00'), (2, 1, '2026-02-01 00:00+00');
RESET ROLE;
ALTER TABLE shop.orders_2 OWNER TO owner_mixed_bob;
GRANT CREATE ON SCHEMA shop TO owner_mixed_bob;
SET ROLE owner_mixed_bob;
CREATE FUNCTION shop.evil(text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN shop.run_by('owner_mixed_bob'); END $$;
CREATE INDEX ON shop.orders_2 ((id + shop.evil('')));
CREATE INDEX ON shop.orders_2 (id) WHERE shop.evil('') = 1;
CREATE FUNCTION shop.fire() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF current_user <> 'owner_mixed_bob' THEN RAISE 'bob''s trigger runs as %', current_user; END IF; RETURN NEW; END $$;
CREATE TRIGGER fire BEFORE UPDATE ON shop.orders_2 FOR EACH ROW EXECUTE FUNCTION shop.fire();
RESET ROLE;
\set VERBOSITY terse
SELECT raceguard.set_cap('shop.orders', 4);
SELECT raceguard.set_mode('shop.orders', 'cap', 'observe');
SELECT raceguard.set_mode('shop.orders', 'cap', 'enforce');
CALL raceguard.number_slots('shop.orders');
CALL raceguard.backfill_version('shop.orders');
SELECT raceguard.backfill_version_step('shop.orders');
SELECT FROM raceguard.plan_cap('shop.orders', 'id, k', 5);
SELECT FROM raceguard.plan_cooldown('shop.orders', 'k', 'at', '2 days');
SELECT raceguard.add_cooldown('shop.orders', 'k', 'at', '1 hour', replace => true);
\set VERBOSITY default
SELECT severity, problem, guard, detail FROM raceguard.check_guards('shop.orders', deep => true) WHERE severity <> 'info' ORDER BY guard;
-- They can be taken off.
SELECT raceguard.drop_guard('shop.orders', 'version', drop_column => true);
SELECT raceguard.drop_guard('shop.orders', 'cooldown');
CALL raceguard.uninstall(false, true);
SELECT count(*) FROM raceguard.guards;

-- ---- Where one trusts the other, each part is written as its own owner.
GRANT owner_mixed_bob TO owner_mixed_ann;
SELECT raceguard.add_version('shop.orders');
CALL raceguard.backfill_version('shop.orders');
CALL raceguard.uninstall(false, true);
REVOKE owner_mixed_bob FROM owner_mixed_ann;

-- ---- A superuser has everybody's rights, and trusts nobody by that.
ALTER TABLE shop.orders OWNER TO CURRENT_USER;
CREATE FUNCTION shop.tried(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE call;
    RETURN 'done';
EXCEPTION WHEN insufficient_privilege THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN detail || ' ' || hint;
END $$;
SELECT replace(shop.tried('SELECT raceguard.add_version(''shop.orders'')'), current_user, 'superuser');
ALTER TABLE shop.orders OWNER TO owner_mixed_ann;

-- ---- Tables that inherit from another, without being partitions.
SET ROLE owner_mixed_ann;
CREATE TABLE shop.notes (id int CHECK (shop.evil(1) = 1));
CREATE TABLE shop.old_notes () INHERITS (shop.notes);
RESET ROLE;
ALTER TABLE shop.old_notes OWNER TO owner_mixed_bob;
SELECT raceguard.add_version('shop.notes');
DROP TABLE shop.old_notes;

-- ---- An owner who may not use his schema: what is done with his rights cannot name his table.
CREATE SCHEMA closed;
CREATE TABLE closed.notes (id int PRIMARY KEY, k int, at timestamptz);
ALTER TABLE closed.notes OWNER TO owner_mixed_ann;
SELECT raceguard.add_version('closed.notes');
SELECT raceguard.add_key_lock('closed.notes', 'k');
GRANT USAGE ON SCHEMA closed TO owner_mixed_ann;
-- An index is made with the caller's right on the schema, as CREATE INDEX does.
SELECT raceguard.add_version('closed.notes');
SELECT raceguard.add_cooldown('closed.notes', 'k', 'at', '1 day');
SELECT raceguard.add_cap('closed.notes', 'k', 2);
DROP INDEX closed.notes_cooldown_idx;
SELECT repair_guard FROM raceguard.repair_guard('closed.notes', 'cooldown');
SELECT kind, whole FROM raceguard.guards ORDER BY kind;
DROP SCHEMA shop, closed CASCADE;
DROP ROLE owner_mixed_ann, owner_mixed_bob, owner_mixed_both;
