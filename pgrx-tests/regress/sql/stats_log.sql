-- The log lines of guards: one shape, few of them, and nothing that a name or a value could break out of.
CREATE EXTENSION raceguard;
CREATE SCHEMA "log of=";
CREATE TABLE "log of="."a ""b"" table=c" (id text PRIMARY KEY, region int NOT NULL DEFAULT 1, note text);
SELECT raceguard.add_version('"log of="."a ""b"" table=c"', unstated => 'reject', mode => 'observe');
INSERT INTO "log of="."a ""b"" table=c" VALUES (E'x): y" key="z\nraceguard bypass');
SET client_min_messages = log;
UPDATE "log of="."a ""b"" table=c" SET note = 'a';
UPDATE "log of="."a ""b"" table=c" SET note = 'a', version = 9;
RESET client_min_messages;

-- ---- a partition: table is the root, leaf the partition
CREATE TABLE orders (id int, region int, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1);
SELECT raceguard.add_version('orders', unstated => 'reject', mode => 'observe');
INSERT INTO orders VALUES (1, 1);
SET client_min_messages = log;
UPDATE orders SET note = 'a', version = 9;
RESET client_min_messages;

-- ---- so many lines a minute, and one that says that there are more
CREATE TABLE many (id int PRIMARY KEY, note text);
SELECT raceguard.add_version('many', unstated => 'reject', mode => 'observe');
INSERT INTO many SELECT generate_series(1, 200);
SET raceguard.log_limit = 3;
SET client_min_messages = log;
UPDATE many SET note = 'a';
UPDATE many SET note = 'b';
SET raceguard.log_limit = -1;
RESET client_min_messages;
SELECT observed FROM raceguard.stats WHERE target = 'many'::regclass;

-- ---- whoever may not read the key does not find it in his log line
CREATE ROLE stats_log_clerk;
GRANT SELECT (region), UPDATE (note, version) ON orders TO stats_log_clerk;
GRANT EXECUTE ON FUNCTION raceguard.stats_reset TO stats_log_clerk;
SET client_min_messages = log;
SET SESSION AUTHORIZATION stats_log_clerk;
UPDATE orders SET note = 'c', version = 7;
RESET SESSION AUTHORIZATION;
RESET client_min_messages;
DROP OWNED BY stats_log_clerk;
DROP ROLE stats_log_clerk;

-- ---- refusals are logged as errors; with raceguard.log_conflicts in this shape too
CREATE TABLE seats (id int PRIMARY KEY, hall int);
SELECT raceguard.add_cap('seats', 'hall', 1);
INSERT INTO seats VALUES (1, 1);
SET raceguard.log_conflicts = on;
SET client_min_messages = log;
INSERT INTO seats VALUES (2, 1);
SET raceguard.error_style = postgrest;
INSERT INTO seats VALUES (2, 1);
RESET raceguard.error_style;
RESET raceguard.log_conflicts;
INSERT INTO seats VALUES (2, 1);
RESET client_min_messages;
