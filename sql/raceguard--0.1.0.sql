-- The objects of 0.1.0, as released: where ALTER EXTENSION raceguard UPDATE begins. Never edited.

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

-- Atomic amounts and ordered row locks.

CREATE FUNCTION raceguard.take(
    target regclass,
    pk jsonb,
    quantity_column name,
    amount numeric,
    at_least numeric DEFAULT 0
) RETURNS numeric
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_take';
COMMENT ON FUNCTION raceguard.take(regclass, jsonb, name, numeric, numeric) IS
'Takes an amount from a column of one row by one atomic UPDATE and returns what is left; a negative amount puts back. target: the table. pk: its primary key, an object such as {"id": 1}. quantity_column: smallint, integer, bigint or numeric. at_least: the floor below which taking may not bring the column. States the version where a version guard demands it. Errors: RG422 too little is stored (DETAIL: stored and asked amount), RG404 no such row, 42703 no such column, 42804 not a column of amounts, 22023 an amount the column would round, 22004 NULL.';

CREATE FUNCTION raceguard.take_all(
    target regclass,
    quantity_column name,
    items jsonb,
    at_least numeric DEFAULT 0
) RETURNS SETOF jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_take_all';
COMMENT ON FUNCTION raceguard.take_all(regclass, name, jsonb, numeric) IS
'Takes amounts from many rows, all or none, and returns the new rows in key order. items: an array of objects with the columns of the primary key and "amount", such as [{"id": 1, "amount": 2}, {"id": 7, "amount": 1}]; amounts for one key add up. Rows are written in key order, so that baskets in opposite order do not deadlock. Other arguments and errors as for raceguard.take.';

CREATE FUNCTION raceguard.lock_rows(target regclass, pks jsonb, wait text DEFAULT 'wait')
    RETURNS SETOF jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_rows';
COMMENT ON FUNCTION raceguard.lock_rows(regclass, jsonb, text) IS
'Locks rows as SELECT ... FOR UPDATE does, in key order whatever the order of pks, until the transaction ends, and returns them as they are once locked. pks: an array of primary keys, such as [{"id": 2}, {"id": 1}]; a key given twice counts once. wait: wait, nowait (55P03 if a row is locked) or skip (locked and missing rows are left out). Errors: RG404 keys that no row has, 22023 bad argument, 22004 NULL.';

-- Transactions repeated until they meet no conflict.

CREATE PROCEDURE raceguard.retry(
    statements text,
    params jsonb DEFAULT NULL,
    isolation text DEFAULT 'serializable',
    max_attempts int DEFAULT 5,
    base_delay interval DEFAULT '10 ms',
    max_delay interval DEFAULT '1 s',
    INOUT attempts int DEFAULT NULL
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_retry';
COMMENT ON PROCEDURE raceguard.retry(text, jsonb, text, int, interval, interval, int) IS
'Runs statements in a transaction of their own and repeats it after a serialization failure (40001) or a deadlock (40P01), failures at COMMIT included. params: bound as $1. isolation: serializable, repeatable read or read committed. max_attempts: the first counts. base_delay, max_delay: the wait before the next attempt is random up to base_delay, doubled after each failure, at most max_delay. attempts: returns how many it took. Rows that the statements return are thrown away. The last failure is raised with its own SQLSTATE and a DETAIL that names the attempts, other errors at once and unchanged. Errors: 25001 inside a transaction block, a function, a pipeline or wherever something has been written before; 2D000 transaction control among the statements; 22023 bad argument, 22004 NULL.';

-- Parent versions: a write to a child row moves its parent's version.

CREATE FUNCTION raceguard.parent_version_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_parent_version_guard';
COMMENT ON FUNCTION raceguard.parent_version_guard() IS
'Trigger function of a parent version guard, AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW. Argument: the name of a foreign key of the table. Notes the parents of OLD and NEW; raceguard.parent_version_bump bumps them, at the latest when the transaction ends. Without that trigger it bumps at the end of the statement. The foreign key must be enforced, its parent must have a version guard, and the owner of the table must be allowed to update the parent''s version column. raceguard.add_parent_version creates the triggers.';

CREATE FUNCTION raceguard.parent_version_bump() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_parent_version_bump';
COMMENT ON FUNCTION raceguard.parent_version_bump() IS
'Trigger function of the deferred part of a parent version guard: CONSTRAINT TRIGGER AFTER INSERT OR UPDATE OR DELETE, DEFERRABLE INITIALLY DEFERRED, FOR EACH ROW WHEN (raceguard.parent_version_due()). Bumps every noted parent once, in the order of table and primary key. SET CONSTRAINTS ALL IMMEDIATE makes it fire at once.';

CREATE FUNCTION raceguard.parent_version_truncate() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_parent_version_truncate';
COMMENT ON FUNCTION raceguard.parent_version_truncate() IS
'Trigger function of a parent version guard for TRUNCATE, FOR EACH STATEMENT: BEFORE it notes the parents of all rows, AFTER it bumps those that are still there. Argument: the name of the foreign key.';

CREATE FUNCTION raceguard.parent_version_due() RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_parent_version_due';
COMMENT ON FUNCTION raceguard.parent_version_due() IS
'For the WHEN condition of a raceguard.parent_version_bump trigger only: true for the first child row of a transaction, so that one event is queued and not one per row. A transaction that calls it by hand cannot commit child rows (55000).';

CREATE FUNCTION raceguard.add_parent_version(
    child regclass,
    parent regclass,
    foreign_key name DEFAULT NULL,
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_parent_version';
COMMENT ON FUNCTION raceguard.add_parent_version(regclass, regclass, name, boolean) IS
'Makes every write to a row of child move the version of its parent row, once per transaction and parent, unless the transaction bumps the parent itself. parent: a table with a version guard. foreign_key: the foreign key from child to parent, where there are several. Needs ownership of child, whose owner must be allowed to update the parent''s version column. Returns the trigger''s name. Errors: 42704 no such foreign key, 22023 several foreign keys, 55000 the parent has no version guard, 42501 not the owner or no UPDATE on the version column, 42710 another foreign key to that parent is guarded (unless replace).';

-- Key locks: the guard, what installs it, and the calls that take the same lock.

CREATE FUNCTION raceguard.key_lock_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_key_lock_guard';
COMMENT ON FUNCTION raceguard.key_lock_guard() IS
'Trigger function of a key lock, BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW. Arguments: the key as in CREATE INDEX, then optionally namespace=NUMBER. Locks the keys of OLD and NEW, the smaller first, until the transaction ends. raceguard.add_key_lock creates the trigger.';

CREATE FUNCTION raceguard.add_key_lock(
    target regclass,
    key text,
    namespace int DEFAULT NULL,
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_key_lock';
COMMENT ON FUNCTION raceguard.add_key_lock(regclass, text, int, boolean) IS
'Makes all writers of one key of a table wait for each other: every INSERT, UPDATE and DELETE locks the row''s key until its transaction ends. key: columns and IMMUTABLE expressions as in CREATE INDEX. namespace: take pg_advisory_xact_lock(namespace, key) instead of raceguard''s own lock, for code that already does so by hand (one integer key). Returns the trigger''s name. Errors: 42501 not the owner, 42703 no such column, 42601 not a key, 42P17 not IMMUTABLE, 42883 a type without hash function, 42P22 no collation, 0A000 a generated column, 42710 exists with another definition (unless replace).';

CREATE FUNCTION raceguard.lock_key(target regclass, VARIADIC key "any") RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, "any") IS
'Waits for the lock of one key of a table and holds it until the transaction ends, as the table''s key lock guard does for writers. Take it before reading what the write will be based on. The values are coerced to the key''s types; a NULL locks nothing. Needs INSERT, UPDATE or DELETE on the table. Errors: 22023 wrong number of values, 55000 the table has no key lock guard, 42501, 25006 on a standby, 55P03 lock_timeout, 40P01 deadlock.';

CREATE FUNCTION raceguard.lock_key(target regclass, VARIADIC key text[]) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, text[]) IS
'The same for drivers that send untyped parameters: the values as text.';

CREATE FUNCTION raceguard.lock_key(target regclass, first anyelement, VARIADIC rest text[]) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, anyelement, text[]) IS
'The same for drivers that send the first value with its type and the others without.';

CREATE FUNCTION raceguard.lock_key(target regclass, first text, VARIADIC rest "any") RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, text, "any") IS
'The same for drivers that send the first value without a type and the others with theirs.';

CREATE FUNCTION raceguard.try_lock_key(target regclass, VARIADIC key "any") RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, "any") IS
'Like raceguard.lock_key, but returns false at once when another transaction holds the key.';

CREATE FUNCTION raceguard.try_lock_key(target regclass, VARIADIC key text[]) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, text[]) IS
'The same for drivers that send untyped parameters: the values as text.';

CREATE FUNCTION raceguard.try_lock_key(target regclass, first anyelement, VARIADIC rest text[]) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, anyelement, text[]) IS
'The same for drivers that send the first value with its type and the others without.';

CREATE FUNCTION raceguard.try_lock_key(target regclass, first text, VARIADIC rest "any") RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, text, "any") IS
'The same for drivers that send the first value without a type and the others with theirs.';

CREATE FUNCTION raceguard.lock_keys(target regclass, keys jsonb) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_keys';
COMMENT ON FUNCTION raceguard.lock_keys(regclass, jsonb) IS
'Locks several keys of a table in the order in which every caller locks them, so that two callers cannot deadlock. keys: an array, each key a scalar or an array in key order, for example [1, 2] or [[1, "a"], [2, "b"]]. More keys than raceguard.max_key_locks are locked as one, the whole table. To lock before the snapshot of a REPEATABLE READ or SERIALIZABLE transaction: SET LOCAL raceguard.lock_keys = posts, ''[1, 2]''. Errors as raceguard.lock_key.';

CREATE FUNCTION raceguard.lock_table_keys(target regclass) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_table_keys';
COMMENT ON FUNCTION raceguard.lock_table_keys(regclass) IS
'Locks all keys of a table at once until the transaction ends, for bulk jobs: it waits for the transactions that hold keys, and other writers wait for it. Readers do not. Only the owner may call it. Errors: 42501 not the owner, 55000 the table has no key lock guard, 0A000 the guard has a namespace, 25006 on a standby, 55P03 lock_timeout, 40P01 deadlock.';

-- The fields of raceguard's locks in pg_locks, see src/pg/lock.rs: classid is the table (keys: its
-- root), objid the hash of the key, objsubid 21063 a key, 21064 a whole table, 21065 a slot. Every
-- holder of a key also holds the table's lock in a shared mode, which the view leaves out. A guard
-- with a namespace takes the locks of pg_advisory_xact_lock(namespace, key), objsubid 2.
CREATE VIEW raceguard.locks AS
SELECT COALESCE(n.target, l.classid::regclass) AS target,
       CASE WHEN l.objsubid = 21064 AND l.objid = 0 THEN 'all keys'
            WHEN l.objsubid = 21064 THEN 'all slots'
            WHEN l.objsubid = 21065 THEN 'slot'
            ELSE 'key'
       END AS locked,
       CASE WHEN l.objsubid <> 21064 THEN l.objid::bigint END AS key_hash,
       l.pid,
       l.granted,
       CASE WHEN l.granted THEN '{}' ELSE pg_blocking_pids(l.pid) END AS blocked_by,
       l.waitstart AS waiting_since,
       a.query_start,
       a.query
FROM pg_locks l
LEFT JOIN (
    SELECT DISTINCT
           t.tgrelid::regclass AS target,
           substring(encode(t.tgargs, 'escape') FROM '\\000namespace=(-?[0-9]+)\\000')::bigint AS namespace
    FROM pg_trigger t
    JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = 'key_lock_guard'
    JOIN pg_namespace s ON s.oid = p.pronamespace AND s.nspname = 'raceguard'
    WHERE t.tgparentid = 0
) n ON l.objsubid = 2 AND l.classid::bigint = n.namespace & 4294967295
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.objsubid IN (21063, 21065) OR n.target IS NOT NULL
       OR l.objsubid = 21064 AND NOT (l.granted AND l.mode = 'RowExclusiveLock'));
COMMENT ON VIEW raceguard.locks IS
'Who holds and who waits for which key of which table. target: the table, for keys of a partition its root; locked: key, slot, all keys or all slots (a bulk job); key_hash: the hash of the key, for a guard with a namespace the key itself; blocked_by: the pids a waiter waits for. query_start and query as in pg_stat_activity: NULL for other roles'' sessions unless the reader is a member of pg_monitor.';
GRANT SELECT ON raceguard.locks TO PUBLIC;

-- Caps: the guard, what installs it, and the calls that use its slots.

CREATE FUNCTION raceguard.cap_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_cap_guard';
COMMENT ON FUNCTION raceguard.cap_guard() IS
'Trigger function of a cap, BEFORE INSERT OR UPDATE FOR EACH ROW. Arguments: the slot column, slots=NUMBER, then optionally fill=append. Chooses the next free slot of the row''s key; key and predicate are those of the unique index that ends with the slot column. raceguard.add_cap creates the trigger.';

CREATE FUNCTION raceguard.cap_full_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_cap_full_guard';
COMMENT ON FUNCTION raceguard.cap_full_guard() IS
'Trigger function of a cap, AFTER INSERT FOR EACH ROW, with the arguments of raceguard.cap_guard. Raises RG403 for a row that has gone in although no slot was free.';

CREATE FUNCTION raceguard.add_cap(
    target regclass,
    key text,
    slots int,
    slot_column name DEFAULT 'slot',
    predicate text DEFAULT NULL,
    fill text DEFAULT 'lowest',
    online boolean DEFAULT false,
    guard name DEFAULT 'cap',
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_cap';
COMMENT ON FUNCTION raceguard.add_cap(regclass, text, int, name, text, text, boolean, name, boolean) IS
'Allows at most slots rows per key. key: columns and IMMUTABLE expressions as in CREATE INDEX. slot_column: holds the row''s number from 1 to slots, added as int where it is missing. predicate: which rows count, all by default. fill: reuse gaps first (lowest) or only at the end (append). guard: the guard''s name. Creates a CHECK and a unique index, which are the rule, and triggers, which choose the slot; rows that stand already are numbered in primary-key order. Returns the trigger''s name. Errors: 23514 rows exceed the cap already (with their keys), 42501 not the owner, 42703, 42601, 42P17 not IMMUTABLE, 22023, 42710 exists with another definition (unless replace).';

CREATE FUNCTION raceguard.next_free_slot(target regclass, key jsonb, guard name DEFAULT 'cap')
    RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_next_free_slot';
COMMENT ON FUNCTION raceguard.next_free_slot(regclass, jsonb, name) IS
'The slot that a new row of a key would get now, NULL when the cap is full. key: a scalar, or an array in key order. Reserves nothing: another writer may take the slot before you do. Needs INSERT, UPDATE or DELETE on the table. Errors: 22023 wrong number of key values, 55000 no such cap.';

CREATE FUNCTION raceguard.insert_next_slot(target regclass, new_row jsonb, on_full text DEFAULT 'error')
    RETURNS jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_insert_next_slot';
COMMENT ON FUNCTION raceguard.insert_next_slot(regclass, jsonb, text) IS
'Inserts a row into a capped table and returns it whole, defaults and slot included. new_row: the columns as a JSON object; columns it leaves out take their defaults. on_full: error (RG403) or null (returns NULL, inserts nothing). Runs with the caller''s rights. Errors: RG403 the cap is full, 42703 unknown column, 55000 the table has no cap, and those of the INSERT itself.';

CREATE FUNCTION raceguard.plan_cap(
    target regclass,
    key text,
    slots int,
    slot_column name DEFAULT 'slot',
    predicate text DEFAULT NULL,
    fill text DEFAULT 'lowest',
    online boolean DEFAULT false,
    guard name DEFAULT 'cap',
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_cap';
COMMENT ON FUNCTION raceguard.plan_cap(regclass, text, int, name, text, text, boolean, name, boolean) IS
'What add_cap with the same arguments does, as steps to run one by one on a big, busy table: none blocks writers for longer than a moment. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. Changes nothing itself; online and replace make no difference. Errors: those of add_cap.';

CREATE PROCEDURE raceguard.number_slots(target regclass, guard name DEFAULT 'cap')
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_number_slots';
COMMENT ON PROCEDURE raceguard.number_slots(regclass, name) IS
'Gives every row of a cap that has no slot yet one, up to 1000 rows to a transaction, while others write. A step of raceguard.plan_cap. Bumps no version. Killed, it is simply called again. Errors: 23514 more rows than slots (with the keys), 25001 inside a transaction block, 42704 no such cap, 42501 not the owner.';

CREATE FUNCTION raceguard.set_cap(target regclass, slots int, guard name DEFAULT 'cap')
    RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_set_cap';
COMMENT ON FUNCTION raceguard.set_cap(regclass, int, name) IS
'Allows another number of rows per key under a cap that stands. Reads the table once to check its rows, under a lock that writers wait for. Returns the trigger''s name. Errors: 23514 rows stand above the new number (with their keys), 42704 no such cap, 42501 not the owner, 22023.';

CREATE FUNCTION raceguard.insert_or_get(
    target regclass,
    new_row jsonb,
    OUT "row" jsonb,
    OUT inserted boolean
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_insert_or_get';
COMMENT ON FUNCTION raceguard.insert_or_get(regclass, jsonb) IS
'Inserts a row, or returns the row that a unique constraint or index says is there already, without a race. new_row: the columns as a JSON object; columns it leaves out take their defaults. row: the whole row. inserted: whether it is the new one. Runs with the caller''s rights. Errors: 42703 unknown column, 55000 the row in the way cannot be found, 40001 it is newer than the snapshot of a REPEATABLE READ or SERIALIZABLE transaction, and those of the INSERT itself.';

-- Cooldowns: the guard, what installs it, and the call that tells when it is over.

CREATE FUNCTION raceguard.cooldown_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_cooldown_guard';
COMMENT ON FUNCTION raceguard.cooldown_guard() IS
'Trigger function of a cooldown, AFTER INSERT OR UPDATE FOR EACH ROW. Arguments: the key as in CREATE INDEX, at=COLUMN, period=INTERVAL, then optionally max_rows=NUMBER and predicate=EXPRESSION. Needs an index (key..., at). Raises RG429 while the cooldown is running. raceguard.add_cooldown creates the trigger.';

CREATE FUNCTION raceguard.add_cooldown(
    target regclass,
    key text,
    at name,
    period interval,
    max_rows int DEFAULT 1,
    predicate text DEFAULT NULL,
    guard name DEFAULT 'cooldown',
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_cooldown';
COMMENT ON FUNCTION raceguard.add_cooldown(regclass, text, name, interval, int, text, name, boolean) IS
'Allows at most max_rows rows per key within any period, wherever in time they stand. key: columns and IMMUTABLE expressions as in CREATE INDEX. at: the date, timestamp or timestamptz column that times the row. period: as at + period in SQL. predicate: which rows count, all by default. guard: the guard''s name. Creates the index (key..., at) unless one stands already. Returns the trigger''s name. Errors: 23514 rows stand too close already (with their keys), 42501 not the owner, 42703, 42601, 42804, 42P17 not IMMUTABLE, 22023, 42710 exists with another definition (unless replace).';

CREATE FUNCTION raceguard.next_allowed(target regclass, key jsonb, guard name DEFAULT 'cooldown')
    RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_next_allowed';
COMMENT ON FUNCTION raceguard.next_allowed(regclass, jsonb, name) IS
'The first instant from now on at which a cooldown allows a row of a key; now if nothing is running. key: a scalar, or an array in key order. Local times (date, timestamp columns) are read in the session''s TimeZone. Needs INSERT, UPDATE or DELETE on the table. Errors: 22023 wrong number of key values, 55000 no such cooldown.';

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

-- Compare and swap: writes that pass only if the row is still the one that was read.

CREATE FUNCTION raceguard.compare_and_swap(
    target regclass, pk jsonb, expected text, changes jsonb, token text DEFAULT 'auto'
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_compare_and_swap';
COMMENT ON FUNCTION raceguard.compare_and_swap(regclass, jsonb, text, jsonb, text) IS
'Updates the row with primary key pk if it is still version expected, and returns the whole new row. changes: a JSON object of columns; JSON null sets NULL, a column not named stays. token: what expected is: version (the guarded column), xmin (row_version(xmin)), hash (row_hash(row)), or auto (version where there is a guard, else xmin). Errors: RG409 with the stored version in DETAIL, RG404 no such row, 22023 bad argument, 42703 unknown column, 55000 no primary key.';

CREATE FUNCTION raceguard.compare_and_swap(
    target regclass, pk jsonb, expected bigint, changes jsonb, token text DEFAULT 'auto'
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_compare_and_swap_number';
COMMENT ON FUNCTION raceguard.compare_and_swap(regclass, jsonb, bigint, jsonb, text) IS
'The same for a version that arrives as a number. See compare_and_swap(regclass, jsonb, text, jsonb, text).';

CREATE FUNCTION raceguard.compare_and_delete(
    target regclass, pk jsonb, expected text, token text DEFAULT 'auto'
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_compare_and_delete';
COMMENT ON FUNCTION raceguard.compare_and_delete(regclass, jsonb, text, text) IS
'Deletes the row with primary key pk if it is still version expected, and returns it. token as in compare_and_swap. Errors: RG409 with the stored version in DETAIL, RG404 no such row, 22023 bad argument, 55000 no primary key.';

CREATE FUNCTION raceguard.compare_and_delete(
    target regclass, pk jsonb, expected bigint, token text DEFAULT 'auto'
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_compare_and_delete_number';
COMMENT ON FUNCTION raceguard.compare_and_delete(regclass, jsonb, bigint, text) IS
'The same for a version that arrives as a number. See compare_and_delete(regclass, jsonb, text, text).';

CREATE FUNCTION raceguard.swap_columns(target regclass, pk jsonb, was jsonb, changes jsonb)
    RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_swap_columns';
COMMENT ON FUNCTION raceguard.swap_columns(regclass, jsonb, jsonb, jsonb) IS
'Updates the row with primary key pk if every column in was still has the value given there, and returns the whole new row. Two people who change different columns both succeed. changes: a JSON object of columns, each of which must be in was too. Errors: RG409 with the columns that differ and their stored values in DETAIL, RG404 no such row, 22023 bad argument, 42703 unknown column, 55000 no primary key.';

-- STABLE, not IMMUTABLE: the epoch comes from the server's present transaction counter.
CREATE FUNCTION raceguard.row_version(xmin xid) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'raceguard_row_version';
COMMENT ON FUNCTION raceguard.row_version(xid) IS
'The version of a row as opaque text, from its xmin: SELECT raceguard.row_version(xmin), ... It has 64 bits and does not repeat when the 32-bit transaction counter wraps around. For tables that cannot get a version column.';

-- STABLE, not IMMUTABLE: the same stored row hashes differently once a column is added or dropped.
CREATE FUNCTION raceguard.row_hash(row_value record) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'raceguard_row_hash';
COMMENT ON FUNCTION raceguard.row_hash(record) IS
'SHA-256, in hex, of the binary image of a row: SELECT raceguard.row_hash(t) FROM orders t. It does not depend on TimeZone, DateStyle, IntervalStyle, bytea_output, extra_float_digits or how values are stored, and tells NULL from empty, 1.0 from 1.00, and Bob from BOB under any collation.';

CREATE FUNCTION raceguard.backfill_version_step(target regclass, batch integer DEFAULT 10000)
    RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_backfill_version_step';
COMMENT ON FUNCTION raceguard.backfill_version_step(regclass, integer) IS
'Gives distinct versions to up to batch rows of a table with a version guard, and returns how many it was; 0 when all rows are done. Call it in transactions of its own until then, or use CALL raceguard.backfill_version. Errors: 42501 not the owner, 55000 no version guard, 0A000 a timestamp version, 22003 the column is too narrow, 22023 bad batch.';

CREATE PROCEDURE raceguard.backfill_version(target regclass, batch integer DEFAULT 10000)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_backfill_version';
COMMENT ON PROCEDURE raceguard.backfill_version(regclass, integer) IS
'Gives distinct versions to all rows of a table with a version guard, batch rows to a transaction, so that readers and writers wait for no longer than a batch. Tells its progress in NOTICEs. When it was interrupted, the next call goes on where it stood. Errors: 25001 inside a transaction, and those of backfill_version_step.';

