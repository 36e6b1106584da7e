-- lock_rows: SELECT ... FOR UPDATE in key order (B1). Waiting is told in the isolation specs.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
CREATE TABLE accounts (id int PRIMARY KEY, credits numeric NOT NULL);
INSERT INTO accounts SELECT n, 10 * n FROM generate_series(1, 5) n;

-- In key order whatever the order asked, each key once.
SELECT * FROM raceguard.lock_rows('accounts', '[{"id": 4}, {"id": 2}, {"id": "4"}, {"id": 3}]');
SELECT row ->> 'credits' AS credits FROM raceguard.lock_rows('accounts', '[{"id": 2}]') AS row;
SELECT count(*) FROM raceguard.lock_rows('accounts', '[]');
-- The rows are locked, and no others: a locked row carries the number of its locker.
BEGIN;
SELECT count(*) FROM raceguard.lock_rows('accounts', '[{"id": 5}, {"id": 1}]');
SELECT id, xmax = pg_current_xact_id()::xid AS locked FROM accounts ORDER BY id;
ROLLBACK;

-- Missing keys are told, all of them.
SELECT raceguard.lock_rows('accounts', '[{"id": 1}, {"id": 9}]');
SELECT raceguard.lock_rows('accounts', '[{"id": 9}, {"id": 1}, {"id": 7}, {"id": 9}]', 'nowait');
SELECT raceguard.lock_rows('accounts', '[{"id": 9}, {"id": 1}, {"id": 7}]', 'skip');

-- A composite key in the order of the key, not of the table.
CREATE TABLE seats (seat text COLLATE "C", flight int, taken boolean, PRIMARY KEY (flight, seat));
INSERT INTO seats VALUES ('B2', 1, false), ('a1', 1, false), ('A1', 2, true);
SELECT raceguard.lock_rows('seats', '[{"flight": 2, "seat": "A1"}, {"seat": "a1", "flight": 1},
    {"flight": 1, "seat": "B2"}]');
SELECT raceguard.lock_rows('seats', '[{"flight": 3, "seat": "A1"}, {"seat": "c", "flight": 1}]');
-- Types whose text sorts otherwise: 10 after 9, enums in the order they were declared.
CREATE TYPE size AS ENUM ('small', 'medium', 'large');
CREATE TABLE shirts (size size PRIMARY KEY);
INSERT INTO shirts VALUES ('large'), ('medium'), ('small');
SELECT raceguard.lock_rows('shirts', '[{"size": "large"}, {"size": "medium"}, {"size": "small"}]');
CREATE TABLE slots (during int4range PRIMARY KEY);
INSERT INTO slots VALUES ('[9,10)'), ('[10,11)');
SELECT raceguard.lock_rows('slots', '[{"during": "[10,11)"}, {"during": "[9,9]"}]');
-- Partitions.
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT generate_series(1, 6);
SELECT raceguard.lock_rows('parts', '[{"id": 6}, {"id": 1}, {"id": 4}, {"id": 3}]');

-- The transfer of the article, with money that does not round.
BEGIN;
SELECT * FROM raceguard.lock_rows('accounts', '[{"id": 4}, {"id": 1}]');
SELECT raceguard.take('accounts', '{"id": 4}', 'credits', 15);
SELECT raceguard.take('accounts', '{"id": 1}', 'credits', -15);
COMMIT;
SELECT * FROM accounts ORDER BY id;

-- How strongly: what pg_locks shows of it is in the isolation specs, here that each is understood.
BEGIN;
SELECT strength, (SELECT count(*) FROM raceguard.lock_rows('accounts', '[{"id": 5}, {"id": 1}]', 'nowait', strength))
    FROM (VALUES ('key share'), ('share'), ('no key update'), ('update')) AS s(strength);
ROLLBACK;
SELECT raceguard.lock_rows('accounts', '[{"id": 1}]', strength => 'exclusive');
SELECT raceguard.lock_rows('accounts', '[{"id": 1}]', strength => NULL);

-- Bad arguments.
SELECT raceguard.lock_rows('accounts', '{"id": 1}');
SELECT raceguard.lock_rows('accounts', '[1]');
SELECT raceguard.lock_rows('accounts', '[{"id": 1, "credits": 10}]');
SELECT raceguard.lock_rows('accounts', '[{"id": [1]}]');
SELECT raceguard.lock_rows('seats', '[{"flight": 1}]');
SELECT raceguard.lock_rows('accounts', '[{"id": 1}]', 'later');
SELECT raceguard.lock_rows(NULL, '[]');
SELECT raceguard.lock_rows('accounts', NULL);
SELECT raceguard.lock_rows('accounts', '[]', NULL);
CREATE TABLE keyless (id int);
SELECT raceguard.lock_rows('keyless', '[{"id": 1}]');
CREATE TABLE later (id int PRIMARY KEY DEFERRABLE);
SELECT raceguard.lock_rows('later', '[{"id": 1}]');
-- Their codes.
\set VERBOSITY sqlstate
SELECT raceguard.lock_rows('accounts', '[{"id": 9}]');
SELECT raceguard.lock_rows('accounts', '{"id": 1}');
SELECT raceguard.lock_rows('accounts', '[{"id": 1}]', 'later');
SELECT raceguard.lock_rows('accounts', NULL);
SELECT raceguard.lock_rows('keyless', '[{"id": 1}]');
\set VERBOSITY default

-- Rights and row security are the caller's.
CREATE ROLE regress_lock_reader;
CREATE ROLE regress_lock_writer;
GRANT USAGE ON SCHEMA raceguard TO regress_lock_reader, regress_lock_writer;
GRANT SELECT ON accounts TO regress_lock_reader;
GRANT SELECT, UPDATE ON accounts TO regress_lock_writer;
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON accounts USING (id <= 2);
SET ROLE regress_lock_reader;
SELECT raceguard.lock_rows('accounts', '[{"id": 1}]');
SET ROLE regress_lock_writer;
SELECT raceguard.lock_rows('accounts', '[{"id": 1}]');
SELECT raceguard.lock_rows('accounts', '[{"id": 1}, {"id": 3}]');
RESET ROLE;
BEGIN READ ONLY;
SELECT raceguard.lock_rows('accounts', '[{"id": 1}]');
ROLLBACK;
DROP OWNED BY regress_lock_reader, regress_lock_writer;
DROP ROLE regress_lock_reader, regress_lock_writer;
