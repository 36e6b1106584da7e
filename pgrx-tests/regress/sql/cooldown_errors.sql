-- Everything that add_cooldown, the guard and next_allowed refuse, and that nothing is changed.
CREATE EXTENSION raceguard;
-- The SQLSTATE, message, DETAIL and HINT of a statement that is refused.
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; message text; detail text; hint text; tab text; col text;
BEGIN
    EXECUTE statement;
    RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, tab = TABLE_NAME, col = COLUMN_NAME;
    RETURN concat_ws(E'\n', code || ' ' || message, nullif(detail, ''), nullif(hint, ''),
        nullif('table ' || tab || coalesce(', column ' || nullif(col, ''), ''), 'table '));
END $$;
GRANT EXECUTE ON FUNCTION refused TO PUBLIC;
\pset format unaligned
\pset tuples_only on
\pset fieldsep ' '
SET DateStyle = 'ISO';
CREATE TABLE posts (
    id int PRIMARY KEY, "userId" int, at timestamp, zoned timestamptz, day date, title text, highlighted boolean,
    clock time, spot point, made timestamp GENERATED ALWAYS AS (at + interval '1 day') STORED);

-- NULL arguments
SELECT refused($$ SELECT raceguard.add_cooldown(NULL, 'id', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', NULL, 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', NULL, '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', NULL) $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', max_rows => NULL) $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', guard => NULL) $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', replace => NULL) $$);

-- periods and row counts
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '0') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '-7 days') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 month -1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', 'tomorrow') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', max_rows => 0) $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', max_rows => -1) $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', max_rows => 1000001) $$);

-- columns, keys and predicates
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'no_such', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', '"at"', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'id', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'title', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'clock', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'made', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'ctid', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', '', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'no_such', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'spot', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'date_trunc(''week'', zoned)', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id) WHERE (true', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', predicate => 'no_such') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', predicate => 'id') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', predicate => '') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', predicate => 'at > localtimestamp') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', predicate => 'true); DROP TABLE posts; SELECT (true') $$);

-- names of guards
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', guard => '') $$);
SELECT refused(format('SELECT raceguard.add_cooldown(''posts'', ''id'', ''at'', ''1 day'', guard => %L)', repeat('g', 51)));

-- what can't carry a guard
CREATE VIEW v AS SELECT * FROM posts;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (id int, at timestamp) SERVER nowhere;
SELECT refused($$ SELECT raceguard.add_cooldown('no_such_table', 'id', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('v', 'id', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('far', 'id', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.add_cooldown('pg_class', 'oid', 'at', '1 day') $$);
DROP VIEW v;
CREATE ROLE cooldown_stranger;
SET ROLE cooldown_stranger;
SELECT refused($$ SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day') $$);
SELECT refused($$ SELECT raceguard.next_allowed('posts', '1') $$);
RESET ROLE;

-- nothing has been changed
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_raceguard%';
SELECT indexname FROM pg_indexes WHERE tablename = 'posts';

-- another definition only with replace; the index follows
SELECT raceguard.add_cooldown('posts', '"userId"', 'at', '1 day');
SELECT refused($$ SELECT raceguard.add_cooldown('posts', '"userId"', 'at', '1 day', max_rows => 2) $$);
SELECT refused($$ SELECT raceguard.add_cooldown('posts', '"userId"', 'at', '1 day', predicate => 'highlighted') $$);
SELECT raceguard.add_cooldown('posts', '"userId", title', 'at', '1 day', max_rows => 2, predicate => 'highlighted', replace => true);
SELECT indexdef FROM pg_indexes WHERE tablename = 'posts' ORDER BY 1;
SELECT raceguard.add_cooldown('posts', '"userId", title', 'at', '1 week', guard => 'weekly');
SELECT indexname FROM pg_indexes WHERE tablename = 'posts' ORDER BY 1;
SELECT raceguard.add_cooldown('posts', '"userId", title', 'at', '1 week', replace => true);
SELECT indexname FROM pg_indexes WHERE tablename = 'posts' ORDER BY 1;
SELECT raceguard.drop_guard('posts', 'cooldown');
SELECT raceguard.drop_guard('posts', 'weekly');
SELECT indexname FROM pg_indexes WHERE tablename = 'posts' ORDER BY 1;

-- An index of the right shape is adopted and stays when the guard goes; of another shape it is not.
CREATE INDEX descending ON posts ("userId", at DESC);
CREATE INDEX collated ON posts (title COLLATE "C", at);
CREATE INDEX partial ON posts ("userId", at) WHERE id > 5;
CREATE INDEX wider ON posts ("userId", title, at);
CREATE INDEX hashed ON posts USING hash ("userId");
SELECT raceguard.add_cooldown('posts', '"userId"', 'at', '1 day');
SELECT raceguard.add_cooldown('posts', 'title', 'at', '1 day', guard => 'titled');
SELECT indexname FROM pg_indexes WHERE tablename = 'posts' ORDER BY 1;
SELECT raceguard.drop_guard('posts', 'cooldown');
SELECT raceguard.drop_guard('posts', 'titled');
CREATE INDEX right_shape ON posts ("userId", at) INCLUDE (title) WHERE (highlighted);
SELECT raceguard.add_cooldown('posts', '"userId"', 'at', '1 day', predicate => '(highlighted)');
SELECT raceguard.drop_guard('posts', 'cooldown');
CREATE INDEX whole ON posts (lower(title), at);
SELECT raceguard.add_cooldown('posts', 'lower(title)', 'at', '1 day', predicate => 'highlighted');
SELECT indexname FROM pg_indexes WHERE tablename = 'posts' ORDER BY 1;
INSERT INTO posts (id, at, title, highlighted) VALUES (90, '2026-02-01', 'x', false), (91, '2026-02-01', 'X', true), (92, '2026-02-01', 'x', NULL);
SELECT refused($$ UPDATE posts SET highlighted = true WHERE id = 90 $$);
DELETE FROM posts;
-- The guard names what it lacks when its index goes, and finds another one.
DROP INDEX whole;
SELECT refused($$ INSERT INTO posts (id, "userId", at, title, highlighted) VALUES (1, 1, '2026-01-01', 'x', true) $$);
SELECT refused($$ INSERT INTO posts (id, "userId", at, title, highlighted) VALUES (1, 1, '2026-01-01', 'x', false) $$);
SELECT refused($$ SELECT raceguard.next_allowed('posts', '"x"') $$);
CREATE INDEX "Another" ON posts (lower(title), at) WHERE highlighted;
INSERT INTO posts (id, "userId", at, title, highlighted) VALUES (1, 1, '2026-01-01', 'x', true);
ALTER INDEX "Another" RENAME TO yet_another;
SELECT refused($$ INSERT INTO posts (id, "userId", at, title, highlighted) VALUES (2, 1, '2026-01-01', 'X', true) $$);
REINDEX TABLE posts;
SELECT refused($$ INSERT INTO posts (id, "userId", at, title, highlighted) VALUES (2, 1, '2026-01-01', 'X', true) $$);

-- Renamed or dropped columns: writes are refused, the guard and the remedy named.
ALTER TABLE posts RENAME at TO happened;
SELECT refused($$ INSERT INTO posts (id, title, happened) VALUES (3, 'x', '2026-01-01') $$);
ALTER TABLE posts RENAME happened TO at;
ALTER TABLE posts RENAME title TO headline;
SELECT refused($$ INSERT INTO posts (id, headline, at) VALUES (3, 'x', '2026-01-01') $$);
ALTER TABLE posts RENAME headline TO title;
ALTER TABLE posts RENAME highlighted TO shown;
SELECT refused($$ INSERT INTO posts (id, title, at) VALUES (3, 'x', '2026-01-01') $$);
SELECT refused($$ SELECT raceguard.next_allowed('posts', '"x"') $$);
SELECT raceguard.drop_guard('posts', 'cooldown');
SELECT raceguard.add_cooldown('posts', 'lower(title)', 'at', '1 day', predicate => 'shown');
ALTER TABLE posts DROP COLUMN shown;
SELECT refused($$ INSERT INTO posts (id, title, at) VALUES (3, 'x', '2026-01-01') $$);
SELECT raceguard.drop_guard('posts', 'cooldown');
INSERT INTO posts (id, title, at) VALUES (3, 'x', '2026-01-01');
SELECT raceguard.add_cooldown('posts', 'id', 'day', '1 day', own_past => true, guard => 'dropped');
ALTER TABLE posts DROP COLUMN day;
SELECT refused($$ INSERT INTO posts (id) VALUES (4) $$);
SELECT raceguard.drop_guard('posts', 'dropped');
SELECT raceguard.add_cooldown('posts', 'id', 'at', '1 day', own_past => true);
ALTER TABLE posts DROP COLUMN made, ALTER COLUMN at TYPE text;
SELECT refused($$ INSERT INTO posts (id, at) VALUES (4, '2026-01-01') $$);
SELECT raceguard.drop_guard('posts', 'cooldown');
DROP TABLE posts CASCADE;

-- The trigger function called directly, or attached wrongly
CREATE TABLE t (k int, at timestamp);
CREATE INDEX ON t (k, at);
SELECT refused($$ SELECT raceguard.cooldown_guard() $$);
CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION raceguard.cooldown_guard('k', 'at=at', 'period=1 day');
SELECT refused($$ INSERT INTO t VALUES (1, '2026-01-01') $$);
DROP TRIGGER g ON t;
CREATE TRIGGER g AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION raceguard.cooldown_guard('k', 'at=at', 'period=1 day');
SELECT refused($$ INSERT INTO t VALUES (1, '2026-01-01') $$);
DROP TRIGGER g ON t;
CREATE TRIGGER g AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION raceguard.cooldown_guard('k', 'at=at', 'period=1 day');
INSERT INTO t VALUES (1, '2026-01-01');
SELECT refused($$ DELETE FROM t $$);
DROP TRIGGER g ON t;
CREATE FUNCTION attach(arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE said text;
BEGIN
    EXECUTE format('CREATE TRIGGER g AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION raceguard.cooldown_guard(%s)', arguments);
    said := refused('INSERT INTO t VALUES (2, ''2026-01-01'')');
    DROP TRIGGER g ON t;
    RETURN said;
END $$;
SELECT attach('');
SELECT attach($$'k'$$);
SELECT attach($$'k', 'at=at'$$);
SELECT attach($$'k', 'period=1 day'$$);
SELECT attach($$'k', 'at=at', 'period=often'$$);
SELECT attach($$'k', 'at=at', 'period=0'$$);
SELECT attach($$'k', 'at=at', 'period=1 day', 'max_rows=0'$$);
SELECT attach($$'k', 'at=at', 'period=1 day', 'max_rows=many'$$);
SELECT attach($$'k', 'at=at', 'period=1 day', 'colour=red'$$);
SELECT attach($$'k k', 'at=at', 'period=1 day'$$);
SELECT attach($$'k', 'at=k', 'period=1 day'$$);
SELECT attach($$'k', 'at=at', 'period=1 day', 'predicate=k'$$);
SELECT attach($$'k', 'at=at', 'period=1 day'$$);
-- By hand it is a guard like any other.
CREATE TRIGGER by_hand AFTER INSERT OR UPDATE ON t FOR EACH ROW
    EXECUTE FUNCTION raceguard.cooldown_guard('k', 'period=1 day', 'at=at');
SELECT refused($$ INSERT INTO t VALUES (7, '2026-01-01'), (7, '2026-01-01') $$);
SELECT guard, kind FROM raceguard.guards;

-- next_allowed
SELECT refused($$ SELECT raceguard.next_allowed('t', '7') $$);
DROP TRIGGER by_hand ON t;
SELECT raceguard.add_cooldown('t', 'k', 'at', '1 day');
SELECT refused($$ SELECT raceguard.next_allowed(NULL, '7') $$);
SELECT refused($$ SELECT raceguard.next_allowed('t', NULL) $$);
SELECT refused($$ SELECT raceguard.next_allowed('t', '7', NULL) $$);
SELECT refused($$ SELECT raceguard.next_allowed('t', '7', 'no_such') $$);
SELECT refused($$ SELECT raceguard.next_allowed('t', '[1, 2]') $$);
SELECT refused($$ SELECT raceguard.next_allowed('t', '[]') $$);
SELECT refused($$ SELECT raceguard.next_allowed('t', '{"k": 1}') $$);
SELECT refused($$ SELECT raceguard.next_allowed('t', '"seven"') $$);
SELECT refused($$ SELECT raceguard.next_allowed('t', '7.5') $$);

-- Parentheses in literals of a predicate are no parentheses
CREATE TABLE signs (k int, at timestamp, a text, b text);
SELECT raceguard.add_cooldown('signs', 'k', 'at', '1 day', predicate => 'a = ''('' OR b = '')''');
INSERT INTO signs VALUES (1, '2026-01-01', '(', 'x'), (1, '2026-01-01', 'x', 'x');
SELECT refused($$ INSERT INTO signs VALUES (1, '2026-01-01', 'x', ')') $$);

-- Names that need quoting, and as long as names can be
CREATE SCHEMA "My Schema";
SELECT format('%I', repeat('t', 62) || '"') AS long_table, format('%I', repeat('É', 31)) AS long_column \gset
CREATE TABLE "My Schema".:long_table ("we""ird key" int, :long_column timestamp, "order" int);
SELECT raceguard.add_cooldown(oid, '"we""ird key", "order"', repeat('É', 31), '1 day', guard => 'it''s "new"') FROM pg_class WHERE relname = repeat('t', 62) || '"';
INSERT INTO "My Schema".:long_table VALUES (1, '2026-01-01', 1);
SELECT refused(format($$ INSERT INTO %s VALUES (1, '2026-01-01', 1) $$, oid::regclass)) FROM pg_class WHERE relname = repeat('t', 62) || '"';
SELECT format('%I.%I', schemaname, indexname) AS index FROM pg_indexes WHERE schemaname = 'My Schema' \gset
DROP INDEX :index;
SELECT refused(format($$ INSERT INTO %s VALUES (1, '2026-01-01', 1) $$, oid::regclass)) FROM pg_class WHERE relname = repeat('t', 62) || '"';
SELECT raceguard.drop_guard(oid, 'it''s "new"') FROM pg_class WHERE relname = repeat('t', 62) || '"';
-- A guard that has lost its index is given one by the same call again; one that runs down does not serve.
CREATE TABLE calls (caller int, at timestamptz);
SELECT raceguard.add_cooldown('calls', 'caller', 'at', '1 hour');
DROP INDEX calls_cooldown_idx;
CREATE INDEX ON calls (caller, at DESC);
INSERT INTO calls VALUES (1, '2026-03-01 12:00+00');
SELECT raceguard.add_cooldown('calls', 'caller', 'at', '1 hour');
SELECT indexdef FROM pg_indexes WHERE tablename = 'calls' ORDER BY indexdef;
INSERT INTO calls VALUES (1, '2026-03-01 12:00+00');
INSERT INTO calls VALUES (1, '2026-03-01 12:30+00');
SELECT raceguard.add_cooldown('calls', 'caller', 'at', '1 hour');
DROP TABLE calls;

DROP EXTENSION raceguard CASCADE;
DROP ROLE cooldown_stranger;
