-- Calls on rows find out about their row themselves: what they refuse counts at the version guard of the table, once.
CREATE EXTENSION raceguard;
CREATE VIEW counted AS
SELECT target, passed, conflicts, missing, refused, observed, failed
FROM raceguard.stats WHERE guard = 'version' ORDER BY target::text;
CREATE TABLE orders (id int PRIMARY KEY, note text, stock int);
SELECT raceguard.add_version('orders', unstated => 'reject');
INSERT INTO orders SELECT n, 'a', 5 FROM generate_series(1, 3) n;

-- ---- each kind of call: one that does its work, one that does not
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "b"}');
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "c"}');
SELECT * FROM counted;
SELECT raceguard.compare_and_delete('orders', '{"id": 1}', 1);
SELECT raceguard.swap_columns('orders', '{"id": 1}', '{"note": "a"}', '{"note": "c"}');
SELECT * FROM counted;
\set VERBOSITY sqlstate
-- Another token than the version.
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', '1', '{"note": "c"}', token => 'xmin');
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', repeat('0', 64), '{"note": "c"}', token => 'hash');
SELECT conflicts, refused FROM counted;
SELECT raceguard.compare_and_swap('orders', '{"id": 9}', 1, '{"note": "c"}');
SELECT raceguard.compare_and_delete('orders', '{"id": 9}', 1);
SELECT raceguard.swap_columns('orders', '{"id": 9}', '{"note": "a"}', '{"note": "c"}');
SELECT raceguard.lock_rows('orders', '[{"id": 8}, {"id": 9}]');
SELECT conflicts, refused FROM counted;
SELECT raceguard.take('orders', '{"id": 9}', 'stock', 1);
SELECT raceguard.take('orders', '{"id": 1}', 'stock', 6);
SELECT raceguard.take('orders', '{"id": 1}', 'stock', -6, at_most => '10');
SELECT raceguard.take_all('orders', 'stock', '[{"id": 1, "amount": 1}, {"id": 2, "amount": 6}]');
SELECT raceguard.take_all('orders', 'stock', '[{"id": 9, "amount": 1}]');
-- The first row of the basket had passed.
SELECT * FROM counted;
SELECT raceguard.take('orders', '{"id": 1}', 'stock', 1);
SELECT passed, refused FROM counted;

-- ---- an error of another kind is none of the guard's
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 'x', '{"note": "c"}');
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', NULL::bigint, '{"note": "c"}');
SELECT * FROM counted;

-- ---- what was refused stays counted, whatever becomes of the transaction
SELECT raceguard.stats_reset() IS NOT NULL;
DO $$
BEGIN
    PERFORM raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "c"}');
EXCEPTION WHEN SQLSTATE 'RG409' THEN
END $$;
BEGIN;
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "c"}');
ROLLBACK;
SELECT conflicts FROM counted;
SELECT now() - last_conflict_at < interval '1 minute' AS lately, last_conflict_xid = xmin::text::xid8 AS by_its_writer
FROM raceguard.stats, orders WHERE target = 'orders'::regclass AND id = 1;
SET raceguard.track = 'none';
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "c"}');
RESET raceguard.track;
SELECT conflicts FROM counted;

-- ---- the call's own condition holds whatever the guard's mode
SELECT raceguard.set_mode('orders', 'version', 'observe');
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "c"}');
SELECT conflicts, observed FROM counted;
SELECT raceguard.set_mode('orders', 'version', 'enforce');

-- ---- log lines, with the partition that has the row
CREATE TABLE parts (id int, region int, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2) PARTITION BY LIST (region);
CREATE TABLE parts_2a PARTITION OF parts_2 FOR VALUES IN (2);
SELECT raceguard.add_version('parts');
INSERT INTO parts VALUES (1, 1, 'a'), (2, 2, 'a');
SET raceguard.log_conflicts = on;
SET client_min_messages = log;
\set VERBOSITY terse
SELECT raceguard.compare_and_swap('parts', '{"id": 2, "region": 2}', 7, '{"note": "b"}');
SELECT raceguard.compare_and_swap('parts_1', '{"id": 1, "region": 1}', 7, '{"note": "b"}');
SELECT raceguard.compare_and_delete('parts', '{"id": 3, "region": 1}', 7);
SELECT raceguard.take('orders', '{"id": 1}', 'stock', 6);
SELECT raceguard.swap_columns('orders', '{"id": 1}', '{"note": "a"}', '{"note": "c"}');
-- In the native style, whatever the client is shown.
SET raceguard.error_style = integrity;
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1, '{"note": "c"}');
RESET raceguard.error_style;
RESET client_min_messages;
RESET raceguard.log_conflicts;
SELECT target, conflicts, refused FROM counted WHERE target = 'parts'::regclass;

-- ---- a table without a guard has nowhere to count
CREATE TABLE plain (id int PRIMARY KEY, note text);
INSERT INTO plain VALUES (1, 'a');
SELECT raceguard.compare_and_swap('plain', '{"id": 1}', '1', '{"note": "b"}');
SELECT raceguard.compare_and_swap('plain', '{"id": 2}', '1', '{"note": "b"}');
SELECT count(*) FROM raceguard.stats WHERE target = 'plain'::regclass;
-- Nor does a key lock count conflicts.
SELECT raceguard.add_key_lock('plain', 'note');
SELECT raceguard.compare_and_swap('plain', '{"id": 2}', '1', '{"note": "b"}');
SELECT guard, conflicts, refused FROM raceguard.stats WHERE target = 'plain'::regclass;

-- ---- who won
\set VERBOSITY default
SET raceguard.explain_conflicts = on;
CREATE ROLE stats_caller;
GRANT SELECT, UPDATE, DELETE ON orders, plain TO stats_caller;
CREATE FUNCTION told(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
    state text;
BEGIN
    EXECUTE call;
    RETURN 'nothing';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS found = PG_EXCEPTION_DETAIL, state = RETURNED_SQLSTATE;
    RETURN state || ' ' || regexp_replace(found, '(transaction|pid|stored version) \d+', '\1 N', 'g');
END $$;
SET application_name = 'the test';
UPDATE orders SET note = 'd', version = version + 1 WHERE id = 2;
SET ROLE stats_caller;
SELECT replace(told($$SELECT raceguard.compare_and_swap('orders', '{"id": 2}', 1, '{"note": "x"}')$$), :'USER', 'USER');
SELECT replace(told($$SELECT raceguard.compare_and_delete('orders', '{"id": 2}', 1)$$), :'USER', 'USER');
SELECT replace(told($$SELECT raceguard.swap_columns('orders', '{"id": 2}', '{"note": "a"}', '{"note": "x"}')$$), :'USER', 'USER');
-- Of a table without a guard the transaction is known, and no session.
SELECT told($$SELECT raceguard.compare_and_swap('plain', '{"id": 1}', '1', '{"note": "b"}')$$);
-- Not to who may read the columns one by one, nor where row security is in force: but it counts.
RESET ROLE;
REVOKE SELECT ON orders FROM stats_caller;
GRANT SELECT (id, note, stock, version) ON orders TO stats_caller;
SELECT raceguard.stats_reset() IS NOT NULL;
SET ROLE stats_caller;
SELECT told($$SELECT raceguard.swap_columns('orders', '{"id": 2}', '{"note": "a"}', '{"note": "x"}')$$);
RESET ROLE;
SELECT conflicts, last_conflict_xid FROM raceguard.stats WHERE target = 'orders'::regclass;
GRANT SELECT ON orders TO stats_caller;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON orders USING (true);
SET ROLE stats_caller;
SELECT told($$SELECT raceguard.compare_and_swap('orders', '{"id": 2}', 1, '{"note": "x"}')$$);
RESET ROLE;
SELECT conflicts, last_conflict_xid IS NOT NULL AS known FROM raceguard.stats WHERE target = 'orders'::regclass;
DROP OWNED BY stats_caller;
DROP ROLE stats_caller;
