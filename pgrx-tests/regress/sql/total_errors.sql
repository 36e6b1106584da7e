-- Totals: bad input, rights, what is beside them, and what the other calls say of them.
CREATE EXTENSION raceguard;
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE ROLE total_errors_owner;
CREATE ROLE total_errors_writer;
GRANT CREATE ON SCHEMA public TO total_errors_owner;
CREATE TABLE p (id int PRIMARY KEY, top int, label text, t timestamptz);
CREATE TABLE c (id int PRIMARY KEY, a int CONSTRAINT via_a REFERENCES p, b int CONSTRAINT via_b REFERENCES p, n int, q numeric, w text, s timestamptz);
CREATE TABLE nokey (id int UNIQUE);
CREATE TABLE ofnokey (id int REFERENCES nokey (id));

SELECT raceguard.add_total(NULL, 'p', 'n');
SELECT raceguard.add_total('c', 'p', NULL);
SELECT raceguard.add_total('c', 'p', 'n');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'nope');
SELECT raceguard.add_total('p', 'c', 'n');
SELECT raceguard.add_total('ofnokey', 'nokey', 'n');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', settle => 'later');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', amount => 'w');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', amount => 'nope');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', amount => 'n, id');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', amount => 'random()::numeric');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', amount => '(SELECT 1)');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', predicate => 'n');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', predicate => 's > now()');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', at_most => '(SELECT max(top) FROM p)');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', at_most => 'label');
SELECT raceguard.add_total('c', 'p', 'label', foreign_key => 'via_a');
SELECT raceguard.add_total('c', 'p', 'id', foreign_key => 'via_a');
SELECT raceguard.add_total('c', 'p', 'top', foreign_key => 'via_a', amount => 'q');
SELECT raceguard.add_total('c', 'p', repeat('x', 60)::name, foreign_key => 'via_a');
INSERT INTO p VALUES (1, 1), (2, 0), (3, NULL);
INSERT INTO c (id, a) VALUES (1, 1), (2, 1), (3, 2), (4, 3);
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', at_most => 'top');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_b', at_least => '1');
\d p

-- The same again is a NOTICE; another definition is refused, and replaced if asked.
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', at_most => '10');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', at_most => '10');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', at_most => '5');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', amount => 'n', at_most => '10');
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_b', at_most => '7', replace => true);
SELECT definition FROM raceguard.guards WHERE kind = 'total';
SELECT id, n FROM p ORDER BY id;
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', at_most => '10', replace => true);
SELECT raceguard.add_total('c', 'p', 'sum_n', amount => 'n', foreign_key => 'via_b', guard => 'second');
SELECT guard, definition FROM raceguard.guards ORDER BY 1;
SELECT raceguard.drop_guard('c', 'second', true);

-- One mode, no bypass; recorded and required.
SELECT raceguard.set_mode('c', 'total', 'observe');
SELECT raceguard.bypass('c', 'total', 'why not');
SELECT raceguard.require_guard('c', 'total', '{"at_most": "10", "total_column": "n", "settle": "statement"}');
SELECT raceguard.require_guard('c', 'total', '{"at_most": "11"}');
SELECT raceguard.require_guards(raceguard.manifest());
CALL raceguard.uninstall();

-- What is off or gone is found, refused, and mended.
ALTER TABLE c DISABLE TRIGGER zz_raceguard_total_end;
INSERT INTO c (id, a) VALUES (10, 1);
SELECT problem, remedy FROM raceguard.check_guards();
SELECT * FROM raceguard.repair_guard('c', 'total');
DROP TRIGGER zz_raceguard_total_settle ON c;
INSERT INTO c (id, a) VALUES (10, 1);
SELECT * FROM raceguard.repair_guard('c', 'total');
DROP TRIGGER zz_raceguard_keep_n ON p;
INSERT INTO c (id, a) VALUES (10, 1);
SELECT problem, detail FROM raceguard.check_guards();
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', at_most => '10', replace => true);
ALTER TABLE p DROP CONSTRAINT raceguard_total_n;
SELECT problem, remedy FROM raceguard.check_guards();
SELECT * FROM raceguard.repair_guard('c', 'total');
ALTER TABLE p DROP CONSTRAINT raceguard_total_n;
ALTER TABLE p ADD CONSTRAINT raceguard_total_n CHECK (n <= 99);
SELECT problem FROM raceguard.check_guards();
SELECT * FROM raceguard.repair_guard('c', 'total');
DROP TRIGGER zz_raceguard_total ON c;
SELECT problem, guard FROM raceguard.check_guards();
SELECT raceguard.add_total('c', 'p', 'n', foreign_key => 'via_a', at_most => '10', replace => true);
SELECT * FROM raceguard.check_guards(deep => true);

-- Renames with protect_ddl: of the foreign key, of the column; what DDL breaks is told.
SELECT raceguard.protect_ddl('warn');
ALTER TABLE c RENAME CONSTRAINT via_a TO through_a;
INSERT INTO c (id, a) VALUES (11, 1);
ALTER TABLE p RENAME n TO count_of_c;
INSERT INTO c (id, a) VALUES (12, 1);
SELECT id, count_of_c FROM p ORDER BY id;
\d p
SELECT definition FROM raceguard.guards;
ALTER TABLE p DROP CONSTRAINT raceguard_total_n;
SELECT raceguard.protect_ddl('off');
SELECT * FROM raceguard.repair_guard('c', 'total');
SELECT * FROM raceguard.check_guards(deep => true);
SELECT raceguard.drop_guard('c', 'total');
\d p

-- An amount whose column is gone; a total that is known by nothing but the parent's triggers.
SELECT raceguard.add_total('c', 'p', 'sum_n', amount => 'n', foreign_key => 'through_a');
ALTER TABLE c DROP COLUMN n;
SELECT problem FROM raceguard.check_guards();
INSERT INTO c (id, a) VALUES (30, 1);
ALTER TABLE c ADD COLUMN n int;
INSERT INTO c (id, a, n) VALUES (30, 1, 4);
SELECT id, sum_n FROM p ORDER BY id;
CALL raceguard.uninstall(dry_run => false, drop_columns => true);
\d p

-- Rights: the writer needs none on the parent; DETAIL names only what he may see.
SET ROLE total_errors_owner;
CREATE TABLE mine (id int PRIMARY KEY, top int);
CREATE TABLE child (id int PRIMARY KEY, mine int REFERENCES mine);
INSERT INTO mine VALUES (1, 1);
SELECT raceguard.add_total('child', 'mine', 'n', at_most => 'top');
GRANT INSERT, DELETE, SELECT ON child TO total_errors_writer;
SET ROLE total_errors_writer;
INSERT INTO child VALUES (1, 1);
INSERT INTO child VALUES (2, 1);
SELECT raceguard.add_total('child', 'mine', 'm');
SET ROLE total_errors_owner;
GRANT SELECT ON mine TO total_errors_writer;
SET ROLE total_errors_writer;
INSERT INTO child VALUES (2, 1);
SET ROLE total_errors_owner;
ALTER TABLE mine ENABLE ROW LEVEL SECURITY;
SET ROLE total_errors_writer;
INSERT INTO child VALUES (2, 1);
RESET ROLE;
-- Nobody can have another's column counted.
CREATE TABLE victim (id int PRIMARY KEY, n bigint NOT NULL DEFAULT 0);
INSERT INTO victim VALUES (1);
GRANT REFERENCES, SELECT, TRIGGER ON victim TO total_errors_owner;
SET ROLE total_errors_owner;
CREATE TABLE attacker (id int PRIMARY KEY, victim int CONSTRAINT fk REFERENCES victim);
SELECT raceguard.add_total('attacker', 'victim', 'n');
CREATE TRIGGER zz_raceguard_t AFTER INSERT OR UPDATE OR DELETE ON attacker FOR EACH ROW EXECUTE FUNCTION raceguard.total_guard('n', 'foreign_key=fk');
CREATE TRIGGER zz_raceguard_t_begin BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON attacker FOR EACH STATEMENT EXECUTE FUNCTION raceguard.total_statement();
CREATE TRIGGER zz_raceguard_t_end AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON attacker FOR EACH STATEMENT EXECUTE FUNCTION raceguard.total_statement();
INSERT INTO attacker VALUES (1, 1);
CREATE CONSTRAINT TRIGGER zz_raceguard_t_settle AFTER INSERT OR UPDATE OR DELETE ON attacker FROM victim DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (raceguard.total_due(false)) EXECUTE FUNCTION raceguard.total_settle();
INSERT INTO attacker VALUES (1, 1);
RESET ROLE;
CREATE TABLE lawful (id int PRIMARY KEY, victim int REFERENCES victim);
SELECT raceguard.add_total('lawful', 'victim', 'n');
SET ROLE total_errors_owner;
INSERT INTO attacker VALUES (1, 1);
RESET ROLE;
SELECT * FROM victim;
-- Renamed without it, and two that may be meant.
ALTER TABLE lawful RENAME CONSTRAINT lawful_victim_fkey TO other_name;
INSERT INTO lawful VALUES (1, 1);
ALTER TABLE lawful ADD also int CONSTRAINT also REFERENCES victim;
INSERT INTO lawful VALUES (2, 1);
SELECT problem, detail FROM raceguard.check_guards('lawful', deep => true);
DROP TABLE attacker, lawful, victim, child, mine;

-- Triggers attached otherwise.
SELECT raceguard.total_guard();
CREATE TRIGGER x BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION raceguard.total_guard('n', 'foreign_key=through_a');
INSERT INTO c (id, a) VALUES (20, 1);
DROP TRIGGER x ON c;
CREATE TRIGGER x AFTER INSERT ON c FOR EACH ROW EXECUTE FUNCTION raceguard.total_statement();
INSERT INTO c (id, a) VALUES (20, 1);
DROP TRIGGER x ON c;
CREATE TRIGGER x AFTER INSERT OR UPDATE OR DELETE ON c FOR EACH ROW EXECUTE FUNCTION raceguard.total_guard('n', 'nonsense');
INSERT INTO c (id, a) VALUES (20, 1);
DROP TRIGGER x ON c;
CREATE TRIGGER x AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION raceguard.total_column('n');
INSERT INTO p VALUES (20);
DROP TRIGGER x ON p;
DROP OWNED BY total_errors_owner, total_errors_writer;
DROP ROLE total_errors_owner, total_errors_writer;
