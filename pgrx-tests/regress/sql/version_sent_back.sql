-- The stored version sent back where the next is expected; what counted under ignore; local timestamps.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'passed';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s %s\n%s\n%s', SQLSTATE, message, detail, hint);
END $$;
\pset format unaligned
\pset tuples_only
CREATE TABLE orders (id int PRIMARY KEY, a text, n int DEFAULT 0, m int DEFAULT 0, lock_version int NOT NULL DEFAULT 0);
INSERT INTO orders VALUES (1, 'a'), (2, 'b');
SELECT raceguard.add_version('orders', 'lock_version', unstated => 'reject', ignore => '{n}');
-- SET version = version says nothing of a row that has changed.
SELECT refused('UPDATE orders SET a = ''x'', lock_version = lock_version WHERE id = 1');
-- It is judged also where nothing but ignored columns change: whoever states a version is told what is wrong with it.
SELECT refused('UPDATE orders SET n = n + 1, lock_version = lock_version WHERE id = 1');
-- A client that is one version behind sends the same number: it cannot be told from one that sends back.
SELECT refused('UPDATE orders SET a = ''x'', lock_version = 0 WHERE id = 1');
-- Joins and other tables' columns are no version sent back.
SELECT refused('UPDATE orders SET a = ''x'', lock_version = o.lock_version FROM orders o WHERE orders.id = 1 AND o.id = 2');
SELECT refused('UPDATE orders SET lock_version = n, a = ''x'' WHERE id = 1');
SELECT refused('UPDATE orders SET lock_version = lock_version + 1, a = ''x'' WHERE id = 1');
SELECT refused('UPDATE orders SET lock_version = 7, a = ''x'' WHERE id = 1');
-- Without rights to read it, the version is not shown.
CREATE ROLE regress_sent_back;
GRANT UPDATE, SELECT (id) ON orders TO regress_sent_back;
GRANT SELECT (a) ON orders TO regress_sent_back;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON orders USING (true);
GRANT SELECT ON orders TO regress_sent_back;
SET ROLE regress_sent_back;
SELECT refused('UPDATE orders SET a = ''x'', lock_version = lock_version WHERE id = 1');
RESET ROLE;
DROP OWNED BY regress_sent_back;
DROP ROLE regress_sent_back;
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
-- Which change counted.
SELECT refused('UPDATE orders SET n = n + 1 WHERE id = 1');
SELECT refused('UPDATE orders SET n = n + 1, a = ''y'' WHERE id = 1');
SELECT refused('UPDATE orders SET m = m + 1, a = ''y'', n = 3 WHERE id = 1');
-- A view with INSTEAD OF triggers passes on whatever the row had: 'current' is the convention for it.
CREATE VIEW shown AS SELECT * FROM orders;
CREATE FUNCTION through() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE orders SET a = NEW.a, lock_version = NEW.lock_version WHERE id = OLD.id; RETURN NEW; END $$;
CREATE TRIGGER through INSTEAD OF UPDATE ON shown FOR EACH ROW EXECUTE FUNCTION through();
SELECT refused('UPDATE shown SET a = ''z'' WHERE id = 2');
SELECT raceguard.add_version('orders', 'lock_version', unstated => 'reject', client_sends => 'current', replace => true);
SELECT refused('UPDATE shown SET a = ''z'' WHERE id = 2');
SELECT * FROM orders ORDER BY id;

-- timestamp without time zone, as Prisma's and Rails' columns are: in UTC, strictly increasing.
CREATE TABLE pages (id int PRIMARY KEY, body text, "updatedAt" timestamp(3));
INSERT INTO pages VALUES (1, 'a', '2026-01-01 12:00'), (2, 'b', '2999-01-01'), (3, 'c', NULL);
SELECT raceguard.add_version('pages', 'updatedAt', client_sends => 'current', unstated => 'reject');
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'pages'::regclass;
SET timezone = 'Pacific/Honolulu';
SELECT refused('UPDATE pages SET body = ''x'', "updatedAt" = ''2026-01-01 12:00:00.001'' WHERE id = 1');
SELECT refused('UPDATE pages SET body = ''x''');
UPDATE pages SET body = 'x', "updatedAt" = '2026-01-01 12:00' WHERE id = 1;
UPDATE pages SET body = 'x', "updatedAt" = "updatedAt";
UPDATE pages SET body = 'y', "updatedAt" = "updatedAt";
SELECT id, "updatedAt" - (clock_timestamp() AT TIME ZONE 'UTC') BETWEEN '-1 min' AND '1 min' AS utc,
    date_trunc('milliseconds', "updatedAt") = "updatedAt" AS whole FROM pages WHERE id <> 2 ORDER BY id;
SELECT "updatedAt" FROM pages WHERE id = 2;
SELECT raceguard.compare_and_swap('pages', '{"id": 2}', '2999-01-01 00:00:00.002', '{"body": "z"}');
SELECT refused($$SELECT raceguard.compare_and_swap('pages', '{"id": 2}', '2999-01-01 00:00:00.002', '{"body": "z"}')$$);
SELECT refused($$SELECT raceguard.compare_and_swap('pages', '{"id": 2}', 3, '{"body": "z"}')$$);
UPDATE pages SET "updatedAt" = "updatedAt", id = 22 WHERE id = 2;
SELECT refused($$SELECT raceguard.backfill_version_step('pages')$$);
SELECT refused($$SELECT raceguard.add_version('pages', 'updatedAt', replace => true)$$);
DROP TABLE orders, pages CASCADE;
