-- Parent versions for keys of every shape: composite, by reference, equal but not identical,
-- partitioned tables, trees, deferred foreign keys, several parents.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;

-- Composite key; a NULL in any column means no parent.
CREATE TABLE plots (x int, y text, version int NOT NULL DEFAULT 1, PRIMARY KEY (x, y));
CREATE TABLE trees (id int PRIMARY KEY, x int, y text, FOREIGN KEY (x, y) REFERENCES plots);
SELECT raceguard.add_version('plots');
SELECT raceguard.add_parent_version('trees', 'plots');
INSERT INTO plots VALUES (1, 'a'), (1, 'b'), (2, repeat('long ', 50));
INSERT INTO trees VALUES (1, 1, 'a'), (2, 1, 'a'), (3, 1, NULL), (4, 2, repeat('long ', 50));
SELECT x, left(y, 4) AS y, version FROM plots ORDER BY 1, 2;

-- uuid, and a child whose column has another type than the parent's.
CREATE TABLE carts (id uuid PRIMARY KEY, number bigint UNIQUE);
CREATE TABLE lines (id int PRIMARY KEY, cart uuid REFERENCES carts, number smallint REFERENCES carts (number));
SELECT raceguard.add_version('carts');
SELECT raceguard.add_parent_version('lines', 'carts', foreign_key => 'lines_cart_fkey');
SELECT raceguard.add_parent_version('lines', 'carts', foreign_key => 'lines_number_fkey', replace => true);
INSERT INTO carts VALUES ('00000000-0000-0000-0000-000000000001', -1), ('00000000-0000-0000-0000-000000000002', 2);
INSERT INTO lines VALUES (1, '00000000-0000-0000-0000-000000000001', 2);
SELECT number, version FROM carts ORDER BY number;
SELECT raceguard.add_parent_version('lines', 'carts', foreign_key => 'lines_cart_fkey', replace => true);
INSERT INTO lines VALUES (2, '00000000-0000-0000-0000-000000000001', 2);
SELECT number, version FROM carts ORDER BY number;

-- Equal, not identical: one parent, one bump.
CREATE TABLE prices (amount numeric PRIMARY KEY);
CREATE TABLE tags (id int PRIMARY KEY, amount numeric REFERENCES prices);
SELECT raceguard.add_version('prices'), raceguard.add_parent_version('tags', 'prices');
INSERT INTO prices VALUES (1.0);
INSERT INTO tags VALUES (1, 1), (2, 1.00), (3, 1.000);
SELECT * FROM prices;

-- A key too long for the row itself.
CREATE TABLE texts (id text PRIMARY KEY);
CREATE TABLE notes (id int PRIMARY KEY, text_id text REFERENCES texts);
ALTER TABLE notes ALTER text_id SET STORAGE EXTERNAL;
SELECT raceguard.add_version('texts'), raceguard.add_parent_version('notes', 'texts');
INSERT INTO texts VALUES (repeat('x', 2500)), (repeat('x', 2501));
INSERT INTO notes VALUES (1, repeat('x', 2500));
UPDATE notes SET id = 2;
SELECT length(id), version FROM texts ORDER BY 1;

-- A tree: the bump goes up to the root, and stops where the data runs in a circle.
CREATE TABLE nodes (id int PRIMARY KEY, parent_id int REFERENCES nodes);
SELECT raceguard.add_version('nodes');
SELECT raceguard.add_parent_version('nodes', 'nodes');
INSERT INTO nodes VALUES (1, NULL);
INSERT INTO nodes VALUES (2, 1);
INSERT INTO nodes VALUES (3, 2), (4, 2), (5, 1);
SELECT string_agg(id || ':' || version, ' ' ORDER BY id) FROM nodes;
UPDATE nodes SET id = 30 WHERE id = 3;
SELECT string_agg(id || ':' || version, ' ' ORDER BY id) FROM nodes;
UPDATE nodes SET parent_id = 30 WHERE id = 1;
SELECT string_agg(id || ':' || version, ' ' ORDER BY id) FROM nodes;
UPDATE nodes SET parent_id = parent_id WHERE id = 4;
SELECT string_agg(id || ':' || version, ' ' ORDER BY id) FROM nodes;
DELETE FROM nodes WHERE id = 5;
SELECT string_agg(id || ':' || version, ' ' ORDER BY id) FROM nodes;

-- A deferred foreign key: the child may come before its parent.
CREATE TABLE late (id int PRIMARY KEY);
CREATE TABLE early (id int PRIMARY KEY, late_id int REFERENCES late DEFERRABLE INITIALLY DEFERRED);
SELECT raceguard.add_version('late'), raceguard.add_parent_version('early', 'late');
BEGIN;
INSERT INTO early VALUES (1, 1);
SET CONSTRAINTS zz_raceguard_parent_version_bump IMMEDIATE;
INSERT INTO late VALUES (1);
COMMIT;
BEGIN;
INSERT INTO early VALUES (2, 1);
DELETE FROM late;
INSERT INTO late VALUES (1);
COMMIT;
SELECT * FROM late;
BEGIN;
INSERT INTO early VALUES (3, 7);
COMMIT;

-- Two parents of one child: a guard each, the second named after its parent.
CREATE TABLE "Big ""Shelf"" with a name of fifty-nine bytes, it is that long" (id int PRIMARY KEY);
CREATE TABLE boxes (id int PRIMARY KEY, note text);
CREATE TABLE things (id int PRIMARY KEY, box int REFERENCES boxes,
    shelf int REFERENCES "Big ""Shelf"" with a name of fifty-nine bytes, it is that long");
SELECT raceguard.add_version('boxes', 'Version "2"');
SELECT raceguard.add_version('"Big ""Shelf"" with a name of fifty-nine bytes, it is that long"');
SELECT raceguard.add_parent_version('things', 'boxes');
SELECT raceguard.add_parent_version('things', '"Big ""Shelf"" with a name of fifty-nine bytes, it is that long"');
SELECT guard, definition FROM raceguard.guards WHERE target = 'things'::regclass ORDER BY guard;
INSERT INTO boxes VALUES (1);
INSERT INTO "Big ""Shelf"" with a name of fifty-nine bytes, it is that long" VALUES (1);
INSERT INTO things VALUES (1, 1, 1), (2, 1, NULL);
SELECT b."Version ""2""", s.version FROM boxes b, "Big ""Shelf"" with a name of fifty-nine bytes, it is that long" s;
-- Renamed columns are followed: the guard names the foreign key, Postgres knows the columns.
ALTER TABLE things RENAME box TO box_id;
ALTER TABLE boxes RENAME id TO number;
ALTER TABLE boxes RENAME TO crates;
UPDATE things SET id = 3 WHERE id = 2;
TRUNCATE things;
SELECT b."Version ""2""", s.version FROM crates b, "Big ""Shelf"" with a name of fifty-nine bytes, it is that long" s;
SELECT raceguard.drop_guard('things', guard) FROM raceguard.guards WHERE target = 'things'::regclass;
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'things'::regclass AND NOT tgisinternal;

-- Partitioned child and parent; a row that changes its partition; a partition of its own layout.
CREATE TABLE accounts (region text, id int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE accounts_eu PARTITION OF accounts FOR VALUES IN ('eu');
CREATE TABLE accounts_us PARTITION OF accounts FOR VALUES IN ('us');
CREATE TABLE entries (id int, region text, account int, PRIMARY KEY (id),
    CONSTRAINT booked FOREIGN KEY (region, account) REFERENCES accounts ON UPDATE CASCADE) PARTITION BY RANGE (id);
CREATE TABLE entries_1 PARTITION OF entries FOR VALUES FROM (0) TO (100);
CREATE TABLE entries_2 (gone int, account int, id int NOT NULL, region text, booked int CONSTRAINT booked CHECK (true));
ALTER TABLE entries_2 DROP gone, DROP booked;
CREATE TABLE entry_notes (id int PRIMARY KEY, entry int REFERENCES entries);
SELECT raceguard.add_version('accounts'), raceguard.add_version('entries');
SELECT raceguard.add_parent_version('entries', 'accounts');
SELECT raceguard.add_parent_version('entry_notes', 'entries');
ALTER TABLE entries_2 ADD version bigint NOT NULL DEFAULT 1;
ALTER TABLE entries ATTACH PARTITION entries_2 FOR VALUES FROM (100) TO (200);
INSERT INTO accounts VALUES ('eu', 1), ('us', 1);
-- The name was taken there, so Postgres chose another for the partition's foreign key.
SELECT contype, conname = 'booked' AS booked FROM pg_constraint WHERE conrelid = 'entries_2'::regclass AND contype IN ('c', 'f') ORDER BY 1;
CREATE FUNCTION state() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws('  ',
        (SELECT string_agg(region || ':' || version, ' ' ORDER BY region) FROM accounts),
        (SELECT string_agg(tableoid::regclass || ' ' || id || ':' || version, ' ' ORDER BY id) FROM entries))
$$;
INSERT INTO entries VALUES (1, 'eu', 1), (101, 'us', 1);
SELECT state();
UPDATE entries SET id = 102 WHERE id = 1;
SELECT state() AS row_moved;
UPDATE entries_2 SET account = 1 WHERE id = 101;
SELECT state() AS by_the_partition;
INSERT INTO entry_notes VALUES (1, 101), (2, 101);
SELECT state() AS grandchild;
UPDATE accounts SET region = 'eu', id = 2 WHERE region = 'us';
SELECT state() AS parent_moved;
TRUNCATE entries CASCADE;
SELECT state() AS truncated;

-- No primary key: the referenced columns order the bumps.
CREATE TABLE bare (code text UNIQUE);
CREATE TABLE uses (id int, code text REFERENCES bare (code));
SELECT raceguard.add_version('bare'), raceguard.add_parent_version('uses', 'bare');
INSERT INTO bare VALUES ('a'), ('b');
INSERT INTO uses VALUES (1, 'b'), (2, 'a'), (3, 'b');
SELECT * FROM bare ORDER BY code;

-- Temporary tables.
CREATE TEMP TABLE heads (id int PRIMARY KEY);
CREATE TEMP TABLE tails (id int PRIMARY KEY, head int REFERENCES heads);
SELECT raceguard.add_version('heads'), raceguard.add_parent_version('tails', 'heads');
INSERT INTO heads VALUES (1);
INSERT INTO tails VALUES (1, 1);
SELECT * FROM heads;
