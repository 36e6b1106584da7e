-- What every guard has: the view that lists them and the call that takes one away.

CREATE FUNCTION raceguard.drop_guard(target regclass, guard name, drop_column boolean DEFAULT false)
    RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_drop_guard';
COMMENT ON FUNCTION raceguard.drop_guard(regclass, name, boolean) IS
'Takes a guard off a table: its triggers and, for a cap, its CHECK and index. guard: the name in raceguard.guards. drop_column: drop the version or slot column as well. Errors: 42704 no such guard, 42501 not the owner, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

CREATE FUNCTION raceguard.guard_definition(trigger oid) RETURNS jsonb
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'raceguard_guard_definition';
COMMENT ON FUNCTION raceguard.guard_definition(oid) IS
'The definition of a guard, given its trigger''s OID, as the view raceguard.guards shows it. NULL if the trigger is no guard, or has more than 4 MB of arguments, with which it refuses every write.';

CREATE FUNCTION raceguard.guard_kind(function name) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'raceguard_guard_kind';
COMMENT ON FUNCTION raceguard.guard_kind(name) IS
'The kind of guard, as the view raceguard.guards names it, whose trigger calls a function of this name in the schema raceguard. NULL if such a trigger is no guard.';

CREATE FUNCTION raceguard.guard_is_whole(trigger oid) RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'raceguard_guard_is_whole';
COMMENT ON FUNCTION raceguard.guard_is_whole(oid) IS
'Whether every part of a guard stands and is in force, given its trigger''s OID, as the view raceguard.guards shows it: the trigger is attached as its function needs it, and the triggers beside it, its CHECK, index, column and foreign key are there and enabled. NULL if the trigger is no guard.';

CREATE VIEW raceguard.guards AS
WITH RECURSIVE clone(guard, oid, tgenabled) AS (
    SELECT t.oid, t.oid, t.tgenabled
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE p.pronamespace = 'raceguard'::regnamespace AND t.tgparentid = 0
    UNION ALL
    SELECT c.guard, t.oid, t.tgenabled
    FROM clone c
    JOIN pg_catalog.pg_trigger t ON t.tgparentid = c.oid
)
SELECT t.tgrelid::regclass AS target,
       CASE WHEN starts_with(t.tgname::text, 'zz_raceguard_')
            THEN substr(t.tgname::text, length('zz_raceguard_') + 1)
            ELSE t.tgname::text END AS guard,
       k.kind COLLATE "default" AS kind,
       t.tgname AS trigger_name,
       raceguard.guard_definition(t.oid) AS definition,
       (SELECT bool_and(c.tgenabled IN ('O', 'A')) FROM clone c WHERE c.guard = t.oid) AS enabled,
       coalesce(raceguard.guard_definition(t.oid) ->> 'mode', 'enforce') AS mode,
       raceguard.guard_is_whole(t.oid) AS whole
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid AND p.pronamespace = 'raceguard'::regnamespace
CROSS JOIN LATERAL raceguard.guard_kind(p.proname) AS k(kind)
WHERE k.kind IS NOT NULL AND t.tgparentid = 0 AND raceguard.logical_table(t.tgrelid) = t.tgrelid;
COMMENT ON VIEW raceguard.guards IS
'Every guard in this database: its table, name, kind, trigger, definition, whether it is enabled (fires in ordinary sessions, on every partition too), its mode (enforce or observe), and whether it is whole: attached as its function needs it, with the triggers, CHECK, index, column and foreign key that go with it in force. Clones on partitions are left out, and so are shards and chunks: their table has the guard.';

GRANT USAGE ON SCHEMA raceguard TO PUBLIC;
GRANT SELECT ON raceguard.guards TO PUBLIC;
