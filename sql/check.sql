-- Whether guards stand: what is wrong with them, and what mends it.

CREATE FUNCTION raceguard.check_guards(target regclass DEFAULT NULL, deep boolean DEFAULT false)
    RETURNS TABLE (severity text, problem text, target regclass, guard name, detail text, remedy text)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'raceguard_check_guards';
COMMENT ON FUNCTION raceguard.check_guards(regclass, boolean) IS
'What is wrong with the guards of a table (of its root, for a partition), or of all tables and of what they depend on. severity: error (a write can pass unguarded, or must fail), warning (it soon may), info. problem: a name that stays the same. remedy: a statement that can be run and loses no data, NULL where detail says what to do. deep: read the tables too, with the caller''s rights: rows that are not counted, keys with too many rows, rows without a version; a table that the caller may not read is a warning. No rows: all is well. Errors: 42P01, 0A000 not a table, 22004.';

CREATE FUNCTION raceguard.require_guard(target regclass, kind text, definition jsonb DEFAULT '{}', guard name DEFAULT NULL)
    RETURNS void
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'raceguard_require_guard';
COMMENT ON FUNCTION raceguard.require_guard(regclass, text, jsonb, name) IS
'Returns if a guard of this kind stands on the table: whole, enabled on every partition, and enforcing. kind: as in raceguard.guards. definition: members of raceguard.guards.definition, each of which has to be as it is given; the others may be anything; a guard that observes passes only where "mode" is among them. guard: its name, where the table has several of the kind. Errors: 55000 with the first thing that is not so, 22023 unknown kind (with the list) or member, 22004.';

CREATE FUNCTION raceguard.manifest(schemas name[] DEFAULT NULL) RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'raceguard_manifest';
COMMENT ON FUNCTION raceguard.manifest(name[]) IS
'Every guard of these schemas, or of all: table, kind, name, definition, and the partitions that it reaches, in an order that stays the same. To be kept beside the migrations, for raceguard.require_guards. Errors: 3F000 no such schema, 22004.';

CREATE FUNCTION raceguard.require_guards(manifest jsonb) RETURNS void
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'raceguard_require_guards';
COMMENT ON FUNCTION raceguard.require_guards(jsonb) IS
'Returns if every guard of a manifest stands as raceguard.require_guard demands, and its recorded partitions that still exist are partitions of its table. Guards that the manifest does not name are not looked at. Errors: 55000 with everything that is missing, 22023 no manifest, with the place of the fault, 22004.';

CREATE FUNCTION raceguard.repair_guard(target regclass, guard name) RETURNS SETOF text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_repair_guard';
COMMENT ON FUNCTION raceguard.repair_guard(regclass, name) IS
'Runs the remedies that raceguard.check_guards names for the errors and warnings of one guard, and returns the statements that it ran; none if all is well. After 50 statements it stops with a WARNING; called again it goes on. guard: its name in raceguard.guards, or in raceguard.check_guards where its trigger is gone. Errors: 42704 no such guard, 42501 not the owner, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot, 22004, and what the statements raise; then none of them has been run.';

-- In PL/pgSQL, so that it can answer where the library does not load.
CREATE FUNCTION raceguard.ready() RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    RETURN raceguard.version() = (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'raceguard');
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION raceguard.ready() IS
'Whether the library loads on this server and has the version of the database''s SQL. Works on a standby, raises nothing: for probes.';
