-- Key locks: the guard, what installs it, and the calls that take the same lock.

CREATE FUNCTION raceguard.key_lock_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_key_lock_guard';
COMMENT ON FUNCTION raceguard.key_lock_guard() IS
'Trigger function of a key lock, BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW. Arguments: the key as in CREATE INDEX, then optionally namespace=NUMBER and mode=enforce|observe. Locks the keys of OLD and NEW, the smaller first, until the transaction ends; an upsert first locks the row that it is about to change. raceguard.add_key_lock creates the trigger.';

CREATE FUNCTION raceguard.key_lock_first_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_key_lock_first_guard';
COMMENT ON FUNCTION raceguard.key_lock_first_guard() IS
'Trigger function of the trigger "!raceguard_key_lock", which fires before all others and does what raceguard.key_lock_guard does, with the same arguments: the table''s own triggers read under the lock. raceguard.add_key_lock creates the trigger.';

CREATE FUNCTION raceguard.add_key_lock(
    target regclass,
    key text,
    namespace int DEFAULT NULL,
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_key_lock';
COMMENT ON FUNCTION raceguard.add_key_lock(regclass, text, int, boolean) IS
'Makes all writers of one key of a table wait for each other: every INSERT, UPDATE and DELETE locks the row''s key until its transaction ends, before the table''s own BEFORE triggers read. key: columns and IMMUTABLE expressions as in CREATE INDEX. namespace: take pg_advisory_xact_lock(namespace, key) instead of raceguard''s own lock, for code that already does so by hand (one integer key). Returns the trigger''s name. Errors: 42501 not the owner, 42703 no such column, 42601 not a key, 42P17 not IMMUTABLE, 42883 a type without hash function, 42P22 no collation, 0A000 a generated column, 42710 exists with another definition (unless replace), 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

CREATE FUNCTION raceguard.plan_key_lock(
    target regclass,
    key text,
    namespace int DEFAULT NULL,
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_key_lock';
COMMENT ON FUNCTION raceguard.plan_key_lock(regclass, text, int, boolean) IS
'What add_key_lock with the same arguments does, as steps. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. Steps that are done are left out. Changes nothing itself. Errors: those of add_key_lock.';

CREATE FUNCTION raceguard.lock_key(target regclass, VARIADIC key "any") RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, "any") IS
'Waits for the lock of one key of a table and holds it until the transaction ends, as the table''s key lock guard does for writers. Take it before reading what the write will be based on. The values are coerced to the key''s types; a NULL locks nothing, and a NOTICE says so. What the same statement reads is read by a snapshot that is older than the lock: check in the next one. Needs INSERT, UPDATE or DELETE on the table. Errors: 22023 wrong number of values, 55000 the table has no key lock guard, 42501, 25006 on a standby, 55P03 lock_timeout, 40P01 deadlock.';

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

CREATE FUNCTION raceguard.lock_key(target regclass, key "char") RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, "char") IS
'The same for a value of type "char", which Postgres would take for text as well.';

CREATE FUNCTION raceguard.lock_key(target regclass, first "char", VARIADIC rest "any") RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, "char", "any") IS
'The same for a first value of type "char".';

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

CREATE FUNCTION raceguard.try_lock_key(target regclass, key "char") RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, "char") IS
'The same for a value of type "char", which Postgres would take for text as well.';

CREATE FUNCTION raceguard.try_lock_key(target regclass, first "char", VARIADIC rest "any") RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, "char", "any") IS
'The same for a first value of type "char".';

CREATE FUNCTION raceguard.lock_keys(target regclass, keys jsonb) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_keys';
COMMENT ON FUNCTION raceguard.lock_keys(regclass, jsonb) IS
'Locks several keys of a table in the order in which every caller locks them, so that two callers cannot deadlock. keys: an array, each key a scalar or an array in key order, for example [1, 2] or [[1, "a"], [2, "b"]]; a value for a key of type jsonb stands as it is, an array in an array of its own. A key with a NULL locks nothing, and a NOTICE says so. More keys than raceguard.max_key_locks are locked as one, the whole table. To lock before the snapshot of a REPEATABLE READ or SERIALIZABLE transaction: SET LOCAL raceguard.lock_keys = posts, ''[1, 2]''. Errors as raceguard.lock_key.';

CREATE FUNCTION raceguard.lock_table_keys(target regclass) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_table_keys';
COMMENT ON FUNCTION raceguard.lock_table_keys(regclass) IS
'Locks all keys of a table at once until the transaction ends, for bulk jobs: it waits for the transactions that hold keys, and other writers wait for it. Readers do not. Only the owner may call it. Errors: 42501 not the owner, 55000 the table has no key lock guard, 0A000 the guard has a namespace, 25006 on a standby, 55P03 lock_timeout, 40P01 deadlock.';

-- Tables whose rows another extension keeps elsewhere, in the views.

CREATE FUNCTION raceguard.logical_table(tableoid oid) RETURNS regclass
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'raceguard_logical_table';
COMMENT ON FUNCTION raceguard.logical_table(oid) IS
'The table that clients name, given a shard of a table that Citus distributes or a chunk of a TimescaleDB hypertable. Anything else is returned as it is.';

-- The fields of raceguard's locks in pg_locks, see src/pg/lock.rs: classid is the table (keys: its
-- root), objid the hash of the key, objsubid 21063 a key, 21064 a whole table, 21065 a slot, 21066 a
-- key's numbers. Every holder of one also holds the table's lock in a shared mode, which the view
-- leaves out. A guard with a namespace takes the locks of pg_advisory_xact_lock(namespace, key), objsubid 2. Anyone may
-- put such a guard on a table of his own, with any text for a namespace: a number that is none is no
-- namespace, and a lock is only told as a table's where its holder or waiter has a lock on the table
-- too, as everyone has who writes there. Holders that have not (yet) are shown without a table,
-- beside those that have.
CREATE VIEW raceguard.locks AS
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
