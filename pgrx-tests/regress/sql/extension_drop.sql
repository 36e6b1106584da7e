-- What is left when the extension is dropped under its guards, and what a second CREATE EXTENSION
-- makes of it; updates of the extension that there are none of.
CREATE EXTENSION raceguard;
CREATE TABLE orders (id int PRIMARY KEY, address text);
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders);
CREATE TABLE posts (id int PRIMARY KEY, user_id int, at timestamptz);
SET client_min_messages = warning;
SELECT raceguard.add_version('orders', unstated => 'reject');
SELECT raceguard.add_parent_version('items', 'orders');
SELECT raceguard.add_key_lock('posts', 'user_id');
SELECT raceguard.add_cap('posts', 'user_id', 2);
SELECT raceguard.add_cooldown('posts', 'user_id', 'at', '1 hour');
RESET client_min_messages;
INSERT INTO orders VALUES (1, 'Old Street');
INSERT INTO items VALUES (1, 1);
INSERT INTO posts VALUES (1, 7, '2026-03-02 10:00+00'), (2, 7, '2026-03-02 11:00+00');
CREATE TEMP TABLE guards_before AS SELECT * FROM raceguard.guards;

-- The newest version is installed: nothing changes. There is no other.
SET client_min_messages = warning;
ALTER EXTENSION raceguard UPDATE;
RESET client_min_messages;
\set VERBOSITY sqlstate
ALTER EXTENSION raceguard UPDATE TO 'unheard of';
\set VERBOSITY default
SELECT * FROM raceguard.guards EXCEPT SELECT * FROM guards_before;
UPDATE orders SET address = 'A Street' WHERE id = 1;

-- It stays in its schema, and whole.
\set VERBOSITY terse
ALTER EXTENSION raceguard SET SCHEMA public;
DROP SCHEMA raceguard;
DROP FUNCTION raceguard.version_guard() CASCADE;
DROP EXTENSION raceguard RESTRICT;

-- CASCADE is the owner's will: the triggers go. Columns, CHECK and indexes are ordinary objects and stay.
DROP EXTENSION raceguard CASCADE;
\set VERBOSITY default
SELECT tgname FROM pg_trigger WHERE NOT tgisinternal;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'posts'::regclass AND contype = 'c' ORDER BY conname;
SELECT indexdef FROM pg_indexes WHERE tablename = 'posts' ORDER BY indexname;
SELECT * FROM orders;
SELECT * FROM posts ORDER BY id;
-- Versions and cooldowns are unguarded from now on; a cap fails closed.
UPDATE orders SET address = 'B Street', version = 1 WHERE id = 1;
INSERT INTO posts VALUES (3, 8, '2026-03-02 10:00+00', 1), (4, 8, '2026-03-02 10:01+00', 2);
INSERT INTO posts VALUES (5, 9, '2026-03-02 10:00+00');
\set VERBOSITY sqlstate
SELECT raceguard.lock_key('posts', 7);
\set VERBOSITY default

-- Installed again, in the session that knew the old one: the same calls take over what stands.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
SELECT raceguard.add_version('orders', unstated => 'reject');
SELECT raceguard.add_parent_version('items', 'orders');
SELECT raceguard.add_key_lock('posts', 'user_id');
SELECT raceguard.add_cap('posts', 'user_id', 2);
SELECT raceguard.add_cooldown('posts', 'user_id', 'at', '1 hour');
DELETE FROM posts WHERE id = 4;
SELECT raceguard.add_cooldown('posts', 'user_id', 'at', '1 hour');
SELECT * FROM raceguard.guards EXCEPT SELECT * FROM guards_before;
SELECT count(*) = (SELECT count(*) FROM guards_before) AS as_many FROM raceguard.guards;
SELECT conname FROM pg_constraint WHERE conrelid = 'posts'::regclass AND contype = 'c' ORDER BY conname;
SELECT indexname FROM pg_indexes WHERE tablename = 'posts' ORDER BY indexname;
UPDATE orders SET address = 'C Street' WHERE id = 1;
INSERT INTO items VALUES (2, 1);
SELECT version FROM orders;
INSERT INTO posts VALUES (5, 9, '2026-03-02 10:00+00') RETURNING slot;
INSERT INTO posts VALUES (6, 9, '2026-03-02 10:30+00');
INSERT INTO posts VALUES (6, 7, '2026-03-02 19:00+00');

-- plan_cap takes over what stands, and replaces a CHECK for another number of slots.
DROP EXTENSION raceguard CASCADE;
CREATE EXTENSION raceguard;
SELECT step, ddl FROM raceguard.plan_cap('posts', 'user_id', 2);
SELECT step, ddl FROM raceguard.plan_cap('posts', 'user_id', 3);
SELECT raceguard.add_cap('posts', 'user_id', 3);
INSERT INTO posts VALUES (7, 7, '2026-03-02 21:00+00') RETURNING slot;

-- Without CASCADE: first the guards.
SELECT raceguard.add_version('orders'), raceguard.add_parent_version('items', 'orders');
SELECT format('SELECT raceguard.drop_guard(%L, %L)', target, guard) FROM raceguard.guards ORDER BY target::text, guard \gexec
DROP EXTENSION raceguard;

-- After CASCADE the column takes CHECK and index with it.
CREATE EXTENSION raceguard;
SELECT raceguard.add_cap('posts', 'user_id', 3);
\set VERBOSITY terse
DROP EXTENSION raceguard CASCADE;
\set VERBOSITY default
ALTER TABLE posts DROP COLUMN slot;
SELECT conname FROM pg_constraint WHERE conrelid = 'posts'::regclass AND contype = 'c' ORDER BY conname;
INSERT INTO posts VALUES (6, 7, '2026-03-02 10:30+00');
