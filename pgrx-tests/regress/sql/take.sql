-- take and take_all: one atomic UPDATE per row, with a floor (A10, B3, C4).
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
CREATE TABLE products (
    id int PRIMARY KEY,
    stock int NOT NULL,
    small smallint NOT NULL DEFAULT 100,
    large bigint NOT NULL DEFAULT 100,
    weight numeric(10,2) NOT NULL DEFAULT 100,
    crates numeric(6,-3) NOT NULL DEFAULT 100000,
    pure numeric NOT NULL DEFAULT 100,
    ratio double precision NOT NULL DEFAULT 1,
    spare int
);
INSERT INTO products (id, stock) VALUES (1, 3), (2, 5);

-- What is left comes back; the floor holds; a negative amount puts back.
SELECT raceguard.take('products', '{"id": 1}', 'stock', 2);
SELECT raceguard.take('products', '{"id": 1}', 'stock', 2);
SELECT raceguard.take('products', '{"id": 1}', 'stock', 1);
SELECT raceguard.take('products', '{"id": 1}', 'stock', 1);
SELECT raceguard.take('products', '{"id": 1}', 'stock', -3);
SELECT raceguard.take('products', '{"id": 1}', 'stock', 2, at_least => 2);
SELECT raceguard.take('products', '{"id": 1}', 'stock', 4, at_least => -1);
-- Below the floor already (a floor raised later): putting back helps and is not refused.
SELECT raceguard.take('products', '{"id": 1}', 'stock', -1, at_least => 10);
SELECT raceguard.take('products', '{"id": 1}', 'stock', 0, at_least => 10);
SELECT raceguard.take('products', '{"id": 1}', 'stock', -3);
-- Gone is not the same as empty.
SELECT raceguard.take('products', '{"id": 9}', 'stock', 1);
-- A NULL quantity holds nothing.
SELECT raceguard.take('products', '{"id": 1}', 'spare', 1);

-- Nor can anything be put into NULL: it stays NULL, and the amount would be lost.
SELECT raceguard.take('products', '{"id": 1}', 'spare', -1);
SELECT raceguard.take('products', '{"id": 1}', 'spare', 0);

-- NaN is above every number to Postgres; to a floor it is nothing, and it swallows what is put back.
CREATE TABLE odd (id int PRIMARY KEY, n numeric, most numeric);
INSERT INTO odd VALUES (1, 'NaN', 10), (2, 5, 'NaN'), (3, 'Infinity', 10), (4, '-Infinity', 10);
SELECT raceguard.take('odd', '{"id": 1}', 'n', 1);
SELECT raceguard.take('odd', '{"id": 1}', 'n', -1);
SELECT raceguard.take_all('odd', 'n', '[{"id": 1, "amount": 1}]');
SELECT raceguard.take_all('odd', 'n', '[{"id": 1, "amount": -1}]');
SELECT raceguard.take('odd', '{"id": 3}', 'n', 1);
SELECT raceguard.take('odd', '{"id": 4}', 'n', 1);

-- A ceiling: a number, or a column of the same row. Taking is never refused for it.
CREATE TABLE plans (id int PRIMARY KEY, used int NOT NULL, quota bigint, label text, "100" int);
INSERT INTO plans VALUES (1, 8, 10, 'a', 9), (2, 8, NULL, 'b', 9), (3, 20, 10, 'c', 9);
SELECT raceguard.take('plans', '{"id": 1}', 'used', -2, at_most => 'quota');
SELECT raceguard.take('plans', '{"id": 1}', 'used', -1, at_most => 'quota');
SELECT raceguard.take('plans', '{"id": 1}', 'used', -5, at_most => '14.5');
SELECT raceguard.take('plans', '{"id": 1}', 'used', -4, at_most => '14.5');
SELECT raceguard.take('plans', '{"id": 2}', 'used', -100, at_most => 'quota');
SELECT raceguard.take('plans', '{"id": 3}', 'used', 1, at_most => 'quota');
SELECT raceguard.take('plans', '{"id": 3}', 'used', 0, at_most => 'quota');
SELECT raceguard.take('plans', '{"id": 3}', 'used', -1, at_most => 'quota');
SELECT raceguard.take('plans', '{"id": 3}', 'used', 25, at_most => 'quota');
SELECT raceguard.take('plans', '{"id": 3}', 'used', -1, at_most => 'Infinity');
SELECT raceguard.take('plans', '{"id": 3}', 'used', -1, at_most => NULL);
-- A column goes before a number; the number can be written another way.
SELECT raceguard.take('plans', '{"id": 1}', 'used', -1, at_most => '100');
SELECT raceguard.take('plans', '{"id": 1}', 'used', -1, at_most => '100.0');
-- A ceiling of NaN admits nothing.
SELECT raceguard.take('odd', '{"id": 2}', 'n', -1, at_most => 'most');
SELECT raceguard.take('plans', '{"id": 1}', 'used', -1, at_most => 'NaN');
SELECT raceguard.take('plans', '{"id": 1}', 'used', -1, at_most => 'Quota');
SELECT raceguard.take('plans', '{"id": 1}', 'used', -1, at_most => 'label');
SELECT raceguard.take('plans', '{"id": 1}', 'used', -1, at_most => '12 monkeys');
SELECT raceguard.take('plans', '{"id": 1}', 'used', -1, at_most => '');
SELECT id, used FROM plans ORDER BY id;

-- Every exact type; an amount that a column would round is refused, not rounded.
SELECT raceguard.take('products', '{"id": 1}', 'small', 0.0 + 1),
       raceguard.take('products', '{"id": 1}', 'large', 100),
       raceguard.take('products', '{"id": 1}', 'weight', 0.25),
       raceguard.take('products', '{"id": 1}', 'crates', 2000),
       raceguard.take('products', '{"id": 1}', 'pure', 0.0000001);
SELECT raceguard.take('products', '{"id": 1}', 'stock', 0.5);
SELECT raceguard.take('products', '{"id": 1}', 'weight', 0.001);
SELECT raceguard.take('products', '{"id": 1}', 'crates', 1500);
SELECT raceguard.take('products', '{"id": 1}', 'pure', 'NaN');
SELECT raceguard.take('products', '{"id": 1}', 'pure', 'Infinity');
SELECT raceguard.take('products', '{"id": 1}', 'pure', 1, at_least => 'NaN');
-- Far more than the type can hold is still "not enough", and too much back is out of range.
SELECT raceguard.take('products', '{"id": 1}', 'stock', 1e30);
SELECT raceguard.take('products', '{"id": 1}', 'small', -40000);

-- Columns.
SELECT raceguard.take('products', '{"id": 1}', 'ratio', 1);
SELECT raceguard.take('products', '{"id": 1}', 'Stock', 1);
-- Keys.
SELECT raceguard.take('products', '{"id": 1, "stock": 2}', 'stock', 1);
SELECT raceguard.take('products', '{"ID": 1}', 'stock', 1);
SELECT raceguard.take('products', '{"id": null}', 'stock', 1);
SELECT raceguard.take('products', '{"id": "one"}', 'stock', 1);
SELECT raceguard.take('products', '7', 'stock', 1);
-- NULLs.
SELECT raceguard.take(NULL, '{"id": 1}', 'stock', 1);
SELECT raceguard.take('products', NULL, 'stock', 1);
SELECT raceguard.take('products', '{"id": 1}', NULL, 1);
SELECT raceguard.take('products', '{"id": 1}', 'stock', NULL);
SELECT raceguard.take('products', '{"id": 1}', 'stock', 1, NULL);
-- Tables.
SELECT raceguard.take(0, '{"id": 1}', 'stock', 1);
CREATE VIEW shelf AS SELECT * FROM products;
SELECT raceguard.take('shelf', '{"id": 1}', 'stock', 1);

-- take_all: all or none, in key order, amounts for one key add up.
SELECT * FROM raceguard.take_all('products', 'small',
    '[{"id": 2, "amount": 1}, {"id": 1, "amount": "3"}, {"id": 2, "amount": 1}]') AS row(row);
SELECT count(*) FROM raceguard.take_all('products', 'small',
    '[{"id": 1, "amount": 90}, {"id": 2, "amount": 99}]');
SELECT count(*) FROM raceguard.take_all('products', 'small',
    '[{"id": 1, "amount": 90}, {"id": 3, "amount": 1}]');
SELECT id, small FROM products ORDER BY id;
SELECT count(*) FROM raceguard.take_all('products', 'small', '[]');
SELECT raceguard.take_all('products', 'small', '[{"id": 1, "amount": -1}]', 5) ->> 'small' AS small;
SELECT raceguard.take_all('products', 'small', '{"id": 1, "amount": 1}');
SELECT raceguard.take_all('products', 'small', '[{"id": 1}]');
SELECT raceguard.take_all('products', 'small', '[{"id": 1, "amount": true}]');
SELECT raceguard.take_all('products', 'small', '[{"id": 1, "amount": "some"}]');
SELECT raceguard.take_all('products', 'small', '[{"id": 1, "amount": 1}, {"amount": 1}]');
SELECT raceguard.take_all('products', 'small', '[{"id": 1, "amount": 0.5}]');
SELECT raceguard.take_all('products', 'small', NULL);
CREATE TABLE ledger (amount int PRIMARY KEY, n int);
SELECT raceguard.take_all('ledger', 'n', '[{"amount": 1}]');

-- Under a version guard the UPDATE states the version as the guard demands: by either
-- convention, bumping it once.
CREATE TABLE counted (id int PRIMARY KEY, n int NOT NULL, version bigint NOT NULL DEFAULT 1);
INSERT INTO counted VALUES (1, 10), (2, 10);
SET client_min_messages = warning;
SELECT raceguard.add_version('counted', unstated => 'reject');
UPDATE counted SET n = 9;
SELECT raceguard.take('counted', '{"id": 1}', 'n', 1);
SELECT raceguard.take_all('counted', 'n', '[{"id": 1, "amount": 1}, {"id": 2, "amount": 1}]');
SELECT raceguard.add_version('counted', unstated => 'reject', client_sends => 'current', replace => true);
SELECT raceguard.take('counted', '{"id": 1}', 'n', 1);
SELECT * FROM counted ORDER BY id;
-- Where the amount needs no version, none is stated and none is bumped.
SELECT raceguard.add_version('counted', unstated => 'reject', ignore => '{n}', replace => true);
SELECT raceguard.take('counted', '{"id": 1}', 'n', 1);
SELECT * FROM counted ORDER BY id;
-- A version that is a time.
CREATE TABLE timed (id int PRIMARY KEY, n int, changed timestamptz NOT NULL DEFAULT '2020-01-01');
INSERT INTO timed VALUES (1, 5);
SELECT raceguard.add_version('timed', 'changed', client_sends => 'current', unstated => 'reject');
SELECT raceguard.take('timed', '{"id": 1}', 'n', 1);
SELECT n, changed > '2020-01-01' AS moved FROM timed;
RESET client_min_messages;

-- Keys by their index's own equality, whatever the search_path; composite keys; partitions.
CREATE TABLE bins (place char(8), size numeric, n int, PRIMARY KEY (place, size));
INSERT INTO bins VALUES ('north', 1.0, 5), ('south', 2.5, 5);
SELECT raceguard.take('bins', '{"place": "north", "size": 1}', 'n', 1);
SELECT raceguard.take_all('bins', 'n', '[{"place": "south", "size": 2.5, "amount": 1},
    {"place": "north   ", "size": 1.00, "amount": 1}, {"size": "1", "place": "north", "amount": 1}]');
SELECT raceguard.take('bins', '{"place": "west", "size": 1}', 'n', 1);
CREATE TABLE parts (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts VALUES (1, 5), (11, 5);
SELECT raceguard.take_all('parts', 'n', '[{"id": 11, "amount": 1}, {"id": 1, "amount": 2}]');
-- A table that inherits has keys of its own.
CREATE TABLE base (id int PRIMARY KEY, n int);
CREATE TABLE heir () INHERITS (base);
INSERT INTO base VALUES (1, 5);
INSERT INTO heir VALUES (1, 50);
SELECT raceguard.take('base', '{"id": 1}', 'n', 1);
SELECT tableoid::regclass, n FROM base ORDER BY n;
-- A key must not match what another number rounds to.
CREATE TABLE priced (price numeric(10,2) PRIMARY KEY, n int);
INSERT INTO priced VALUES (1.01, 5);
SELECT raceguard.take('priced', '{"price": 1.005}', 'n', 1);
SELECT raceguard.take('priced', '{"price": 1.010}', 'n', 1);
-- Domains, and quoted names.
CREATE DOMAIN pieces AS int CHECK (VALUE < 100);
CREATE TABLE "Odd ""name" ("the Id" uuid PRIMARY KEY, "Qty" pieces);
INSERT INTO "Odd ""name" VALUES ('00000000-0000-0000-0000-000000000001', 50);
SELECT raceguard.take('"Odd ""name"', '{"the Id": "00000000-0000-0000-0000-000000000001"}', 'Qty', 20);
SELECT raceguard.take('"Odd ""name"', '{"the Id": "00000000-0000-0000-0000-000000000001"}', 'Qty', -70);

-- The table's own triggers run under the caller's search_path.
CREATE SCHEMA app;
CREATE TABLE app.log (n int);
CREATE FUNCTION app.log_it() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO log VALUES (NEW.stock); RETURN NEW; END $$;
CREATE TRIGGER log_it BEFORE UPDATE ON products FOR EACH ROW EXECUTE FUNCTION app.log_it();
SET search_path = app, public;
SELECT raceguard.take('products', '{"id": 2}', 'stock', 1);
TABLE app.log;
RESET search_path;
-- Operators of the caller's search_path do not stand in for Postgres's own.
CREATE FUNCTION app.more(numeric, numeric) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR app.>= (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = app.more);
CREATE FUNCTION app.same(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR app.= (LEFTARG = int, RIGHTARG = int, FUNCTION = app.same);
SET search_path = app, pg_catalog, public;
SELECT raceguard.take('products', '{"id": 2}', 'stock', 100);
SELECT raceguard.take('products', '{"id": 9}', 'stock', 1);
RESET search_path;
DROP TRIGGER log_it ON products;
-- A trigger that swallows the UPDATE does not pass for success.
CREATE FUNCTION app.swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER swallow BEFORE UPDATE ON products FOR EACH ROW EXECUTE FUNCTION app.swallow();
SELECT raceguard.take('products', '{"id": 2}', 'stock', 1);
DROP TRIGGER swallow ON products;

-- Privileges and row security are the caller's.
CREATE ROLE regress_take_reader;
CREATE ROLE regress_take_seller;
GRANT USAGE ON SCHEMA raceguard TO regress_take_reader, regress_take_seller;
GRANT SELECT ON products TO regress_take_reader;
GRANT SELECT, UPDATE ON products TO regress_take_seller;
ALTER TABLE products ENABLE ROW LEVEL SECURITY;
CREATE POLICY see_all ON products FOR SELECT USING (true);
CREATE POLICY sell_first ON products FOR UPDATE USING (id = 1);
SET ROLE regress_take_reader;
SELECT raceguard.take('products', '{"id": 1}', 'large', -1);
SET ROLE regress_take_seller;
SELECT raceguard.take('products', '{"id": 1}', 'large', -1);
SELECT raceguard.take('products', '{"id": 2}', 'large', 1);
SELECT raceguard.take_all('products', 'large', '[{"id": 1, "amount": 1}, {"id": 2, "amount": 1}]');
RESET ROLE;
SELECT id, large FROM products ORDER BY id;

-- The codes.
\set VERBOSITY sqlstate
SELECT raceguard.take('products', '{"id": 1}', 'large', 1000);
SELECT raceguard.take('products', '{"id": 9}', 'large', 1);
SELECT raceguard.take('products', '{"id": 1}', 'gone', 1);
SELECT raceguard.take('products', '{"id": 1}', 'ratio', 1);
SELECT raceguard.take('products', '{"id": 1}', 'large', 0.5);
SELECT raceguard.take('products', '{}', 'large', 1);
SELECT raceguard.take('products', NULL, 'large', 1);
SELECT raceguard.take('products', '{"id": 1}', 'small', -40000);
SELECT raceguard.take(0, '{"id": 1}', 'large', 1);
SELECT raceguard.take('shelf', '{"id": 1}', 'large', 1);
SELECT raceguard.take_all('ledger', 'n', '[{"amount": 1}]');
-- The error styles.
SET raceguard.error_style = 'integrity';
SELECT raceguard.take('products', '{"id": 1}', 'large', 1000);
\set VERBOSITY default
SET raceguard.error_style = 'postgrest';
SELECT raceguard.take('products', '{"id": 1}', 'large', 1000);
SELECT raceguard.take('products', '{"id": 9}', 'large', 1);
RESET raceguard.error_style;
DO $$ DECLARE column_name text; table_name text;
BEGIN
    PERFORM raceguard.take('products', '{"id": 1}', 'large', 1000);
EXCEPTION WHEN SQLSTATE 'RG422' THEN
    GET STACKED DIAGNOSTICS column_name = COLUMN_NAME, table_name = TABLE_NAME;
    RAISE NOTICE '% %', table_name, column_name;
END $$;

DROP OWNED BY regress_take_reader, regress_take_seller;
DROP ROLE regress_take_reader, regress_take_seller;
