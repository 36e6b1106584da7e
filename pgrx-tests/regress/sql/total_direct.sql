-- A total is written past the executor where that comes to the same, and by an UPDATE everywhere else. Which of the two it is
-- shows in the session's memory; the rows do not tell.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE VIEW path AS SELECT CASE count(*) WHEN 0 THEN 'executor' ELSE 'direct' END AS path
    FROM pg_backend_memory_contexts WHERE name = 'raceguard direct column';

-- The plain case: the row has one more version, which took no entries in the indexes.
CREATE TABLE p (id int PRIMARY KEY, most int, other text) WITH (fillfactor = 50);
CREATE TABLE c (id int PRIMARY KEY, p bigint REFERENCES p ON UPDATE CASCADE);
SELECT raceguard.add_total('c', 'p', 'n', at_most => 'most');
INSERT INTO p (id, most) VALUES (1, 5), (2, NULL);
BEGIN;
INSERT INTO c VALUES (1, 1);
SELECT pg_stat_get_xact_tuples_updated('p'::regclass) AS updated, pg_stat_get_xact_tuples_hot_updated('p'::regclass) AS hot;
SELECT id, n, path FROM p, path ORDER BY id;
COMMIT;

-- A cursor sees what there was when it was opened; a savepoint takes the total back; the statement itself does not see it yet.
BEGIN;
DECLARE before CURSOR FOR SELECT id, n FROM p ORDER BY id;
INSERT INTO c VALUES (2, 1), (3, 1), (4, 2);
SAVEPOINT s;
DELETE FROM c WHERE p = 1;
SELECT id, n FROM p ORDER BY id;
ROLLBACK TO s;
SELECT id, n FROM p ORDER BY id;
FETCH ALL before;
WITH written AS (INSERT INTO c VALUES (5, 1) RETURNING p) SELECT n FROM p WHERE id IN (SELECT p FROM written);
SELECT n FROM p WHERE id = 1;
ROLLBACK;
SELECT id, n FROM p ORDER BY id;
DO $$ BEGIN
    INSERT INTO c VALUES (6, 1);
    BEGIN
        INSERT INTO c VALUES (7, 1), (8, 1), (9, 1), (10, 1);
    EXCEPTION WHEN sqlstate 'RG403' THEN
        RAISE WARNING '% %', SQLSTATE, SQLERRM;
    END;
    INSERT INTO c VALUES (7, 2);
END $$;
SELECT id, n FROM p ORDER BY id;

-- What the bounds refuse is told as ever, and so is what another CHECK does.
INSERT INTO c SELECT g, 1 FROM generate_series(20, 24) g;
ALTER TABLE p ADD CHECK (n < 4 OR coalesce(other, '') = 'many');
INSERT INTO c VALUES (20, 1);
INSERT INTO c VALUES (21, 1);
INSERT INTO c VALUES (22, 1);
SELECT n, path FROM p, path WHERE id = 1;
UPDATE p SET other = 'many' WHERE id = 1;
INSERT INTO c VALUES (22, 1);
SELECT n, path FROM p, path WHERE id = 1;
ALTER TABLE p DROP CONSTRAINT p_check;

-- One whose functions are somebody's own, or that looks at more than columns.
CREATE FUNCTION fine(n bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT n < 100 $$;
ALTER TABLE p ADD CONSTRAINT own CHECK (fine(n));
DELETE FROM c WHERE id = 22;
SELECT n, path FROM p, path WHERE id = 1;
ALTER TABLE p DROP CONSTRAINT own, ADD CONSTRAINT own CHECK (row_to_json(p) IS NOT NULL);
DELETE FROM c WHERE id = 20;
SELECT n, path FROM p, path WHERE id = 1;
ALTER TABLE p DROP CONSTRAINT own;

-- Triggers that have something to do about it.
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE WARNING '% % %', TG_NAME, TG_OP, NEW.n; RETURN NEW;
END $$;
CREATE TRIGGER b BEFORE UPDATE ON p FOR EACH ROW EXECUTE FUNCTION tell();
INSERT INTO c VALUES (30, 2);
SELECT n, path FROM p, path WHERE id = 2;
DROP TRIGGER b ON p;
CREATE TRIGGER a AFTER UPDATE OF n ON p FOR EACH ROW WHEN (NEW.n > 1) EXECUTE FUNCTION tell();
INSERT INTO c VALUES (31, 2);
SELECT n, path FROM p, path WHERE id = 2;
ALTER TABLE p DISABLE TRIGGER a;
INSERT INTO c VALUES (32, 2);
SELECT n, path FROM p, path WHERE id = 2;
DROP TRIGGER a ON p;
CREATE FUNCTION tell_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '%', TG_NAME; RETURN NULL; END $$;
CREATE TRIGGER s AFTER UPDATE ON p FOR EACH STATEMENT EXECUTE FUNCTION tell_once();
INSERT INTO c VALUES (33, 2);
SELECT n, path FROM p, path WHERE id = 2;
DROP TRIGGER s ON p;
-- And that have not.
CREATE TRIGGER o BEFORE UPDATE OF other, most ON p FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER i BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION tell();
SELECT raceguard.add_version('p', 'version');
INSERT INTO c VALUES (34, 2);
SELECT n, version, path FROM p, path WHERE id = 2;
SELECT raceguard.add_key_lock('p', 'other');
INSERT INTO c VALUES (35, 2);
SELECT n, version, path FROM p, path WHERE id = 2;
SELECT raceguard.drop_guard('p', 'key_lock');
DROP TRIGGER o ON p;
DROP TRIGGER i ON p;
-- Its own that is off: others may write the column, and the guard's UPDATE is one of theirs.
ALTER TABLE p DISABLE TRIGGER zz_raceguard_keep_n;
INSERT INTO c VALUES (36, 2);
SELECT n, version, path FROM p, path WHERE id = 2;
ALTER TABLE p ENABLE TRIGGER zz_raceguard_keep_n;

-- A rule, a generated column, another unique index whose check is deferred.
CREATE RULE r AS ON UPDATE TO p DO ALSO SELECT 1;
INSERT INTO c VALUES (37, 2);
SELECT n, path FROM p, path WHERE id = 2;
DROP RULE r ON p;
VACUUM p;
INSERT INTO c VALUES (38, 2);
SELECT n, path FROM p, path WHERE id = 2;
ALTER TABLE p ADD doubled bigint GENERATED ALWAYS AS (n * 2) STORED;
INSERT INTO c VALUES (39, 2);
SELECT n, doubled, path FROM p, path WHERE id = 2;
ALTER TABLE p DROP doubled;
ALTER TABLE p ADD CONSTRAINT u UNIQUE (other) DEFERRABLE INITIALLY DEFERRED;
INSERT INTO c VALUES (40, 2);
SELECT n, path FROM p, path WHERE id = 2;
ALTER TABLE p DROP CONSTRAINT u;

-- The dropped column is NULL in new versions of the row, and long values stay what they are.
UPDATE p SET other = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 1000) g) WHERE id = 2;
INSERT INTO c VALUES (41, 2);
SELECT n, path, length(other), md5(other) = md5((SELECT string_agg(md5(g::text), '') FROM generate_series(1, 1000) g)) AS same
    FROM p, path WHERE id = 2;

-- The rights of the parent's owner, and what a session may do.
CREATE ROLE total_direct_owner;
GRANT CREATE ON SCHEMA public TO total_direct_owner;
ALTER TABLE p OWNER TO total_direct_owner;
INSERT INTO c VALUES (42, 2);
SELECT n, path FROM p, path WHERE id = 2;
REVOKE UPDATE ON p FROM total_direct_owner;
INSERT INTO c VALUES (43, 2);
GRANT UPDATE ON p TO total_direct_owner;
REVOKE SELECT ON p FROM total_direct_owner;
INSERT INTO c VALUES (43, 2);
GRANT SELECT ON p TO total_direct_owner;
ALTER TABLE p ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
INSERT INTO c VALUES (43, 2);
SELECT n, path FROM p, path WHERE id = 2;
ALTER TABLE p NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
BEGIN;
SELECT raceguard.add_total('c', 'p', 'n', at_most => 'most', settle => 'commit', replace => true);
INSERT INTO c VALUES (44, 2);
SET TRANSACTION READ ONLY;
COMMIT;
ALTER TABLE p REPLICA IDENTITY NOTHING;
SET client_min_messages = error;
CREATE PUBLICATION total_direct FOR TABLE p;
SET client_min_messages = warning;
INSERT INTO c VALUES (44, 2);
DROP PUBLICATION total_direct;
INSERT INTO c VALUES (44, 2);
SELECT n, path FROM p, path WHERE id = 2;
SELECT raceguard.drop_guard('c', 'total', drop_column => true);
DROP TABLE c, p;
REVOKE CREATE ON SCHEMA public FROM total_direct_owner;
DROP ROLE total_direct_owner;

-- Types of totals, keys and amounts; what a column cannot hold.
CREATE TABLE p (a text COLLATE "C", b varchar(9), UNIQUE (b, a), id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY, a text, b text, amount numeric, FOREIGN KEY (a, b) REFERENCES p (a, b));
ALTER TABLE p ADD small smallint;
SELECT raceguard.add_total('c', 'p', 'small', amount => 'id', predicate => 'id > 0');
INSERT INTO p (a, b, id) VALUES ('x', 'y', 1), ('y', 'x', 2);
INSERT INTO c VALUES (32000, 'y', 'x', 1.5), (-1, 'y', 'x', 0);
SELECT a, b, small, path FROM p, path ORDER BY a;
INSERT INTO c VALUES (1000, 'y', 'x', 1.5);
SELECT raceguard.drop_guard('c', 'total', drop_column => true);
SELECT raceguard.add_total('c', 'p', 'sum', amount => 'amount');
INSERT INTO c VALUES (1, 'x', 'y', 0.10), (2, 'x', 'y', 2.005);
INSERT INTO c VALUES (3, 'x', 'y', NULL);
SELECT a, b, sum, path FROM p, path ORDER BY a;
SELECT raceguard.drop_guard('c', 'total', drop_column => true);
\c -
SET client_min_messages = warning;
ALTER TABLE p ADD two numeric(5, 2);
SELECT raceguard.add_total('c', 'p', 'two');
INSERT INTO c VALUES (4, 'x', 'y', NULL);
SELECT a, b, two, path FROM p, path ORDER BY a;
SELECT raceguard.drop_guard('c', 'total', drop_column => true);
DROP TABLE c, p;

-- Indexes on the total find the row, also that of an expression; nothing is HOT then.
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p);
SELECT raceguard.add_total('c', 'p', 'n');
CREATE INDEX ON p (n) WHERE n > 0;
CREATE INDEX ON p ((abs(n)));
INSERT INTO p VALUES (1), (2);
BEGIN;
INSERT INTO c VALUES (1, 2);
SELECT pg_stat_get_xact_tuples_updated('p'::regclass) AS updated, pg_stat_get_xact_tuples_hot_updated('p'::regclass) AS hot, path
    FROM path;
COMMIT;
SET enable_seqscan = off;
SELECT id FROM p WHERE n = 1;
SELECT id FROM p WHERE abs(n) = 1;
SELECT id FROM p WHERE id = 2;
RESET enable_seqscan;
DROP TABLE c, p;

-- A parent that comes in the same transaction and refers to another one that comes later still.
CREATE TABLE g (id int PRIMARY KEY);
CREATE TABLE p (id int PRIMARY KEY, g int REFERENCES g DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p);
SELECT raceguard.add_total('c', 'p', 'n');
BEGIN;
INSERT INTO p VALUES (1, 7);
INSERT INTO c VALUES (1, 1);
COMMIT;
BEGIN;
INSERT INTO p VALUES (1, 7);
INSERT INTO c VALUES (1, 1);
INSERT INTO g VALUES (7);
COMMIT;
INSERT INTO c VALUES (2, 1);
SELECT p.*, path FROM p, path;
DROP TABLE c, p, g;

\c -
SET client_min_messages = warning;
-- Partitions below the parent, and a total that is an amount.
CREATE TABLE g (id int PRIMARY KEY);
CREATE TABLE p (id int PRIMARY KEY, g int REFERENCES g) PARTITION BY HASH (id);
CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p);
SELECT raceguard.add_total('c', 'p', 'n');
INSERT INTO g VALUES (7);
INSERT INTO p VALUES (1, 7);
INSERT INTO c VALUES (1, 1);
SELECT p.*, path FROM p, path;
DROP TABLE c, p;
CREATE TABLE p (id int PRIMARY KEY, g int REFERENCES g);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p);
SELECT raceguard.add_total('c', 'p', 'n');
SELECT raceguard.add_total('p', 'g', 'n', amount => 'n');
INSERT INTO p VALUES (1, 7);
INSERT INTO c VALUES (1, 1), (2, 1);
SELECT p.n, g.n FROM p JOIN g ON g.id = p.g;
DROP TABLE c, p, g;
