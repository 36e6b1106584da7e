-- Cooldowns: the guard, what installs it, and the call that tells when it is over.

CREATE FUNCTION raceguard.cooldown_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_cooldown_guard';
COMMENT ON FUNCTION raceguard.cooldown_guard() IS
'Trigger function of a cooldown, AFTER INSERT OR UPDATE FOR EACH ROW. Arguments: the key as in CREATE INDEX, at=COLUMN, period=INTERVAL, then optionally max_rows=NUMBER, predicate=EXPRESSION, own_past=true and mode=enforce|observe. Needs an index (key..., at). Raises RG429 while the cooldown is running. raceguard.add_cooldown creates the trigger.';

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

CREATE FUNCTION raceguard.next_allowed(target regclass, key jsonb, guard name DEFAULT 'cooldown')
    RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_next_allowed';
COMMENT ON FUNCTION raceguard.next_allowed(regclass, jsonb, name) IS
'The first instant from now() on, the start of the transaction, at which a cooldown allows a row of a key; now() itself if nothing is running, so that next_allowed(...) <= now() says whether a row is allowed now. key: a scalar, or an array in key order. Local times (date, timestamp columns) are read in the session''s TimeZone. Needs INSERT on the table. Errors: 42501 no INSERT, or row security of the table applies to the caller, 22023 wrong number of key values, 55000 no such cooldown.';
