-- Totals against roles that may write children, or refer to a parent, and nothing else.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY default
CREATE ROLE total_hostile_owner;
CREATE ROLE total_hostile_attacker;
CREATE SCHEMA shop AUTHORIZATION total_hostile_owner;
CREATE SCHEMA evil AUTHORIZATION total_hostile_attacker;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
GRANT USAGE ON SCHEMA shop TO total_hostile_attacker;
SET ROLE total_hostile_owner;
CREATE TABLE shop.p (id int PRIMARY KEY, cap int, secret text DEFAULT 'secret');
CREATE TABLE shop.c (
    id int PRIMARY KEY,
    p int CONSTRAINT fk REFERENCES shop.p ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE,
    a int,
    t text
);
SELECT raceguard.add_total('shop.c', 'shop.p', 'n', amount => 'a + 0', predicate => 'length(t) > 0',
                           at_most => 'cap + 1', at_least => '0 - cap');
INSERT INTO shop.p VALUES (1, 9), (2, 9);
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON shop.c TO total_hostile_attacker;
GRANT SELECT (id, n), INSERT, UPDATE (id), DELETE, REFERENCES ON shop.p TO total_hostile_attacker;

-- Bounds, amount and predicate mean what they meant to the owner, whatever the writer's path holds.
SET ROLE total_hostile_attacker;
CREATE FUNCTION evil.number(int, int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN 1000; END $$;
CREATE FUNCTION evil.truth(int, int) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN true; END $$;
CREATE FUNCTION evil.truth(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN true; END $$;
CREATE FUNCTION evil.length(text) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN 0; END $$;
CREATE FUNCTION evil.total(numeric, numeric) RETURNS numeric LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN 0; END $$;
CREATE OPERATOR evil.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.number);
CREATE OPERATOR evil.- (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.number);
CREATE OPERATOR evil.+ (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = evil.total);
CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.truth);
CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.truth);
CREATE OPERATOR evil.> (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.truth);
CREATE DOMAIN evil.int4 AS text;
CREATE DOMAIN evil.int8 AS text;
CREATE DOMAIN evil.numeric AS text;
SET search_path = evil, pg_catalog;
INSERT INTO shop.c VALUES (1, 1, 9, 'x'), (2, 1, 1, 'y'), (3, 1, 7, '');
INSERT INTO shop.c VALUES (4, 1, 1, 'x');
UPDATE shop.c SET p = 2 WHERE id OPERATOR(pg_catalog.=) 2;
SELECT id, n FROM shop.p ORDER BY id;
UPDATE shop.p SET id = 3 WHERE id OPERATOR(pg_catalog.=) 2;
SELECT id, n FROM shop.p ORDER BY id;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
DELETE FROM shop.p WHERE id OPERATOR(pg_catalog.=) 3;
INSERT INTO shop.p (id, cap) VALUES (3, 5);
INSERT INTO shop.c VALUES (5, 3, 4, 'z');
COMMIT;
SELECT id, n FROM shop.p ORDER BY id;
TRUNCATE shop.c;
SELECT id, n FROM shop.p ORDER BY id;

-- A bound is shown only to who may read its columns.
INSERT INTO shop.c VALUES (1, 1, 11, 'x');
RESET search_path;
RESET ROLE;
GRANT SELECT (cap) ON shop.p TO total_hostile_attacker;
SET ROLE total_hostile_attacker;
INSERT INTO shop.c VALUES (1, 1, 11, 'x');

-- Who may refer to a parent makes nobody count his rows.
CREATE TABLE evil.c (id int PRIMARY KEY, p int CONSTRAINT fk REFERENCES shop.p ON UPDATE CASCADE);
INSERT INTO evil.c VALUES (1, 1);
CREATE TRIGGER zz_raceguard_t AFTER INSERT OR UPDATE OR DELETE ON evil.c FOR EACH ROW
    EXECUTE FUNCTION raceguard.total_guard('n', 'foreign_key=fk', 'amount=1/(id-1)');
RESET ROLE;
INSERT INTO shop.c VALUES (1, 1, 2, 'x');
SET ROLE total_hostile_owner;
CALL raceguard.recount('shop.c');
SELECT raceguard.add_total('shop.c', 'shop.p', 'n', amount => 'a', replace => true);
SELECT id, n FROM shop.p ORDER BY id;
SELECT problem, detail FROM raceguard.check_guards('shop.c', deep => true);

-- An amount that has become numeric is not rounded.
ALTER TABLE shop.c ALTER a TYPE numeric;
INSERT INTO shop.c VALUES (2, 1, 0.4, 'x');
ALTER TABLE shop.p ALTER n TYPE numeric;
INSERT INTO shop.c VALUES (2, 1, 0.4, 'x');
SELECT id, n FROM shop.p ORDER BY id;

-- Triggers of the parent have the path of the session.
RESET ROLE;
CREATE TABLE changes (id int, n numeric);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO changes VALUES (NEW.id, NEW.n); RETURN NULL; END $$;
GRANT INSERT ON changes TO total_hostile_owner;
CREATE TRIGGER noted AFTER UPDATE ON shop.p FOR EACH ROW EXECUTE FUNCTION noted();
SET session_replication_role = replica;
DELETE FROM shop.c WHERE id = 2;
RESET session_replication_role;
CALL raceguard.recount('shop.c');
SELECT * FROM changes;
DROP TABLE evil.c;
UPDATE shop.p SET id = 7 WHERE id = 1;
SELECT id, n FROM shop.p ORDER BY id;

DROP TABLE changes;
DROP OWNED BY total_hostile_owner, total_hostile_attacker CASCADE;
DROP FUNCTION noted CASCADE;
DROP ROLE total_hostile_owner, total_hostile_attacker;
