-- Guards in the shards of a table that Citus distributes: the extension's catalogs and functions are imitated here, and
-- so is what it makes of triggers and foreign keys in a shard. pgrx-tests/distributed has the extension itself.
\set QUIET on
SET client_min_messages = warning;
SET allow_system_table_mods = on;
CREATE EXTENSION raceguard;
CREATE TABLE pg_catalog.pg_dist_partition
    (logicalrelid regclass, partmethod "char", partkey text, colocationid int, repmodel "char");
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint);
CREATE TABLE pg_catalog.pg_dist_node (nodeid int, nodename text, nodeport int);
INSERT INTO pg_catalog.pg_dist_node VALUES (1, 'here', 5432);
CREATE FUNCTION pg_catalog.shard_name(object_name regclass, shard_id bigint, skip boolean) RETURNS text
    LANGUAGE sql AS $$ SELECT format('%I.%I', n.nspname, c.relname || '_' || $2) FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1 $$;
CREATE FUNCTION pg_catalog.run_command_on_all_nodes(command text, OUT nodeid int, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE plpgsql AS $$
    BEGIN
        nodeid := 1;
        success := true;
        EXECUTE command INTO result;
        RETURN NEXT;
    END $$;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
VALUES (99999, 'citus', 10, 'pg_catalog'::regnamespace, false, '1');
INSERT INTO pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
SELECT 'pg_class'::regclass, t, 0, 'pg_extension'::regclass, 99999, 0, 'e'
FROM unnest('{pg_catalog.pg_dist_partition, pg_catalog.pg_dist_shard}'::regclass[]) t;

CREATE TABLE posts (id int, tenant int, at timestamptz, PRIMARY KEY (tenant, id));
CREATE TABLE posts_102008 (LIKE posts INCLUDING ALL);
CREATE TABLE lists (id int PRIMARY KEY);
CREATE TABLE lists_102010 (LIKE lists INCLUDING ALL);
CREATE TABLE items (id int, list int, PRIMARY KEY (list, id), CONSTRAINT items_list FOREIGN KEY (list) REFERENCES lists);
CREATE TABLE items_102011
    (id int, list int, PRIMARY KEY (list, id), CONSTRAINT items_list FOREIGN KEY (list) REFERENCES lists_102010);
\set long 'a_name_so_long_that_no_number_fits_behind_it_____'
SELECT count(raceguard.add_version(t, unstated => 'reject')) + count(raceguard.add_key_lock(t, 'tenant'))
     + count(raceguard.add_cap(t, 'tenant', 2)) + count(raceguard.add_cooldown(t, 'tenant', 'at', '1 day', guard => :'long'))
FROM unnest('{posts, posts_102008}'::regclass[]) t;
SELECT raceguard.add_total('items', 'lists', 'n'), raceguard.add_total('items_102011', 'lists_102010', 'n'),
       raceguard.add_number('items', 'list', counter => 'last'), raceguard.add_number('items_102011', 'list', counter => 'last');
-- As Citus names them: with the shard's number, of a name that would be too long its beginning and a hash.
SELECT format('ALTER TRIGGER %I ON %I RENAME TO %I', tgname, relname,
              CASE WHEN length(tgname) + 7 <= 63 THEN tgname || '_' || shard
                   ELSE left(tgname, 47) || '_' || lpad(to_hex(hashtext(tgname) & 4294967295), 8, '0') || '_' || shard END)
FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid, LATERAL substring(relname FROM '[0-9]+$') AS shard
WHERE NOT tgisinternal AND shard IS NOT NULL ORDER BY 1 \gexec
ALTER TABLE items_102011 RENAME CONSTRAINT items_list TO items_list_102011;
\set by_first '{VAR :varno 1 :varattno 1 :vartype 23 :vartypmod -1 :varcollid 0 :varlevelsup 0 :location -1}'
\set by_tenant '{VAR :varno 1 :varattno 2 :vartype 23 :vartypmod -1 :varcollid 0 :varlevelsup 0 :location -1}'
INSERT INTO pg_dist_partition VALUES ('posts', 'h', :'by_tenant', 1, 's'), ('lists', 'h', :'by_first', 2, 's'),
    ('items', 'h', :'by_tenant', 2, 's');
\c -
\set QUIET on
SET client_min_messages = warning;
SET timezone = 'UTC';
\set QUIET off

-- Rows that stand are copied before the shard is known as one: its triggers find each other.
INSERT INTO lists_102010 VALUES (1), (2);
INSERT INTO items_102011 VALUES (1, 1), (2, 1);
INSERT INTO pg_dist_shard VALUES ('posts', 102008), ('lists', 102010), ('items', 102011);
\c -
\set QUIET on
SET client_min_messages = warning;
SET timezone = 'UTC';
\set QUIET off
INSERT INTO items_102011 VALUES (3, 1), (4, 2) RETURNING number;
SELECT * FROM lists_102010 ORDER BY id;
-- TRUNCATE fires on the table and in each shard, where it counts.
TRUNCATE items;
SELECT * FROM lists_102010 ORDER BY id;
TRUNCATE items_102011;
SELECT * FROM lists_102010 ORDER BY id;

-- The views know the table.
SELECT raceguard.logical_table('posts_102008'::regclass), raceguard.logical_table('posts'::regclass), raceguard.logical_table(1);
SELECT target, guard, kind, enabled, whole FROM raceguard.guards ORDER BY 1, 2;
INSERT INTO posts_102008 VALUES (1, 1, '2026-01-01 00:00+00');
SELECT guard, passed, refused FROM raceguard.stats WHERE target = 'posts'::regclass ORDER BY 1;
SELECT raceguard.stats_reset('posts', 'version') IS NOT NULL, raceguard.stats_reset('posts') IS NOT NULL;
SELECT sum(passed) FROM raceguard.stats WHERE target = 'posts'::regclass;
BEGIN;
SELECT raceguard.lock_key('posts_102008', 1);
SELECT target, locked, granted FROM raceguard.locks;
COMMIT;

-- So do errors, in their texts and in their fields.
CREATE FUNCTION fields(statement text) RETURNS TABLE (code text, in_table text, in_column text, by_guard text)
    LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, in_table = TABLE_NAME, in_column = COLUMN_NAME, by_guard = CONSTRAINT_NAME;
        RETURN NEXT;
    END $$;
UPDATE posts_102008 SET id = 2, version = 9;
INSERT INTO posts_102008 VALUES (2, 1, '2026-01-01 01:00+00');
SELECT * FROM fields('UPDATE posts_102008 SET id = 2, version = 9');
SELECT * FROM fields('UPDATE posts_102008 SET id = 2');
SELECT * FROM fields('INSERT INTO posts_102008 VALUES (2, 1, ''2026-01-01 01:00+00'')');
INSERT INTO posts_102008 VALUES (2, 1, '2026-02-01 01:00+00');
SELECT * FROM fields('INSERT INTO posts_102008 VALUES (3, 1, ''2026-03-01 01:00+00'')');
SELECT * FROM fields('UPDATE lists_102010 SET n = 7');
-- What is broken there is told, and mended, by the table's name.
BEGIN;
DROP INDEX posts_102008_cap;
INSERT INTO posts_102008 VALUES (3, 1, '2026-03-01 01:00+00');
ROLLBACK;
BEGIN;
ALTER TABLE posts_102008 RENAME tenant TO customer;
INSERT INTO posts_102008 VALUES (3, 1, '2026-03-01 01:00+00');
ROLLBACK;

-- A shard whose triggers are not those of the table.
SELECT * FROM raceguard.check_guards() WHERE severity <> 'info';
BEGIN;
DROP TRIGGER zz_raceguard_version_102008 ON posts_102008;
ALTER TABLE posts_102008 DISABLE TRIGGER zz_raceguard_cap_102008;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('posts') WHERE severity <> 'info' ORDER BY guard;
-- Of a shard its table is looked at.
SELECT problem, target, guard FROM raceguard.check_guards('posts_102008') WHERE severity <> 'info' ORDER BY guard;
ROLLBACK;
-- A node that does not answer.
BEGIN;
CREATE OR REPLACE FUNCTION pg_catalog.run_command_on_all_nodes(command text, OUT nodeid int, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql AS $$ SELECT 1, false, 'connection refused' $$;
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('posts') WHERE severity <> 'info';
DROP FUNCTION pg_catalog.run_command_on_all_nodes(text);
SELECT severity, problem, target, guard, detail, remedy FROM raceguard.check_guards('posts') WHERE severity <> 'info';
ROLLBACK;

-- Calls that do to all rows what each shard has to do for itself.
CALL raceguard.number_slots('posts', 'cap');
CALL raceguard.number_slots('posts_102008', 'cap');
CALL raceguard.number_rows('items', 'number');
SELECT raceguard.plan_number('posts', 'tenant');
CALL raceguard.backfill_version('posts');
SELECT raceguard.backfill_version_step('posts_102008', 10);
CALL raceguard.recount('items', 'total');
SELECT raceguard.bypass('posts', 'version', 'repair');
BEGIN;
SELECT raceguard.bypass('posts_102008', 'version', 'repair');
UPDATE posts_102008 SET at = at WHERE id = 1 RETURNING version;
ROLLBACK;
-- A total has triggers that Citus puts on no shard that stands.
SELECT raceguard.add_total('items', 'lists', 'more', guard => 'more');
SELECT count(*) FROM raceguard.plan_total('items', 'lists', 'more', guard => 'more');
SELECT raceguard.add_total('items', 'lists', 'n');
-- Versions that another node does not know.
SELECT raceguard.compare_and_swap('items', '{"id": 1, "list": 1}', '1', '{"number": 1}');
SELECT raceguard.compare_and_swap('items', '{"id": 1, "list": 1}', '1', '{"number": 1}', token => 'xmin');
SELECT raceguard.compare_and_delete('posts', '{"id": 1, "tenant": 1}', '1', token => 'hash');

-- A cap and numbers on a table that is distributed already: a shard's rows are numbered by themselves.
SELECT step, ddl FROM raceguard.plan_cap('posts', 'tenant, at', 3, guard => 'by_time', slot_column => 'place');
CREATE TABLE rooms (id int, tenant int, PRIMARY KEY (tenant, id));
CREATE TABLE rooms_102012 (LIKE rooms INCLUDING ALL);
INSERT INTO rooms_102012 SELECT n, n % 2 FROM generate_series(1, 6) n;
INSERT INTO pg_dist_partition SELECT 'rooms', partmethod, partkey, 3, 's' FROM pg_dist_partition WHERE logicalrelid = 'posts'::regclass;
INSERT INTO pg_dist_shard VALUES ('rooms', 102012);
SELECT raceguard.add_cap('rooms_102012', 'tenant', 2);
SELECT raceguard.add_cap('rooms_102012', 'tenant', 3), raceguard.add_number('rooms_102012', 'tenant');
SELECT tenant, array_agg(slot ORDER BY id), array_agg(number ORDER BY id) FROM rooms_102012 GROUP BY 1 ORDER BY 1;
SELECT raceguard.drop_guard('rooms_102012', 'cap');
UPDATE rooms_102012 SET slot = NULL WHERE id = 1;
SELECT raceguard.add_cap('rooms_102012', 'tenant', 3);
UPDATE rooms_102012 SET slot = NULL;
SELECT raceguard.add_cap('rooms_102012', 'tenant', 3);
-- Rows that were copied into shards, and left.
SELECT raceguard.add_cap('rooms', 'tenant', 3);
SELECT raceguard.drop_guard('rooms', 'cap', drop_column => true);
INSERT INTO rooms VALUES (1, 1);
SELECT raceguard.add_cap('rooms', 'tenant', 3);
SELECT count(*) FROM raceguard.plan_cap('rooms', 'tenant', 3);
