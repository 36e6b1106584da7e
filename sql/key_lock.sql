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
