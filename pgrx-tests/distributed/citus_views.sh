# Views and check_guards on every node, and what the errors of shards say. Sourced by citus.sh.
# shellcheck disable=SC2154
at "$coordinator" "
    CREATE TABLE seen (id int PRIMARY KEY, k int);
    SELECT create_distributed_table('seen', 'id');
    SELECT raceguard.add_version('seen', unstated => 'reject');
    SELECT raceguard.add_key_lock('seen', 'id');
    INSERT INTO seen SELECT n, n FROM generate_series(1, 20) n" >/dev/null
everywhere $'seen|key_lock|t|t\nseen|version|t|t' "SELECT target, guard, enabled, whole FROM raceguard.guards WHERE target = 'seen'::regclass ORDER BY guard"
everywhere 0 "SELECT count(*) FROM raceguard.guards WHERE target::text ~ '_[0-9]+\$'"
everywhere 0 "SELECT count(*) FROM raceguard.stats WHERE target::text ~ '_[0-9]+\$'"
says "$coordinator" 20 "SELECT sum(result::int) FROM run_command_on_all_nodes(
    \$\$SELECT sum(passed) FROM raceguard.stats WHERE target = 'rg_test.seen'::regclass AND guard = 'key_lock'\$\$)"
session holder -d "${nodes[1]}"
asks holder "" "BEGIN"
asks holder "" "SELECT raceguard.lock_key(tableoid::regclass, id) FROM seen WHERE id = 3 LIMIT 1"
says "$coordinator" "rg_test.seen|key" "SELECT DISTINCT result FROM run_command_on_all_nodes(
    \$\$SELECT string_agg(DISTINCT target || '|' || locked, ' ') FROM raceguard.locks\$\$) WHERE result <> ''"
asks holder "" "ROLLBACK"
session_end holder

# errors: the table's name wherever they are raised; Citus hands no fields on from another node
for id in 1 2 3 4; do
    for node in "${nodes[@]}"; do
        message=$("$PG_BIN/psql" -X -q -d "$node" -v VERBOSITY=verbose -c "UPDATE seen SET k = 0, version = 9 WHERE id = $id" 2>&1 || true)
        check "no shard's name" "$(grep -E '^(ERROR|DETAIL|HINT|TABLE|CONSTRAINT)' <<<"$message" | grep -c '_[0-9][0-9][0-9]')" 0
        check "the table's" "$(grep -o 'ERROR:  RG409: row of "[a-z_0-9]*"' <<<"$message")" 'ERROR:  RG409: row of "seen"'
    done
done

# a shard without its trigger: found from every node, and put up again
everywhere 0 "SELECT count(*) FROM raceguard.check_guards() WHERE severity <> 'info'"
IFS='|' read -r shard worker < <(at "$coordinator" "SELECT shardid || '|' || nodeport FROM citus_shards WHERE table_name = 'seen'::regclass ORDER BY shardid LIMIT 1")
for node in "${nodes[@]:1}"; do
    [ "$(at "$node" "SELECT nodeport FROM pg_dist_node WHERE groupid = (SELECT groupid FROM pg_dist_local_group)")" != "$worker" ] \
        || at "$node" "SET citus.enable_manual_changes_to_shards = on; DROP TRIGGER zz_raceguard_version_$shard ON seen_$shard" >/dev/null
done
everywhere "error|shard_unguarded|seen|version|t" "SELECT severity, problem, target, guard, detail ~ 'Shard (rg_test.)?seen_$shard on node'
    FROM raceguard.check_guards() WHERE severity <> 'info'"
says "$coordinator" t "SELECT count(*) = 1 FROM raceguard.repair_guard('seen', 'version')"
everywhere 0 "SELECT count(*) FROM raceguard.check_guards() WHERE severity <> 'info'"
everywhere "ERROR:  RG428" "UPDATE seen SET k = 0"

# COPY and INSERT ... SELECT through COPY: Citus hands on the message and DETAIL, not the SQLSTATE
at "$coordinator" "
    CREATE TABLE full_up (id int, k int, PRIMARY KEY (k, id));
    SELECT create_distributed_table('full_up', 'k');
    SELECT raceguard.add_cap('full_up', 'k', 1);
    INSERT INTO full_up SELECT 1, n FROM generate_series(1, 20) n" >/dev/null
says "${nodes[0]}" "ERROR:  XX000" "INSERT INTO full_up SELECT 2, n FROM generate_series(1, 20) n"
message=$("$PG_BIN/psql" -X -q -d "${nodes[0]}" -c "INSERT INTO full_up SELECT 2, n FROM generate_series(1, 20) n" 2>&1 || true)
check "the message is the guard's" "$(grep -o 'cap of 1 rows in "[a-z_0-9]*" is full' <<<"$message")" 'cap of 1 rows in "full_up" is full'
