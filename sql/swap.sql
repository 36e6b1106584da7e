-- Compare and swap: writes that pass only if the row is still the one that was read.

CREATE FUNCTION raceguard.compare_and_swap(
    target regclass, pk jsonb, expected text, changes jsonb, token text DEFAULT 'auto'
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_compare_and_swap';
COMMENT ON FUNCTION raceguard.compare_and_swap(regclass, jsonb, text, jsonb, text) IS
'Updates the row with primary key pk if it is still version expected, and returns the whole new row. changes: a JSON object of columns; JSON null sets NULL, a column not named stays; the whole row may be sent back, generated columns and identities with the value they have. token: what expected is: version (the guarded column), xmin (row_version(xmin)), hash (row_hash(row)), or auto (version where there is a guard, else xmin). Errors: RG409 with the stored version in DETAIL, RG404 no such row, 22023 bad argument, 42703 unknown column, 55000 no primary key.';

CREATE FUNCTION raceguard.compare_and_swap(
    target regclass, pk jsonb, expected bigint, changes jsonb, token text DEFAULT 'auto'
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_compare_and_swap_number';
COMMENT ON FUNCTION raceguard.compare_and_swap(regclass, jsonb, bigint, jsonb, text) IS
'The same for a version that arrives as a number. See compare_and_swap(regclass, jsonb, text, jsonb, text).';

CREATE FUNCTION raceguard.compare_and_delete(
    target regclass, pk jsonb, expected text, token text DEFAULT 'auto'
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_compare_and_delete';
COMMENT ON FUNCTION raceguard.compare_and_delete(regclass, jsonb, text, text) IS
'Deletes the row with primary key pk if it is still version expected, and returns it. token as in compare_and_swap. Errors: RG409 with the stored version in DETAIL, RG404 no such row, 22023 bad argument, 55000 no primary key.';

CREATE FUNCTION raceguard.compare_and_delete(
    target regclass, pk jsonb, expected bigint, token text DEFAULT 'auto'
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_compare_and_delete_number';
COMMENT ON FUNCTION raceguard.compare_and_delete(regclass, jsonb, bigint, text) IS
'The same for a version that arrives as a number. See compare_and_delete(regclass, jsonb, text, text).';

CREATE FUNCTION raceguard.swap_columns(target regclass, pk jsonb, was jsonb, changes jsonb)
    RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_swap_columns';
COMMENT ON FUNCTION raceguard.swap_columns(regclass, jsonb, jsonb, jsonb) IS
'Updates the row with primary key pk if every column in was still has the value given there, and returns the whole new row. Two people who change different columns both succeed. changes: a JSON object of columns, each of which must be in was too; generated columns and identities with the value that was gives them. Errors: RG409 with the columns that differ and their stored values in DETAIL, RG404 no such row, 22023 bad argument, 42703 unknown column, 55000 no primary key.';

-- STABLE, not IMMUTABLE: the epoch comes from the server's present transaction counter.
CREATE FUNCTION raceguard.row_version(xmin xid) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'raceguard_row_version';
COMMENT ON FUNCTION raceguard.row_version(xid) IS
'The version of a row as opaque text, from its xmin: SELECT raceguard.row_version(xmin), ... It has 64 bits and does not repeat when the 32-bit transaction counter wraps around. For tables that cannot get a version column.';

-- STABLE, not IMMUTABLE: the same stored row hashes differently once a column is added or dropped.
CREATE FUNCTION raceguard.row_hash(row_value record) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'raceguard_row_hash';
COMMENT ON FUNCTION raceguard.row_hash(record) IS
'SHA-256, in hex, of the binary image of a row: SELECT raceguard.row_hash(t) FROM orders t. It does not depend on TimeZone, DateStyle, IntervalStyle, bytea_output, extra_float_digits or how values are stored, and tells NULL from empty, 1.0 from 1.00, and Bob from BOB under any collation.';

CREATE FUNCTION raceguard.backfill_version_step(target regclass, batch integer DEFAULT 10000)
    RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'raceguard_backfill_version_step';
COMMENT ON FUNCTION raceguard.backfill_version_step(regclass, integer) IS
'Gives distinct versions to up to batch rows of a table with a version guard, and returns how many it was; 0 when all rows are done. Call it in transactions of its own until then, or use CALL raceguard.backfill_version. Errors: 42501 not the owner, 55000 no version guard, 0A000 a timestamp version, 22003 the column is too narrow, 22023 bad batch.';

CREATE PROCEDURE raceguard.backfill_version(target regclass, batch integer DEFAULT 10000)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_backfill_version';
COMMENT ON PROCEDURE raceguard.backfill_version(regclass, integer) IS
'Gives distinct versions to all rows of a table with a version guard, batch rows to a transaction, so that readers and writers wait for no longer than a batch. Tells its progress in NOTICEs. When it was interrupted, the next call goes on where it stood. Errors: 25001 inside a transaction, and those of backfill_version_step.';
