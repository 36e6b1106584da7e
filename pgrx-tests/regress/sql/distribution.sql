-- Tables whose rows another extension keeps elsewhere: what guards and calls make of its catalogs, which are
-- imitated here. pgrx-tests/distributed has the extensions themselves.
\set QUIET on
SET client_min_messages = warning;
CREATE EXTENSION raceguard;
CREATE TABLE posts (id int, tenant int, author int, at timestamptz, PRIMARY KEY (tenant, id));
SELECT raceguard.add_key_lock('posts', 'author');
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition
    (logicalrelid regclass, partmethod "char", partkey text, colocationid int, repmodel "char");
CREATE UNIQUE INDEX pg_dist_partition_logical_relid_index ON pg_catalog.pg_dist_partition (logicalrelid);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint);
CREATE UNIQUE INDEX pg_dist_shard_shardid_index ON pg_catalog.pg_dist_shard (shardid);
-- distributed by column number 2
\set by_tenant '{VAR :varno 1 :varattno 2 :vartype 23 :vartypmod -1 :varcollid 0 :varlevelsup 0 :location -1}'
INSERT INTO pg_dist_partition VALUES ('posts', 'h', :'by_tenant', 1, 's');
\set QUIET off

-- Tables of these names that belong to no extension say nothing.
INSERT INTO posts VALUES (1, 1, 1, '2026-01-01 00:00+00');
SELECT raceguard.lock_key('posts', 1);
SELECT raceguard.add_cooldown('posts', 'author', 'at', '1 day');
SELECT raceguard.drop_guard('posts', 'cooldown');

-- Nor do those of another extension.
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
VALUES (99999, 'stranger', 10, 'pg_catalog'::regnamespace, false, '1');
INSERT INTO pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
SELECT 'pg_class'::regclass, t, 0, 'pg_extension'::regclass, 99999, 0, 'e'
FROM unnest('{pg_catalog.pg_dist_partition, pg_catalog.pg_dist_shard}'::regclass[]) t;
SELECT raceguard.add_cooldown('posts', 'author', 'at', '1 day');
SELECT raceguard.drop_guard('posts', 'cooldown');

-- From here on Citus is there. A new session: what this one has worked out changes with the table only.
UPDATE pg_extension SET extname = 'citus' WHERE oid = 99999;
\c -
\set QUIET on
SET client_min_messages = warning;
SET timezone = 'UTC';
\set QUIET off

-- The key lacks the column by which the table is distributed.
INSERT INTO posts VALUES (2, 1, 1, NULL);
SELECT raceguard.lock_key('posts', 1);
SELECT raceguard.add_cooldown('posts', 'author', 'at', '1 day');
SELECT raceguard.add_cap('posts', 'author', 3);
SELECT raceguard.add_cap('posts', NULL, 3);
SELECT raceguard.add_number('posts', 'author');
SELECT raceguard.add_key_lock('posts', '(tenant + 1)', replace => true);
-- It can be taken off and put up right.
SELECT raceguard.drop_guard('posts', 'key_lock');
SELECT raceguard.add_key_lock('posts', 'tenant, author');
INSERT INTO posts VALUES (2, 1, 1, NULL);

-- Calls that would lock and read in the table itself.
SELECT raceguard.lock_key('posts', 1, 1);
SELECT raceguard.try_lock_key('posts', 1, 1);
SELECT raceguard.lock_keys('posts', '[[1, 1]]');
SELECT raceguard.lock_table_keys('posts');
SET LOCAL raceguard.lock_keys = posts, '[[1, 1]]';
SELECT raceguard.add_cooldown('posts', 'tenant, author', 'at', '1 day');
SELECT raceguard.next_allowed('posts', '[1, 1]');
TRUNCATE posts;
SELECT raceguard.add_cap('posts', 'tenant, author', 3);
SELECT raceguard.next_free_slot('posts', '[1, 1]');
SELECT raceguard.drop_guard('posts', 'cap', drop_column => true);

-- A shard: its name ends in a number that the catalog knows, and so do those of its triggers.
CREATE TABLE posts_102008 (LIKE posts INCLUDING ALL);
CREATE TABLE posts_102009 (LIKE posts INCLUDING ALL);
SELECT raceguard.add_key_lock('posts_102008', 'tenant, author');
ALTER TRIGGER zz_raceguard_key_lock ON posts_102008 RENAME TO zz_raceguard_key_lock_102008;
SELECT raceguard.add_cooldown('posts_102008', 'tenant, author', 'at', '1 day');
ALTER TRIGGER zz_raceguard_cooldown ON posts_102008 RENAME TO zz_raceguard_cooldown_102008;
SELECT raceguard.add_cap('posts_102008', 'tenant, author', 3);
ALTER TRIGGER zz_raceguard_cap ON posts_102008 RENAME TO zz_raceguard_cap_102008;
SELECT raceguard.add_key_lock('posts_102009', 'author');
INSERT INTO pg_dist_shard VALUES ('posts', 102008);
\c -
\set QUIET on
SET client_min_messages = warning;
SET timezone = 'UTC';
\set QUIET off
INSERT INTO posts_102008 VALUES (1, 1, 1, '2026-01-01 00:00+00');
SELECT raceguard.next_free_slot('posts_102008', '[1, 1]');
BEGIN;
SELECT raceguard.lock_key('posts_102008', 1, 1);
SELECT raceguard.next_allowed('posts_102008', '[1, 1]') > '2026-01-01';
COMMIT;
SELECT raceguard.add_key_lock('posts_102008', 'author', replace => true);
-- Not known as one yet, which lasts for a transaction.
BEGIN;
INSERT INTO posts_102009 VALUES (1, 1, 1);
INSERT INTO pg_dist_shard VALUES ('posts', 102009);
INSERT INTO posts_102009 VALUES (2, 1, 1);
COMMIT;
ALTER TRIGGER zz_raceguard_key_lock ON posts_102009 RENAME TO zz_raceguard_key_lock_102009;
INSERT INTO posts_102009 VALUES (3, 1, 1);

-- A reference table: what every copy decides for itself has to come out the same.
CREATE TABLE countries (id int PRIMARY KEY, continent int, changed timestamptz NOT NULL DEFAULT now());
INSERT INTO pg_dist_partition VALUES ('countries', 'n', NULL, 2, 't');
SELECT raceguard.add_cap('countries', 'continent', 3);
SELECT raceguard.add_number('countries', 'continent');
SELECT raceguard.add_version('countries', 'changed', client_sends => 'current');
SELECT raceguard.add_version('countries');
SELECT raceguard.add_key_lock('countries', 'continent');
SELECT raceguard.lock_key('countries', 1);
-- The same of guards that were there before the table was distributed.
CREATE TABLE towns (id int PRIMARY KEY, country int, changed timestamptz NOT NULL DEFAULT now());
SELECT raceguard.add_cap('towns', 'country', 3);
INSERT INTO towns VALUES (1, 1);
INSERT INTO pg_dist_partition VALUES ('towns', 'n', NULL, 2, 't');
\c -
\set QUIET on
SET client_min_messages = warning;
SET timezone = 'UTC';
\set QUIET off
INSERT INTO towns VALUES (2, 1);
SELECT raceguard.drop_guard('towns', 'cap', drop_column => true);
SELECT raceguard.add_version('towns');
INSERT INTO towns VALUES (2, 1);
UPDATE towns SET country = 2 WHERE id = 2 RETURNING version;

-- A parent of which every node has a copy, and a child of which each has some rows.
CREATE TABLE visits (id int, tenant int, town int REFERENCES towns, PRIMARY KEY (tenant, id));
INSERT INTO pg_dist_partition
SELECT 'visits', 'h', partkey, 1, 's' FROM pg_dist_partition WHERE logicalrelid = 'posts'::regclass;
SELECT raceguard.add_parent_version('visits', 'towns');
SELECT raceguard.add_total('visits', 'towns', 'visits');
DELETE FROM pg_dist_partition WHERE logicalrelid = 'visits'::regclass;
SELECT raceguard.add_parent_version('visits', 'towns');

-- Neither by hash nor by range.
INSERT INTO pg_dist_partition VALUES ('visits', 'a', NULL, 0, 's');
SELECT raceguard.add_key_lock('visits', 'tenant');
SELECT raceguard.add_version('visits');

-- Triggers that would stay where no row is.
SET citus.enable_ddl_propagation = off;
SELECT raceguard.add_version('posts');
SELECT raceguard.drop_guard('posts', 'key_lock');
SELECT raceguard.add_version('posts_102008');
SET citus.enable_ddl_propagation = on;
SELECT raceguard.add_version('posts');

-- TimescaleDB: the rows lie in chunks, which inherit from the table.
\set QUIET on
SET allow_system_table_mods = on;
UPDATE pg_extension SET extname = 'timescaledb' WHERE oid = 99999;
CREATE SCHEMA _timescaledb_catalog;
CREATE TABLE _timescaledb_catalog.hypertable (id int, schema_name name, table_name name);
CREATE TABLE ticks (id int PRIMARY KEY, sensor int, at timestamptz);
CREATE TABLE chunk (PRIMARY KEY (id)) INHERITS (ticks);
INSERT INTO chunk VALUES (1, 1, '2026-01-01 00:00+00');
INSERT INTO _timescaledb_catalog.hypertable VALUES (1, 'public', 'ticks');
\set QUIET off
-- Whose table it is, is not known.
SELECT raceguard.add_key_lock('ticks', 'sensor');
SELECT raceguard.drop_guard('ticks', 'key_lock');
INSERT INTO pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
VALUES ('pg_class'::regclass, '_timescaledb_catalog.hypertable'::regclass, 0, 'pg_extension'::regclass, 99999, 0, 'e');
SELECT raceguard.add_key_lock('ticks', 'sensor');
SELECT raceguard.add_cooldown('ticks', 'sensor', 'at', '1 day');
SELECT raceguard.add_cap('ticks', 'sensor', 3);
SELECT raceguard.add_number('ticks', 'sensor');
SELECT raceguard.add_total('ticks', 'towns', 'n');
SELECT raceguard.add_key_lock('chunk', 'sensor');
SELECT raceguard.add_version('ticks');
SELECT raceguard.add_version('chunk', replace => true);
-- Calls find the rows of the chunks.
SELECT raceguard.compare_and_swap('ticks', '{"id": 1}', 1, '{"sensor": 2}');
SELECT raceguard.lock_rows('ticks', '[{"id": 1}]') ->> 'sensor';
SELECT raceguard.take('ticks', '{"id": 1}', 'sensor', 1);
SELECT raceguard.compare_and_delete('ticks', '{"id": 1}', 3);
