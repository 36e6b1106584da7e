-- What check_guards tells of a total whose amount was retyped, and whose child's owner may not write it.
CREATE EXTENSION raceguard;
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE ROLE total_check_a;
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, a int);
SELECT raceguard.add_total('c', 'p', 'n', amount => 'a');
INSERT INTO p VALUES (1);
INSERT INTO c VALUES (1, 1, 2);
SELECT problem FROM raceguard.check_guards('c', deep => true);

-- An amount that the column would round; one that is no number.
ALTER TABLE c ALTER a TYPE numeric;
SELECT problem, detail FROM raceguard.check_guards('c', deep => true);
ALTER TABLE p ALTER n TYPE numeric(9, 2);
SELECT problem FROM raceguard.check_guards('c');
ALTER TABLE p ALTER n TYPE numeric;
SELECT problem FROM raceguard.check_guards('c');
ALTER TABLE c ALTER a TYPE text;
SELECT problem, detail FROM raceguard.check_guards('c');
ALTER TABLE c ALTER a TYPE int USING a::int;
SELECT problem FROM raceguard.check_guards('c', deep => true);

-- An owner without rights on the parent, with them, and under row security.
ALTER TABLE c OWNER TO total_check_a;
SELECT problem, detail FROM raceguard.check_guards('c');
INSERT INTO c VALUES (2, 1, 5);
GRANT SELECT, UPDATE (n) ON p TO total_check_a;
SELECT problem FROM raceguard.check_guards('c');
ALTER TABLE p ENABLE ROW LEVEL SECURITY;
SELECT problem FROM raceguard.check_guards('c');
ALTER TABLE p DISABLE ROW LEVEL SECURITY;
INSERT INTO c VALUES (2, 1, 5);
SELECT problem FROM raceguard.check_guards('c', deep => true);
TABLE p;
DROP TABLE c, p;
DROP ROLE total_check_a;
