-- Guarded tables of one unprivileged role, for sqlsmith to write to.
CREATE EXTENSION raceguard;
CREATE ROLE smith LOGIN;
CREATE SCHEMA smith AUTHORIZATION smith;
SET ROLE smith;
SET search_path = smith;

CREATE TABLE orders (id int PRIMARY KEY, customer int, note text, placed timestamptz DEFAULT now(), amount numeric DEFAULT 5);
CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product text, quantity int DEFAULT 1);
CREATE TABLE posts (id int PRIMARY KEY, author text, posted timestamp DEFAULT now(), body jsonb);
CREATE TABLE parts (id bigint, region int, label text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1, 2);
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
CREATE TABLE base (id int PRIMARY KEY, kind text);
CREATE TABLE heir (extra int) INHERITS (base);
CREATE VIEW busy AS SELECT * FROM orders WHERE customer IS NOT NULL;

SELECT raceguard.add_version('orders');
SELECT raceguard.add_key_lock('orders', 'customer');
SELECT raceguard.add_cap('orders', 'customer', 50);
SELECT raceguard.add_parent_version('lines', 'orders');
SELECT raceguard.add_cap('posts', 'author', 20, predicate => 'author IS NOT NULL');
SELECT raceguard.add_cooldown('posts', 'author', 'posted', '1 second', max_rows => 100);
SELECT raceguard.add_version('parts', unstated => 'warn');
SELECT raceguard.add_key_lock('parts', 'region, lower(label)');
SELECT raceguard.add_version('base');

INSERT INTO orders (id, customer, note) SELECT i, i % 5, 'order ' || i FROM generate_series(1, 50) i;
INSERT INTO lines (id, order_id, product) SELECT i, i % 50 + 1, 'product' FROM generate_series(1, 100) i;
INSERT INTO posts (id, author) SELECT i, chr(97 + i % 7) FROM generate_series(1, 50) i;
INSERT INTO parts (id, region, label) SELECT i, i % 4, 'part' FROM generate_series(1, 40) i;
INSERT INTO base (id, kind) SELECT i, 'base' FROM generate_series(1, 10) i;
INSERT INTO heir (id, kind) SELECT i, 'heir' FROM generate_series(11, 20) i;
