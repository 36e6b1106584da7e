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
