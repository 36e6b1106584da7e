-- Numbers: the guard and what installs it.

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
