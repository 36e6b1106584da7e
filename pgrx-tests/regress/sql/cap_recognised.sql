-- A cap recognises its own key and index, however they are written, and no other index.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE TABLE t (id int PRIMARY KEY, a text, b text, data jsonb, live boolean, "At" timestamp, n int);
-- Operators, COALESCE, casts, EXTRACT, constants, collations: the second call finds the same guard, the
-- plan is done, the view shows key and predicate, and nobody is told to drop the cap's own index.
CREATE FUNCTION twice(key text, predicate text) RETURNS TABLE (first text, again text, steps bigint, shown text)
LANGUAGE plpgsql AS $$
BEGIN
    first := raceguard.add_cap('t', key, 2, predicate => predicate);
    again := raceguard.add_cap('t', key, 2, predicate => predicate);
    steps := (SELECT count(*) FROM raceguard.plan_cap('t', key, 2, predicate => predicate));
    shown := (SELECT concat_ws(' where ', definition ->> 'key', definition ->> 'predicate')
              FROM raceguard.guards WHERE target = 't'::regclass);
    RETURN NEXT;
    PERFORM raceguard.drop_guard('t', 'cap', drop_column => true);
END $$;
SELECT * FROM twice($$(data ->> 'tenant')$$, NULL);
SELECT * FROM twice('(id % 10)', NULL);
SELECT * FROM twice('COALESCE(a, b)', 'COALESCE(live, false)');
SELECT * FROM twice('(COALESCE(a, b)), GREATEST(id, n), NULLIF(a, b)', 'live');
SELECT * FROM twice('EXTRACT(year FROM "At"), date_trunc(''month'', "At")', 'live IS NOT FALSE AND a <> b');
SELECT * FROM twice('(id), ((n))', '(live OR n > 3) AND (a IS NOT NULL AND b IS NOT NULL)');
SELECT * FROM twice('(a COLLATE "C"), (b COLLATE "default"), ((a || b) COLLATE "C")', 'a < b COLLATE "C"');
SELECT * FROM twice('(a::varchar(3)), (n::bigint), (CASE WHEN live THEN 1 ELSE n END)', 'n IN (1, 2)');
SELECT * FROM twice('(n IS NULL), (live)', 'NOT live');
-- The same for the guards that hold the key in their arguments, written by hand as anybody would.
CREATE TABLE h (a text, b text, n int, at timestamp);
CREATE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON h FOR EACH ROW
    EXECUTE FUNCTION raceguard.key_lock_guard('coalesce(a,b), ( n%10 ), (n)');
CREATE INDEX ON h (lower(a), at) WHERE n>3;
CREATE TRIGGER zz_raceguard_cooldown AFTER INSERT OR UPDATE ON h FOR EACH ROW
    EXECUTE FUNCTION raceguard.cooldown_guard('LOWER(a)', 'at=at', 'period=1 day', 'predicate=n>3');
SELECT raceguard.add_key_lock('h', 'coalesce(a, b), (n % 10), n');
SELECT raceguard.add_cooldown('h', 'lower(a)', 'at', '1 day', predicate => 'n > 3');
SELECT raceguard.add_key_lock('h', 'coalesce(b, a), (n % 10), n');
-- A key that cannot be read any more differs from any other.
ALTER TABLE h RENAME b TO c;
SELECT raceguard.add_key_lock('h', 'a');
SELECT raceguard.add_key_lock('h', 'a', replace => true);
-- COLLATE around a column: the index that the cooldown makes is the one that it reads.
CREATE TABLE c (a text COLLATE "C", b text, at timestamp);
SELECT raceguard.add_cooldown('c', '(a COLLATE "POSIX"), (b COLLATE "C")', 'at', '1 day');
SELECT raceguard.add_cooldown('c', '(a COLLATE "POSIX"), (b COLLATE "C")', 'at', '1 day');
INSERT INTO c VALUES ('x', 'y', '2026-01-01');
INSERT INTO c VALUES ('x', 'y', '2026-01-01 12:00');
INSERT INTO c VALUES ('X', 'y', '2026-01-01 12:00');
-- A cap whose index somebody wrote the other way round.
CREATE TABLE w (k int, live boolean, slot int);
CREATE UNIQUE INDEX w_cap ON w (k, slot) WHERE slot > 0 AND live;
SELECT raceguard.add_cap('w', 'k', 1, predicate => 'live');
SELECT count(*) FROM pg_index WHERE indrelid = 'w'::regclass;

-- The whole table: one key for all rows.
CREATE TABLE settings (id int GENERATED ALWAYS AS IDENTITY, name text);
SELECT raceguard.add_cap('settings', NULL, 2);
SELECT raceguard.add_cap('settings', NULL, 2);
SELECT raceguard.next_free_slot('settings', NULL);
INSERT INTO settings (name) VALUES ('a'), ('b');
\set VERBOSITY default
INSERT INTO settings (name) VALUES ('c');
\set VERBOSITY terse
SELECT raceguard.next_free_slot('settings', NULL), raceguard.next_free_slot('settings', '1');
SELECT raceguard.next_free_slot('w', NULL);

-- Another index of a cap's form on the slot column: every write would be refused.
\set VERBOSITY default
CREATE TABLE p (id int PRIMARY KEY, tenant int, place int);
SELECT raceguard.add_cap('p', 'tenant', 2);
CREATE TABLE copy (LIKE p INCLUDING INDEXES);
SELECT raceguard.add_cap('copy', 'place', 2);
SELECT * FROM raceguard.plan_cap('copy', 'place', 2);
SELECT raceguard.add_cap('copy', 'tenant', 2, predicate => 'place > 0');
CREATE UNIQUE INDEX odd ON p (place, slot) WHERE slot >= 1;
SELECT raceguard.add_cap('p', 'tenant', 3, replace => true);
DROP INDEX odd;
SELECT raceguard.add_cap('copy', 'place', 2, slot_column => 'place_slot');
-- The copy of the cap itself has the CHECK and no trigger, and takes no row; the same call adopts it.
CREATE TABLE whole (LIKE p INCLUDING ALL);
INSERT INTO whole VALUES (1, 1);
SELECT raceguard.add_cap('whole', 'tenant', 2);
INSERT INTO whole VALUES (1, 1), (2, 1);
SELECT id, slot FROM whole ORDER BY id;
-- Also where it stands on a partition alone.
CREATE TABLE pt (k int, other int, slot int) PARTITION BY LIST (k);
CREATE TABLE pt_1 PARTITION OF pt FOR VALUES IN (1);
CREATE UNIQUE INDEX pt_1_odd ON pt_1 (other, slot) WHERE slot > 0;
SELECT raceguard.add_cap('pt', 'k', 2);

-- A position column that begins at 0 is not renumbered behind the application's back.
CREATE TABLE images (id int PRIMARY KEY, product int, position int);
INSERT INTO images VALUES (1, 1, 0), (2, 1, 1), (3, 1, 2), (4, 2, 0), (5, NULL, 0);
SELECT raceguard.add_cap('images', 'product', 5, slot_column => 'position');
SELECT * FROM raceguard.plan_cap('images', 'product', 5, slot_column => 'position');
UPDATE images SET position = position + 1;
SELECT raceguard.add_cap('images', 'product', 5, slot_column => 'position');
SELECT id, position FROM images ORDER BY id;
CREATE TABLE mixed (id int PRIMARY KEY, k int, slot int);
INSERT INTO mixed VALUES (1, 1, 0), (2, 1, 7);
SELECT raceguard.add_cap('mixed', 'k', 3);

-- A predicate cannot ask for the time; the hint says what to do instead.
SELECT raceguard.add_cap('t', 'a', 1, predicate => '"At" > now()');
DROP TABLE t, h, c, w, settings, copy, p, whole, pt, images, mixed;
