-- What add_number refuses of a counter, and what goes wrong later.
CREATE EXTENSION raceguard;

CREATE TABLE alone (id int PRIMARY KEY, k int);
CREATE TABLE orgs (id int, region int, code text UNIQUE, version int NOT NULL DEFAULT 1, as_text text, maybe int, small smallint NOT NULL DEFAULT 0,
    made int GENERATED ALWAYS AS (region * 2) STORED, ident int GENERATED ALWAYS AS IDENTITY, lone int NOT NULL DEFAULT 0 UNIQUE,
    PRIMARY KEY (id, region));
CREATE TABLE users (id int PRIMARY KEY);
CREATE TABLE invoices (id int PRIMARY KEY, org int, region int, code text REFERENCES orgs (code), payer int, payee int,
    CONSTRAINT of_org FOREIGN KEY (org, region) REFERENCES orgs,
    CONSTRAINT of_payer FOREIGN KEY (payer) REFERENCES users, CONSTRAINT of_payee FOREIGN KEY (payee) REFERENCES users);
SELECT raceguard.add_number('alone', 'k', counter => 'last');
SELECT raceguard.add_number('alone', 'k', foreign_key => 'of_org');
SELECT raceguard.add_number('invoices', NULL, counter => 'last');
SELECT raceguard.add_number('invoices', NULL, counter => 'last', foreign_key => 'of_nobody');
SELECT raceguard.add_number('invoices', 'org', counter => 'last');
SELECT raceguard.add_number('invoices', 'org, region, code', counter => 'last');
SELECT raceguard.add_number('invoices', 'org, (region + 1)', counter => 'last');
SELECT raceguard.add_number('invoices', 'code COLLATE "C"', counter => 'last');
SELECT raceguard.add_number('invoices', 'payer', counter => 'last', foreign_key => 'of_payee');
SELECT raceguard.add_number('invoices', 'nothing', counter => 'last');
SELECT raceguard.add_number('invoices', 'org, region', counter => 'as_text');
SELECT raceguard.add_number('invoices', 'org, region', counter => 'maybe');
SELECT raceguard.add_number('invoices', 'org, region', counter => 'made');
SELECT raceguard.add_number('invoices', 'org, region', counter => 'ident');
SELECT raceguard.add_number('invoices', 'org, region', counter => 'lone');
SELECT raceguard.add_number('invoices', 'org, region', counter => 'small');
SELECT raceguard.add_number('invoices', 'org, region', counter => '');
\set VERBOSITY terse
SELECT raceguard.add_number('invoices', 'org, region', counter => repeat('x', 60));
SELECT tgname FROM pg_trigger WHERE tgrelid = 'orgs'::regclass AND NOT tgisinternal;
SELECT raceguard.drop_guard('invoices', 'number', drop_column => true);
SELECT raceguard.add_version('orgs');
SELECT raceguard.add_total('invoices', 'orgs', 'invoice_count', foreign_key => 'of_org');
\set VERBOSITY default
SELECT raceguard.add_number('invoices', 'org, region', counter => 'version');
SELECT raceguard.add_number('invoices', 'org, region', counter => 'invoice_count');
-- plan_number raises the same.
SELECT * FROM raceguard.plan_number('invoices', NULL, counter => 'last');
SELECT * FROM raceguard.plan_number('invoices', 'org', counter => 'last');
-- Columns in another order than the foreign key's will do.
SELECT raceguard.add_number('invoices', 'region, org', counter => 'last');
-- Two guards cannot write one counter.
SELECT raceguard.add_number('invoices', 'org, region', 'other', counter => 'last', guard => 'other');
CREATE TABLE notes (id int PRIMARY KEY, org int, region int, FOREIGN KEY (org, region) REFERENCES orgs);
SELECT raceguard.add_number('notes', NULL, counter => 'last');
SELECT raceguard.add_total('notes', 'orgs', 'last');
SELECT raceguard.add_version('orgs', 'last', replace => true);
-- A table that refers to itself: number and counter stand side by side.
CREATE TABLE replies (id int PRIMARY KEY, parent int REFERENCES replies, n int NOT NULL DEFAULT 0);
SELECT raceguard.add_number('replies', 'parent', 'number', counter => 'number');
\set VERBOSITY terse
SELECT raceguard.add_number('replies', 'parent', 'number', counter => 'replies');
INSERT INTO replies (id, parent) VALUES (1, NULL), (2, 1), (3, 1), (4, 2), (5, 3) RETURNING id, number;
INSERT INTO replies (id, parent) VALUES (6, 6), (7, 6) RETURNING id, number;
DELETE FROM replies WHERE id = 5;
INSERT INTO replies (id, parent) VALUES (8, 3) RETURNING id, number;
UPDATE replies SET parent = 2 WHERE parent = 1 AND id = 3 RETURNING id, number;
SELECT * FROM replies ORDER BY id;

-- Past the last number of a type, of the number or of the counter.
CREATE TABLE tiny (id int PRIMARY KEY, org int NOT NULL REFERENCES users, number smallint);
INSERT INTO users VALUES (1), (2);
SELECT raceguard.add_number('tiny', 'org', counter => 'tiny_last');
INSERT INTO tiny VALUES (1, 1, 32766);
INSERT INTO tiny (id, org) VALUES (2, 1) RETURNING number;
\set VERBOSITY default
INSERT INTO tiny (id, org) VALUES (3, 1);
ALTER TABLE tiny ALTER COLUMN number TYPE bigint;
INSERT INTO tiny (id, org) VALUES (3, 1);
INSERT INTO tiny VALUES (4, 2, 40000);
SELECT severity, problem, remedy FROM raceguard.check_guards('tiny') WHERE severity <> 'info';
SELECT * FROM raceguard.repair_guard('tiny', 'number');
INSERT INTO tiny (id, org) VALUES (3, 1) RETURNING number;
INSERT INTO tiny VALUES (4, 2, 40000) RETURNING number;
SELECT tiny_last FROM users ORDER BY id;
-- A NULL that somebody lets in counts nothing: the highest number that stands does.
ALTER TABLE users ALTER COLUMN tiny_last DROP NOT NULL;
SELECT severity, problem, remedy FROM raceguard.check_guards('tiny') WHERE severity <> 'info';
SET session_replication_role = replica;
UPDATE users SET tiny_last = NULL WHERE id = 2;
RESET session_replication_role;
INSERT INTO tiny (id, org) VALUES (41, 2) RETURNING number;
ALTER TABLE users ALTER COLUMN tiny_last SET NOT NULL;
-- A trigger of the parent that gets in the way of the guard's write.
CREATE FUNCTION in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_ARGV[0] = 'suppress' THEN RETURN NULL; END IF;
    NEW.tiny_last := CASE TG_ARGV[0] WHEN 'undo' THEN OLD.tiny_last ELSE 7 END;
    RETURN NEW;
END $$;
CREATE TRIGGER a BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION in_the_way('suppress');
INSERT INTO tiny (id, org) VALUES (5, 1);
CREATE OR REPLACE TRIGGER a BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION in_the_way('undo');
INSERT INTO tiny (id, org) VALUES (5, 1);
DROP TRIGGER a ON users;
-- The foreign key goes, or another one comes in its place.
ALTER TABLE tiny DROP CONSTRAINT tiny_org_fkey;
INSERT INTO tiny (id, org) VALUES (5, 1);
SELECT severity, problem, remedy FROM raceguard.check_guards('tiny') WHERE severity <> 'info';
ALTER TABLE tiny ADD CONSTRAINT again FOREIGN KEY (org) REFERENCES users;
INSERT INTO tiny (id, org) VALUES (5, 1) RETURNING number;
ALTER TABLE tiny ADD CONSTRAINT once_more FOREIGN KEY (org) REFERENCES users;
INSERT INTO tiny (id, org) VALUES (6, 1);
SELECT severity, problem, remedy FROM raceguard.check_guards('tiny') WHERE severity <> 'info';
ALTER TABLE tiny DROP CONSTRAINT once_more;
-- Triggers written by hand.
CREATE TRIGGER wrong BEFORE INSERT ON tiny FOR EACH ROW EXECUTE FUNCTION raceguard.number_counter();
INSERT INTO tiny (id, org) VALUES (6, 1);
DROP TRIGGER wrong ON tiny;
CREATE TRIGGER zz_raceguard_lost_counter AFTER INSERT OR UPDATE OR DELETE ON tiny FOR EACH ROW EXECUTE FUNCTION raceguard.number_counter();
BEGIN;
INSERT INTO tiny (id, org) VALUES (6, 1);
ROLLBACK;
SELECT severity, problem, guard, remedy FROM raceguard.check_guards('tiny') WHERE severity <> 'info';
SELECT raceguard.drop_guard('tiny', 'lost');
CREATE TRIGGER wrong AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION raceguard.number_keeper('id');
UPDATE users SET id = id;
DROP TRIGGER wrong ON users;
CREATE TRIGGER zz_raceguard_wrong BEFORE INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION raceguard.number_keeper('nothing');
UPDATE users SET id = id;
CREATE OR REPLACE TRIGGER zz_raceguard_wrong BEFORE INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION raceguard.number_keeper('id', 'start=x');
UPDATE users SET id = id;
SELECT severity, problem, guard, remedy FROM raceguard.check_guards('users') WHERE severity <> 'info';
DROP TRIGGER zz_raceguard_wrong ON users;
CREATE TRIGGER zz_raceguard_other BEFORE INSERT OR UPDATE ON tiny FOR EACH ROW EXECUTE FUNCTION raceguard.number_guard('number', 'counter=tiny_last');
INSERT INTO tiny (id, org) VALUES (6, 1);
DROP TRIGGER zz_raceguard_other ON tiny;

-- Names that need quoting, in a schema that does.
CREATE SCHEMA "My Schema";
CREATE TABLE "My Schema"."Pro=ject's" ("The Id" int PRIMARY KEY, "user" text);
CREATE TABLE "My Schema"."Tick""et" (id int PRIMARY KEY, "Pro ject" int CONSTRAINT "of=it's" REFERENCES "My Schema"."Pro=ject's");
INSERT INTO "My Schema"."Pro=ject's" VALUES (1);
INSERT INTO "My Schema"."Tick""et" VALUES (1, 1);
\set VERBOSITY terse
SELECT raceguard.add_number('"My Schema"."Tick""et"', '"Pro ject"', 'The "N"', counter => 'la=st''s "x"', guard => 'my "guard"');
INSERT INTO "My Schema"."Tick""et" VALUES (2, 1) RETURNING "The ""N""";
SELECT * FROM "My Schema"."Pro=ject's";
SELECT definition FROM raceguard.guards WHERE target::text LIKE '%Tick%';
DROP TRIGGER "zz_raceguard_keep_la=st's ""x""" ON "My Schema"."Pro=ject's";
SELECT * FROM raceguard.repair_guard('"My Schema"."Tick""et"', 'my "guard"');
SELECT raceguard.drop_guard('"My Schema"."Tick""et"', 'my "guard"', drop_column => true);

-- Rights: both tables have to be the caller's; rows are written with the rights of the parent's owner.
CREATE ROLE raceguard_counter_child;
CREATE ROLE raceguard_counter_parent;
CREATE ROLE raceguard_counter_writer;
CREATE SCHEMA shared;
GRANT USAGE, CREATE ON SCHEMA shared TO raceguard_counter_child, raceguard_counter_parent, raceguard_counter_writer;
SET ROLE raceguard_counter_parent;
CREATE TABLE shared.parents (id int PRIMARY KEY, secret text);
GRANT REFERENCES, SELECT ON shared.parents TO raceguard_counter_child;
INSERT INTO shared.parents VALUES (1), (2);
RESET ROLE;
SET ROLE raceguard_counter_child;
CREATE TABLE shared.children (id int PRIMARY KEY, parent int REFERENCES shared.parents);
GRANT INSERT, DELETE ON shared.children TO raceguard_counter_writer;
RESET ROLE;
\set VERBOSITY default
SET ROLE raceguard_counter_child;
SELECT raceguard.add_number('shared.children', 'parent', counter => 'last');
RESET ROLE;
\set VERBOSITY terse
SELECT raceguard.add_number('shared.children', 'parent', counter => 'last');
GRANT SELECT (number, id) ON shared.children TO raceguard_counter_writer;
\set VERBOSITY default
SET ROLE raceguard_counter_writer;
INSERT INTO shared.children VALUES (1, 1) RETURNING number;
RESET ROLE;
SELECT severity, problem, detail FROM raceguard.check_guards('shared.children') WHERE severity <> 'info';
GRANT UPDATE (last) ON shared.parents TO raceguard_counter_child;
SET ROLE raceguard_counter_writer;
INSERT INTO shared.children VALUES (1, 1), (2, 2), (3, 1) RETURNING number;
DELETE FROM shared.children WHERE id = 3;
INSERT INTO shared.children VALUES (4, 1) RETURNING number;
SELECT * FROM shared.parents;
UPDATE shared.parents SET last = 0;
RESET ROLE;
-- Row security of the parent does not bind its own owner's write; it would bind the child's owner, who then may not.
ALTER TABLE shared.parents ENABLE ROW LEVEL SECURITY;
SET ROLE raceguard_counter_writer;
INSERT INTO shared.children VALUES (5, 1);
RESET ROLE;
ALTER TABLE shared.children OWNER TO raceguard_counter_parent;
ALTER TABLE shared.parents FORCE ROW LEVEL SECURITY;
SET ROLE raceguard_counter_writer;
INSERT INTO shared.children VALUES (5, 1) RETURNING number;
RESET ROLE;
SELECT id, last FROM shared.parents ORDER BY id;
-- Only who owns both takes the guard off.
GRANT raceguard_counter_parent TO raceguard_counter_child;
ALTER TABLE shared.parents OWNER TO CURRENT_USER;
SET ROLE raceguard_counter_parent;
SELECT raceguard.drop_guard('shared.children', 'number');
RESET ROLE;
SELECT raceguard.drop_guard('shared.children', 'number');
DROP SCHEMA shared CASCADE;
DROP ROLE raceguard_counter_child, raceguard_counter_parent, raceguard_counter_writer;

-- The parent goes: with it the trigger that remembers it.
\set VERBOSITY terse
\set SHOW_CONTEXT never
DROP TABLE users CASCADE;
SELECT severity, problem, remedy FROM raceguard.check_guards('tiny') WHERE severity <> 'info';
SELECT raceguard.add_number('tiny', 'org', replace => true);
INSERT INTO tiny (id, org) VALUES (10, 1) RETURNING number;
SELECT raceguard.drop_guard('tiny', 'number');
DROP SCHEMA "My Schema" CASCADE;
DROP FUNCTION in_the_way;
