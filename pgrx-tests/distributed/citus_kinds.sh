# Tenant schemas, local tables that Citus knows, and partitioned tables that are distributed. Sourced by citus.sh.
# shellcheck disable=SC2154
at "$coordinator" "DROP SCHEMA IF EXISTS rg_tenant CASCADE; DROP SCHEMA IF EXISTS rg_later CASCADE" >/dev/null
at "$coordinator" "
    SET citus.enable_schema_based_sharding = on;
    CREATE SCHEMA rg_tenant;
    CREATE TABLE rg_tenant.posts (id int PRIMARY KEY, author int, at timestamptz);
    CREATE TABLE rg_tenant.replies (id int PRIMARY KEY, post int REFERENCES rg_tenant.posts);
    INSERT INTO rg_tenant.posts SELECT n, n % 3, '2026-01-01'::timestamptz + n * interval '1 day' FROM generate_series(1, 9) n" >/dev/null
at "$coordinator" "
    CREATE SCHEMA rg_later;
    CREATE TABLE rg_later.posts (id int PRIMARY KEY, author int, at timestamptz);
    CREATE TABLE rg_later.replies (id int PRIMARY KEY, post int REFERENCES rg_later.posts);
    INSERT INTO rg_later.posts SELECT n, n % 3, '2026-01-01'::timestamptz + n * interval '1 day' FROM generate_series(1, 9) n" >/dev/null
for t in rg_tenant rg_later; do
    for guard in "version('$t.posts', unstated => 'reject')" "key_lock('$t.posts', 'author')" "cap('$t.posts', 'author', 4)" \
        "cooldown('$t.posts', 'author', 'at', '1 day')" "number('$t.posts', 'author')"; do
        says "$coordinator" "zz_raceguard_${guard%%(*}" "SELECT raceguard.add_$guard"
    done
done
says "$coordinator" "ERROR:  XX000" "SELECT citus_schema_distribute('rg_later')"
says "$coordinator" "" "SET citus.enable_unsafe_triggers = on; SELECT citus_schema_distribute('rg_later')"
for t in rg_tenant rg_later; do
    says "$coordinator" zz_raceguard_parent_version "SELECT raceguard.add_parent_version('$t.replies', '$t.posts')"
    says "$coordinator" "ERROR:  0A000" "SELECT raceguard.add_total('$t.replies', '$t.posts', 'n')"
    n=0
    for node in "${nodes[@]}"; do
        n=$((n + 1))
        says "$node" "ERROR:  RG428" "UPDATE $t.posts SET author = 2"
        says "$node" "ERROR:  RG429" "INSERT INTO $t.posts VALUES (100, 1, '2026-01-02')"
        says "$node" "ERROR:  0A000" "SELECT raceguard.lock_key('$t.posts', 1)"
        says "$node" f "SELECT raceguard.insert_or_get('$t.posts', '{\"id\": 1, \"author\": 1}') IS NULL"
        says "$node" "" "INSERT INTO $t.replies VALUES ($n, 1)"
        says "$node" $((n + 1)) "SELECT version FROM $t.posts WHERE id = 1"
    done
    says "$coordinator" "4|4" "INSERT INTO $t.posts VALUES (101, 1, '2026-03-01') RETURNING slot, number"
    everywhere "ERROR:  RG403" "INSERT INTO $t.posts VALUES (102, 1, '2026-04-01')"
    says "$coordinator" "" "TRUNCATE $t.replies"
    says "$coordinator" t "SELECT version > $((n + 1)) FROM $t.posts WHERE id = 1"
done
at "$coordinator" "
    CREATE TABLE known (id int PRIMARY KEY, k int);
    SELECT citus_add_local_table_to_metadata('known');
    SELECT raceguard.add_version('known', unstated => 'reject'), raceguard.add_cap('known', 'k', 2), raceguard.add_key_lock('known', 'k');
    INSERT INTO known VALUES (1, 1), (2, 1)" >/dev/null
everywhere "ERROR:  RG403" "INSERT INTO known VALUES (3, 1)"
everywhere "ERROR:  RG428" "UPDATE known SET k = 2"

# partitioned
at "$coordinator" "
    CREATE TABLE log (id int, tenant int, at timestamptz NOT NULL, k int, PRIMARY KEY (tenant, at, id)) PARTITION BY RANGE (at);
    CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
    SELECT create_distributed_table('log', 'tenant');
    INSERT INTO log SELECT n, n % 4, '2026-01-15'::timestamptz + n * interval '1 day', 1 FROM generate_series(1, 30) n" >/dev/null
for guard in "version('log', unstated => 'reject')" "key_lock('log', 'tenant, k')" "cooldown('log', 'tenant, k', 'at', '1 minute')" \
    "cap('log', 'tenant, at, k', 1)" "number('log', 'tenant, at, k')"; do
    says "$coordinator" "zz_raceguard_${guard%%(*}" "SELECT raceguard.add_$guard"
done
at "$coordinator" "CREATE TABLE log_3 PARTITION OF log FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')" >/dev/null
everywhere 30 "SELECT count(*) FROM log WHERE slot = 1 AND number = 1 AND version = 1"
everywhere 5 "SELECT count(*) FROM raceguard.guards WHERE target = 'log'::regclass AND whole AND enabled"
n=0
for node in "${nodes[@]}"; do
    n=$((n + 1))
    says "$node" "ERROR:  RG428" "UPDATE log SET id = id WHERE tenant = 1"
    says "$node" "1|1|1" "INSERT INTO log VALUES ($n, $n, '2026-03-05', 9) RETURNING slot, number, version"
    says "$node" "ERROR:  RG403" "INSERT INTO log VALUES (50, $n, '2026-03-05', 9)"
    # across the partitions of the shard
    says "$node" "ERROR:  RG429" "INSERT INTO log VALUES (60, $n, '2026-02-28 23:59:50', 8), (61, $n, '2026-03-01 00:00:10', 8)"
    message=$("$PG_BIN/psql" -X -q -d "$node" -c "UPDATE log SET id = id WHERE tenant = $n AND k = 9" 2>&1 || true)
    check "the partition's name" "$(grep -o 'Partition "[a-z_0-9]*"' <<<"$message")" 'Partition "log_3"'
done
everywhere 0 "SELECT count(*) FROM raceguard.check_guards() WHERE severity <> 'info'"
at "$coordinator" "DROP SCHEMA rg_tenant CASCADE" >/dev/null
at "$coordinator" "DROP SCHEMA rg_later CASCADE" >/dev/null
