-- Every kind of code that a table's owner can leave where a call of raceguard's makes Postgres run it: whoever calls,
-- it runs as the owner. Each piece fails, loudly, as anybody else. Postgres keeps what it has evaluated once for as long
-- as a session knows the table, so each call comes from a new session.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE owner_kinds_owner;
CREATE ROLE owner_kinds_member;
GRANT owner_kinds_owner TO owner_kinds_member;
CREATE SCHEMA shop AUTHORIZATION owner_kinds_owner;
SET ROLE owner_kinds_owner;
CREATE FUNCTION shop.mine(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'owner_kinds_owner' THEN RAISE EXCEPTION 'the owner''s function runs as %', current_user; END IF;
    RETURN $1;
END $$;
CREATE FUNCTION shop.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM shop.mine(1); RETURN NEW; END $$;
-- A type, and how its values are cast, compared and added: found by anybody who names a column.
CREATE TYPE shop.odd AS (n int);
CREATE FUNCTION shop.odd_int(shop.odd) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT ($1).n * shop.mine(1)';
CREATE CAST (shop.odd AS int) WITH FUNCTION shop.odd_int(shop.odd) AS IMPLICIT;
CREATE FUNCTION shop.odd_even(shop.odd, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT ($1).n = $2 * shop.mine(1)';
CREATE OPERATOR shop.=== (LEFTARG = shop.odd, RIGHTARG = int, FUNCTION = shop.odd_even);
CREATE DOMAIN shop.checked AS int DEFAULT shop.mine(1) CHECK (shop.mine(VALUE) > 0);

CREATE FUNCTION shop.make(partition_key text) RETURNS void LANGUAGE plpgsql SET client_min_messages = error AS $$
BEGIN
    DROP TABLE IF EXISTS shop.items;
    EXECUTE 'CREATE TABLE shop.items (
        id int NOT NULL, k int DEFAULT shop.mine(1), odd shop.odd, checked shop.checked, at timestamptz, version bigint,
        twice int GENERATED ALWAYS AS (id * shop.mine(2)) STORED,
        CHECK (shop.mine(1) = 1), CHECK (shop.mine(k) IS NOT NULL))'
        || CASE WHEN partition_key <> '' THEN format(' PARTITION BY RANGE (%s)', partition_key) ELSE '' END;
    IF partition_key <> '' THEN
        CREATE TABLE shop.items_1 PARTITION OF shop.items FOR VALUES FROM (0) TO (3);
        CREATE TABLE shop.items_2 PARTITION OF shop.items FOR VALUES FROM (3) TO (99);
    END IF;
    CREATE INDEX ON shop.items (at, (k + shop.mine(1)));
    CREATE INDEX ON shop.items (k) WHERE shop.mine(1) = 1;
    CREATE STATISTICS shop.of_items ON (k + shop.mine(1)) FROM shop.items;
    CREATE TRIGGER fire BEFORE INSERT OR UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.fire();
    CREATE TRIGGER fire_after AFTER UPDATE ON shop.items FOR EACH ROW WHEN (shop.mine(1) = 1) EXECUTE FUNCTION shop.fire();
    CREATE TRIGGER fire_once AFTER UPDATE ON shop.items FOR EACH STATEMENT EXECUTE FUNCTION shop.fire();
    ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY;
    CREATE POLICY all_of_them ON shop.items USING (shop.mine(1) = 1);
    INSERT INTO shop.items SELECT n, n / 2, row(n)::shop.odd, n, timestamptz '2026-01-01 00:00+00' + n * interval '10 days'
        FROM generate_series(1, 4) n;
    ANALYZE shop.items;
END $$;

-- ---- The calls, in the order in which each finds something to do.
RESET ROLE;
CREATE TABLE public.calls (n int GENERATED ALWAYS AS IDENTITY, call text);
INSERT INTO public.calls (call) VALUES
    ($$SELECT FROM raceguard.plan_version('shop.items')$$),
    ($$SELECT raceguard.add_version('shop.items')$$),
    ($$SELECT raceguard.backfill_version_step('shop.items', 1)$$),
    ($$CALL raceguard.backfill_version('shop.items', 1)$$),
    ($$SELECT raceguard.set_mode('shop.items', 'version', 'observe')$$),
    ($$SELECT raceguard.add_version('shop.items', replace => true, unstated => 'reject')$$),
    ($$SELECT raceguard.drop_guard('shop.items', 'version', drop_column => true)$$),
    ($$CALL raceguard.add_guards('version', '{}', '{shop}', where_column => 'odd')$$),
    ($$SELECT FROM raceguard.plan_key_lock('shop.items', 'abs(odd)')$$),
    ($$SELECT raceguard.add_key_lock('shop.items', 'abs(odd)')$$),
    ($$SELECT raceguard.add_key_lock('shop.items', 'k, abs(odd)', replace => true)$$),
    ($$SELECT raceguard.set_mode('shop.items', 'key_lock', 'observe')$$),
    ($$SELECT raceguard.drop_guard('shop.items', 'key_lock')$$),
    ($$SELECT FROM raceguard.plan_guards('key_lock', '{"key": "abs(odd)"}', '{shop}')$$),
    ($$CALL raceguard.add_guards('key_lock', '{"key": "abs(odd)"}', '{shop}', where_column => 'odd')$$),
    ($$SELECT FROM raceguard.plan_cap('shop.items', 'id, abs(odd)', 3, predicate => 'odd OPERATOR(shop.===) id')$$),
    ($$SELECT raceguard.add_cap('shop.items', 'id, abs(odd)', 3, predicate => 'abs(odd) > 1')$$),
    ($$SELECT raceguard.add_cap('shop.items', 'id, abs(odd)', 3, predicate => 'abs(odd) > 0', replace => true)$$),
    ($$SELECT raceguard.set_cap('shop.items', 4)$$),
    ($$SELECT raceguard.set_mode('shop.items', 'cap', 'observe')$$),
    ($$SELECT raceguard.set_mode('shop.items', 'cap', 'enforce')$$),
    ($$CALL raceguard.number_slots('shop.items')$$),
    ($$SELECT FROM raceguard.plan_cooldown('shop.items', 'k', 'at', '1 day', predicate => 'abs(odd) > 0')$$),
    ($$SELECT raceguard.add_cooldown('shop.items', '(k + abs(odd))', 'at', '1 day', predicate => 'abs(odd) > 0')$$),
    ($$SELECT raceguard.add_cooldown('shop.items', 'k', 'at', '2 days', predicate => 'abs(odd) > 0', replace => true)$$),
    ($$SELECT raceguard.set_mode('shop.items', 'cooldown', 'observe')$$),
    ($$SELECT kind, whole FROM raceguard.guards ORDER BY kind$$),
    ($$SELECT problem, detail FROM raceguard.check_guards('shop.items', deep => true) WHERE severity <> 'info'$$),
    ($$SELECT raceguard.manifest() IS NULL WHERE false$$),
    ($$SET ROLE owner_kinds_owner; DROP INDEX shop.items_cooldown_idx$$),
    ($$SELECT repair_guard FROM raceguard.repair_guard('shop.items', 'cooldown')$$),
    ($$SET ROLE owner_kinds_owner; ALTER TABLE shop.items DISABLE TRIGGER zz_raceguard_cap, DROP CONSTRAINT raceguard_cap_slots$$),
    ($$SELECT repair_guard FROM raceguard.repair_guard('shop.items', 'cap')$$),
    ($$SELECT raceguard.drop_guard('shop.items', 'cooldown')$$),
    ($$SELECT raceguard.drop_guard('shop.items', 'cap', drop_column => true)$$),
    ($$SELECT raceguard.add_number('shop.items', 'id, abs(odd)')$$),
    ($$SELECT raceguard.add_number('shop.items', 'id, abs(odd)', start => 5, replace => true)$$),
    ($$SELECT raceguard.drop_guard('shop.items', 'number', drop_column => true)$$),
    ($$CALL raceguard.uninstall(false, true)$$);

-- By a superuser, and by a member of the owner's role; on a table, on a partitioned one, and on one whose partition key is an
-- expression, which can have no unique index and so no cap.
\setenv DB :DBNAME
\! for key in '' id '(id + shop.mine(0))'; do for role in none owner_kinds_member; do echo "-- partition key: $key, role: $role"; psql -X -q -d "$DB" -c 'SET ROLE owner_kinds_owner' -o /dev/null -c "SELECT shop.make('$key')"; psql -X -q -At -d "$DB" -c "SELECT call FROM calls WHERE call !~ '[_'']cap|slots|number' OR '$key' !~ 'mine' ORDER BY n" | while IFS= read -r call; do echo "$call"; PGOPTIONS="-c client_min_messages=warning -c role=$role" psql -X -q -At -d "$DB" -c "$call" 2>&1 </dev/null; done; done; done
DROP TABLE public.calls;
DROP SCHEMA shop CASCADE;
DROP ROLE owner_kinds_owner, owner_kinds_member;
