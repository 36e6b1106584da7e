-- Caps on partitioned tables: rows keep their slot when they move, if it is free there.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
CREATE TABLE visits (id int NOT NULL, room int NOT NULL, day date NOT NULL, extra text) PARTITION BY RANGE (day);
CREATE TABLE visits_may PARTITION OF visits FOR VALUES FROM ('2024-05-01') TO ('2024-06-01');
-- A partition whose columns stand in another order, behind a dropped one.
CREATE TABLE visits_june (gone int, day date NOT NULL, room int NOT NULL, extra text, id int NOT NULL);
ALTER TABLE visits_june DROP COLUMN gone;
ALTER TABLE visits ATTACH PARTITION visits_june FOR VALUES FROM ('2024-06-01') TO ('2024-07-01');
INSERT INTO visits VALUES (1, 1, '2024-05-01'), (2, 1, '2024-05-01'), (3, 1, '2024-06-01');
-- The key has to cover the partition key.
\set VERBOSITY sqlstate
SELECT raceguard.add_cap('visits', 'room', 3);
\set VERBOSITY terse
SELECT raceguard.add_cap('visits', 'room, day', 2);
SELECT tableoid::regclass, id, slot FROM visits ORDER BY id;
SELECT target, guard FROM raceguard.guards;
INSERT INTO visits VALUES (4, 1, '2024-05-01');
INSERT INTO visits VALUES (4, 1, '2024-06-01') RETURNING slot;
INSERT INTO visits_june (id, room, day) VALUES (5, 1, '2024-06-01');
INSERT INTO visits_june (id, room, day) VALUES (5, 1, '2024-06-02') RETURNING slot;
-- Moves: slot 2 is free in the other partition, then taken, then all are.
UPDATE visits SET day = '2024-06-02' WHERE id = 2 RETURNING tableoid::regclass, slot;
UPDATE visits SET day = '2024-05-01' WHERE id = 2 RETURNING tableoid::regclass, slot;
UPDATE visits SET day = '2024-05-02' WHERE id IN (4, 5) RETURNING tableoid::regclass, id, slot;
UPDATE visits SET day = '2024-05-01' WHERE id = 3;
SELECT tableoid::regclass, id, slot FROM visits ORDER BY id;
-- A move onto a taken slot chooses the free one.
INSERT INTO visits VALUES (6, 2, '2024-05-05'), (7, 2, '2024-06-05') RETURNING slot;
UPDATE visits SET day = '2024-06-05' WHERE id = 6 RETURNING slot;
-- New partitions are guarded as well.
CREATE TABLE visits_july PARTITION OF visits FOR VALUES FROM ('2024-07-01') TO ('2024-08-01');
INSERT INTO visits SELECT 10 + n, 1, '2024-07-01' FROM generate_series(1, 2) n RETURNING slot;
INSERT INTO visits VALUES (13, 1, '2024-07-01');
SELECT raceguard.insert_next_slot('visits', '{"id": 13, "room": 9, "day": "2024-07-01"}');
SELECT raceguard.set_cap('visits', 3);
INSERT INTO visits VALUES (14, 1, '2024-07-01') RETURNING slot;
SELECT raceguard.drop_guard('visits', 'cap', drop_column => true);
\d visits_july
-- The plan builds each partition's index by itself.
SELECT * FROM raceguard.plan_cap('visits', 'room, day', 3);
DROP TABLE visits;

-- Foreign-key cascades change the key and keep the cap.
CREATE TABLE rooms (id int PRIMARY KEY);
CREATE TABLE beds (id int PRIMARY KEY, room int REFERENCES rooms ON UPDATE CASCADE ON DELETE SET NULL);
SELECT raceguard.add_cap('beds', 'room', 2);
INSERT INTO rooms VALUES (1), (2), (3);
INSERT INTO beds VALUES (1, 1), (2, 1), (3, 2);
UPDATE rooms SET id = 10 WHERE id = 1;
SELECT * FROM beds ORDER BY id;
DELETE FROM rooms WHERE id = 10;
SELECT * FROM beds ORDER BY id;
UPDATE beds SET room = 2 WHERE id = 1 RETURNING slot;
UPDATE beds SET room = 2 WHERE id = 2;
DROP TABLE beds, rooms;

-- In bulk, with default settings: 200,000 keys times 3 rows in one INSERT, then one row too many.
CREATE TABLE bulk (k int, n int);
SELECT raceguard.add_cap('bulk', 'k', 3);
INSERT INTO bulk SELECT k, n FROM generate_series(1, 200000) k, generate_series(1, 3) n;
SELECT slot, count(*) FROM bulk GROUP BY 1 ORDER BY 1;
INSERT INTO bulk SELECT k FROM generate_series(200000, 1, -1) k;
DROP TABLE bulk;
-- The root has no rows of its own: next_free_slot looks below it.
CREATE TABLE tours (id int, guide int, day date) PARTITION BY RANGE (day);
CREATE TABLE tours_early PARTITION OF tours FOR VALUES FROM (MINVALUE) TO ('2024-07-01');
CREATE TABLE tours_late PARTITION OF tours FOR VALUES FROM ('2024-07-01') TO (MAXVALUE) PARTITION BY RANGE (day);
CREATE TABLE tours_july PARTITION OF tours_late FOR VALUES FROM ('2024-07-01') TO ('2024-08-01');
SELECT raceguard.add_cap('tours', 'guide, day', 2);
INSERT INTO tours VALUES (1, 3, '2024-07-01'), (2, 5, '2024-07-01'), (3, 5, '2024-07-01'), (4, 6, '2024-07-01'), (5, 6, '2024-07-01');
DELETE FROM tours WHERE id = 4;
SELECT guide, raceguard.next_free_slot('tours', jsonb_build_array(guide, '2024-07-01')) AS root,
    raceguard.next_free_slot('tours_late', jsonb_build_array(guide, '2024-07-01')) AS branch,
    raceguard.next_free_slot('tours_july', jsonb_build_array(guide, '2024-07-01')) AS leaf,
    raceguard.next_free_slot('tours', jsonb_build_array(guide, '2024-06-01')) AS early
FROM generate_series(3, 6) guide;
SELECT raceguard.next_free_slot('tours', '[3, null]');
DROP TABLE tours;
