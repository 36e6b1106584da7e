# Guards and calls on a Citus cluster, through every node. Sourced by run.sh.
# shellcheck disable=SC2154,SC2034
IFS='|' read -r -a nodes <<<"$RACEGUARD_CITUS"
coordinator=${nodes[0]}
unset PGOPTIONS
for i in "${!nodes[@]}"; do
    nodes[i]="${nodes[i]} options='-c client_min_messages=error -c search_path=rg_test,public'"
done
coordinator=${nodes[0]}
at "$coordinator" "
    CREATE EXTENSION IF NOT EXISTS raceguard;
    DROP SCHEMA IF EXISTS rg_test CASCADE;
    CREATE SCHEMA rg_test" >/dev/null

# everywhere WANTED SQL: through the coordinator and every worker.
everywhere() {
    local node
    for node in "${nodes[@]}"; do says "$node" "$1" "$2"; done
}

# waits DSN SQL: t where the statement waits for somebody until it is cancelled.
waits() { [ "$(at "$1 connect_timeout=5" "SET statement_timeout = '2s'; $2")" = "ERROR:  57014" ] && echo t || echo f; }

# guards are put up without a setting of Citus's, before the rows are distributed and after
at "$coordinator" "
    CREATE TABLE before (id int PRIMARY KEY, k int, at timestamptz);
    CREATE TABLE after (id int PRIMARY KEY, k int, at timestamptz);
    SELECT raceguard.add_version('before');
    SELECT raceguard.add_key_lock('before', 'id');
    SELECT raceguard.add_cooldown('before', 'id', 'at', '1 day', own_past => true);
    INSERT INTO before SELECT n, n FROM generate_series(1, 20) n;
    SET citus.enable_unsafe_triggers = on;
    SELECT create_distributed_table('before', 'id');
    SELECT create_distributed_table('after', 'id')" >/dev/null
says "$coordinator" zz_raceguard_version "SELECT raceguard.add_version('after')"
says "$coordinator" zz_raceguard_key_lock "SELECT raceguard.add_key_lock('after', 'id')"
says "$coordinator" zz_raceguard_cooldown "SELECT raceguard.add_cooldown('after', 'id', 'at', '1 day', own_past => true)"
at "$coordinator" "INSERT INTO after SELECT n, n FROM generate_series(1, 20) n" >/dev/null
for t in before after; do
    everywhere "ERROR:  RG409" "UPDATE $t SET k = 0, version = 9 WHERE id = 3"
    everywhere "ERROR:  0A000" "SELECT raceguard.lock_key('$t', 3)"
    everywhere "ERROR:  0A000" "SELECT raceguard.try_lock_key('$t', 3)"
    everywhere "ERROR:  0A000" "SELECT raceguard.lock_keys('$t', '[3]')"
    everywhere "ERROR:  0A000" "SELECT raceguard.lock_table_keys('$t')"
    everywhere "ERROR:  0A000" "SELECT raceguard.next_allowed('$t', '3')"
done

# what the HINT says instead
session holder -d "${nodes[1]}"
asks holder "" "BEGIN"
asks holder "" "SELECT raceguard.lock_key(tableoid::regclass, id) FROM after WHERE id = 3 LIMIT 1"
everywhere f "SELECT raceguard.try_lock_key(tableoid::regclass, id) FROM after WHERE id = 3 LIMIT 1"
for node in "${nodes[@]}"; do
    check "a writer waits for the lock in the shard" "$(waits "$node" "UPDATE after SET k = 5 WHERE id = 3")" t
    check "another key does not wait" "$(waits "$node" "UPDATE after SET k = k WHERE id = 4")" f
done
asks holder "" "ROLLBACK"
asks holder "" "BEGIN"
asks holder "" "LOCK TABLE after IN SHARE MODE"
for node in "${nodes[@]}"; do
    check "a writer waits for LOCK TABLE" "$(waits "$node" "UPDATE after SET k = 5 WHERE id = 4")" t
done
asks holder "" "ROLLBACK"

# a key without the column of distribution
for guard in "add_key_lock('after', 'k', replace => true)" "add_cooldown('after', 'k', 'at', '1 day', guard => 'k')" \
    "add_cap('after', 'k', 2)" "add_number('after', 'k')"; do
    says "$coordinator" "ERROR:  0A000" "SELECT raceguard.$guard"
done
at "$coordinator" "
    SET citus.enable_unsafe_triggers = on;
    CREATE TABLE late (id int PRIMARY KEY, k int);
    SELECT raceguard.add_key_lock('late', 'k');
    SELECT create_distributed_table('late', 'id');" >/dev/null
everywhere "ERROR:  0A000" "INSERT INTO late VALUES (4, 4)"
says "$coordinator" "" "SELECT raceguard.drop_guard('late', 'key_lock')"
everywhere "" "UPDATE late SET k = 5 WHERE id = 4"

# a cap and a number that stood before
at "$coordinator" "
    SET citus.enable_unsafe_triggers = on;
    CREATE TABLE seats (id int, hall int, PRIMARY KEY (hall, id));
    SELECT raceguard.add_cap('seats', 'hall', 2);
    SELECT raceguard.add_number('seats', 'hall');
    INSERT INTO seats VALUES (1, 1);
    SELECT create_distributed_table('seats', 'hall')" >/dev/null
says "${nodes[1]}" "2|2" "INSERT INTO seats VALUES (2, 1) RETURNING slot, number"
everywhere "ERROR:  RG403" "INSERT INTO seats VALUES (3, 1)"
everywhere "ERROR:  0A000" "SELECT raceguard.next_free_slot('seats', '1')"
at "$coordinator" "INSERT INTO seats VALUES (1, 2)" >/dev/null
everywhere 2 "SELECT raceguard.next_free_slot(tableoid::regclass, '2') FROM seats WHERE hall = 2 LIMIT 1"
everywhere t "SELECT raceguard.next_allowed(tableoid::regclass, id::text::jsonb) > '2000-01-01' FROM after WHERE id = 3 LIMIT 1"

# reference tables
at "$coordinator" "
    SET citus.enable_unsafe_triggers = on;
    CREATE TABLE capped (id int PRIMARY KEY, k int);
    SELECT raceguard.add_cap('capped', 'k', 2);
    CREATE TABLE timed (id int PRIMARY KEY, k int, changed timestamptz NOT NULL DEFAULT now());
    SELECT raceguard.add_version('timed', 'changed', client_sends => 'current');
    CREATE TABLE whole (id int PRIMARY KEY, k int);
    SELECT create_reference_table(t) FROM unnest('{capped, timed, whole}'::regclass[]) t;
    INSERT INTO timed VALUES (1, 1);
    SELECT raceguard.add_version('whole', unstated => 'reject');
    SELECT raceguard.add_key_lock('whole', 'k');
    INSERT INTO whole VALUES (1, 1)" >/dev/null
everywhere "ERROR:  0A000" "INSERT INTO capped VALUES (1, 1)"
everywhere "ERROR:  0A000" "UPDATE timed SET k = 2"
says "$coordinator" "ERROR:  0A000" "SELECT raceguard.add_cap('whole', 'k', 2)"
says "$coordinator" "ERROR:  0A000" "SELECT raceguard.add_number('whole', 'k')"
everywhere "ERROR:  0A000" "SELECT raceguard.lock_key('whole', 1)"
everywhere "ERROR:  RG428" "UPDATE whole SET k = 2"
for node in "${nodes[@]}"; do
    at "$node" "UPDATE whole SET k = k + 1, version = version + 1 WHERE id = 1" >/dev/null
done
everywhere "$((1 + ${#nodes[@]}))|$((1 + ${#nodes[@]}))" "SELECT version, k FROM whole"
asks holder "" "BEGIN"
ask holder "SELECT k FROM whole WHERE id = 1 FOR UPDATE"
for node in "${nodes[@]}"; do
    check "a writer waits for the row" "$(waits "$node" "UPDATE whole SET version = version + 1 WHERE id = 1")" t
done
asks holder "" "ROLLBACK"

# a guard of the child that would write one copy of the parent
at "$coordinator" "
    CREATE TABLE visits (id int, k int REFERENCES whole, PRIMARY KEY (id));
    SELECT create_distributed_table('visits', 'id')" >/dev/null
says "$coordinator" "ERROR:  0A000" "SELECT raceguard.add_parent_version('visits', 'whole')"
says "$coordinator" "ERROR:  0A000" "SELECT raceguard.add_total('visits', 'whole', 'visits')"

# DDL that would stay on the coordinator
for call in "add_version('late')" "drop_guard('after', 'version')" "set_mode('after', 'version', 'observe')"; do
    says "$coordinator" "ERROR:  0A000" "SET citus.enable_ddl_propagation = off; SELECT raceguard.$call"
done

# calls on rows
at "$coordinator" "
    CREATE TABLE stock (id int PRIMARY KEY, n int, note text);
    SELECT create_distributed_table('stock', 'id');
    SELECT raceguard.add_version('stock', unstated => 'reject');
    INSERT INTO stock SELECT id, 100 FROM generate_series(1, 9) id" >/dev/null
n=1
for node in "${nodes[@]}"; do
    says "$node" "t" "SELECT raceguard.compare_and_swap('stock', '{\"id\": 1}', $n, '{\"note\": \"$n\"}') @> '{\"version\": $((n + 1))}'"
    says "$node" "ERROR:  RG409" "SELECT raceguard.compare_and_swap('stock', '{\"id\": 1}', $n, '{\"note\": \"$n\"}')"
    says "$node" "t" "SELECT raceguard.swap_columns('stock', '{\"id\": 2}', '{\"n\": $((101 - n))}', '{\"n\": $((100 - n))}') @> '{\"n\": $((100 - n))}'"
    says "$node" "ERROR:  RG409" "SELECT raceguard.swap_columns('stock', '{\"id\": 2}', '{\"n\": 7}', '{\"n\": 8}')"
    says "$node" "ERROR:  RG404" "SELECT raceguard.compare_and_swap('stock', '{\"id\": 99}', 1, '{\"n\": 1}')"
    says "$node" "ERROR:  RG404" "SELECT raceguard.compare_and_delete('stock', '{\"id\": 99}', 1)"
    says "$node" $((100 - n)) "SELECT raceguard.take('stock', '{\"id\": 3}', 'n', 1)"
    says "$node" 2 "SELECT count(*) FROM raceguard.take_all('stock', 'n', '[{\"id\": 5, \"amount\": 1}, {\"id\": 4, \"amount\": 1}]')"
    says "$node" "ERROR:  RG422" "SELECT raceguard.take_all('stock', 'n', '[{\"id\": 5, \"amount\": 1}, {\"id\": 4, \"amount\": 500}]')"
    says "$node" 2 "SELECT count(*) FROM raceguard.lock_rows('stock', '[{\"id\": 2}, {\"id\": 1}]')"
    says "$node" "t" "SELECT inserted FROM raceguard.insert_or_get('stock', '{\"id\": $((100 + n)), \"n\": 1}')"
    says "$node" "f" "SELECT inserted FROM raceguard.insert_or_get('stock', '{\"id\": $((100 + n)), \"n\": 2}')"
    says "$node" "t" "SELECT raceguard.compare_and_delete('stock', '{\"id\": $((100 + n))}', 1) IS NOT NULL"
    says "$node" t "SELECT raceguard.insert_next_slot('seats', '{\"id\": $n, \"hall\": $((70 + n))}') @> '{\"slot\": 1}'"
    n=$((n + 1))
done

# a parent version that stood before, and one added after
for t in older newer; do
    at "$coordinator" "
        CREATE TABLE $t (id int PRIMARY KEY, note text);
        CREATE TABLE ${t}_lines (id int, parent int REFERENCES $t, PRIMARY KEY (parent, id));
        SELECT raceguard.add_version('$t')" >/dev/null
    [ "$t" = newer ] || at "$coordinator" "SELECT raceguard.add_parent_version('older_lines', 'older')" >/dev/null
    at "$coordinator" "SET citus.enable_unsafe_triggers = on; SELECT create_distributed_table('$t', 'id')" >/dev/null
    at "$coordinator" "SET citus.enable_unsafe_triggers = on; SELECT create_distributed_table('${t}_lines', 'parent')" >/dev/null
done
says "$coordinator" zz_raceguard_parent_version "SELECT raceguard.add_parent_version('newer_lines', 'newer')"
for t in older newer; do
    at "$coordinator" "INSERT INTO $t SELECT n FROM generate_series(1, 8) n" >/dev/null
    n=1
    for node in "${nodes[@]}"; do
        at "$node" "INSERT INTO ${t}_lines SELECT $n, parent FROM generate_series(1, 8) parent" >/dev/null
        n=$((n + 1))
        says "$node" 8 "SELECT count(*) FROM $t WHERE version = $n"
    done
    says "$coordinator" $((n + 1)) "BEGIN; UPDATE ${t}_lines SET id = id + 50 WHERE parent = 1; DELETE FROM ${t}_lines WHERE parent = 1; COMMIT;
        SELECT version FROM $t WHERE id = 1"
done

# errors name the table that was written to
for node in "${nodes[@]}"; do
    message=$("$PG_BIN/psql" -X -q -d "$node" -c "UPDATE after SET k = 0, version = 9 WHERE id = 3" 2>&1 || true)
    check "the table of the client" "$(grep -o 'row of "[a-z_0-9]*"' <<<"$message")" 'row of "after"'
done

# a transaction that spans nodes is not serializable
retry="UPDATE after SET k = k + 1, version = version + 1 WHERE id IN (1, 2, 3, 4)"
everywhere "ERROR:  0A000" "CALL raceguard.retry('$retry')"
everywhere 1 "CALL raceguard.retry('$retry', isolation => 'read committed')"
everywhere 1 "CALL raceguard.retry('SELECT 1')"
session_end holder
. "$here/citus_views.sh"
. "$here/citus_standing.sh"
. "$here/citus_kinds.sh"
. "$here/citus_races.sh"
at "$coordinator" "DROP SCHEMA rg_test CASCADE" >/dev/null
