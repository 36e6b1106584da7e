# Guards on tables that are distributed already, totals and counters in shards, and calls that number rows. Sourced by citus.sh.
# shellcheck disable=SC2154
at "$coordinator" "
    CREATE TABLE rooms (id int, hall int, PRIMARY KEY (hall, id));
    SELECT create_distributed_table('rooms', 'hall');
    CREATE TABLE empty (id int, hall int, PRIMARY KEY (hall, id));
    SELECT create_distributed_table('empty', 'hall');
    CREATE TABLE planned (id int, hall int, PRIMARY KEY (hall, id));
    SELECT create_distributed_table('planned', 'hall');
    INSERT INTO rooms SELECT id, hall FROM generate_series(1, 3) id, generate_series(1, 12) hall;
    INSERT INTO planned SELECT * FROM rooms;
    SELECT raceguard.add_version('rooms', unstated => 'reject')" >/dev/null
says "$coordinator" "ERROR:  23514" "SELECT raceguard.add_cap('rooms', 'hall', 2)"
says "$coordinator" "zz_raceguard_cap|zz_raceguard_number" "SELECT raceguard.add_cap('rooms', 'hall', 4), raceguard.add_number('rooms', 'hall')"
says "$coordinator" "zz_raceguard_cap|zz_raceguard_number" "SELECT raceguard.add_cap('rooms', 'hall', 4), raceguard.add_number('rooms', 'hall')"
says "$coordinator" "zz_raceguard_cap|zz_raceguard_number" "SELECT raceguard.add_cap('empty', 'hall', 1), raceguard.add_number('empty', 'hall')"
everywhere 36 "SELECT count(*) FROM rooms WHERE slot = id AND number = id AND version = 1"
n=0
for node in "${nodes[@]}"; do
    n=$((n + 1))
    says "$node" "4|4" "INSERT INTO rooms VALUES (4, $n) RETURNING slot, number"
    says "$node" "ERROR:  RG403" "INSERT INTO rooms VALUES (5, $n)"
    says "$node" "1|1" "INSERT INTO empty VALUES (1, $n) RETURNING slot, number"
    says "$node" "ERROR:  RG403" "INSERT INTO empty VALUES (2, $n)"
done
# rows that were copied and left in the table itself
at "$coordinator" "
    CREATE TABLE copied (id int, hall int, PRIMARY KEY (hall, id));
    INSERT INTO copied VALUES (1, 1);
    SELECT create_distributed_table('copied', 'hall')" >/dev/null
says "$coordinator" "ERROR:  55000" "SELECT raceguard.add_cap('copied', 'hall', 1)"
says "$coordinator" "ERROR:  55000" "SELECT * FROM raceguard.plan_cap('copied', 'hall', 1)"
says "$coordinator" "" "SELECT truncate_local_data_after_distributing_table('copied')"
says "$coordinator" zz_raceguard_cap "SELECT raceguard.add_cap('copied', 'hall', 1)"
everywhere "ERROR:  RG403" "INSERT INTO copied VALUES (2, 1)"
# a role that is no superuser needs no setting either
at "$coordinator" "CREATE ROLE rg_owner LOGIN" >/dev/null
at "$coordinator" "GRANT ALL ON SCHEMA rg_test TO rg_owner" >/dev/null
says "$coordinator" "zz_raceguard_version|zz_raceguard_cap" "SET ROLE rg_owner;
    CREATE TABLE rg_test.owned (id int, hall int, PRIMARY KEY (hall, id));
    DO \$\$ BEGIN PERFORM create_distributed_table('rg_test.owned', 'hall'); END \$\$;
    INSERT INTO rg_test.owned VALUES (1, 1);
    SELECT raceguard.add_version('rg_test.owned'), raceguard.add_cap('rg_test.owned', 'hall', 1)"
everywhere "ERROR:  RG403" "INSERT INTO owned VALUES (2, 1)"
at "$coordinator" "DROP TABLE owned" >/dev/null
at "$coordinator" "DROP OWNED BY rg_owner" >/dev/null
at "$coordinator" "DROP ROLE rg_owner" >/dev/null
# rows without a slot beside others, and the HINT
at "$coordinator" "SELECT raceguard.drop_guard('rooms', 'cap'); INSERT INTO rooms VALUES (50, 12)" >/dev/null
says "$coordinator" "ERROR:  0A000" "SELECT raceguard.add_cap('rooms', 'hall', 4)"
says "$coordinator" zz_raceguard_cap "UPDATE rooms SET slot = NULL, version = version + 1; SELECT raceguard.add_cap('rooms', 'hall', 4)"
says "$coordinator" 4 "SELECT max(slot) FROM rooms WHERE hall = 12"

# the steps for a table in use
"$PG_BIN/psql" -X -q -d "$coordinator" -v ON_ERROR_STOP=1 -c "SET citus.enable_unsafe_triggers = on" -f - >/dev/null <<'SQL'
SET citus.enable_unsafe_triggers = on;
SELECT ddl FROM raceguard.plan_cap('planned', 'hall', 3) ORDER BY step \gexec
SQL
says "$coordinator" 12 "SELECT count(*) FROM (SELECT FROM planned GROUP BY hall HAVING count(DISTINCT slot) = 3 AND max(slot) = 3) t"
says "$coordinator" 0 "SELECT count(*) FROM raceguard.plan_cap('planned', 'hall', 3)"
everywhere "ERROR:  RG403" "INSERT INTO planned VALUES (4, 1)"
says "$coordinator" "ERROR:  0A000" "SELECT * FROM raceguard.plan_number('planned', 'hall')"
says "$coordinator" "ERROR:  0A000" "CALL raceguard.number_slots('planned', 'cap')"
says "$coordinator" "ERROR:  0A000" "CALL raceguard.number_rows('rooms', 'number')"
says "$coordinator" "ERROR:  0A000" "CALL raceguard.backfill_version('rooms')"
says "$coordinator" t "SELECT bool_and(success) FROM run_command_on_shards('planned', \$\$CALL raceguard.number_slots('%s', 'cap')\$\$)"

# tokens
for token in auto xmin hash; do
    everywhere "ERROR:  0A000" "SELECT raceguard.compare_and_swap('planned', '{\"hall\": 1, \"id\": 1}', '1', '{\"slot\": 1}', token => '$token')"
    everywhere "ERROR:  0A000" "SELECT raceguard.compare_and_delete('planned', '{\"hall\": 1, \"id\": 1}', '1', token => '$token')"
done

# a bypass, in the shard
everywhere "ERROR:  0A000" "SELECT raceguard.bypass('rooms', 'version', 'repair')"
everywhere 1 "BEGIN; DO \$\$ BEGIN
        PERFORM raceguard.bypass(tableoid::regclass, 'version', 'repair') FROM rooms WHERE hall = 5 LIMIT 1;
    END \$\$; UPDATE rooms SET id = id WHERE hall = 5 AND id = 1 RETURNING id; COMMIT"
everywhere "ERROR:  RG428" "UPDATE rooms SET id = id WHERE hall = 5 AND id = 1"

# totals and counters that stood before, with rows; a total on tables that are distributed already, and the HINT
at "$coordinator" "
    CREATE TABLE events (id int PRIMARY KEY, places int DEFAULT 5);
    CREATE TABLE guests (id int, event int REFERENCES events, seats int DEFAULT 1, PRIMARY KEY (event, id));
    SELECT create_distributed_table('events', 'id');
    SELECT create_distributed_table('guests', 'event');
    INSERT INTO events SELECT generate_series(1, 8);
    INSERT INTO guests SELECT id, event FROM generate_series(1, 2) id, generate_series(1, 8) event" >/dev/null
says "$coordinator" "ERROR:  0A000" "SELECT raceguard.add_total('guests', 'events', 'n')"
says "$coordinator" "ERROR:  0A000" "SELECT * FROM raceguard.plan_total('guests', 'events', 'n')"
says "$coordinator" "" "SELECT undistribute_table('guests', cascade_via_foreign_keys => true)"
at "$coordinator" "
    SELECT raceguard.add_total('guests', 'events', 'n');
    SELECT raceguard.add_total('guests', 'events', 'seats', 'seats', at_most => 'places', guard => 'seats');
    SELECT raceguard.add_number('guests', 'event', counter => 'last')" >/dev/null
says "$coordinator" "" "SET citus.enable_unsafe_triggers = on; SELECT create_distributed_table('events', 'id')"
says "$coordinator" "" "SET citus.enable_unsafe_triggers = on; SELECT create_distributed_table('guests', 'event')"
# counted WANTED: totals and counters of all events, and what they have to be.
counted() {
    everywhere "$1" "SELECT sum(n), sum(e.seats), sum(last), bool_and(n = c AND e.seats = s) FROM events e,
        LATERAL (SELECT count(*), coalesce(sum(g.seats), 0) FROM guests g WHERE g.event = e.id) AS g(c, s)"
}
counted "16|16|16|t"
n=2
for node in "${nodes[@]}"; do
    n=$((n + 1))
    says "$node" "$n" "INSERT INTO guests VALUES ($n, 1) RETURNING number"
    says "$node" "ERROR:  RG403" "INSERT INTO guests VALUES (100, 2, 4)"
    says "$node" "ERROR:  428C9" "UPDATE events SET n = 0"
    says "$node" "" "BEGIN; DELETE FROM guests WHERE event = 3; SAVEPOINT a; INSERT INTO guests VALUES (9, 4); ROLLBACK TO a; COMMIT"
    says "$node" "" "INSERT INTO guests VALUES (1, 3), (2, 3); UPDATE guests SET seats = 2 WHERE event = $n AND id = 1"
done
counted "$((14 + n))|$((13 + 2 * n - 2))|$((14 + n + 2 * (n - 2)))|t"
says "$coordinator" "" "TRUNCATE guests"
counted "0|0|$((14 + n + 2 * (n - 2)))|t"
says "$coordinator" "ERROR:  0A000" "CALL raceguard.recount('guests', 'total')"
says "$coordinator" "" "SELECT raceguard.drop_guard('guests', 'total')"

# a counter that is added later
at "$coordinator" "
    CREATE TABLE orders (id int PRIMARY KEY);
    CREATE TABLE lines (id int, of_order int REFERENCES orders, PRIMARY KEY (of_order, id));
    SELECT create_distributed_table('orders', 'id');
    SELECT create_distributed_table('lines', 'of_order');
    INSERT INTO orders SELECT generate_series(1, 8);
    INSERT INTO lines SELECT 1, generate_series(1, 8)" >/dev/null
says "$coordinator" zz_raceguard_number "SELECT raceguard.add_number('lines', 'of_order', counter => 'last_line')"
n=1
for node in "${nodes[@]}"; do
    n=$((n + 1))
    says "$node" "$n" "INSERT INTO lines VALUES ($n, 1) RETURNING number"
    says "$node" "$n" "SELECT last_line FROM orders WHERE id = 1"
done
