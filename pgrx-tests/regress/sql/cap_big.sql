-- What a cap remembers of a key with many rows, and of the rows of one statement: nothing that the index would not
-- confirm.
CREATE EXTENSION raceguard;

CREATE TABLE seats (k int NOT NULL, n int);
SELECT raceguard.add_cap('seats', 'k', 300);

-- One statement fills the key from below, and no more than that.
INSERT INTO seats SELECT 1, n FROM generate_series(1, 250) n;
SELECT count(*), count(DISTINCT slot), min(slot), max(slot) FROM seats;
\set VERBOSITY sqlstate
INSERT INTO seats SELECT 1, n FROM generate_series(1, 51) n;
\set VERBOSITY default
INSERT INTO seats SELECT 1, n FROM generate_series(1, 49) n;
INSERT INTO seats VALUES (1, 0) RETURNING slot;
\set VERBOSITY sqlstate
INSERT INTO seats VALUES (1, 0);
\set VERBOSITY default

-- Gaps that the transaction itself has made are filled first: by DELETE,
BEGIN;
DELETE FROM seats WHERE k = 1 AND slot IN (7, 290, 291);
INSERT INTO seats VALUES (1, 0) RETURNING slot;
INSERT INTO seats VALUES (1, 0) RETURNING slot;
DELETE FROM seats WHERE k = 1 AND slot = 150;
INSERT INTO seats VALUES (1, 0) RETURNING slot;
-- by an UPDATE of the key,
UPDATE seats SET k = 2 WHERE k = 1 AND slot = 20;
INSERT INTO seats VALUES (1, 0) RETURNING slot;
-- or of the slot,
UPDATE seats SET slot = 291 WHERE k = 1 AND slot = 30;
INSERT INTO seats VALUES (1, 0) RETURNING slot;
ROLLBACK;

-- by a rollback to a savepoint,
BEGIN;
DELETE FROM seats WHERE k = 1 AND slot > 140;
SAVEPOINT before;
INSERT INTO seats SELECT 1, n FROM generate_series(1, 60) n;
ROLLBACK TO before;
INSERT INTO seats VALUES (1, 0) RETURNING slot;
-- and by TRUNCATE.
TRUNCATE seats;
INSERT INTO seats VALUES (1, 0) RETURNING slot;
INSERT INTO seats SELECT 1, n FROM generate_series(1, 200) n;
TRUNCATE seats;
INSERT INTO seats VALUES (1, 0) RETURNING slot;
ROLLBACK;
SELECT count(*), count(DISTINCT slot) FROM seats;

-- More slots are more slots, and fewer are fewer.
SELECT raceguard.set_cap('seats', 302);
INSERT INTO seats SELECT 1, n FROM generate_series(1, 2) n RETURNING slot;
DELETE FROM seats WHERE slot > 200;
SELECT raceguard.set_cap('seats', 201);
INSERT INTO seats VALUES (1, 0) RETURNING slot;
\set VERBOSITY sqlstate
INSERT INTO seats VALUES (1, 0);
\set VERBOSITY default

-- With append the gaps come at the end, many of them one after the other.
SELECT raceguard.add_cap('seats', 'k', 201, fill => 'append', replace => true);
DELETE FROM seats WHERE slot IN (150, 151, 152);
INSERT INTO seats SELECT 1, n FROM generate_series(1, 3) n RETURNING slot;

-- The rows of one statement: keys that alternate, slots that are given among others, a repeated key.
CREATE TABLE posts (id int PRIMARY KEY, u int, slot int);
SELECT raceguard.add_cap('posts', 'u', 4);
INSERT INTO posts VALUES (1, 1), (2, 1), (3, 2), (4, 1), (5, 2), (6, 2), (7, 1) RETURNING id, u, slot;
INSERT INTO posts VALUES (11, 3, NULL), (12, 3, NULL), (13, 3, 3), (14, 3, NULL) RETURNING slot;
INSERT INTO posts VALUES (21, 4, NULL), (22, 4, 4), (23, 4, NULL), (24, 4, NULL) RETURNING slot;
\set VERBOSITY sqlstate
INSERT INTO posts VALUES (31, 5), (32, 5), (33, 5), (34, 5), (35, 5);
INSERT INTO posts SELECT 100 + n, 6, 0 FROM generate_series(1, 5) n;
INSERT INTO posts VALUES (31, 5, NULL), (32, 5, NULL), (33, 5, NULL), (34, 5, 3);
\set VERBOSITY default
SELECT count(*) FROM posts WHERE u > 4;

-- Rows that an upsert does not insert take no slot.
INSERT INTO posts VALUES (1, 7), (2, 7), (41, 7), (3, 7), (42, 7), (43, 7) ON CONFLICT DO NOTHING RETURNING id, slot;
INSERT INTO posts VALUES (41, 7), (42, 7), (43, 7), (44, 7) ON CONFLICT (id) DO UPDATE SET u = 7 RETURNING id, slot;
-- A full key lets an upsert through that inserts nothing, and no other.
INSERT INTO posts VALUES (41, 7), (42, 7), (43, 7), (44, 7)
    ON CONFLICT (id) DO UPDATE SET u = excluded.u RETURNING id, slot;
\set VERBOSITY sqlstate
INSERT INTO posts VALUES (41, 7), (42, 7), (43, 7), (45, 7) ON CONFLICT (id) DO NOTHING;
INSERT INTO posts VALUES (51, 8), (52, 8), (53, 8), (54, 8), (41, 8), (55, 8) ON CONFLICT (id) DO NOTHING;
\set VERBOSITY default

-- A trigger that has the last word writes slots behind the guard, whose rows do not count on each other then.
CREATE FUNCTION behind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.slot := CASE NEW.id WHEN 61 THEN 3 ELSE NEW.slot END;
    RETURN NEW;
END $$;
CREATE TRIGGER zzz_behind BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION behind();
INSERT INTO posts VALUES (61, 9), (62, 9), (63, 9), (64, 9) RETURNING slot;
-- One that lets no row through leaves the slot to the next.
CREATE OR REPLACE FUNCTION behind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN NEW.id % 2 = 0 THEN NULL ELSE NEW END;
END $$;
INSERT INTO posts VALUES (71, 10), (72, 10), (74, 10), (75, 10), (77, 10), (78, 10), (79, 10) RETURNING id, slot;
DROP TRIGGER zzz_behind ON posts;

-- Functions that write to the same key within the statement.
CREATE FUNCTION beside(id int, u int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO posts VALUES (id, u);
    RETURN id + 100;
END $$;
INSERT INTO posts SELECT beside(n, 11), 11 FROM generate_series(1001, 1002) n;
SELECT count(*), count(DISTINCT slot), max(slot) FROM posts WHERE u = 11;
CREATE FUNCTION undone(id int, u int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        INSERT INTO posts VALUES (id, u);
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        RETURN id;
    END;
END $$;
INSERT INTO posts SELECT undone(n, 12), 12 FROM generate_series(1201, 1204) n RETURNING slot;
-- Two parts of one statement.
WITH one AS (INSERT INTO posts VALUES (1301, 13), (1302, 13) RETURNING slot)
INSERT INTO posts SELECT 1303, 13 FROM one LIMIT 1;
SELECT count(*), count(DISTINCT slot), max(slot) FROM posts WHERE u = 13;
WITH gone AS (DELETE FROM posts WHERE u = 13 RETURNING id)
INSERT INTO posts SELECT id + 10, 14 FROM gone;
SELECT count(*), count(DISTINCT slot), max(slot) FROM posts WHERE u = 14;

-- Two caps on a table, each with slots of its own; partitions; COPY; keys of text.
CREATE TABLE both_caps (a int, b text);
SELECT raceguard.add_cap('both_caps', 'a', 3), raceguard.add_cap('both_caps', 'b', 2, slot_column => 'other', guard => 'other');
INSERT INTO both_caps VALUES (1, 'x'), (1, 'x'), (1, 'y') RETURNING slot, other;
\set VERBOSITY sqlstate
INSERT INTO both_caps VALUES (2, 'z'), (2, 'z'), (2, 'z');
\set VERBOSITY default
CREATE TABLE halves (k int, n int) PARTITION BY RANGE (k);
CREATE TABLE lower PARTITION OF halves FOR VALUES FROM (0) TO (10);
CREATE TABLE upper PARTITION OF halves FOR VALUES FROM (10) TO (20);
SELECT raceguard.add_cap('halves', 'k', 3);
INSERT INTO halves VALUES (1), (11), (1), (11), (1), (11) RETURNING tableoid::regclass, slot;
\set VERBOSITY sqlstate
INSERT INTO halves VALUES (2), (12), (2), (12), (2), (12), (12);
\set VERBOSITY default
COPY posts (id, u) FROM stdin;
1501	15
1502	15
1503	15
1504	15
\.
\set VERBOSITY sqlstate
COPY posts (id, u) FROM stdin;
1601	16
1602	16
1603	16
1604	16
1605	16
\.
\set VERBOSITY default
SELECT u, count(*), max(slot) FROM posts WHERE u IN (15, 16) GROUP BY u;
