-- Atomic amounts and ordered row locks.

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

CREATE FUNCTION raceguard.take_all(
    target regclass,
    quantity_column name,
    items jsonb,
    at_least numeric DEFAULT 0
) RETURNS SETOF jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_take_all';
COMMENT ON FUNCTION raceguard.take_all(regclass, name, jsonb, numeric) IS
'Takes amounts from many rows, all or none, and returns the new rows in key order. items: an array of objects with the columns of the primary key and "amount", such as [{"id": 1, "amount": 2}, {"id": 7, "amount": 1}]; amounts for one key add up. Rows are written in key order, so that baskets in opposite order do not deadlock. Other arguments and errors as for raceguard.take.';

CREATE FUNCTION raceguard.lock_rows(
    target regclass,
    pks jsonb,
    wait text DEFAULT 'wait',
    strength text DEFAULT 'no key update'
) RETURNS SETOF jsonb
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_lock_rows';
COMMENT ON FUNCTION raceguard.lock_rows(regclass, jsonb, text, text) IS
'Locks rows as SELECT ... FOR NO KEY UPDATE does, in key order whatever the order of pks, until the transaction ends, and returns them as they are once locked. pks: an array of primary keys, such as [{"id": 2}, {"id": 1}]; a key given twice counts once. wait: wait, nowait (55P03 if a row is locked) or skip (locked and missing rows are left out). strength: that of SELECT ... FOR: no key update, update (which also keeps others from inserting rows that refer to these), share or key share. Errors: RG404 keys that no row has, 22023 bad argument, 22004 NULL.';
