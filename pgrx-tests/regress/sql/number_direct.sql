-- A counter is locked and written past the executor where that comes to the same, and by statements everywhere else.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE VIEW path AS SELECT CASE count(*) WHEN 0 THEN 'executor' ELSE 'direct' END AS path
    FROM pg_backend_memory_contexts WHERE name = 'raceguard direct column';

CREATE TABLE p (id int PRIMARY KEY, most int);
CREATE TABLE c (id int PRIMARY KEY, p bigint REFERENCES p);
SELECT raceguard.add_number('c', 'p', counter => 'last');
SELECT raceguard.add_version('p', 'version');
INSERT INTO p (id) VALUES (1), (2);
BEGIN;
INSERT INTO c VALUES (1, 1), (2, 1), (3, 2) RETURNING p, number;
SELECT pg_stat_get_xact_tuples_updated('p'::regclass) AS updated;
SAVEPOINT s;
INSERT INTO c VALUES (4, 1);
ROLLBACK TO s;
INSERT INTO c VALUES (4, 1) RETURNING number;
COMMIT;
DELETE FROM c WHERE id = 4;
INSERT INTO c VALUES (5, 1) RETURNING number;
SELECT id, last, version, path FROM p, path ORDER BY id;

-- What a CHECK refuses is refused as ever.
ALTER TABLE p ADD CHECK (last < 6 OR id = 2);
INSERT INTO c VALUES (7, 1) RETURNING number;
INSERT INTO c VALUES (8, 1) RETURNING number;
SELECT id, last, version, path FROM p, path ORDER BY id;

-- A trigger of the parent's that has something to do about it.
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '% %', OLD.last, NEW.last; RETURN NEW; END $$;
CREATE TRIGGER tell BEFORE UPDATE ON p FOR EACH ROW EXECUTE FUNCTION tell();
INSERT INTO p (id) VALUES (3);
INSERT INTO c VALUES (9, 3), (10, 3) RETURNING number;
SELECT id, last, version, path FROM p, path WHERE id = 3;
DROP TRIGGER tell ON p;

-- A total in the same row.
SELECT raceguard.add_total('c', 'p', 'n', at_most => 'most');
INSERT INTO c VALUES (11, 3) RETURNING number;
SELECT id, last, n, version, path FROM p, path WHERE id = 3;
UPDATE p SET most = 3 WHERE id = 3;
INSERT INTO c VALUES (12, 3);
SELECT id, last, n, path FROM p, path WHERE id = 3;
DROP TABLE c, p;
