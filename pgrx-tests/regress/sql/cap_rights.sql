-- Caps, and writers who may see or do little.
CREATE EXTENSION raceguard;
\set VERBOSITY default
CREATE ROLE raceguard_cap_owner;
CREATE ROLE raceguard_cap_writer;
GRANT USAGE ON SCHEMA raceguard TO raceguard_cap_writer;
GRANT CREATE ON SCHEMA public TO raceguard_cap_owner;
SET ROLE raceguard_cap_owner;
CREATE TABLE seats (id int, k int, who text DEFAULT current_user);
INSERT INTO seats VALUES (1, 1, 'nobody');
SELECT raceguard.add_cap('seats', 'k', 2);
-- A writer without SELECT: the cap holds, and the error shows no key.
GRANT INSERT ON seats TO raceguard_cap_writer;
SET ROLE raceguard_cap_writer;
INSERT INTO seats (id, k) VALUES (2, 1);
INSERT INTO seats (id, k) VALUES (3, 1);
SELECT raceguard.next_free_slot('seats', '1'), raceguard.next_free_slot('seats', '2');
SELECT raceguard.insert_next_slot('seats', '{"id": 3, "k": 2}');
-- Row security hides the other rows from the writer, not from the cap.
SET ROLE raceguard_cap_owner;
GRANT SELECT, UPDATE, DELETE ON seats TO raceguard_cap_writer;
ALTER TABLE seats ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON seats USING (who = current_user);
SET ROLE raceguard_cap_writer;
SELECT count(*) FROM seats;
INSERT INTO seats (id, k) VALUES (3, 1);
INSERT INTO seats (id, k) VALUES (4, 2) RETURNING slot;
SELECT raceguard.insert_next_slot('seats', '{"id": 5, "k": 2}');
SELECT raceguard.insert_next_slot('seats', '{"id": 6, "k": 2}', on_full => 'null');
-- Slots tell how many rows there are, hidden ones included, also of keys under which no policy would let
-- the writer put a row: no answer under row security.
SELECT raceguard.next_free_slot('seats', '1');
SET ROLE raceguard_cap_owner;
SELECT raceguard.next_free_slot('seats', '1') IS NULL AS full;
SET ROLE raceguard_cap_writer;
-- insert_or_get neither returns nor names a row that the policy hides.
SET ROLE raceguard_cap_owner;
ALTER TABLE seats ADD UNIQUE (id);
SET ROLE raceguard_cap_writer;
SELECT * FROM raceguard.insert_or_get('seats', '{"id": 1, "k": 8}');
SELECT "row" ->> 'id', inserted FROM raceguard.insert_or_get('seats', '{"id": 2, "k": 8}');
-- Without a right to write there is nothing to be learned from slots.
SET ROLE raceguard_cap_owner;
CREATE TABLE closed (k int);
SELECT raceguard.add_cap('closed', 'k', 2);
SET ROLE raceguard_cap_writer;
SELECT raceguard.next_free_slot('closed', '1');
SELECT raceguard.insert_next_slot('closed', '{"k": 1}');
-- Nor with a right to other writes: it takes an INSERT to learn it by trying.
SET ROLE raceguard_cap_owner;
GRANT SELECT (k), UPDATE, DELETE ON closed TO raceguard_cap_writer;
SET ROLE raceguard_cap_writer;
SELECT raceguard.next_free_slot('closed', '1');
SET ROLE raceguard_cap_owner;
GRANT INSERT (k) ON closed TO raceguard_cap_writer;
SET ROLE raceguard_cap_writer;
SELECT raceguard.next_free_slot('closed', '1');
-- An owner under FORCE ROW LEVEL SECURITY does not see all rows: numbering refuses.
SET ROLE raceguard_cap_owner;
CREATE TABLE forced (id int, k int, who text DEFAULT 'nobody');
INSERT INTO forced VALUES (1, 1), (2, 1), (3, 1);
ALTER TABLE forced ENABLE ROW LEVEL SECURITY;
ALTER TABLE forced FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON forced USING (who = current_user);
BEGIN;
SELECT raceguard.add_cap('forced', 'k', 2);
ROLLBACK;
SELECT raceguard.plan_cap('forced', 'k', 2);
ALTER TABLE forced NO FORCE ROW LEVEL SECURITY;
SELECT raceguard.add_cap('forced', 'k', 2);
SELECT raceguard.add_cap('forced', 'k', 3);
SHOW row_security;
ALTER TABLE forced FORCE ROW LEVEL SECURITY;
SELECT raceguard.set_cap('forced', 4);
INSERT INTO forced VALUES (4, 1, current_user) RETURNING slot;
RESET ROLE;
DROP TABLE seats, closed, forced;
DROP OWNED BY raceguard_cap_owner, raceguard_cap_writer;
DROP ROLE raceguard_cap_owner, raceguard_cap_writer;
