-- A remedy runs nothing that the table's owner wrote with the rights of whoever has the guard repaired.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE repair_rights_owner;
CREATE SCHEMA shop AUTHORIZATION repair_rights_owner;
CREATE TABLE shop.ran_as (who name);
ALTER TABLE shop.ran_as OWNER TO repair_rights_owner;
SET ROLE repair_rights_owner;

-- ---- The USING of a remedy calls the owner's cast.
CREATE TABLE shop.orders (id int PRIMARY KEY);
SELECT raceguard.add_version('shop.orders');
INSERT INTO shop.orders VALUES (1);
CREATE TYPE shop.odd AS (n bigint);
CREATE FUNCTION shop.odd_text(shop.odd) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO shop.ran_as VALUES (current_user); RETURN ($1).n::text; END $$;
CREATE CAST (shop.odd AS text) WITH FUNCTION shop.odd_text(shop.odd);
ALTER TABLE shop.orders ALTER version DROP DEFAULT, ALTER version TYPE shop.odd USING row(version)::shop.odd;
RESET ROLE;
SELECT raceguard.repair_guard('shop.orders', 'version');
SELECT DISTINCT who FROM shop.ran_as ORDER BY who;
SELECT version FROM shop.orders;

-- ---- A comment in the arguments of a trigger that the owner made by hand would turn the remedy into two statements.
SET ROLE repair_rights_owner;
CREATE TABLE shop.mails (address text, "sent
; INSERT INTO shop.ran_as VALUES ('injected') --" timestamptz);
CREATE TRIGGER zz_raceguard_cooldown AFTER INSERT OR UPDATE ON shop.mails FOR EACH ROW
    EXECUTE FUNCTION raceguard.cooldown_guard('address) --', 'at=sent
; INSERT INTO shop.ran_as VALUES (''injected'') --', 'period=1 day');
RESET ROLE;
SELECT problem, detail, remedy FROM raceguard.check_guards('shop.mails');
SELECT raceguard.repair_guard('shop.mails', 'cooldown');
SELECT DISTINCT who FROM shop.ran_as ORDER BY who;
-- ---- A key of such a trigger has a constant that only a call can find.
SET ROLE repair_rights_owner;
CREATE FUNCTION shop.one() RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN
        IF current_user <> 'repair_rights_owner' THEN RAISE 'one() runs as %', current_user; END IF;
        RETURN 1;
    END $$;
CREATE TABLE shop.rooms (id int PRIMARY KEY, hall int);
CREATE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON shop.rooms FOR EACH ROW
    EXECUTE FUNCTION raceguard.key_lock_guard('(hall + shop.one())');
RESET ROLE;
SELECT raceguard.repair_guard('shop.rooms', 'key_lock');

-- ---- A CHECK under the name of a cap's, on a tree whose tables belong to two roles.
CREATE ROLE repair_rights_group;
GRANT repair_rights_group TO repair_rights_owner;
GRANT USAGE, CREATE ON SCHEMA shop TO repair_rights_group;
SET ROLE repair_rights_owner;
CREATE TABLE shop.posts (id int, user_id int) PARTITION BY LIST (user_id);
CREATE TABLE shop.posts_1 PARTITION OF shop.posts FOR VALUES IN (1);
SELECT raceguard.add_cap('shop.posts', 'user_id', 5);
INSERT INTO shop.posts VALUES (1, 1);
ALTER TABLE shop.posts_1 OWNER TO repair_rights_group;
CREATE FUNCTION shop.seen(int) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN
        IF current_user <> 'repair_rights_owner' THEN RAISE 'seen() runs as %', current_user; END IF;
        RETURN true;
    END $$;
ALTER TABLE shop.posts DROP CONSTRAINT raceguard_cap_slots;
ALTER TABLE shop.posts ADD CONSTRAINT raceguard_cap_slots
    CHECK ((slot <@ '[0,6)'::int4range) IS TRUE AND shop.seen(slot)) NOT VALID;
RESET ROLE;
SELECT raceguard.repair_guard('shop.posts', 'cap');

-- Two hyphens that are no comment are a key like others.
SET ROLE repair_rights_owner;
CREATE TABLE shop.notes (address text, sent timestamptz);
SELECT raceguard.add_cooldown('shop.notes', 'split_part(address, ''--'', 1)', 'sent', '1 day');
INSERT INTO shop.notes VALUES ('a--b', '2026-03-01');
RESET ROLE;
SELECT problem FROM raceguard.check_guards('shop.notes');
DROP SCHEMA shop CASCADE;
DROP ROLE repair_rights_owner, repair_rights_group;
