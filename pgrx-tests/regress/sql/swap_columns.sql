-- swap_columns: two people who change different columns both succeed; a column that somebody else has
-- changed conflicts (A1, C2).
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
-- What became of a statement, with every field of the error.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text; said text; detail text; hint text; s text; t text; c text; k text;
BEGIN
    EXECUTE statement INTO result;
    RETURN coalesce(result, 'nothing');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME, k = CONSTRAINT_NAME;
    RETURN concat_ws(E'\n  ', SQLSTATE || ': ' || said, nullif(detail, ''), nullif(hint, ''),
        nullif(concat_ws(' ', 'schema ' || nullif(s, ''), 'table ' || nullif(t, ''),
                              'column ' || nullif(c, ''), 'constraint ' || nullif(k, '')), ''));
END $$;
\pset format unaligned
\pset tuples_only on
CREATE TABLE orders (id int PRIMARY KEY, address text, status text, total numeric, note jsonb);
INSERT INTO orders VALUES (42, 'Old Street', 'open', 10, '{"by": "a"}');
SELECT raceguard.add_version('orders', unstated => 'reject');
-- Both read the order as it is now. One changes the address, the other the status.
SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"address": "Old Street"}', '{"address": "New Street"}');
SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"status": "open"}', '{"status": "paid"}');
-- A third one changes what both have changed, and more.
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 42}',
    '{"address": "Old Street", "status": "open", "total": 10, "note": {"by": "a"}}',
    '{"address": "High Street", "status": "void", "total": 0, "note": null}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"address": "New Street", "total": null}', '{"total": 1}')$$);
-- Columns in was that are not in changes are conditions.
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"status": "open", "total": 10}', '{"total": 12}')$$);
SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"status": "paid", "total": 10.00}', '{"total": 12}');
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"version": 3, "total": 12}', '{"total": 13}')$$);
SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"version": 4, "total": 12}', '{"total": 13}');
-- NULL, a key column, the same value again.
SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"note": {"by": "a"}}', '{"note": null}');
SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"note": null}', '{"note": {"by": "b"}}');
SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"id": 42}', '{"id": 43}');
SELECT raceguard.swap_columns('orders', '{"id": 43}', '{"status": "paid"}', '{"status": "paid"}');
-- Gone, and bad arguments.
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 42}', '{"total": 13}', '{"total": 14}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 43}', '{}', '{"total": 14}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 43}', '{"total": 13}', '{"total": 14, "status": "x"}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 43}', '{"total": 13}', '{}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 43}', '[13]', '{"total": 14}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 43}', '{"totl": 13, "total": 13}', '{"total": 14}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 43}', '{"version": 8}', '{"version": 9}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 43}', NULL, '{"total": 14}')$$);
SELECT try($$SELECT raceguard.swap_columns('orders', '{"id": 43}', '{"total": 13}', NULL)$$);
SELECT * FROM orders;
-- Tables without a guard, too.
CREATE TABLE plain (id int PRIMARY KEY, a int, b int);
INSERT INTO plain VALUES (1, 1, 1);
SELECT raceguard.swap_columns('plain', '{"id": 1}', '{"a": 1}', '{"a": 2}');
SELECT raceguard.swap_columns('plain', '{"id": 1}', '{"b": 1}', '{"b": 2}');
SELECT try($$SELECT raceguard.swap_columns('plain', '{"id": 1}', '{"a": 1, "b": 2}', '{"a": 3}')$$);
