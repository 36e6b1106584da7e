-- Cooldowns and who may see what: the guard sees every row, and shows none that Postgres hides.
CREATE EXTENSION raceguard;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\set SHOW_CONTEXT never
CREATE TABLE posts (id int PRIMARY KEY, "userId" int, "createdAt" timestamp, secret text);
SELECT raceguard.add_cooldown('posts', '"userId"', 'createdAt', '7 days');
INSERT INTO posts VALUES (1, 42, '2026-03-01');
CREATE ROLE cooldown_writer;

-- Without SELECT: refused all the same, and the key is not told.
GRANT INSERT ON posts TO cooldown_writer;
SET ROLE cooldown_writer;
INSERT INTO posts VALUES (2, 42, '2026-03-02');
INSERT INTO posts VALUES (2, 42, '2026-03-08');
SELECT raceguard.next_allowed('posts', '42') BETWEEN now() AND clock_timestamp() AS at_once;
RESET ROLE;
-- SELECT on other columns is not enough, on the key's column it is.
GRANT SELECT ("createdAt", id) ON posts TO cooldown_writer;
SET ROLE cooldown_writer;
INSERT INTO posts VALUES (3, 42, '2026-03-02');
RESET ROLE;
GRANT SELECT ("userId") ON posts TO cooldown_writer;
SET ROLE cooldown_writer;
INSERT INTO posts VALUES (3, 42, '2026-03-02');
RESET ROLE;

-- Row security: the writer sees no row, the guard sees all, and shows no key.
GRANT SELECT ON posts TO cooldown_writer;
ALTER TABLE posts ENABLE ROW LEVEL SECURITY;
CREATE POLICY write_only ON posts FOR INSERT TO cooldown_writer WITH CHECK (true);
SET ROLE cooldown_writer;
SELECT count(*) FROM posts;
INSERT INTO posts VALUES (3, 42, '2026-03-02');
INSERT INTO posts VALUES (3, 43, '2026-03-02');
-- The next instant tells of rows that the writer may not see: trying may tell it, asking does not.
SELECT raceguard.next_allowed('posts', '42');
RESET ROLE;
-- Nor with a right to other writes: it takes an INSERT to learn it by trying.
ALTER TABLE posts DISABLE ROW LEVEL SECURITY;
REVOKE INSERT ON posts FROM cooldown_writer;
GRANT UPDATE, DELETE ON posts TO cooldown_writer;
SET ROLE cooldown_writer;
SELECT raceguard.next_allowed('posts', '42');
RESET ROLE;
GRANT INSERT ON posts TO cooldown_writer;
REVOKE UPDATE, DELETE ON posts FROM cooldown_writer;
ALTER TABLE posts DISABLE ROW LEVEL SECURITY;
-- An owner whom row security binds cannot check the rows that stand.
ALTER TABLE posts OWNER TO cooldown_writer;
ALTER TABLE posts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
GRANT CREATE ON SCHEMA public TO cooldown_writer;
SET ROLE cooldown_writer;
SELECT raceguard.add_cooldown('posts', '"userId"', 'createdAt', '1 day', guard => 'second');
RESET ROLE;
ALTER TABLE posts OWNER TO CURRENT_USER;
ALTER TABLE posts DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;

-- search_path of the writer does not matter: the key's functions and operators are those of the
-- owner's call, the guard's own are Postgres's.
CREATE SCHEMA tricks;
CREATE FUNCTION tricks.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT md5(random()::text) $$;
CREATE FUNCTION initials(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT left($1, 1) $$;
ALTER TABLE posts ADD name text;
SELECT raceguard.add_cooldown('posts', 'lower(name), initials(name)', 'createdAt', '7 days', guard => 'named');
SET search_path = tricks, pg_catalog;
INSERT INTO public.posts VALUES (10, 50, '2026-03-01', NULL, 'Ann');
INSERT INTO public.posts VALUES (11, 51, '2026-03-02', NULL, 'ann');
INSERT INTO public.posts VALUES (12, 52, '2026-03-02', NULL, 'ANN');
RESET search_path;
SELECT raceguard.drop_guard('posts', 'named');

-- An error while the index is read (here in the predicate, of a row that stands) leaves nothing
-- behind: no warning of a leak when the transaction commits.
CREATE FUNCTION picky(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN 1 / $1 > 0; END $$;
CREATE TABLE predicates (k int, at timestamp, divisor int);
CREATE INDEX ON predicates (k, at);
INSERT INTO predicates VALUES (1, '2026-01-01', 0);
CREATE TRIGGER zz_raceguard_cooldown AFTER INSERT OR UPDATE ON predicates FOR EACH ROW
    EXECUTE FUNCTION raceguard.cooldown_guard('k', 'at=at', 'period=1 day', 'predicate=public.picky(divisor)');
BEGIN;
DO $$
BEGIN
    FOR i IN 1..100 LOOP
        BEGIN
            INSERT INTO predicates VALUES (1, '2026-01-02', 1);
        EXCEPTION WHEN division_by_zero THEN
            NULL;
        END;
    END LOOP;
END $$;
SAVEPOINT s;
INSERT INTO predicates VALUES (1, '2026-01-01 12:00', 1);
ROLLBACK TO s;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory';
SELECT raceguard.next_allowed('predicates', '2') > clock_timestamp() AS running;
COMMIT;
SELECT count(*) FROM predicates;

-- A dump and its restore keep the guard: COPY comes before the triggers, or passes through them.
CREATE TABLE cooled (k int, at timestamp, highlighted boolean DEFAULT true);
SELECT raceguard.add_cooldown('cooled', 'k', 'at', '7 days', max_rows => 2, predicate => 'highlighted');
INSERT INTO cooled VALUES (1, '2026-01-01'), (1, '2026-01-02');
DROP TABLE predicates;
\setenv DB :DBNAME
\! psql -X -q -c "CREATE DATABASE cooldown_copy TEMPLATE template0" && pg_dump -d "$DB" | psql -X -q -v ON_ERROR_STOP=1 -d cooldown_copy >/dev/null
\! psql -X -q -d cooldown_copy -c "SET DateStyle = 'ISO'" -c "INSERT INTO cooled VALUES (1, '2026-01-03')" -c "INSERT INTO cooled VALUES (1, '2026-01-08')" -c "SELECT target, guard, definition FROM raceguard.guards ORDER BY 1" -c "SELECT * FROM cooled ORDER BY at" 2>&1
\! psql -X -q -c "DROP DATABASE cooldown_copy"

DROP TABLE cooled, posts;
DROP EXTENSION raceguard;
DROP OWNED BY cooldown_writer;
DROP ROLE cooldown_writer;
