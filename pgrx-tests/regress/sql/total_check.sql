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

-- Two children of one column: the parent's triggers stay while either is left, also one whose owner has lost his rights.
CREATE TABLE d (id int PRIMARY KEY, p int REFERENCES p);
SELECT raceguard.add_total('d', 'p', 'n');
REVOKE UPDATE (n) ON p FROM total_check_a;
SELECT raceguard.drop_guard('d', 'total');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'p'::regclass AND NOT tgisinternal ORDER BY 1;
SELECT problem FROM raceguard.check_guards();
INSERT INTO c VALUES (3, 1, 1);
GRANT UPDATE (n) ON p TO total_check_a;
INSERT INTO c VALUES (3, 1, 1);
SELECT problem FROM raceguard.check_guards(deep => true);
TABLE p;
SELECT raceguard.drop_guard('c', 'total');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'p'::regclass AND NOT tgisinternal ORDER BY 1;
DROP TABLE c, d, p;
DROP ROLE total_check_a;
