-- Caps: the guard, what installs it, and the calls that use its slots.

CREATE FUNCTION raceguard.cap_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_cap_guard';
COMMENT ON FUNCTION raceguard.cap_guard() IS
'Trigger function of a cap, BEFORE INSERT OR UPDATE FOR EACH ROW. Arguments: the slot column, slots=NUMBER, then optionally fill=append and mode=enforce|observe. Chooses the next free slot of the row''s key; key and predicate are those of the unique index that ends with the slot column. raceguard.add_cap creates the trigger.';

CREATE FUNCTION raceguard.cap_full_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_cap_full_guard';
COMMENT ON FUNCTION raceguard.cap_full_guard() IS
'Trigger function of a cap, AFTER INSERT FOR EACH ROW, with the arguments of raceguard.cap_guard; AFTER INSERT OR UPDATE where another BEFORE UPDATE trigger fires after the guard. Raises RG403 for a row that has gone in although no slot was free, 23514 for an UPDATE that leaves a row in slot 0. Without it the guard refuses rows of a full key with 55000.';

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
'Allows at most slots rows per key. key: columns and IMMUTABLE expressions as in CREATE INDEX, NULL for the whole table. slot_column: holds the row''s number from 1 to slots, added as int where it is missing. predicate: which rows count, all by default. fill: reuse gaps first (lowest) or only at the end (append). guard: the guard''s name. Creates a CHECK and a unique index, which are the rule, and triggers, which choose the slot; rows that stand already are numbered in primary-key order. Returns the trigger''s name. Errors: 23514 rows exceed the cap already, or stand in a slot that it does not have, 0 included (with their keys), 55000 another index of a cap''s form on the slot column, 42501 not the owner, 42703, 42601, 42P17 not IMMUTABLE, 22023, 42710 exists with another definition (unless replace), 40001 at REPEATABLE READ and SERIALIZABLE where the table or its rows have changed since the snapshot.';

CREATE FUNCTION raceguard.next_free_slot(target regclass, key jsonb, guard name DEFAULT 'cap')
    RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_next_free_slot';
COMMENT ON FUNCTION raceguard.next_free_slot(regclass, jsonb, name) IS
'The slot that a new row of a key would get now, NULL when the cap is full. key: a scalar, or an array in key order; NULL for a cap on the whole table. Reserves nothing: another writer may take the slot before you do. Needs INSERT on the table. Errors: 42501 no INSERT, or row security of the table applies to the caller, 22023 wrong number of key values, 42704 no such cap.';

CREATE FUNCTION raceguard.insert_next_slot(target regclass, new_row jsonb, on_full text DEFAULT 'error')
    RETURNS jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_insert_next_slot';
COMMENT ON FUNCTION raceguard.insert_next_slot(regclass, jsonb, text) IS
'Inserts a row into a capped table and returns it whole, defaults and slot included. new_row: the columns as a JSON object; columns it leaves out take their defaults. on_full: error (RG403) or null (returns NULL, inserts nothing). Runs with the caller''s rights. Errors: RG403 the cap is full, 42703 unknown column, 42704 the table has no cap, and those of the INSERT itself.';

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
'Allows another number of rows per key under a cap that stands. Reads the table once to check its rows, under a lock that writers wait for. Returns the trigger''s name. Triggers of the cap that are disabled are enabled again, with a WARNING. Errors: 23514 rows stand above the new number or in slot 0 (with their keys), 42704 no such cap, 0A000 it comes from a table above, 42501 not the owner, 22023, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';
