-- A row inserted, or the one that stands in its place.

CREATE FUNCTION raceguard.insert_or_get(
    target regclass,
    new_row jsonb,
    key name[] DEFAULT NULL,
    OUT "row" jsonb,
    OUT inserted boolean
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_insert_or_get';
COMMENT ON FUNCTION raceguard.insert_or_get(regclass, jsonb, name[]) IS
'Inserts a row, or returns the row that a unique constraint or index says is there already, without a race. new_row: the columns as a JSON object; columns it leaves out take their defaults. key: the columns by which it would be the same row, all those of one unique index; a conflict with any other is 23505. Without it there must be only one unique index that could answer for this row. row: the whole row. inserted: whether it is the new one. Runs with the caller''s rights. Errors: 42P10 no unique index has the key, or without key several could answer, 23505, 42703 unknown column, 55000 the row in the way cannot be found, 27000 a trigger swallowed the new row, 42809 a view, 40001 it is newer than the snapshot of a REPEATABLE READ or SERIALIZABLE transaction, and those of the INSERT itself.';
