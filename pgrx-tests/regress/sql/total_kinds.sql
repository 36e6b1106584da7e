-- Totals of all kinds: sums, predicates, lower bounds, two children, keys of several columns, partitions, trees, chains.
CREATE EXTENSION raceguard;
\set VERBOSITY verbose
\set SHOW_CONTEXT never

-- A sum of numeric amounts, exact, within both bounds; NULL counts 0.
CREATE TABLE tenants (id text PRIMARY KEY, quota numeric, used numeric);
CREATE TABLE files (id int PRIMARY KEY, tenant text NOT NULL REFERENCES tenants, size numeric);
INSERT INTO tenants VALUES ('a', 100), ('b', NULL);
INSERT INTO files VALUES (1, 'a', 0.1), (2, 'a', 0.2), (3, 'b', NULL);
SELECT raceguard.add_total('files', 'tenants', 'used', amount => 'size', at_most => 'quota', at_least => '0');
SELECT * FROM tenants ORDER BY id;
INSERT INTO files VALUES (4, 'a', 99.7);
INSERT INTO files VALUES (5, 'a', 0.0000000000000000001);
UPDATE files SET size = -1 WHERE id = 4;
UPDATE files SET size = -0.3 WHERE id = 4;
INSERT INTO files VALUES (6, 'b', 'NaN');
INSERT INTO files VALUES (6, 'b', 'Infinity');
INSERT INTO files VALUES (6, 'b', 1e40), (7, 'b', 1e-40);
SELECT * FROM tenants ORDER BY id;
SELECT * FROM raceguard.check_guards(deep => true);

-- Never without an owner; the project itself may go, with all its members.
CREATE TABLE projects (id int PRIMARY KEY);
CREATE TABLE members (project int REFERENCES projects ON DELETE CASCADE, name text, role text, PRIMARY KEY (project, name));
SELECT raceguard.add_total('members', 'projects', 'owners', predicate => $$role = 'owner'$$, at_least => '1');
BEGIN;
INSERT INTO projects VALUES (1), (2);
SELECT * FROM projects ORDER BY id;
INSERT INTO members VALUES (1, 'ann', 'owner'), (1, 'bob', 'guest'), (2, 'cid', 'owner');
COMMIT;
INSERT INTO projects VALUES (3);
BEGIN;
INSERT INTO projects VALUES (3);
INSERT INTO members VALUES (3, 'eve', 'guest');
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
DELETE FROM members WHERE name = 'ann';
UPDATE members SET role = 'guest' WHERE name = 'ann';
UPDATE members SET role = CASE role WHEN 'owner' THEN 'guest' ELSE 'owner' END WHERE project = 1;
SELECT * FROM projects ORDER BY id;
DELETE FROM projects WHERE id = 1;
TRUNCATE members;
SELECT * FROM projects ORDER BY id;
SELECT * FROM raceguard.check_guards(deep => true);

-- Two children share one limit, and its bounds.
CREATE TABLE plans (id int PRIMARY KEY, max int, seats int NOT NULL DEFAULT 0);
CREATE TABLE users (id int PRIMARY KEY, plan bigint REFERENCES plans);
CREATE TABLE invites (id int PRIMARY KEY, plan int REFERENCES plans);
SELECT raceguard.add_total('users', 'plans', 'seats', at_most => 'max');
SELECT raceguard.add_total('invites', 'plans', 'seats');
SELECT raceguard.add_total('invites', 'plans', 'seats', at_most => 'max');
INSERT INTO plans VALUES (1, 2);
INSERT INTO users VALUES (1, 1);
INSERT INTO invites VALUES (1, 1);
INSERT INTO invites VALUES (2, 1);
WITH i AS (DELETE FROM invites WHERE id = 1) INSERT INTO users VALUES (2, 1);
SELECT * FROM plans;
SELECT raceguard.drop_guard('users', 'total');
SELECT raceguard.add_total('users', 'plans', 'seats', at_most => 'max');
SELECT * FROM plans;

-- Keys of several columns, in another order; a partitioned child, and a partition written by its own name.
CREATE TABLE rooms (house int, room int, n bigint, PRIMARY KEY (house, room));
CREATE TABLE stays (id int, room int, house int, nights int, PRIMARY KEY (id, house),
    FOREIGN KEY (house, room) REFERENCES rooms ON DELETE CASCADE) PARTITION BY LIST (house);
CREATE TABLE stays_1 PARTITION OF stays FOR VALUES IN (1);
CREATE TABLE stays_2 (house int, nights int, id int NOT NULL, room int);
ALTER TABLE stays_2 ALTER house SET NOT NULL;
ALTER TABLE stays ATTACH PARTITION stays_2 FOR VALUES IN (2);
SELECT raceguard.add_total('stays', 'rooms', 'n', amount => 'nights', at_most => '9');
INSERT INTO rooms VALUES (1, 1, 5), (2, 1, 5), (2, 2, 5);
INSERT INTO stays VALUES (1, 1, 1, 2), (2, 1, 2, 3), (3, 2, 2, 4);
SELECT * FROM rooms ORDER BY 1, 2;
UPDATE stays SET house = 2, nights = 5 WHERE id = 1;
SELECT * FROM rooms ORDER BY 1, 2;
UPDATE stays SET house = 2, nights = 7 WHERE id = 3;
INSERT INTO stays_1 VALUES (4, 1, 1, 4), (5, 1, 1, 5);
SELECT * FROM rooms ORDER BY 1, 2;
INSERT INTO stays_1 VALUES (6, 1, 1, 1);
BEGIN;
INSERT INTO stays_1 VALUES (6, 1, 1, 1);
DELETE FROM stays_1 WHERE id = 4;
COMMIT;
DELETE FROM rooms WHERE house = 2 AND room = 1;
SELECT * FROM rooms ORDER BY 1, 2;
SELECT * FROM raceguard.check_guards(deep => true);

-- A partitioned parent, whose rows move.
CREATE TABLE shops (id int, region int, name text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE shops_1 PARTITION OF shops FOR VALUES IN (1);
CREATE TABLE shops_2 (name text, region int NOT NULL, id int NOT NULL);
ALTER TABLE shops ATTACH PARTITION shops_2 FOR VALUES IN (2);
CREATE TABLE sales (id int PRIMARY KEY, shop int, region int, FOREIGN KEY (shop, region) REFERENCES shops ON UPDATE CASCADE);
SELECT raceguard.add_total('sales', 'shops', 'sold', at_most => '3');
INSERT INTO shops VALUES (1, 1, 'a'), (2, 2, 'b');
INSERT INTO sales VALUES (1, 1, 1), (2, 1, 1), (3, 2, 2);
UPDATE shops SET region = 2 WHERE id = 1;
UPDATE shops_2 SET sold = 9 WHERE id = 1;
INSERT INTO sales SELECT 10 + i, 1, 2 FROM generate_series(1, 2) AS i;
SELECT tableoid::regclass, id, region, name, sold FROM shops ORDER BY id;
SELECT * FROM sales ORDER BY id;
SELECT * FROM raceguard.check_guards(deep => true);

-- A tree, and a chain: what is added to a line is added to its order and its customer.
CREATE TABLE nodes (id int PRIMARY KEY, up int REFERENCES nodes ON DELETE CASCADE);
SELECT raceguard.add_total('nodes', 'nodes', 'children', foreign_key => 'nodes_up_fkey', at_most => '2');
INSERT INTO nodes VALUES (1, NULL), (2, 1), (3, 1), (4, 3);
INSERT INTO nodes VALUES (5, 1);
UPDATE nodes SET up = 2 WHERE id = 3;
SELECT * FROM nodes ORDER BY id;
DELETE FROM nodes WHERE id = 2;
SELECT * FROM nodes ORDER BY id;
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers);
CREATE TABLE lines (id int PRIMARY KEY, "order" int REFERENCES orders ON DELETE CASCADE, price numeric(10, 2));
SELECT raceguard.add_total('lines', 'orders', 'total', amount => 'price');
SELECT raceguard.add_total('orders', 'customers', 'spent', amount => 'total', at_most => '100');
INSERT INTO customers VALUES (1);
INSERT INTO orders VALUES (1, 1), (2, 1);
INSERT INTO lines VALUES (1, 1, 10.50), (2, 2, 20.25), (3, 2, 5);
SELECT * FROM customers, orders ORDER BY 3;
INSERT INTO lines VALUES (4, 1, 70);
DELETE FROM orders WHERE id = 2;
SELECT * FROM customers, orders ORDER BY 3;

-- Overflow, of each type.
CREATE TABLE small_p (id int PRIMARY KEY, n smallint);
CREATE TABLE small_c (p int REFERENCES small_p, v bigint);
SELECT raceguard.add_total('small_c', 'small_p', 'n', amount => 'v');
INSERT INTO small_p VALUES (1);
INSERT INTO small_c VALUES (1, 32767);
\set VERBOSITY sqlstate
INSERT INTO small_c VALUES (1, 1);
\set VERBOSITY verbose
INSERT INTO small_c VALUES (1, 1), (1, -1);
SELECT * FROM small_p;
SELECT * FROM raceguard.check_guards(deep => true);

-- Parents that are full get other keys; their children go with them and are counted once.
CREATE TABLE full_p (id int PRIMARY KEY, cap int, least int);
CREATE TABLE full_c (id int PRIMARY KEY, p int REFERENCES full_p ON UPDATE CASCADE);
SELECT raceguard.add_total('full_c', 'full_p', 'n', at_most => 'cap', at_least => 'least');
BEGIN;
INSERT INTO full_p VALUES (1, 2, 2), (2, 1, 1);
INSERT INTO full_c VALUES (1, 1), (2, 1), (3, 2);
COMMIT;
UPDATE full_p SET id = id + 10;
SELECT * FROM full_p ORDER BY id;
BEGIN;
UPDATE full_p SET id = id + 10;
INSERT INTO full_c VALUES (4, 21);
COMMIT;
SELECT * FROM full_p ORDER BY id;
SELECT * FROM raceguard.check_guards(deep => true);
