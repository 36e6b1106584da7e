-- The schema may be there before the extension. What somebody else put there could run in place of
-- raceguard's own, with the rights of whoever calls: it has to be empty, and nobody else's.
\set SHOW_CONTEXT never
CREATE ROLE schema_before_stranger;
SELECT current_database() AS db \gset
GRANT CREATE ON DATABASE :"db" TO schema_before_stranger;

-- A function that fits the documented call better than raceguard's own.
SET ROLE schema_before_stranger;
CREATE SCHEMA raceguard;
CREATE FUNCTION raceguard.lock_key(regclass, int) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING 'running as %', current_user; END $$;
GRANT USAGE ON SCHEMA raceguard TO PUBLIC;
RESET ROLE;
CREATE EXTENSION raceguard;
SELECT count(*) FROM pg_extension WHERE extname = 'raceguard';
-- Empty, it is still the stranger's, who can add the function later.
DROP FUNCTION raceguard.lock_key(regclass, int);
CREATE EXTENSION raceguard;
-- Owned by whoever creates the extension, what the stranger has put there stays there.
ALTER SCHEMA raceguard OWNER TO CURRENT_USER;
GRANT CREATE ON SCHEMA raceguard TO schema_before_stranger;
SET ROLE schema_before_stranger;
CREATE FUNCTION raceguard.spy(oid, regnamespace) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR raceguard.= (LEFTARG = oid, RIGHTARG = regnamespace, FUNCTION = raceguard.spy);
RESET ROLE;
CREATE EXTENSION raceguard;
REVOKE CREATE ON SCHEMA raceguard FROM schema_before_stranger;
CREATE EXTENSION raceguard;
DROP OPERATOR raceguard.= (oid, regnamespace);
DROP FUNCTION raceguard.spy;
-- Anything counts.
CREATE TYPE raceguard.mood AS ENUM ('sad');
CREATE EXTENSION raceguard;
DROP TYPE raceguard.mood;
CREATE SEQUENCE raceguard.numbers;
CREATE TABLE raceguard.rows (a int, b int, c int);
CREATE VIEW raceguard.guards AS SELECT 1 AS one;
CREATE COLLATION raceguard.plain FROM "C";
CREATE TEXT SEARCH CONFIGURATION raceguard.words (PARSER = 'default');
CREATE STATISTICS raceguard.stats ON a, b FROM raceguard.rows;
CREATE EXTENSION raceguard;
DROP SCHEMA raceguard CASCADE;
CREATE SCHEMA raceguard;
GRANT CREATE ON SCHEMA raceguard TO PUBLIC;
CREATE EXTENSION raceguard;
REVOKE CREATE ON SCHEMA raceguard FROM PUBLIC;

-- A function that would answer the look itself is in the way of it.
CREATE FUNCTION raceguard.check_schema() RETURNS void LANGUAGE sql AS '';
CREATE EXTENSION raceguard;
DROP FUNCTION raceguard.check_schema();
CREATE FUNCTION raceguard.check_schema(a int DEFAULT 1) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE WARNING 'running as %', current_user; END $$;
-- Each major has words of its own for it.
\set VERBOSITY sqlstate
CREATE EXTENSION raceguard;
\set VERBOSITY default
DROP FUNCTION raceguard.check_schema(int);

-- Empty and one's own, as a restore makes it before the extension: fine, with rights that are no danger.
GRANT USAGE ON SCHEMA raceguard TO schema_before_stranger;
ALTER DEFAULT PRIVILEGES IN SCHEMA raceguard GRANT SELECT ON TABLES TO schema_before_stranger;
CREATE EXTENSION raceguard;
CREATE TABLE t (id int);
SELECT raceguard.add_version('t');
SELECT target, guard FROM raceguard.guards;
SELECT count(*) FROM pg_proc WHERE proname = 'check_schema';
DROP TABLE t;
DROP EXTENSION raceguard;
DROP SCHEMA raceguard;

-- A trusted extension: the owner of the database may create it, in a schema of his own; and a superuser
-- who restores that database finds the schema in the owner's name.
SELECT current_user AS me \gset
ALTER DATABASE :"db" OWNER TO schema_before_stranger;
SET ROLE schema_before_stranger;
CREATE EXTENSION raceguard;
SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'raceguard';
DROP EXTENSION raceguard;
RESET ROLE;
CREATE EXTENSION raceguard;
DROP EXTENSION raceguard;
ALTER DATABASE :"db" OWNER TO :"me";
DROP SCHEMA raceguard;
DROP OWNED BY schema_before_stranger;
DROP ROLE schema_before_stranger;
