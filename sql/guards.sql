-- What every guard has: the view that lists them and the call that takes one away.

CREATE FUNCTION raceguard.drop_guard(target regclass, guard name, drop_column boolean DEFAULT false)
    RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_drop_guard';
COMMENT ON FUNCTION raceguard.drop_guard(regclass, name, boolean) IS
'Takes a guard off a table: its triggers and, for a cap, its CHECK and index. guard: the name in raceguard.guards. drop_column: drop the version or slot column as well. Errors: 42704 no such guard, 42501 not the owner.';

CREATE FUNCTION raceguard.guard_definition(trigger oid) RETURNS jsonb
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'raceguard_guard_definition';
COMMENT ON FUNCTION raceguard.guard_definition(oid) IS
'The definition of a guard, given its trigger''s OID, as the view raceguard.guards shows it. NULL if the trigger is no guard.';

CREATE VIEW raceguard.guards AS
SELECT t.tgrelid::regclass AS target,
       CASE WHEN starts_with(t.tgname::text, 'zz_raceguard_')
            THEN substr(t.tgname::text, length('zz_raceguard_') + 1)
            ELSE t.tgname::text END AS guard,
       CASE p.proname
            WHEN 'version_guard' THEN 'version'
            WHEN 'key_lock_guard' THEN 'key_lock'
            WHEN 'cap_guard' THEN 'cap'
            WHEN 'cooldown_guard' THEN 'cooldown'
            WHEN 'parent_version_guard' THEN 'parent_version'
       END AS kind,
       t.tgname AS trigger_name,
       raceguard.guard_definition(t.oid) AS definition,
       t.tgenabled IN ('O', 'A') AS enabled,
       coalesce(raceguard.guard_definition(t.oid) ->> 'mode', 'enforce') AS mode
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE p.pronamespace = 'raceguard'::regnamespace
  AND p.proname IN ('version_guard', 'key_lock_guard', 'cap_guard', 'cooldown_guard', 'parent_version_guard')
  AND t.tgparentid = 0;
COMMENT ON VIEW raceguard.guards IS
'Every guard in this database: its table, name, kind, trigger, definition, whether it is enabled (fires in ordinary sessions), and its mode (enforce or observe). Clones on partitions are left out.';

GRANT USAGE ON SCHEMA raceguard TO PUBLIC;
GRANT SELECT ON raceguard.guards TO PUBLIC;
