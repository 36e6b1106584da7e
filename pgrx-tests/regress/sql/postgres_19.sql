-- What Postgres 19 brings: ON CONFLICT DO SELECT, CHECKs that cease to be enforced, REPACK.
SELECT current_setting('server_version_num')::int < 190000 AS too_old \gset
\if :too_old
\quit
\endif
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never

-- INSERT ... ON CONFLICT DO SELECT returns the row that is there: nothing is written, so no version moves,
-- and a full cap refuses nothing.
CREATE TABLE orders (id int PRIMARY KEY, customer int, note text);
SELECT raceguard.add_version('orders', unstated => 'reject');
SELECT raceguard.add_cap('orders', 'customer', 1);
SELECT raceguard.add_key_lock('orders', 'customer');
INSERT INTO orders VALUES (1, 7, 'first') ON CONFLICT (id) DO SELECT RETURNING id, note, version, slot;
INSERT INTO orders VALUES (1, 7, 'again') ON CONFLICT (id) DO SELECT RETURNING id, note, version, slot;
INSERT INTO orders VALUES (1, 7, 'again') ON CONFLICT (id) DO SELECT FOR UPDATE RETURNING id, note, version, slot;
INSERT INTO orders VALUES (2, 7, 'other') ON CONFLICT (id) DO SELECT RETURNING id, note, version, slot;
\echo :LAST_ERROR_SQLSTATE

-- A cap whose CHECK is no longer enforced is not whole; add_cap puts it up again. Meanwhile the guard refuses
-- a slot that the cap does not have.
ALTER TABLE orders ALTER CONSTRAINT raceguard_cap_slots NOT ENFORCED;
SELECT whole FROM raceguard.guards WHERE target = 'orders'::regclass AND guard = 'cap';
INSERT INTO orders (id, customer, slot) SELECT n, 7, n FROM generate_series(2, 9) n;
\echo :LAST_ERROR_SQLSTATE
SELECT raceguard.add_cap('orders', 'customer', 1);
SELECT whole FROM raceguard.guards WHERE target = 'orders'::regclass AND guard = 'cap';

-- A table written anew: only REPACK (CONCURRENTLY) makes a new xmin.
CREATE TABLE legacy (id int PRIMARY KEY, note text);
INSERT INTO legacy VALUES (1, 'as it was');
SELECT raceguard.row_version(xmin) AS token, raceguard.row_hash(legacy) AS hash FROM legacy \gset
REPACK legacy;
SELECT raceguard.row_version(xmin) = :'token' AS same_token, raceguard.row_hash(legacy) = :'hash' AS same_hash FROM legacy;
REPACK (CONCURRENTLY) legacy;
SELECT raceguard.row_version(xmin) = :'token' AS same_token, raceguard.row_hash(legacy) = :'hash' AS same_hash FROM legacy;
-- The DETAIL would tell the numbers of transactions.
\set VERBOSITY sqlstate
SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', :'token', '{"note": "as it is"}');
\set VERBOSITY default
SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', :'hash', '{"note": "as it is"}', token => 'hash');

-- Nor is that MVCC-safe: to a snapshot that is older the table is empty, and so to the calls.
SELECT raceguard.row_hash(legacy) AS hash FROM legacy \gset
\setenv DB :DBNAME
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM orders;
\! psql -X -q -d "$DB" -c "REPACK (CONCURRENTLY) legacy"
SELECT count(*) FROM legacy;
SELECT raceguard.compare_and_swap('legacy', '{"id": 1}', :'hash', '{"note": "unseen"}', token => 'hash');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT raceguard.row_hash(legacy) = :'hash' AS same_hash FROM legacy;

-- Waits for keys are among the advisory locks of pg_stat_lock.
SELECT locktype, waits >= 0 AS counted FROM pg_stat_lock WHERE locktype = 'advisory';
