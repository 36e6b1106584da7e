-- Caps: the guard, what installs it, and the calls that use its slots.

CREATE FUNCTION raceguard.cap_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_cap_guard';
COMMENT ON FUNCTION raceguard.cap_guard() IS
'Trigger function of a cap, BEFORE INSERT OR UPDATE FOR EACH ROW. Arguments: the slot column, slots=NUMBER, then optionally fill=append. Chooses the next free slot of the row''s key; key and predicate are those of the unique index that ends with the slot column. raceguard.add_cap creates the trigger.';

CREATE FUNCTION raceguard.cap_full_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_cap_full_guard';
COMMENT ON FUNCTION raceguard.cap_full_guard() IS
'Trigger function of a cap, AFTER INSERT FOR EACH ROW WHEN (NEW.slot = 0), with the arguments of raceguard.cap_guard. Raises RG403 for a row that has gone in although no slot was free.';

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
