-- Optimistic locking: the guard and what installs it.

-- It is the first file of the script; every name that the script creates is qualified.
SET LOCAL search_path TO pg_catalog, pg_temp;

-- The schema may have existed before: then it has to be empty, and nobody else's.
CREATE FUNCTION raceguard.check_schema() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_check_schema';
SELECT raceguard.check_schema();
DROP FUNCTION raceguard.check_schema();

CREATE FUNCTION raceguard.version_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_version_guard';
COMMENT ON FUNCTION raceguard.version_guard() IS
'Trigger function of a version guard, BEFORE UPDATE FOR EACH ROW. Arguments: the version column, then options: client_sends=next|current, unstated=allow|warn|reject, mode=enforce|observe, ignore=COLUMN (may repeat). Raises RG409 for a stale version, RG428 for a missing one. raceguard.add_version creates the trigger.';

CREATE FUNCTION raceguard.add_version(
    target regclass,
    version_column name DEFAULT 'version',
    unstated text DEFAULT 'allow',
    client_sends text DEFAULT 'next',
    ignore name[] DEFAULT '{}',
    mode text DEFAULT 'enforce',
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_version';
COMMENT ON FUNCTION raceguard.add_version(regclass, name, text, text, name[], text, boolean) IS
'Guards a table against lost updates. Adds version_column (bigint NOT NULL DEFAULT 1) where it is missing; one that stands is smallint, integer, bigint or, with client_sends => current, timestamp or timestamptz. A trigger bumps it by one per UPDATE, timestamps to the present, and refuses an UPDATE that states another version than the row has. unstated: what happens to an UPDATE that states none (allow, warn, reject). client_sends: the version read plus one (next) or as read (current). ignore: columns whose change needs no version. mode: enforce, or observe to log only. Returns the trigger''s name. Errors: 42501 not the owner, 42703 no such column, 42804 wrong type of column, 42710 exists with another definition (unless replace), 22023 unknown option, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

CREATE FUNCTION raceguard.plan_version(
    target regclass,
    version_column name DEFAULT 'version',
    unstated text DEFAULT 'allow',
    client_sends text DEFAULT 'next',
    ignore name[] DEFAULT '{}',
    mode text DEFAULT 'enforce',
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_version';
COMMENT ON FUNCTION raceguard.plan_version(regclass, name, text, text, name[], text, boolean) IS
'What add_version with the same arguments does, as steps to run one by one on a big, busy table: none blocks anybody for longer than a moment. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. Steps that are done are left out. Changes nothing itself. Errors: those of add_version.';

CREATE FUNCTION raceguard.version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'raceguard_version';
COMMENT ON FUNCTION raceguard.version() IS 'The version of the raceguard library that this server has loaded.';
