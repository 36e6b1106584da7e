-- A session keeps what it has looked up of a parent. What changes about it counts from the next write on.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE total_known_parent;
CREATE ROLE total_known_child;
GRANT CREATE ON SCHEMA public TO total_known_parent, total_known_child;
SET ROLE total_known_parent;
CREATE TABLE p (id int PRIMARY KEY, most int);
GRANT REFERENCES, SELECT ON p TO total_known_child;
RESET ROLE;
SET ROLE total_known_child;
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON UPDATE CASCADE);
RESET ROLE;

-- The child's owner has the rights of the parent's owner, then UPDATE on the column, then nothing.
GRANT total_known_parent TO total_known_child;
SELECT raceguard.add_total('c', 'p', 'n', at_most => 'most');
INSERT INTO p VALUES (1, 3), (2, 3);
INSERT INTO c VALUES (1, 1);
INSERT INTO c VALUES (2, 1);
REVOKE total_known_parent FROM total_known_child;
INSERT INTO c VALUES (3, 1);
GRANT UPDATE (n) ON p TO total_known_child;
INSERT INTO c VALUES (3, 1);
REVOKE UPDATE (n) ON p FROM total_known_child;
DELETE FROM c WHERE id = 3;
GRANT total_known_parent TO total_known_child;
DELETE FROM c WHERE id = 3;
SELECT * FROM p ORDER BY id;

-- Other bounds, and back with the savepoint.
BEGIN;
SAVEPOINT before;
SELECT raceguard.add_total('c', 'p', 'n', at_most => '2', replace => true);
INSERT INTO c VALUES (4, 1);
ROLLBACK TO before;
INSERT INTO c VALUES (4, 1);
SELECT n FROM p WHERE id = 1;
ROLLBACK;

-- Columns under other names and of other types, the table in another schema.
ALTER TABLE p RENAME id TO key;
INSERT INTO c VALUES (4, 1);
ALTER TABLE p DROP CONSTRAINT raceguard_total_n, ALTER most TYPE numeric, ALTER n TYPE numeric;
SELECT raceguard.add_total('c', 'p', 'n', at_most => 'most', replace => true);
UPDATE p SET most = 2.5 WHERE key = 2;
INSERT INTO c VALUES (5, 2), (6, 2);
INSERT INTO c VALUES (7, 2);
CREATE SCHEMA elsewhere;
GRANT USAGE ON SCHEMA elsewhere TO total_known_parent, total_known_child;
ALTER TABLE p SET SCHEMA elsewhere;
DELETE FROM c WHERE id = 6;
ALTER SCHEMA elsewhere RENAME TO anywhere;
INSERT INTO c VALUES (6, 2);
SELECT * FROM anywhere.p ORDER BY key;

-- Another foreign key under the same name, and another table of the same name.
ALTER TABLE c DROP CONSTRAINT c_p_fkey;
INSERT INTO c VALUES (8, 1);
ALTER TABLE c ADD CONSTRAINT c_p_fkey FOREIGN KEY (p) REFERENCES anywhere.p;
DELETE FROM c WHERE id = 6;
SELECT * FROM anywhere.p ORDER BY key;
SELECT raceguard.drop_guard('c', 'total', drop_column => true);
DROP TABLE c, anywhere.p;
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p);
SELECT raceguard.add_total('c', 'p', 'n', at_most => '1');
INSERT INTO p VALUES (1);
INSERT INTO c VALUES (1, 1);
INSERT INTO c VALUES (2, 1);
SELECT * FROM p ORDER BY id;

DROP SCHEMA anywhere;
DROP TABLE c, p;
REVOKE CREATE ON SCHEMA public FROM total_known_parent, total_known_child;
DROP ROLE total_known_parent, total_known_child;
