-- The version guard: what one writer sees, option by option.
CREATE EXTENSION raceguard;
-- What became of a statement, with every field of the error.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text; detail text; hint text; s text; t text; c text; k text;
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME, k = CONSTRAINT_NAME;
    RETURN concat_ws(E'\n  ', SQLSTATE || ': ' || said, nullif(detail, ''), nullif(hint, ''),
        nullif(concat_ws(' ', 'schema ' || nullif(s, ''), 'table ' || nullif(t, ''),
                              'column ' || nullif(c, ''), 'constraint ' || nullif(k, '')), ''));
END $$;

-- One call: the column, the trigger, and what it leaves open.
CREATE TABLE orders (id int PRIMARY KEY, address text, seen int NOT NULL DEFAULT 0);
INSERT INTO orders VALUES (1, 'Old Street'), (2, 'Main Street');
SELECT raceguard.add_version('orders');
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'orders'::regclass;
SELECT attname, atttypid::regtype, attnotnull, pg_get_expr(adbin, adrelid) AS "default"
FROM pg_attribute JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = 'orders'::regclass AND attname = 'version';
TABLE orders;

-- Exactly one bump, whoever bumps.
UPDATE orders SET address = 'A' WHERE id = 1 RETURNING version;
UPDATE orders SET address = 'B', version = 3 WHERE id = 1 AND version = 2 RETURNING version;
UPDATE orders SET address = 'C', version = version + 1 WHERE id = 1 RETURNING version;
UPDATE orders SET address = 'C' WHERE id = 1 RETURNING version;
-- Many rows at once.
UPDATE orders SET seen = 1 RETURNING id, version;

-- A stale one, with every field of the error.
\pset format unaligned
\pset tuples_only on
SELECT try($$UPDATE orders SET address = 'stale', version = 5 WHERE id = 1$$);
SELECT try($$UPDATE orders SET address = 'ahead', version = 8 WHERE id = 1$$);
SELECT try($$UPDATE orders SET address = 'as read', version = 6 WHERE id = 1$$);
SELECT try($$UPDATE orders SET address = 'none', version = NULL WHERE id = 1$$);
SELECT try($$UPDATE orders SET version = DEFAULT WHERE id = 1$$);
\pset format aligned
\pset tuples_only off
TABLE orders ORDER BY id;

-- Under a savepoint the transaction goes on.
BEGIN;
UPDATE orders SET address = 'first' WHERE id = 2;
SAVEPOINT s;
UPDATE orders SET address = 'stale', version = 2 WHERE id = 2;
ROLLBACK TO SAVEPOINT s;
UPDATE orders SET address = 'second', version = 4 WHERE id = 2 RETURNING version;
COMMIT;

-- PL/pgSQL catches it by its SQLSTATE, and reads its fields.
DO $$
DECLARE
    state text; said text; detail text; hint text; s text; t text; c text; k text;
BEGIN
    UPDATE orders SET address = 'stale', version = 2 WHERE id = 2;
EXCEPTION WHEN SQLSTATE 'RG409' THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, s = SCHEMA_NAME, t = TABLE_NAME,
        c = COLUMN_NAME, k = CONSTRAINT_NAME;
    RAISE NOTICE '% | % | % | % | %.%.% | %', state, said, detail, hint, s, t, c, k;
END $$;
-- A loop that reads again and repeats.
DO $$
DECLARE
    known bigint := 1;
BEGIN
    FOR attempt IN 1..3 LOOP
        BEGIN
            UPDATE orders SET address = 'in the end', version = known + 1 WHERE id = 2;
            RAISE NOTICE 'attempt % went in', attempt;
            EXIT;
        EXCEPTION WHEN SQLSTATE 'RG409' THEN
            RAISE NOTICE 'attempt % was stale', attempt;
            SELECT version INTO known FROM orders WHERE id = 2;
        END;
    END LOOP;
END $$;

-- The same call again changes nothing; another one has to say that it means it.
SELECT raceguard.add_version('orders');
\pset format unaligned
\pset tuples_only on
SELECT try($$SELECT raceguard.add_version('orders', unstated => 'reject')$$);
\pset format aligned
\pset tuples_only off
SELECT raceguard.add_version('orders', unstated => 'reject', replace => true);
SELECT raceguard.add_version('orders', unstated => 'reject', replace => true);

-- unstated => 'reject'
\pset format unaligned
\pset tuples_only on
SELECT try($$UPDATE orders SET address = 'who knows' WHERE id = 1$$);
\pset format aligned
\pset tuples_only off
UPDATE orders SET address = 'knows', version = 7 WHERE id = 1 RETURNING version;
-- An update that reaches no row states nothing and harms nothing.
UPDATE orders SET address = 'nobody' WHERE id = 99;

-- unstated => 'warn'
SELECT raceguard.add_version('orders', unstated => 'warn', replace => true);
UPDATE orders SET address = 'warned' WHERE id = 1 RETURNING version;
UPDATE orders SET address = 'knows', version = 9 WHERE id = 1 RETURNING version;

-- client_sends => 'current': the client sends back what it read.
SELECT raceguard.add_version('orders', client_sends => 'current', replace => true);
UPDATE orders SET address = 'current', version = 9 WHERE id = 1 RETURNING version;
UPDATE orders SET address = 'stale', version = 9 WHERE id = 1;
UPDATE orders SET address = 'next', version = version + 1 WHERE id = 1;
UPDATE orders SET address = 'bare' WHERE id = 1 RETURNING version;
SELECT raceguard.add_version('orders', client_sends => 'current', unstated => 'reject', replace => true);
UPDATE orders SET address = 'bare' WHERE id = 1;
UPDATE orders SET address = 'current', version = 11 WHERE id = 1 RETURNING version;
SELECT raceguard.add_version('orders', client_sends => 'current', unstated => 'warn', replace => true);
UPDATE orders SET address = 'bare' WHERE id = 1 RETURNING version;

-- ignore: these columns change without a version and without a bump.
SELECT raceguard.add_version('orders', unstated => 'reject', ignore => '{seen}', replace => true);
UPDATE orders SET seen = seen + 1 WHERE id = 1 RETURNING seen, version;
UPDATE orders SET seen = seen + 1, address = address WHERE id = 1 RETURNING seen, version;
UPDATE orders SET seen = seen + 1, address = 'changed' WHERE id = 1;
-- A stated version is judged and bumped all the same.
UPDATE orders SET seen = 100, version = 14 WHERE id = 1 RETURNING seen, version;
UPDATE orders SET seen = 101, version = 14 WHERE id = 1;
UPDATE orders SET seen = 101, version = 16 WHERE id = 1;
-- Several, named twice, in any order: the same guard.
SELECT raceguard.add_version('orders', ignore => '{seen,address,seen}', replace => true);
SELECT raceguard.add_version('orders', ignore => '{address,seen}');
UPDATE orders SET seen = 0, address = 'free' WHERE id = 1 RETURNING *;

-- Every combination in force at once: what a bare, a right (next), a right (current) and a
-- stale update come to.
CREATE TABLE grid (id int PRIMARY KEY, body text, seen int, version bigint NOT NULL DEFAULT 10);
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    became bigint;
BEGIN
    DELETE FROM grid;
    INSERT INTO grid VALUES (1, 'old', 0);
    EXECUTE statement || ' RETURNING version' INTO became;
    RETURN became;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE FUNCTION outcomes(sends text, unstated text, mode text, ignored name[])
RETURNS TABLE (bare text, only_seen text, next text, current text, stale text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM raceguard.add_version('grid', client_sends => sends, unstated => unstated, mode => mode,
                                  ignore => ignored, replace => true);
    RETURN QUERY SELECT outcome($q$UPDATE grid SET body = 'new'$q$),
        outcome($q$UPDATE grid SET seen = 1$q$),
        outcome($q$UPDATE grid SET body = 'new', version = 11$q$),
        outcome($q$UPDATE grid SET body = 'new', version = 10$q$),
        outcome($q$UPDATE grid SET body = 'new', version = 7$q$);
END $$;
SET client_min_messages = error;
SELECT * FROM unnest('{next,current}'::text[]) sends, unnest('{allow,warn,reject}'::text[]) unstated,
    unnest('{enforce,observe}'::text[]) mode, unnest('{none,seen}'::text[]) ignored,
    LATERAL outcomes(sends, unstated, mode,
                     CASE ignored WHEN 'none' THEN '{}'::name[] ELSE '{seen}' END);
RESET client_min_messages;

-- Names that need quoting, and 63 bytes of them.
CREATE TABLE "we""ird table" ("Id" int PRIMARY KEY, "my ""version" int, "Mixed" text);
INSERT INTO "we""ird table" VALUES (1, 4, 'a');
SELECT raceguard.add_version('"we""ird table"', 'my "version', ignore => '{Mixed}');
UPDATE "we""ird table" SET "Id" = 2 RETURNING *;
UPDATE "we""ird table" SET "Mixed" = 'b' RETURNING *;
UPDATE "we""ird table" SET "my ""version" = 2;
CREATE SCHEMA "Sch ema";
CREATE TABLE "Sch ema"."Taebel" (id int PRIMARY KEY);
SELECT raceguard.add_version('"Sch ema"."Taebel"', 'it''s \ here');
SELECT raceguard.add_version('"Sch ema"."Taebel"', 'it''s \ here');
CREATE TABLE a23456789012345678901234567890123456789012345678901234567890123 (
    c23456789012345678901234567890123456789012345678901234567890123 int PRIMARY KEY);
INSERT INTO a23456789012345678901234567890123456789012345678901234567890123 VALUES (1);
SELECT raceguard.add_version('a23456789012345678901234567890123456789012345678901234567890123',
    'v23456789012345678901234567890123456789012345678901234567890123', unstated => 'warn');
UPDATE a23456789012345678901234567890123456789012345678901234567890123
SET v23456789012345678901234567890123456789012345678901234567890123 = 9;

-- A temporary table can be guarded as any other.
CREATE TEMP TABLE basket (id int, n int);
INSERT INTO basket VALUES (1, 1);
SELECT raceguard.add_version('basket', unstated => 'reject');
UPDATE basket SET n = 2;
UPDATE basket SET n = 2, version = 2 RETURNING *;
-- No primary key: the error names no row.
UPDATE basket SET n = 3, version = 2;

-- The extension cannot go while guards stand; dropping a table takes its guard along.
DROP TABLE basket;
DROP EXTENSION raceguard;
SELECT raceguard.drop_guard('orders', 'version');
UPDATE orders SET address = 'unguarded', version = 1 WHERE id = 1 RETURNING version;
