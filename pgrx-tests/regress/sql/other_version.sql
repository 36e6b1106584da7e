-- A library of another version than the SQL objects of the database tells so, once a session.
CREATE EXTENSION raceguard;
\pset format unaligned
\pset footer off
\set VERBOSITY sqlstate
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders VALUES (1, 'new');
SET client_min_messages = warning;
SELECT raceguard.add_version('orders');
-- As after an upgrade of the package.
UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'raceguard';
UPDATE orders SET note = 'a session that has looked';
\c -
UPDATE orders SET note = 'the first write';
UPDATE orders SET note = 'the second';
SELECT raceguard.version() IS NOT NULL AS answers;
\c -
SELECT raceguard.version() IS NOT NULL AS answers;
UPDATE orders SET note = 'after a call';
UPDATE pg_extension SET extversion = raceguard.version() WHERE extname = 'raceguard';
\c -
UPDATE orders SET note = 'the same version';
