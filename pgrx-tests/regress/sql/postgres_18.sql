-- What tables can have since Postgres 18: keys over periods, constraints that are NOT VALID or NOT
-- ENFORCED, virtual columns.
SELECT current_setting('server_version_num')::int < 180000 AS too_old \gset
\if :too_old
\quit
\endif
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never

-- NOT NULL NOT VALID lets the old NULLs stand: a column so marked is not yet one of versions.
CREATE TABLE orders (id int PRIMARY KEY, note text, version bigint DEFAULT 1);
INSERT INTO orders VALUES (1, 'old', NULL), (2, 'new', 7);
ALTER TABLE orders ADD CONSTRAINT orders_version NOT NULL version NOT VALID;
SELECT raceguard.add_version('orders');
SELECT id, version FROM orders ORDER BY id;
SELECT convalidated FROM pg_constraint WHERE conname = 'orders_version';
UPDATE orders SET note = 'changed' RETURNING id, old.version AS before, new.version AS after;

-- A foreign key over periods gives a row several parents: refused, and refused to a trigger attached by hand.
CREATE TABLE prices (id int4range, valid daterange, version bigint, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
SELECT raceguard.add_version('prices');
CREATE TABLE bookings (
    id int4range, during daterange,
    CONSTRAINT bookings_prices FOREIGN KEY (id, PERIOD during) REFERENCES prices (id, PERIOD valid));
SELECT raceguard.add_parent_version('bookings', 'prices');
\echo :LAST_ERROR_SQLSTATE
SELECT raceguard.add_total('bookings', 'prices', 'booked');
\echo :LAST_ERROR_SQLSTATE
CREATE TRIGGER zz_raceguard_parent_version AFTER INSERT OR UPDATE OR DELETE ON bookings FOR EACH ROW
    EXECUTE FUNCTION raceguard.parent_version_guard('bookings_prices');
INSERT INTO prices (id, valid) VALUES ('[1,2)', '[2026-01-01,2026-02-01)'), ('[1,2)', '[2026-02-01,2026-03-01)');
INSERT INTO bookings VALUES ('[1,2)', '[2026-01-15,2026-02-15)');
\echo :LAST_ERROR_SQLSTATE

-- insert_or_get: a key WITHOUT OVERLAPS may be in the way of several rows, so it is no answer.
SELECT raceguard.insert_or_get('prices', '{"id": "[1,2)", "valid": "[2026-01-15,2026-02-15)"}');
\echo :LAST_ERROR_SQLSTATE
SELECT raceguard.insert_or_get('prices', '{"id": "[1,2)", "valid": "[2026-01-15,2026-02-15)"}', key => '{id,valid}');
\echo :LAST_ERROR_SQLSTATE
SELECT "row" ->> 'valid' AS valid, inserted
  FROM raceguard.insert_or_get('prices', '{"id": "[2,3)", "valid": "[2026-01-01,2026-02-01)"}');

-- A CHECK that is NOT ENFORCED rules nothing: not a cap, and no rival of one.
CREATE TABLE seats (id int PRIMARY KEY, room int, slot int, CHECK (slot < 100) NOT ENFORCED);
SELECT raceguard.add_cap('seats', 'room', 2, slot_column => 'slot');
INSERT INTO seats VALUES (1, 1), (2, 1);
ALTER TABLE seats DROP CONSTRAINT raceguard_cap_slots;
ALTER TABLE seats ADD CONSTRAINT raceguard_cap_slots CHECK ((slot <@ '[0,3)'::int4range) IS TRUE) NOT ENFORCED;
SELECT whole FROM raceguard.guards WHERE target = 'seats'::regclass AND guard = 'cap';
SELECT problem FROM raceguard.check_guards('seats');
SELECT * FROM raceguard.plan_cap('seats', 'room', 2, slot_column => 'slot');
SELECT raceguard.add_cap('seats', 'room', 2, slot_column => 'slot');
SELECT whole FROM raceguard.guards WHERE target = 'seats'::regclass AND guard = 'cap';
SELECT conenforced, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'raceguard_cap_slots';
INSERT INTO seats VALUES (3, 1, 3);
\echo :LAST_ERROR_SQLSTATE

-- A foreign key that is NOT ENFORCED proves no parent.
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int PRIMARY KEY, parent int CONSTRAINT children_parent REFERENCES parents);
SELECT raceguard.add_version('parents'), raceguard.add_parent_version('children', 'parents');
INSERT INTO parents VALUES (1);
INSERT INTO children VALUES (1, 1);
ALTER TABLE children ALTER CONSTRAINT children_parent NOT ENFORCED;
SELECT severity, problem, guard, detail, remedy FROM raceguard.check_guards('children');
INSERT INTO children VALUES (2, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT remedy FROM raceguard.check_guards('children') WHERE severity = 'error' \gexec
SELECT problem FROM raceguard.check_guards('children');
INSERT INTO children VALUES (2, 1);
SELECT version FROM parents;

-- A virtual column is nowhere to be found when a guard runs, and no part of a row's image.
CREATE TABLE people (id int PRIMARY KEY, email text, lower_email text GENERATED ALWAYS AS (lower(email)) VIRTUAL,
                     stored_email text GENERATED ALWAYS AS (lower(email)) STORED);
SELECT raceguard.add_key_lock('people', 'lower_email');
SELECT raceguard.add_key_lock('people', 'stored_email');
CREATE TABLE hashes (told text, hash text);
CREATE FUNCTION note_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hashes VALUES ('OLD', raceguard.row_hash(OLD));
    RETURN NEW;
END $$;
CREATE TRIGGER note_old BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION note_old();
INSERT INTO people VALUES (1, 'Ann@example.org');
INSERT INTO hashes SELECT 'SELECT', raceguard.row_hash(people) FROM people;
UPDATE people SET email = 'ann@example.org';
SELECT count(DISTINCT hash) AS hashes FROM hashes;

-- Guards and the statements that return rows: OLD and NEW, MERGE.
SELECT raceguard.add_version('people');
UPDATE people SET email = 'bob@example.org' RETURNING old.version AS before, new.version AS after, new.lower_email;
MERGE INTO people USING (VALUES (1, 'eve@example.org'), (2, 'dan@example.org')) AS wanted (id, email)
    ON people.id = wanted.id
    WHEN MATCHED THEN UPDATE SET email = wanted.email
    WHEN NOT MATCHED THEN INSERT (id, email) VALUES (wanted.id, wanted.email)
    RETURNING merge_action(), people.id, old.version AS before, new.version AS after;

-- COPY leaves out rows that it cannot read; the others meet the guards.
CREATE TABLE copied (id int PRIMARY KEY, room int);
SELECT raceguard.add_version('copied');
SELECT raceguard.add_cap('copied', 'room', 2);
COPY copied (id, room) FROM STDIN (ON_ERROR ignore);
1	1
x	1
2	1
\.
SELECT * FROM copied ORDER BY id;
COPY copied (id, room) FROM STDIN (ON_ERROR ignore);
3	1
\.
\echo :LAST_ERROR_SQLSTATE
