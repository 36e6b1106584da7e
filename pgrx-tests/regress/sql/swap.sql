-- compare_and_swap and compare_and_delete: a write passes only if the row is still the one that was
-- read (A4, A5, C2). Races are told in the isolation specs.
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

CREATE TABLE orders (id int PRIMARY KEY, address text, status text DEFAULT 'open', total numeric);
INSERT INTO orders VALUES (42, 'Old Street', 'open', 10), (43, 'High Street', 'open', 20);
SELECT raceguard.add_version('orders', unstated => 'reject');
-- The new row comes back, with the version to state next; what is not named stays.
SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 1, '{"address": "New Street"}');
SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 2, '{"status": "paid", "total": null}');
-- Stale: the version that is stored comes with the error. Gone is something else.
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 1, '{"address": "Late Street"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 9, '{"address": "Late Street"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 7}', 1, '{"address": "Late Street"}')$$);
SELECT try($$SELECT raceguard.compare_and_delete('orders', '{"id": 42}', 1)$$);
SELECT try($$SELECT raceguard.compare_and_delete('orders', '{"id": 7}', 1)$$);
SELECT * FROM orders ORDER BY id;
-- A client may send the whole row back, the version it read included.
SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 3,
    '{"id": 42, "address": "New Street", "status": "sent", "total": 11, "version": 3}');
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 4, '{"status": "lost", "version": 3}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 4, '{"status": "lost", "version": 5}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 4, '{"status": "lost", "version": null}')$$);
-- A key may be changed; a change that hits another row is Postgres's to refuse.
SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 4, '{"id": 44}');
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 44}', 5, '{"id": 43}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 42}', 5, '{"total": 1}')$$);
SELECT raceguard.compare_and_delete('orders', '{"id": 44}', 5);
SELECT * FROM orders ORDER BY id;

-- expected: a number, a text, an untyped literal, an untyped parameter, a column.
SELECT raceguard.compare_and_swap('orders', '{"id": 43}', '1', '{"total": 21}') ->> 'version';
SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 2::smallint, '{"total": 22}') ->> 'version';
SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 3::bigint, '{"total": 23}') ->> 'version';
SELECT raceguard.compare_and_swap('orders', '{"id": 43}', '4'::text, '{"total": 24}') ->> 'version';
SELECT raceguard.compare_and_swap('orders', '{"id": 43}', '5'::varchar, '{"total": 25}') ->> 'version';
SELECT raceguard.compare_and_swap('orders', '{"id": 43}', version, '{"total": 26}') ->> 'version' FROM orders;
PREPARE untyped AS SELECT raceguard.compare_and_swap('orders', $1, $2, $3) ->> 'version';
EXECUTE untyped('{"id": 43}', 7, '{"total": 27}');
EXECUTE untyped('{"id": 43}', '8', '{"total": 28}');
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'untyped';
PREPARE typed(jsonb, bigint, jsonb) AS SELECT raceguard.compare_and_swap('orders', $1, $2, $3) ->> 'version';
EXECUTE typed('{"id": 43}', 9, '{"total": 29}');
PREPARE untyped_delete AS SELECT raceguard.compare_and_delete('orders', $1, $2) ->> 'version';
BEGIN;
EXECUTE untyped_delete('{"id": 43}', '10');
ROLLBACK;
-- All arguments by name; the table by its quoted or qualified name.
SELECT raceguard.compare_and_swap(target => 'public.orders', pk => '{"id": 43}', expected => 10,
    changes => '{"total": 30}', token => 'version') ->> 'version';

-- Bad arguments.
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, '{}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, '{"version": 11}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, '[{"total": 1}]')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, '"total"')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, 'null')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, '{"Total": 1, "status": "x"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, '{"": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, '{"total": "much"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{}', 11, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '43', 11, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"number": 43}', 11, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43, "total": 30}', 11, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": null}', 11, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": "x"}', 11, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 'eleven', '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', '', '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', '11.0', '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, '{"total": 1}', 'xmax')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, '{"total": 1}', NULL)$$);
SELECT try($$SELECT raceguard.compare_and_swap(NULL, '{"id": 43}', 11, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', NULL, 11, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', NULL::bigint, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', NULL, '{"total": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders', '{"id": 43}', 11, NULL)$$);
SELECT try($$SELECT raceguard.compare_and_swap(999999999::oid::regclass, '{"id": 43}', 11, '{"total": 1}')$$);
-- Not a table, or not one with a key that tells rows apart.
CREATE VIEW order_list AS SELECT * FROM orders;
SELECT try($$SELECT raceguard.compare_and_swap('order_list', '{"id": 43}', 11, '{"total": 1}')$$);
CREATE TABLE notes (id int UNIQUE NOT NULL, body text);
SELECT try($$SELECT raceguard.compare_and_swap('notes', '{"id": 43}', 11, '{"body": "x"}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('orders_pkey', '{"id": 43}', 11, '{"body": "x"}')$$);
-- Columns that Postgres fills itself.
CREATE TABLE computed (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, net numeric, gross numeric GENERATED ALWAYS AS (net * 1.2) STORED);
INSERT INTO computed (net) VALUES (100);
SELECT raceguard.add_version('computed');
SELECT try($$SELECT raceguard.compare_and_swap('computed', '{"id": 1}', 1, '{"gross": 1}')$$);
SELECT try($$SELECT raceguard.compare_and_swap('computed', '{"id": 1}', 1, '{"id": 2}')$$);
SELECT raceguard.compare_and_swap('computed', '{"id": 1}', 1, '{"net": 200}');
SELECT version, total FROM orders;
