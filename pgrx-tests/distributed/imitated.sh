# Citus's catalogs, imitated: what sessions see of them while they change, and long names. Sourced by run.sh.
# shellcheck disable=SC2154
"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE IF EXISTS imitated' -c 'CREATE DATABASE imitated'
long=$(printf 'p%.0s' {1..60})
at dbname=imitated "
    CREATE EXTENSION raceguard;
    SET allow_system_table_mods = on;
    CREATE TABLE pg_catalog.pg_dist_partition
        (logicalrelid regclass, partmethod \"char\", partkey text, colocationid int, repmodel \"char\");
    CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint);
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (99999, 'citus', 10, 'pg_catalog'::regnamespace, false, '1');
    INSERT INTO pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
    SELECT 'pg_class'::regclass, t, 0, 'pg_extension'::regclass, 99999, 0, 'e'
    FROM unnest('{pg_catalog.pg_dist_partition, pg_catalog.pg_dist_shard}'::regclass[]) t;
    CREATE TABLE posts (tenant int, author int);
    CREATE TABLE posts_102008 (LIKE posts);
    SELECT raceguard.add_key_lock('posts_102008', 'author');
    CREATE TABLE $long (tenant int, author int);
    CREATE TABLE ${long:0:47}_00000000_102009 (LIKE posts);
    SELECT raceguard.add_key_lock('${long:0:47}_00000000_102009', 'author');" >/dev/null

# ---- rows are copied into a new shard before the node is told that it is one
session copies -d dbname=imitated
session tells -d dbname=imitated
asks copies "" "BEGIN"
asks copies "" "INSERT INTO posts_102008 VALUES (1, 1)"
asks tells "" "INSERT INTO pg_dist_partition VALUES ('posts', 'h', '{VAR :varno 1 :varattno 1 }', 1, 's')"
asks tells "" "INSERT INTO pg_dist_shard VALUES ('posts', 102008)"
asks copies "" "INSERT INTO posts_102008 VALUES (1, 2)"
asks copies "" "COMMIT"
asks copies "ERROR:  0A000" "INSERT INTO posts_102008 VALUES (1, 3)"
asks tells "ERROR:  0A000" "INSERT INTO posts_102008 VALUES (1, 3)"

# ---- a name that is too long: its beginning, a hash, the number
asks tells "" "INSERT INTO pg_dist_partition VALUES ('$long', 'h', '{VAR :varno 1 :varattno 1 }', 1, 's')"
asks tells "" "INSERT INTO pg_dist_shard VALUES ('$long', 102009)"
asks tells "" "INSERT INTO ${long:0:47}_00000000_102009 VALUES (1, 3)"
ask tells "SELECT to_hex(hashtext('$long') & 4294967295::bigint)"
hash=$(printf '%8s' "$ANSWER" | tr ' ' 0)
asks tells "" "ALTER TABLE ${long:0:47}_00000000_102009 RENAME TO ${long:0:47}_${hash: -8}_102009"
asks tells "ERROR:  0A000" "INSERT INTO ${long:0:47}_${hash: -8}_102009 VALUES (1, 3)"
session_end copies
session_end tells
"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE imitated'
