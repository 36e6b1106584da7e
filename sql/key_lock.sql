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
'Makes all writers of one key of a table wait for each other: every INSERT, UPDATE and DELETE locks the row''s key until its transaction ends. key: columns and IMMUTABLE expressions as in CREATE INDEX. namespace: take pg_advisory_xact_lock(namespace, key) instead of raceguard''s own lock, for code that already does so by hand (one integer key). Returns the trigger''s name. Errors: 42501 not the owner, 42703 no such column, 42601 not a key, 42P17 not IMMUTABLE, 42883 a type without hash function, 42710 exists with another definition (unless replace).';

CREATE FUNCTION raceguard.lock_key(target regclass, VARIADIC key "any") RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, "any") IS
'Waits for the lock of one key of a table and holds it until the transaction ends, as the table''s key lock guard does for writers. Take it before reading what the write will be based on. The values are coerced to the key''s types; a NULL locks nothing. Needs INSERT, UPDATE or DELETE on the table. Errors: 22023 wrong number of values, 55000 the table has no key lock guard, 42501, 55P03 lock_timeout, 40P01 deadlock.';

CREATE FUNCTION raceguard.lock_key(target regclass, VARIADIC key text[]) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_key';
COMMENT ON FUNCTION raceguard.lock_key(regclass, text[]) IS
'The same for drivers that send untyped parameters: the values as text.';

CREATE FUNCTION raceguard.try_lock_key(target regclass, VARIADIC key "any") RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, "any") IS
'Like raceguard.lock_key, but returns false at once when another transaction holds the key.';

CREATE FUNCTION raceguard.try_lock_key(target regclass, VARIADIC key text[]) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_try_lock_key';
COMMENT ON FUNCTION raceguard.try_lock_key(regclass, text[]) IS
'The same for drivers that send untyped parameters: the values as text.';
