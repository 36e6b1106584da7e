-- Who may not use the schema of a function in an amount or a bound may look at the guards all the same.
CREATE EXTENSION raceguard;
CREATE ROLE total_looker;
CREATE SCHEMA closed;
CREATE FUNCTION closed.weight(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE TABLE p (id int PRIMARY KEY, top int);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, n int);
SELECT raceguard.add_total('c', 'p', 'total', amount => 'closed.weight(n)', predicate => 'closed.weight(id) > 0', at_most => 'closed.weight(top)');
SET ROLE total_looker;
SELECT guard, definition, whole FROM raceguard.guards;
SELECT * FROM raceguard.check_guards();
RESET ROLE;
INSERT INTO p VALUES (1, 2);
INSERT INTO c VALUES (1, 1, 2);
\set VERBOSITY sqlstate
INSERT INTO c VALUES (2, 1, 1);
SELECT id, total FROM p;
DROP FUNCTION closed.weight CASCADE;
INSERT INTO c VALUES (2, 1, 1);
SET ROLE total_looker;
SELECT guard, whole FROM raceguard.guards;
RESET ROLE;
SELECT problem FROM raceguard.check_guards();
-- Its schema gone too.
CREATE TABLE k (id int PRIMARY KEY);
CREATE FUNCTION closed.key(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
SELECT raceguard.add_key_lock('k', 'closed.key(id)');
SELECT raceguard.protect_ddl('warn');
DROP SCHEMA closed CASCADE;
SELECT target, problem FROM raceguard.check_guards();
SELECT target, guard, whole FROM raceguard.guards ORDER BY target::text;
INSERT INTO k VALUES (1);
INSERT INTO c VALUES (3, 1, 1);
DROP ROLE total_looker;
