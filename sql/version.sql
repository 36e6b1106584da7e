-- Optimistic locking: the guard and what installs it.

-- The schema may have existed before, with operators of its owner that the views would pick up. It
-- is the first file of the script; every name that the script creates is qualified.
SET LOCAL search_path TO pg_catalog, pg_temp;

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
'Guards a table against lost updates. Adds version_column (bigint NOT NULL DEFAULT 1) where it is missing, and a trigger that bumps it by one per UPDATE and refuses an UPDATE that states another version than the row has. unstated: what happens to an UPDATE that states none (allow, warn, reject). client_sends: the version read plus one (next) or as read (current). ignore: columns whose change needs no version. mode: enforce, or observe to log only. Returns the trigger''s name. Errors: 42501 not the owner, 42703 no such column, 42804 wrong type of column, 42710 exists with another definition (unless replace), 22023 unknown option.';

CREATE FUNCTION raceguard.version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'raceguard_version';
COMMENT ON FUNCTION raceguard.version() IS 'The version of the raceguard library that this server has loaded.';
