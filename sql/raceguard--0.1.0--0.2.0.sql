-- From 0.1.0. Sections by feature; every name is qualified.
\echo Use "ALTER EXTENSION raceguard UPDATE" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

-- The schema: nothing but raceguard in it, and nobody else who may put something there.
CREATE FUNCTION raceguard.check_schema() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_check_schema';
SELECT raceguard.check_schema();
DROP FUNCTION raceguard.check_schema();

-- The view of guards asks the library for the kinds there are, and whether guards are whole.
CREATE FUNCTION raceguard.guard_kind(function name) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'raceguard_guard_kind';
COMMENT ON FUNCTION raceguard.guard_kind(name) IS
'The kind of guard, as the view raceguard.guards names it, whose trigger calls a function of this name in the schema raceguard. NULL if such a trigger is no guard.';

COMMENT ON FUNCTION raceguard.guard_definition(oid) IS
'The definition of a guard, given its trigger''s OID, as the view raceguard.guards shows it. NULL if the trigger is no guard, or has more than 4 MB of arguments, with which it refuses every write.';

CREATE FUNCTION raceguard.guard_is_whole(trigger oid) RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'raceguard_guard_is_whole';
COMMENT ON FUNCTION raceguard.guard_is_whole(oid) IS
'Whether every part of a guard stands and is in force, given its trigger''s OID, as the view raceguard.guards shows it: the trigger is attached as its function needs it, and the triggers beside it, its CHECK, index, column and foreign key are there and enabled. NULL if the trigger is no guard.';

CREATE FUNCTION raceguard.logical_table(tableoid oid) RETURNS regclass
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'raceguard_logical_table';
COMMENT ON FUNCTION raceguard.logical_table(oid) IS
'The table that clients name, given a shard of a table that Citus distributes or a chunk of a TimescaleDB hypertable. Anything else is returned as it is.';

CREATE OR REPLACE VIEW raceguard.guards AS
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
GRANT SELECT ON raceguard.guards TO PUBLIC;

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

-- DDL on guarded tables.

CREATE FUNCTION raceguard.protect_ddl(mode text DEFAULT 'warn') RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_protect_ddl';
COMMENT ON FUNCTION raceguard.protect_ddl(text) IS
'Has DDL on guarded tables looked at from now on, by two event triggers of this database. Guards follow RENAME of the columns and foreign keys that they name. Commands that leave a guard broken or off (dropped or retyped columns, dropped indexes, constraints and triggers, triggers replaced by others, DISABLE TRIGGER) are a WARNING (warn) or 55000 (error); off takes the event triggers away. They are in dumps; DROP EXTENSION wants them off. Errors: 22023 another mode, 42501 not a superuser, 22004.';

CREATE FUNCTION raceguard.ddl_warn() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_ddl_warn';
COMMENT ON FUNCTION raceguard.ddl_warn() IS
'Event trigger function of raceguard.protect_ddl(''warn''), for ddl_command_end and sql_drop.';

CREATE FUNCTION raceguard.ddl_error() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_ddl_error';
COMMENT ON FUNCTION raceguard.ddl_error() IS
'Event trigger function of raceguard.protect_ddl(''error''), for ddl_command_end and sql_drop. Raises 55000.';

-- Numbers per key.

CREATE FUNCTION raceguard.number_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_number_guard';
COMMENT ON FUNCTION raceguard.number_guard() IS
'Trigger function of a number guard, BEFORE INSERT OR UPDATE FOR EACH ROW. Arguments: the number column, then optionally start=NUMBER, counter=COLUMN and foreign_key=NAME (the row with the counter), and rows=pending (rows get no number yet). Gives a row the number after the highest of its key; the key is that of the unique index without a predicate that ends with the number column. raceguard.add_number creates the trigger.';

CREATE FUNCTION raceguard.number_counter() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_number_counter';
COMMENT ON FUNCTION raceguard.number_counter() IS
'Trigger function of a number guard with a counter: CONSTRAINT TRIGGER AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW on the numbered table FROM the parent, named like the guard''s own trigger with _counter at its end, without arguments. Sees that the counter is not below a number that stands or that its row gives up. raceguard.add_number creates the trigger.';

CREATE FUNCTION raceguard.number_keeper() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_number_keeper';
COMMENT ON FUNCTION raceguard.number_keeper() IS
'Trigger function of a number guard with a counter, BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW on the parent. Arguments: the counter, and start=NUMBER where the first number is not 1. A new parent keeps the counter that it states, and has start - 1 where it states none; a change of it by anybody but the guard is 428C9.';

CREATE FUNCTION raceguard.add_number(
    target regclass,
    key text,
    number_column name DEFAULT 'number',
    start int DEFAULT 1,
    counter name DEFAULT NULL,
    foreign_key name DEFAULT NULL,
    guard name DEFAULT 'number',
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_number';
COMMENT ON FUNCTION raceguard.add_number(regclass, text, name, int, name, name, name, boolean) IS
'Numbers the rows of each key start, start + 1, ...: none twice, and none left out by a rollback. key: columns and IMMUTABLE expressions as in CREATE INDEX, NULL to number the whole table; a row whose key has a NULL gets no number. number_column: smallint, integer or bigint, added as integer where it is missing. start: the number of a key''s first row. counter: a column of the row that foreign_key points to (the table''s only one, or the one with the key''s columns, where it is left out) which keeps the number given last, so that none is given again after its row is deleted; added where it is missing; nobody else may write it (428C9); the key is the foreign key''s columns, or NULL for them. guard: the guard''s name. Creates a unique index, which is the rule, and a trigger, which finds the number; rows that stand without one are numbered in primary-key order. Returns the trigger''s name. Errors: 23505 rows have the same number already (with their keys), 22003 numbers do not fit the column, 55000 another unique index ends with the number column, 0A000 the table is partitioned by its numbers, 42501 not the owner, of the parent neither, 42704 no foreign key, 22023 several, or a key that is not its columns, 42703, 42601, 42804, 42P17 not IMMUTABLE, 22004, 42710 exists with another definition (unless replace), or the counter is kept by another guard, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

CREATE FUNCTION raceguard.plan_number(
    target regclass,
    key text,
    number_column name DEFAULT 'number',
    start int DEFAULT 1,
    counter name DEFAULT NULL,
    foreign_key name DEFAULT NULL,
    guard name DEFAULT 'number',
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_number';
COMMENT ON FUNCTION raceguard.plan_number(regclass, text, name, int, name, name, name, boolean) IS
'What add_number with the same arguments does, as steps to run one by one on a big, busy table: none blocks writers for longer than a moment. Until the rows that stand are numbered, new ones get no number either, and theirs in their turn. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. Changes nothing itself. Errors: those of add_number.';

CREATE PROCEDURE raceguard.number_rows(target regclass, guard name DEFAULT 'number')
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_number_rows';
COMMENT ON PROCEDURE raceguard.number_rows(regclass, name) IS
'Numbers every row of a number guard that has no number yet and no NULL in its key, in the order of the primary key, up to 500 rows to a transaction, while others write; from then on the guard numbers all rows. Then writes the counters that are below a number that stands. A step of raceguard.plan_number. Bumps no version. Killed, it is simply called again. Errors: 25001 inside a transaction block, 42704 no such guard, 55000 its index is gone, 22003 numbers do not fit the column, 27000 a trigger keeps a row from being numbered, 42501 not the owner.';

-- Cooldowns: own_past.

DROP FUNCTION raceguard.add_cooldown(regclass, text, name, interval, int, text, name, boolean);
CREATE FUNCTION raceguard.add_cooldown(
    target regclass,
    key text,
    at name,
    period interval,
    max_rows int DEFAULT 1,
    predicate text DEFAULT NULL,
    own_past boolean DEFAULT false,
    guard name DEFAULT 'cooldown',
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_cooldown';
COMMENT ON FUNCTION raceguard.add_cooldown(regclass, text, name, interval, int, text, boolean, name, boolean) IS
'Allows at most max_rows rows per key within any period, wherever in time they stand. key: columns and IMMUTABLE expressions as in CREATE INDEX. at: the date, timestamp or timestamptz column that times the row. period: as at + period in SQL; on a timestamptz column days are of 24 hours and months those of UTC, whatever the writer''s TimeZone. predicate: which rows count, all by default. own_past: judge an UPDATE of the time against the time that the same row had before, for a cooldown kept in one row. guard: the guard''s name. Creates the index (key..., at) unless one stands already. Returns the trigger''s name. Errors: 23514 rows stand too close already (with their keys), 42501 not the owner, 42703, 42601, 42804, 42P17 not IMMUTABLE, 22023 (also a key that is unique, without own_past: such a cooldown could never refuse a row), 42710 exists with another definition (unless replace), 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';
COMMENT ON FUNCTION raceguard.cooldown_guard() IS
'Trigger function of a cooldown, AFTER INSERT OR UPDATE FOR EACH ROW. Arguments: the key as in CREATE INDEX, at=COLUMN, period=INTERVAL, then optionally max_rows=NUMBER, predicate=EXPRESSION, own_past=true and mode=enforce|observe. Needs an index (key..., at). Raises RG429 while the cooldown is running. raceguard.add_cooldown creates the trigger.';
COMMENT ON FUNCTION raceguard.next_allowed(regclass, jsonb, name) IS
'The first instant from now() on, the start of the transaction, at which a cooldown allows a row of a key; now() itself if nothing is running, so that next_allowed(...) <= now() says whether a row is allowed now. key: a scalar, or an array in key order. Local times (date, timestamp columns) are read in the session''s TimeZone. Needs INSERT on the table. Errors: 42501 no INSERT, or row security of the table applies to the caller, 22023 wrong number of key values, 55000 no such cooldown.';

-- Rows: how strongly they are locked, by which key they are the same.

DROP FUNCTION raceguard.lock_rows(regclass, jsonb, text);
CREATE FUNCTION raceguard.lock_rows(
    target regclass,
    pks jsonb,
    wait text DEFAULT 'wait',
    strength text DEFAULT 'no key update'
) RETURNS SETOF jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_rows';
COMMENT ON FUNCTION raceguard.lock_rows(regclass, jsonb, text, text) IS
'Locks rows as SELECT ... FOR NO KEY UPDATE does, in key order whatever the order of pks, until the transaction ends, and returns them as they are once locked. pks: an array of primary keys, such as [{"id": 2}, {"id": 1}]; a key given twice counts once. wait: wait, nowait (55P03 if a row is locked) or skip (locked and missing rows are left out). strength: that of SELECT ... FOR: no key update, update (which also keeps others from inserting rows that refer to these), share or key share. Errors: RG404 keys that no row has, 22023 bad argument, 22004 NULL.';
DROP FUNCTION raceguard.insert_or_get(regclass, jsonb);
CREATE FUNCTION raceguard.insert_or_get(
    target regclass,
    new_row jsonb,
    key name[] DEFAULT NULL,
    OUT "row" jsonb,
    OUT inserted boolean
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_insert_or_get';
COMMENT ON FUNCTION raceguard.insert_or_get(regclass, jsonb, name[]) IS
'Inserts a row, or returns the row that a unique constraint or index says is there already, without a race. new_row: the columns as a JSON object; columns it leaves out take their defaults. key: the columns by which it would be the same row, all those of one unique index; a conflict with any other is 23505. Without it there must be only one unique index that could answer for this row. row: the whole row. inserted: whether it is the new one. Runs with the caller''s rights. Errors: 42P10 no unique index has the key, or without key several could answer, 23505, 42703 unknown column, 55000 the row in the way cannot be found, 27000 a trigger swallowed the new row, 42809 a view, 40001 it is newer than the snapshot of a REPEATABLE READ or SERIALIZABLE transaction, and those of the INSERT itself.';

-- Caps: on the whole table.

COMMENT ON FUNCTION raceguard.add_cap(regclass, text, int, name, text, text, boolean, name, boolean) IS
'Allows at most slots rows per key. key: columns and IMMUTABLE expressions as in CREATE INDEX, NULL for the whole table. slot_column: holds the row''s number from 1 to slots, added as int where it is missing. predicate: which rows count, all by default. fill: reuse gaps first (lowest) or only at the end (append). guard: the guard''s name. Creates a CHECK and a unique index, which are the rule, and triggers, which choose the slot; rows that stand already are numbered in primary-key order. Returns the trigger''s name. Errors: 23514 rows exceed the cap already, or stand in a slot that it does not have, 0 included (with their keys), 55000 another index of a cap''s form on the slot column, 42501 not the owner, 42703, 42601, 42P17 not IMMUTABLE, 22023, 42710 exists with another definition (unless replace), 40001 at REPEATABLE READ and SERIALIZABLE where the table or its rows have changed since the snapshot.';
COMMENT ON FUNCTION raceguard.insert_next_slot(regclass, jsonb, text) IS
'Inserts a row into a capped table and returns it whole, defaults and slot included. new_row: the columns as a JSON object; columns it leaves out take their defaults. on_full: error (RG403) or null (returns NULL, inserts nothing). Runs with the caller''s rights. Errors: RG403 the cap is full, 42703 unknown column, 42704 the table has no cap, and those of the INSERT itself.';
COMMENT ON FUNCTION raceguard.next_free_slot(regclass, jsonb, name) IS
'The slot that a new row of a key would get now, NULL when the cap is full. key: a scalar, or an array in key order; NULL for a cap on the whole table. Reserves nothing: another writer may take the slot before you do. Needs INSERT on the table. Errors: 42501 no INSERT, or row security of the table applies to the caller, 22023 wrong number of key values, 42704 no such cap.';

-- Versions: timestamps without time zone, whole rows sent back.

COMMENT ON FUNCTION raceguard.add_version(regclass, name, text, text, name[], text, boolean) IS
'Guards a table against lost updates. Adds version_column (bigint NOT NULL DEFAULT 1) where it is missing; one that stands is smallint, integer, bigint or, with client_sends => current, timestamp or timestamptz. A trigger bumps it by one per UPDATE, timestamps to the present, and refuses an UPDATE that states another version than the row has. unstated: what happens to an UPDATE that states none (allow, warn, reject). client_sends: the version read plus one (next) or as read (current). ignore: columns whose change needs no version. mode: enforce, or observe to log only. Returns the trigger''s name. Errors: 42501 not the owner, 42703 no such column, 42804 wrong type of column, 42710 exists with another definition (unless replace), 22023 unknown option, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';
COMMENT ON FUNCTION raceguard.compare_and_swap(regclass, jsonb, text, jsonb, text) IS
'Updates the row with primary key pk if it is still version expected, and returns the whole new row. changes: a JSON object of columns; JSON null sets NULL, a column not named stays; the whole row may be sent back, generated columns and identities with the value they have. token: what expected is: version (the guarded column), xmin (row_version(xmin)), hash (row_hash(row)), or auto (version where there is a guard, else xmin). Errors: RG409 with the stored version in DETAIL, RG404 no such row, 22023 bad argument, 42703 unknown column, 55000 no primary key.';
COMMENT ON FUNCTION raceguard.swap_columns(regclass, jsonb, jsonb, jsonb) IS
'Updates the row with primary key pk if every column in was still has the value given there, and returns the whole new row. Two people who change different columns both succeed. changes: a JSON object of columns, each of which must be in was too; generated columns and identities with the value that was gives them. Errors: RG409 with the columns that differ and their stored values in DETAIL, RG404 no such row, 22023 bad argument, 42703 unknown column, 55000 no primary key.';

-- Caps: slot 0 is refused in updated rows too where another trigger has the last word about them.

DO $$
DECLARE
    refuser record;
BEGIN
    FOR refuser IN
        SELECT f.tgrelid::regclass AS target, f.tgname AS name, f.tgenabled AS enabled,
               pg_get_triggerdef(f.oid) AS definition
        FROM pg_trigger f
        JOIN pg_proc p ON p.oid = f.tgfoid
        JOIN pg_trigger g ON g.tgrelid = f.tgrelid
        JOIN pg_proc q ON q.oid = g.tgfoid
        WHERE p.pronamespace = 'raceguard'::regnamespace AND p.proname = 'cap_full_guard'
          AND q.pronamespace = 'raceguard'::regnamespace AND q.proname = 'cap_guard'
          AND f.tgparentid = 0 AND g.tgargs = f.tgargs AND (f.tgtype & 16) = 0
          AND EXISTS (
              SELECT FROM pg_trigger l JOIN pg_proc r ON r.oid = l.tgfoid
              WHERE (l.tgrelid = f.tgrelid OR l.tgrelid IN (SELECT relid FROM pg_partition_tree(f.tgrelid)))
                AND NOT l.tgisinternal AND l.tgenabled <> 'D' AND l.tgname > g.tgname
                AND (l.tgtype & 19) = 19 AND r.pronamespace <> 'raceguard'::regnamespace)
    LOOP
        -- Replaced, it fires in ordinary sessions; it stays as it was enabled.
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE ON %s %s', refuser.name, refuser.target,
            substr(refuser.definition, strpos(refuser.definition, 'FOR EACH ROW EXECUTE FUNCTION')));
        IF refuser.enabled <> 'O' THEN
            EXECUTE format('ALTER TABLE %s %s TRIGGER %I', refuser.target,
                CASE refuser.enabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'DISABLE' END,
                refuser.name);
        END IF;
    END LOOP;
END $$;

COMMENT ON FUNCTION raceguard.cap_guard() IS
'Trigger function of a cap, BEFORE INSERT OR UPDATE FOR EACH ROW. Arguments: the slot column, slots=NUMBER, then optionally fill=append and mode=enforce|observe. Chooses the next free slot of the row''s key; key and predicate are those of the unique index that ends with the slot column. raceguard.add_cap creates the trigger.';

COMMENT ON FUNCTION raceguard.cap_full_guard() IS
'Trigger function of a cap, AFTER INSERT FOR EACH ROW, with the arguments of raceguard.cap_guard; AFTER INSERT OR UPDATE where another BEFORE UPDATE trigger fires after the guard. Raises RG403 for a row that has gone in although no slot was free, 23514 for an UPDATE that leaves a row in slot 0. Without it the guard refuses rows of a full key with 55000.';

COMMENT ON FUNCTION raceguard.set_cap(regclass, int, name) IS
'Allows another number of rows per key under a cap that stands. Reads the table once to check its rows, under a lock that writers wait for. Returns the trigger''s name. Triggers of the cap that are disabled are enabled again, with a WARNING. Errors: 23514 rows stand above the new number or in slot 0 (with their keys), 42704 no such cap, 0A000 it comes from a table above, 42501 not the owner, 22023, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

-- Key locks: values of type "char", jsonb keys in lists.

CREATE FUNCTION raceguard.lock_key(target regclass, key "char") RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, "char") IS
'The same for a value of type "char", which Postgres would take for text as well.';
CREATE FUNCTION raceguard.lock_key(target regclass, first "char", VARIADIC rest "any") RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, "char", "any") IS
'The same for a first value of type "char".';
CREATE FUNCTION raceguard.try_lock_key(target regclass, key "char") RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, "char") IS
'The same for a value of type "char", which Postgres would take for text as well.';
CREATE FUNCTION raceguard.try_lock_key(target regclass, first "char", VARIADIC rest "any") RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, "char", "any") IS
'The same for a first value of type "char".';
COMMENT ON FUNCTION raceguard.lock_keys(regclass, jsonb) IS
'Locks several keys of a table in the order in which every caller locks them, so that two callers cannot deadlock. keys: an array, each key a scalar or an array in key order, for example [1, 2] or [[1, "a"], [2, "b"]]; a value for a key of type jsonb stands as it is, an array in an array of its own. A key with a NULL locks nothing, and a NOTICE says so. More keys than raceguard.max_key_locks are locked as one, the whole table. To lock before the snapshot of a REPEATABLE READ or SERIALIZABLE transaction: SET LOCAL raceguard.lock_keys = posts, ''[1, 2]''. Errors as raceguard.lock_key.';

-- Amounts: a ceiling.

DROP FUNCTION raceguard.take(regclass, jsonb, name, numeric, numeric);
CREATE FUNCTION raceguard.take(
    target regclass,
    pk jsonb,
    quantity_column name,
    amount numeric,
    at_least numeric DEFAULT 0,
    at_most text DEFAULT NULL
) RETURNS numeric
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_take';
COMMENT ON FUNCTION raceguard.take(regclass, jsonb, name, numeric, numeric, text) IS
'Takes an amount from a column of one row by one atomic UPDATE and returns what is left; a negative amount puts back. target: the table. pk: its primary key, an object such as {"id": 1}. quantity_column: smallint, integer, bigint or numeric. at_least: the floor below which taking may not bring the column. at_most: the ceiling above which putting back may not bring it, a number or a column of the row (a NULL there is no ceiling). States the version where a version guard demands it. Errors: RG422 too little is stored, or too much with what is put back (DETAIL: stored and asked amount), RG404 no such row, 42703 no such column, 42804 not a column of amounts, 22023 an amount the column would round, 22004 or 22023 the column holds NULL or NaN and would lose what is put back, 22004 NULL.';

-- Key locks: the view believes no stranger's trigger arguments.

CREATE OR REPLACE VIEW raceguard.locks AS
WITH lock AS MATERIALIZED (
    SELECT locktype, relation, classid, objid, objsubid, virtualtransaction, pid, mode, granted, waitstart
    FROM pg_locks
    WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
), claim AS MATERIALIZED (
    SELECT t.tgrelid AS relation,
           raceguard.logical_table(COALESCE(pg_partition_root(t.tgrelid)::oid, t.tgrelid)) AS target,
           substring(encode(t.tgargs, 'escape')
                     FROM '\\000namespace=([+-]?0*[0-9]{1,10})\\000')::bigint AS namespace
    FROM pg_trigger t
    JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = 'key_lock_guard'
    JOIN pg_namespace s ON s.oid = p.pronamespace AND s.nspname = 'raceguard'
    WHERE octet_length(t.tgargs) <= 4194304
), named AS MATERIALIZED (
    SELECT DISTINCT l.virtualtransaction, l.classid, l.objid, c.target
    FROM claim c
    JOIN lock r ON r.locktype = 'relation' AND r.relation = c.relation AND r.granted
    JOIN lock l ON l.locktype = 'advisory' AND l.objsubid = 2
               AND l.classid::bigint = c.namespace & 4294967295
               AND l.virtualtransaction = r.virtualtransaction
    WHERE c.namespace BETWEEN -2147483648 AND 2147483647
)
SELECT CASE WHEN l.objsubid = 2 THEN n.target ELSE raceguard.logical_table(l.classid) END AS target,
       CASE WHEN l.objsubid = 21064 AND l.objid = 0 THEN 'all keys'
            WHEN l.objsubid = 21064 AND l.objid = 1 THEN 'all slots'
            WHEN l.objsubid = 21064 THEN 'all numbers'
            WHEN l.objsubid = 21065 THEN 'slot'
            WHEN l.objsubid = 21066 THEN 'numbers of a key'
            ELSE 'key'
       END AS locked,
       CASE WHEN l.objsubid <> 21064 THEN l.objid::bigint END AS key_hash,
       l.pid,
       l.granted,
       CASE WHEN l.granted THEN '{}' ELSE pg_blocking_pids(l.pid) END AS blocked_by,
       l.waitstart AS waiting_since,
       a.query_start,
       a.query
FROM lock l
LEFT JOIN named n ON l.objsubid = 2 AND n.virtualtransaction = l.virtualtransaction
                 AND n.classid = l.classid AND n.objid = l.objid
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
  AND (l.objsubid IN (21063, 21065, 21066)
       OR l.objsubid = 2 AND (l.classid, l.objid) IN (SELECT k.classid, k.objid FROM named k)
       OR l.objsubid = 21064 AND NOT (l.granted AND l.mode = 'RowExclusiveLock'));
COMMENT ON VIEW raceguard.locks IS
'Who holds and who waits for which key of which table. target: the table, for keys of a partition its root, for those of a shard the table that clients name; NULL for whoever holds or waits for the lock of a guard''s namespace without having touched the table; locked: key, slot, numbers of a key, all keys, all slots or all numbers (a bulk job); key_hash: the hash of the key, for a guard with a namespace the key itself; blocked_by: the pids a waiter waits for. query_start and query as in pg_stat_activity: NULL for other roles'' sessions unless the reader is a member of pg_monitor.';
GRANT SELECT ON raceguard.locks TO PUBLIC;

-- Key locks: a trigger that locks before the table's own triggers read.

CREATE FUNCTION raceguard.key_lock_first_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_key_lock_first_guard';

COMMENT ON FUNCTION raceguard.key_lock_guard() IS
'Trigger function of a key lock, BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW. Arguments: the key as in CREATE INDEX, then optionally namespace=NUMBER and mode=enforce|observe. Locks the keys of OLD and NEW, the smaller first, until the transaction ends; an upsert first locks the row that it is about to change. raceguard.add_key_lock creates the trigger.';

COMMENT ON FUNCTION raceguard.key_lock_first_guard() IS
'Trigger function of the trigger "!raceguard_key_lock", which fires before all others and does what raceguard.key_lock_guard does, with the same arguments: the table''s own triggers read under the lock. raceguard.add_key_lock creates the trigger.';

COMMENT ON FUNCTION raceguard.add_key_lock(regclass, text, int, boolean) IS
'Makes all writers of one key of a table wait for each other: every INSERT, UPDATE and DELETE locks the row''s key until its transaction ends, before the table''s own BEFORE triggers read. key: columns and IMMUTABLE expressions as in CREATE INDEX. namespace: take pg_advisory_xact_lock(namespace, key) instead of raceguard''s own lock, for code that already does so by hand (one integer key). Returns the trigger''s name. Errors: 42501 not the owner, 42703 no such column, 42601 not a key, 42P17 not IMMUTABLE, 42883 a type without hash function, 42P22 no collation, 0A000 a generated column, 42710 exists with another definition (unless replace), 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

COMMENT ON FUNCTION raceguard.lock_key(regclass, "any") IS
'Waits for the lock of one key of a table and holds it until the transaction ends, as the table''s key lock guard does for writers. Take it before reading what the write will be based on. The values are coerced to the key''s types; a NULL locks nothing, and a NOTICE says so. What the same statement reads is read by a snapshot that is older than the lock: check in the next one. Needs INSERT, UPDATE or DELETE on the table. Errors: 22023 wrong number of values, 55000 the table has no key lock guard, 42501, 25006 on a standby, 55P03 lock_timeout, 40P01 deadlock.';

-- Every key lock gets its first trigger, in the state of the guard. Until the update commits, writers of
-- the guarded tables wait.
DO $$
DECLARE
    guard record;
BEGIN
    FOR guard IN
        SELECT DISTINCT ON (t.tgrelid)
               format('%I.%I', n.nspname, c.relname) AS target,
               substring(pg_catalog.pg_get_triggerdef(t.oid) FROM 'EXECUTE FUNCTION (?:raceguard\.)?key_lock_guard(\(.*\))$') AS arguments,
               CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END AS state
        FROM pg_catalog.pg_trigger t
        JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
        WHERE p.pronamespace = 'raceguard'::regnamespace AND p.proname = 'key_lock_guard' AND t.tgparentid = 0
        ORDER BY t.tgrelid, t.tgname
    LOOP
        EXECUTE format('CREATE TRIGGER "!raceguard_key_lock" BEFORE INSERT OR UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_first_guard%s',
                       guard.target, guard.arguments);
        IF guard.state IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s %s TRIGGER "!raceguard_key_lock"', guard.target, guard.state);
        END IF;
    END LOOP;
END $$;

COMMENT ON PROCEDURE raceguard.number_slots(regclass, name) IS
'Gives every row of a cap that has no slot yet one, up to 1000 rows to a transaction, while others write. A step of raceguard.plan_cap. Bumps no version. Killed, it is simply called again. Errors: 23514 more rows than slots (with the keys), 25001 inside a transaction block, 42704 no such cap, 42501 not the owner.';

-- What the guards did: counters in shared memory.

CREATE FUNCTION raceguard.stats_counters(
    OUT trigger oid,
    OUT passed bigint,
    OUT conflicts bigint,
    OUT missing bigint,
    OUT refused bigint,
    OUT observed bigint,
    OUT bypassed bigint,
    OUT waited bigint,
    OUT wait_time double precision,
    OUT escalated bigint,
    OUT failed bigint,
    OUT last_conflict_at timestamptz,
    OUT last_conflict_xid xid8
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'raceguard_stats_counters';
COMMENT ON FUNCTION raceguard.stats_counters() IS
'The counters behind the view raceguard.stats, a row for each guard of this database that has counted something, by the OID of its trigger (of the topmost table, for a guard of partitions; of the table that clients name, for shards and chunks). last_conflict_at is -infinity and last_conflict_xid 0 where there is none.';

CREATE FUNCTION raceguard.stats_state(
    OUT backing text,
    OUT slots int,
    OUT used int,
    OUT overflow bigint,
    OUT stats_since timestamptz,
    OUT stats_reset timestamptz
) RETURNS record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'raceguard_stats_state';
COMMENT ON FUNCTION raceguard.stats_state() IS
'What the view raceguard.stats_info says of the counters; -infinity stands for never.';

CREATE FUNCTION raceguard.stats_reset(target regclass DEFAULT NULL, guard name DEFAULT NULL) RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_stats_reset';
COMMENT ON FUNCTION raceguard.stats_reset(regclass, name) IS
'Sets the counters of the view raceguard.stats to zero: of one guard, of all guards of a table (guard left out), or of all guards of this database (both left out). Returns the time. Takes effect at once, whatever becomes of the transaction; rows that a running transaction has let pass are added when it ends. Not for PUBLIC: GRANT EXECUTE to who may. Errors: 42501 not granted, 22004 a guard without its table, 42704 no such guard.';
REVOKE EXECUTE ON FUNCTION raceguard.stats_reset(regclass, name) FROM PUBLIC;

CREATE VIEW raceguard.stats AS
SELECT g.target,
       g.guard,
       g.kind,
       g.mode,
       g.enabled,
       coalesce(c.passed, 0) AS passed,
       coalesce(c.conflicts, 0) AS conflicts,
       coalesce(c.missing, 0) AS missing,
       coalesce(c.refused, 0) AS refused,
       coalesce(c.observed, 0) AS observed,
       coalesce(c.bypassed, 0) AS bypassed,
       coalesce(c.waited, 0) AS waited,
       coalesce(c.wait_time, 0) AS wait_time,
       coalesce(c.escalated, 0) AS escalated,
       coalesce(c.failed, 0) AS failed,
       nullif(c.last_conflict_at, '-infinity') AS last_conflict_at,
       nullif(c.last_conflict_xid, '0') AS last_conflict_xid
FROM raceguard.guards g
JOIN pg_catalog.pg_trigger t ON t.tgrelid = g.target AND t.tgname = g.trigger_name
LEFT JOIN raceguard.stats_counters() c ON c.trigger = t.oid;
COMMENT ON VIEW raceguard.stats IS
'What each guard of this database did since raceguard.stats_info.stats_reset, partitions counted with their root, shards and chunks of this server with their table. Counters outlive a ROLLBACK and are lost when the server restarts, unless they are custom statistics (raceguard.stats_kind). passed: rows judged and let pass, added when their transaction ends; conflicts: RG409; missing: RG428; refused: RG403, RG429, RG404, RG422; what calls refuse (compare_and_swap, compare_and_delete, swap_columns, take, take_all, lock_rows) counts at the table''s version guard, and nowhere where it has none; observed: rows that observe mode let pass; bypassed: rows that a bypass let pass; waited, wait_time: how often a writer waited for one of the guard''s locks, whatever ended the wait, and how long in all, in milliseconds; escalated: transactions that took one lock for the whole table; failed: rows refused because the guard could not judge them; last_conflict_at: of the last conflict, missing version or refusal; last_conflict_xid: the transaction that had written its row, for RG409, where it is known. Not here: UPDATE ... WHERE version = n that finds no row, and 40001 at REPEATABLE READ; no guard sees them.';

CREATE VIEW raceguard.stats_info AS
SELECT s.backing,
       s.slots,
       s.used,
       s.overflow,
       nullif(s.stats_since, '-infinity') AS stats_since,
       nullif(s.stats_reset, '-infinity') AS stats_reset,
       raceguard.version() AS library_version,
       (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'raceguard') AS extension_version
FROM raceguard.stats_state() s;
COMMENT ON VIEW raceguard.stats_info IS
'How the counters of raceguard.stats are kept. backing: shared memory, dynamic shared memory, custom statistics (which survive a restart), or none where the server has no room; slots: guards of all databases that have room now; used: those that have taken it; overflow: outcomes that were not counted because there was no room; stats_since: since when this server counts, its last start or crash, with custom statistics its first start or last crash; stats_reset: since when the counters of this database count; library_version, extension_version: what is loaded, and what CREATE or ALTER EXTENSION installed.';
GRANT SELECT ON raceguard.stats, raceguard.stats_info TO PUBLIC;

-- Guards that stand: observed instead of enforced.

CREATE FUNCTION raceguard.set_mode(target regclass, guard name, mode text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_set_mode';
COMMENT ON FUNCTION raceguard.set_mode(regclass, name, text) IS
'Lets a guard that stands refuse (enforce), or log what it would have refused (observe); a key lock that observes never waits and tells who would have, a cap that observes lets a row too many in without a slot. guard: the name in raceguard.guards. Takes SHARE ROW EXCLUSIVE on the table and its partitions, for a cap ACCESS EXCLUSIVE; on each the guard stays enabled or disabled as it was. To enforce a cap numbers its rows first, under that lock. Errors: 22023 another mode, 42704 no such guard, 42501 not the owner, 0A000 a guard that only keeps a value, or one of a partition that comes from its root, 55000 not attached as it has to be, 23514 more rows than slots (with the keys), 40001 at REPEATABLE READ and SERIALIZABLE where the table''s guards, or for a cap its rows, have changed since the snapshot.';

-- Guards that one transaction may pass.

CREATE FUNCTION raceguard.bypass(target regclass, guard name, reason text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_bypass';
COMMENT ON FUNCTION raceguard.bypass(regclass, name, text) IS
'Lets what the current role writes pass a guard until the transaction, or the savepoint or block with EXCEPTION in which it is called, ends: a stale or missing version is accepted and still moves on, a key is not locked, a cooldown is not judged. guard: the name in raceguard.guards. reason: goes into the server''s log, one line per call. For the owner of the table, and for roles that were granted EXECUTE on this function by name: that of PUBLIC is not enough. Errors: 42501, 42704 no such guard, 0A000 a cap, a parent version, or a guard of a partition that comes from its root, 22004 no reason, 22023 an empty one.';

CREATE FUNCTION raceguard.end_bypass(target regclass DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_end_bypass';
COMMENT ON FUNCTION raceguard.end_bypass(regclass) IS
'Ends the bypasses that this transaction has open on a table, on all tables by default: their guards judge again.';

-- All guards taken away again.

CREATE PROCEDURE raceguard.uninstall(dry_run boolean DEFAULT true, drop_columns boolean DEFAULT false)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_uninstall';
COMMENT ON PROCEDURE raceguard.uninstall(boolean, boolean) IS
'Takes off all guards of the database and the event triggers that run raceguard''s functions, in one transaction that takes ACCESS EXCLUSIVE on each table; DROP EXTENSION raceguard is left to the caller, and then needs no CASCADE. Each statement is shown in a NOTICE. dry_run: only show them. drop_columns: drop version and slot columns as well. For superusers and who owns all of it. Errors: 42501 with the first table of somebody else''s, before anything is dropped, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

-- A parent version follows its foreign key when that is renamed.
COMMENT ON FUNCTION raceguard.parent_version_guard() IS
'Trigger function of a parent version guard, AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW. Argument: the name of a foreign key of the table; where the trigger of raceguard.parent_version_bump with the same argument was made FROM a parent, a foreign key to another table is not it, and the only one to that parent is. Notes the parents of OLD and NEW; raceguard.parent_version_bump bumps them, at the latest when the transaction ends. Without that trigger it bumps at the end of the statement. The foreign key must be enforced, its parent must have a version guard, and the owner of the table must be allowed to update the parent''s version column. raceguard.add_parent_version creates the triggers.';
COMMENT ON FUNCTION raceguard.parent_version_bump() IS
'Trigger function of the deferred part of a parent version guard: CONSTRAINT TRIGGER AFTER INSERT OR UPDATE OR DELETE, DEFERRABLE INITIALLY DEFERRED, FOR EACH ROW WHEN (raceguard.parent_version_due()), FROM the parent. Argument: the name of the foreign key. Without FROM and argument the guard knows its foreign key by name alone. Bumps every noted parent once, in the order of table and primary key. SET CONSTRAINTS ALL IMMEDIATE makes it fire at once.';

-- Plans for every kind of guard.

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

CREATE FUNCTION raceguard.plan_key_lock(
    target regclass,
    key text,
    namespace int DEFAULT NULL,
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_key_lock';
COMMENT ON FUNCTION raceguard.plan_key_lock(regclass, text, int, boolean) IS
'What add_key_lock with the same arguments does, as steps. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. Steps that are done are left out. Changes nothing itself. Errors: those of add_key_lock.';

CREATE FUNCTION raceguard.plan_cooldown(
    target regclass,
    key text,
    at name,
    period interval,
    max_rows int DEFAULT 1,
    predicate text DEFAULT NULL,
    own_past boolean DEFAULT false,
    guard name DEFAULT 'cooldown',
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_cooldown';
COMMENT ON FUNCTION raceguard.plan_cooldown(regclass, text, name, interval, int, text, boolean, name, boolean) IS
'What add_cooldown with the same arguments does, as steps to run one by one on a big, busy table: none blocks writers for longer than a moment. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. Steps that are done are left out. Changes nothing itself; rows that stand too close are looked for now, and those written until the last step are not judged. Errors: those of add_cooldown.';

CREATE FUNCTION raceguard.plan_parent_version(
    child regclass,
    parent regclass,
    foreign_key name DEFAULT NULL,
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_parent_version';
COMMENT ON FUNCTION raceguard.plan_parent_version(regclass, regclass, name, boolean) IS
'What add_parent_version with the same arguments does, as steps. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. Steps that are done are left out. Changes nothing itself. Errors: those of add_parent_version.';

-- Roll-out: guards for many tables, and for tables that do not exist yet.

CREATE FUNCTION raceguard.plan_guards(
    kind text,
    options jsonb DEFAULT '{}',
    schemas name[] DEFAULT NULL,
    where_column name DEFAULT NULL,
    exclude regclass[] DEFAULT '{}'
) RETURNS TABLE (step int, target regclass, ddl text, lock_mode text, own_transaction boolean, size bigint, blocked_by text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_guards';
COMMENT ON FUNCTION raceguard.plan_guards(text, jsonb, name[], name, regclass[]) IS
'What a guard on each of many tables takes: the steps of raceguard.plan_<kind> for every table that has not all of it. kind: as in the view raceguard.guards. options: the arguments of raceguard.add_<kind> after the table, by their names. schemas: whose tables, NULL for all schemas. where_column: only tables that have this column. exclude: tables to leave out. Partitions, temporary tables and those of extensions are left out. size: of the table in bytes, without indexes. blocked_by: the sessions that hold locks the step would have to wait for now; where ddl is NULL, why the table cannot have the guard. Changes nothing itself. Errors: 22023 unknown kind or option, or a value of the wrong type, 3F000 no such schema, 22004.';

CREATE PROCEDURE raceguard.add_guards(
    kind text,
    options jsonb DEFAULT '{}',
    schemas name[] DEFAULT NULL,
    where_column name DEFAULT NULL,
    exclude regclass[] DEFAULT '{}',
    lock_timeout interval DEFAULT '200 ms',
    attempts int DEFAULT 20
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_guards';
COMMENT ON PROCEDURE raceguard.add_guards(text, jsonb, name[], name, regclass[], interval, int) IS
'Puts a guard on each of many tables, chosen as by raceguard.plan_guards, in a transaction for each. lock_timeout: the longest wait for locks on one table, and so of the sessions that queue behind it. attempts: how often a table that is locked by others is tried; the others have their turn in between. Tables that have the guard are passed over. A table of more than 8 MB whose plan has steps that take a transaction of their own is left out, as is one that cannot have the guard: an error at the end names them, and the guards that were added stay. Called again it goes on with what is missing. Errors: 55000 tables were left out (with the reasons), 25001 inside a transaction block, 22023 unknown kind or option, or a value of the wrong type, 3F000 no such schema, 22004.';

CREATE FUNCTION raceguard.auto_guard(
    kind text,
    options jsonb DEFAULT '{}',
    schema name DEFAULT NULL,
    where_column name DEFAULT NULL
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_auto_guard';
COMMENT ON FUNCTION raceguard.auto_guard(text, jsonb, name, name) IS
'Gives every table that is created from now on a guard, by an event trigger with a function of its own in the schema raceguard that holds the arguments. kind, options: as for raceguard.add_guards. schema: in which schema, NULL for all. where_column: only tables that have this column when they are created. Partitions, which have the guards of their root, temporary tables and those of extensions are passed over. The guard is added as whoever creates the table; if it cannot be, CREATE TABLE fails with its error. Returns the event trigger''s name. ALTER EVENT TRIGGER ... DISABLE switches it off, raceguard.drop_auto_guard takes it away. Errors: 42501 not a superuser, 42710 stands with other options, 22023 unknown kind or option, or a value of the wrong type, 3F000 no such schema, 22004.';

CREATE FUNCTION raceguard.drop_auto_guard(
    kind text,
    schema name DEFAULT NULL,
    where_column name DEFAULT NULL
) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_drop_auto_guard';
COMMENT ON FUNCTION raceguard.drop_auto_guard(text, name, name) IS
'Takes away what raceguard.auto_guard made for the same kind, schema and where_column. Guards that tables have got stay. Errors: 42704 no such event trigger (with those there are), 42501 not its owner, 22004.';

CREATE FUNCTION raceguard.guard_new_tables(kind text, options jsonb, schema name, where_column name)
    RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_guard_new_tables';
COMMENT ON FUNCTION raceguard.guard_new_tables(text, jsonb, name, name) IS
'For the event triggers of raceguard.auto_guard only: adds the guard to the tables that the present command has made. Errors: 39P03 outside an event trigger, and those of raceguard.add_<kind>.';

COMMENT ON FUNCTION raceguard.add_parent_version(regclass, regclass, name, boolean) IS
'Makes every write to a row of child move the version of its parent row, once per transaction and parent, unless the transaction bumps the parent itself. parent: a table with a version guard. foreign_key: the foreign key from child to parent, where there are several. Needs ownership of child, whose owner must be allowed to update the parent''s version column. Returns the trigger''s name. Errors: 42704 no such foreign key, 22023 several foreign keys, 55000 the parent has no version guard, 42501 not the owner or no UPDATE on the version column, 42710 another foreign key to that parent is guarded (unless replace), 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

COMMENT ON FUNCTION raceguard.drop_guard(regclass, name, boolean) IS
'Takes a guard off a table: its triggers and, for a cap, its CHECK and index. guard: the name in raceguard.guards. drop_column: drop the version or slot column as well. Errors: 42704 no such guard, 42501 not the owner, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

-- Totals: a column of the parent that always equals the count or the sum of its children.

CREATE FUNCTION raceguard.total_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_guard';
COMMENT ON FUNCTION raceguard.total_guard() IS
'Trigger function of a total, AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW on the child. Arguments: the parent''s column, foreign_key=NAME, and amount=EXPRESSION (default 1), predicate=EXPRESSION, settle=commit where they are not the default. Notes what the row adds to or takes from its parent; raceguard.total_statement and raceguard.total_settle write it. raceguard.add_total creates the triggers.';

CREATE FUNCTION raceguard.total_statement() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_statement';
COMMENT ON FUNCTION raceguard.total_statement() IS
'Trigger function of a total, BEFORE and AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE FOR EACH STATEMENT on the child, with the arguments of raceguard.total_guard. Writes the totals when the outermost statement ends, one UPDATE for each parent, in the order of table and primary key.';

CREATE FUNCTION raceguard.total_settle() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_settle';
COMMENT ON FUNCTION raceguard.total_settle() IS
'Trigger function of the deferred part of a total: CONSTRAINT TRIGGER AFTER INSERT OR UPDATE OR DELETE, DEFERRABLE INITIALLY DEFERRED, FOR EACH ROW, on the child FROM the parent WHEN (raceguard.total_due(at_commit)), and on the parent WHEN (raceguard.total_parent_due()). Writes the totals that no statement''s end has written. SET CONSTRAINTS ALL IMMEDIATE brings it forward.';

CREATE FUNCTION raceguard.total_column() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_column';
COMMENT ON FUNCTION raceguard.total_column() IS
'Trigger function of a total, BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW on the parent. Arguments: the column, and at_most=EXPRESSION, at_least=EXPRESSION. A new parent starts at 0, or at NULL where the lower bound is above zero; a change of the column by anybody but the guard is 428C9.';

CREATE FUNCTION raceguard.total_parent() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_parent';
COMMENT ON FUNCTION raceguard.total_parent() IS
'Trigger function of a total, AFTER INSERT OR UPDATE FOR EACH ROW and AFTER TRUNCATE FOR EACH STATEMENT on the parent, with the arguments of raceguard.total_column. Sees that a parent that comes, or gets another key, has the total of what stands under it.';

CREATE FUNCTION raceguard.total_due(at_commit boolean) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_due';
COMMENT ON FUNCTION raceguard.total_due(boolean) IS
'For the WHEN condition of a raceguard.total_settle trigger on a child only: true where an event has to be queued, so that one is queued per transaction and not one per row. A transaction that calls it by hand may be unable to commit (55000).';

CREATE FUNCTION raceguard.total_parent_due() RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_parent_due';
COMMENT ON FUNCTION raceguard.total_parent_due() IS
'For the WHEN condition of a raceguard.total_settle trigger on a parent only: true where something noted in the transaction may concern the row. A transaction that calls it by hand may be unable to commit (55000).';

CREATE FUNCTION raceguard.add_total(
    child regclass,
    parent regclass,
    total_column name,
    amount text DEFAULT '1',
    predicate text DEFAULT NULL,
    at_most text DEFAULT NULL,
    at_least text DEFAULT NULL,
    settle text DEFAULT 'statement',
    foreign_key name DEFAULT NULL,
    guard name DEFAULT 'total',
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_total';
COMMENT ON FUNCTION raceguard.add_total(regclass, regclass, name, text, text, text, text, text, name, name, boolean) IS
'Keeps total_column of parent equal to the sum of amount over the rows of child that refer to it and satisfy predicate. A missing column is added: bigint, or numeric for a numeric amount. amount and predicate: IMMUTABLE expressions over the child''s columns; NULL counts 0. at_most, at_least: numbers or expressions over the parent''s columns, NULL is no bound; a CHECK on the parent enforces them, and what it refuses is RG403 (above) or RG422 (below). settle: ''statement'' writes the total when the statement ends, ''commit'' when the transaction does. foreign_key: from child to parent, where there are several. Needs ownership of both tables. Returns the trigger''s name. Errors: 23514 rows that stand are beyond a bound, 42704 or 22023 foreign key, 42804 types, 42P17 not IMMUTABLE, 42710 another definition, or other bounds of the column (unless replace), 0A000 parent without primary key, 42501.';

CREATE FUNCTION raceguard.plan_total(
    child regclass,
    parent regclass,
    total_column name,
    amount text DEFAULT '1',
    predicate text DEFAULT NULL,
    at_most text DEFAULT NULL,
    at_least text DEFAULT NULL,
    settle text DEFAULT 'statement',
    foreign_key name DEFAULT NULL,
    guard name DEFAULT 'total',
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_total';
COMMENT ON FUNCTION raceguard.plan_total(regclass, regclass, name, text, text, text, text, text, name, name, boolean) IS
'What add_total with the same arguments does, as steps for tables that are in use. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. The bounds hold from the step that adds the CHECK on. Steps that are done are left out. Changes nothing itself, reads no rows. Errors: those of add_total but 23514.';

CREATE PROCEDURE raceguard.recount(
    child regclass,
    guard name DEFAULT 'total',
    batch int DEFAULT 1000
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_recount';
COMMENT ON PROCEDURE raceguard.recount(regclass, name, int) IS
'Writes what stands under each parent of a total into its column, batch parents to a transaction, each under its own lock, while others write. child, guard: the total. For one that is put on a live table by the steps of plan_total, and for rows that were written where no trigger fires. Needs ownership of both tables. Errors: 25001 inside a transaction block or function, 42704 no such total, 42501, RG403 or RG422 where what stands is beyond a bound.';
