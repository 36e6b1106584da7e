# Writers that race through every node while shards move and the nodes' backends are killed. Sourced by citus.sh.
# shellcheck disable=SC2154
at "$coordinator" "
    SET citus.enable_unsafe_triggers = on;
    CREATE TABLE counters (id int PRIMARY KEY, n int);
    CREATE TABLE passed (id int, writer uuid DEFAULT gen_random_uuid(), PRIMARY KEY (id, writer));
    CREATE TABLE halls (hall int, id uuid DEFAULT gen_random_uuid(), PRIMARY KEY (hall, id));
    CREATE TABLE mails (author int, id uuid DEFAULT gen_random_uuid(), at timestamptz, PRIMARY KEY (author, id));
    CREATE TABLE teams (team int, id uuid DEFAULT gen_random_uuid(), PRIMARY KEY (team, id));
    CREATE TABLE trips (id int PRIMARY KEY, places int DEFAULT 5);
    CREATE TABLE riders (trip int REFERENCES trips, id uuid DEFAULT gen_random_uuid(), PRIMARY KEY (trip, id));
    INSERT INTO trips SELECT generate_series(1, 10);
    SELECT raceguard.add_cap('halls', 'hall', 5);
    SELECT raceguard.add_total('riders', 'trips', 'n', at_most => 'places');
    SELECT create_distributed_table('counters', 'id');
    SELECT create_distributed_table('passed', 'id', colocate_with => 'counters');
    SELECT create_distributed_table('halls', 'hall');
    SELECT create_distributed_table('mails', 'author');
    SELECT create_distributed_table('teams', 'team');
    SELECT raceguard.add_version('counters', unstated => 'reject');
    SELECT raceguard.add_cooldown('mails', 'author', 'at', '1 hour');
    SELECT raceguard.add_key_lock('teams', 'team');
    INSERT INTO counters SELECT n, 0 FROM generate_series(1, 10) n;
    INSERT INTO teams SELECT n FROM generate_series(1, 10) n" >/dev/null
# The child by itself, when the nodes know its parent.
for table in "'trips', 'id'" "'riders', 'trip'"; do
    at "$coordinator" "SET citus.enable_unsafe_triggers = on; SELECT create_distributed_table($table)" >/dev/null
done
# Each is a transaction; an error, expected or of a node that is gone, ends it, and psql goes on with the next.
cat >"$RUN/version.sql" <<'SQL'
SELECT 1 + floor(random() * 10)::int AS id \gset
BEGIN;
SELECT n, version FROM counters WHERE id = :id \gset
UPDATE counters SET n = :n + 1, version = :version + 1 WHERE id = :id;
INSERT INTO passed VALUES (:id);
COMMIT;
SQL
cat >"$RUN/cap.sql" <<'SQL'
SELECT 1 + floor(random() * 10)::int AS hall, 1 + floor(random() * 5)::int AS slot, random() < 0.3 AS leaves \gset
\if :leaves
DELETE FROM halls WHERE hall = :hall AND slot = :slot;
\else
INSERT INTO halls VALUES (:hall);
\endif
SQL
cat >"$RUN/cooldown.sql" <<'SQL'
SELECT 1 + floor(random() * 10)::int AS author, floor(random() * 1000)::int AS minutes \gset
INSERT INTO mails (author, at) VALUES (:author, timestamptz '2026-01-01' + interval '1 minute' * :minutes);
SQL
# A key that is full loses a member now and then, so that there is something to race for.
cat >"$RUN/key_lock.sql" <<'SQL'
SELECT 1 + floor(random() * 10)::int AS team \gset
BEGIN;
SELECT raceguard.lock_key(tableoid::regclass, team) FROM teams WHERE team = :team LIMIT 1;
SELECT count(*) AS members, max(id::text) AS last FROM teams WHERE team = :team \gset
SELECT :members < 5 AS room, random() < 0.2 AS leaves \gset
\if :room
INSERT INTO teams VALUES (:team);
\elif :leaves
DELETE FROM teams WHERE team = :team AND id = :'last';
\endif
COMMIT;
SQL
# A trip that is full loses a rider now and then.
cat >"$RUN/total.sql" <<'SQL'
SELECT 1 + floor(random() * 10)::int AS trip, random() < 0.3 AS leaves \gset
\if :leaves
BEGIN;
SELECT coalesce(max(id::text), '') AS last FROM riders WHERE trip = :trip \gset
DELETE FROM riders WHERE trip = :trip AND id = nullif(:'last', '')::uuid;
COMMIT;
\else
INSERT INTO riders VALUES (:trip);
\endif
SQL

# writes NODE KIND: until the races end; what psql prints is the errors that it met.
writes() {
    while [ -e "$RUN/racing" ]; do cat "$RUN/$2.sql"; done |
        "$PG_BIN/psql" -X -q -A -t -v VERBOSITY=sqlstate -d "$1" >"$RUN/$2.$BASHPID.log" 2>&1 || true
}

# disturbs: moves a shard to the other worker (not by block_writes, under which Citus 13.2 loses single statements of
# transactions that writers run through workers, with guards and without) and kills backends of the nodes, in turn.
disturbs() {
    local move
    while [ -e "$RUN/racing" ]; do
        move=$(at "$coordinator" "
            SELECT format('SELECT citus_move_shard_placement(%s, %L, %s, %L, %s, shard_transfer_mode := ''force_logical'')',
                s.shardid, s.nodename, s.nodeport, o.nodename, o.nodeport)
            FROM citus_shards s, pg_dist_node o
            WHERE s.table_name::text IN ('counters', 'halls', 'mails', 'teams', 'trips') AND o.noderole = 'primary' AND o.shouldhaveshards
              AND (o.nodename, o.nodeport) <> (s.nodename, s.nodeport) ORDER BY random() LIMIT 1")
        [[ $(at "$coordinator" "$move") == ERROR* ]] || echo moved
        at "${nodes[1 + RANDOM % (${#nodes[@]} - 1)]}" "
            SELECT 'killed' FROM (SELECT pid FROM pg_stat_activity
                WHERE application_name LIKE 'citus_internal%' AND datname = current_database()
                ORDER BY random() LIMIT 2) t WHERE pg_terminate_backend(pid)"
        sleep 0.3
    done >"$RUN/disturbed" 2>&1
}

touch "$RUN/racing"
writers=()
for node in "${nodes[@]}"; do
    for kind in version cap cooldown key_lock total; do
        for _ in 1 2; do
            writes "$node" "$kind" &
            writers+=($!)
        done
    done
done
disturbs &
writers+=($!)
sleep "${SECONDS_OF_RACES:-20}"
rm "$RUN/racing"
for writer in "${writers[@]}"; do wait "$writer" || true; done
# Transactions that were prepared on a node when their backend was killed are ended by then.
at "$coordinator" "SELECT recover_prepared_transactions()" >/dev/null

says "$coordinator" 0 "SELECT count(*) FROM counters c
    WHERE n <> (SELECT count(*) FROM passed p WHERE p.id = c.id) OR version <> n + 1"
says "$coordinator" 0 "SELECT count(*) FROM (SELECT hall FROM halls GROUP BY hall HAVING count(*) > 5 OR count(DISTINCT slot) <> count(*)) t"
says "$coordinator" 0 "SELECT count(*) FROM mails a JOIN mails b
    ON a.author = b.author AND a.id <> b.id AND b.at >= a.at AND b.at < a.at + interval '1 hour'"
says "$coordinator" 0 "SELECT count(*) FROM (SELECT team FROM teams GROUP BY team HAVING count(*) > 5) t"
says "$coordinator" 0 "SELECT count(*) FROM trips t
    WHERE n > places OR n <> (SELECT count(*) FROM riders r WHERE r.trip = t.id)"
check "there were swaps" "$(at "$coordinator" "SELECT count(*) > 10 FROM passed")" t
check "and conflicts" "$([ "$(cat "$RUN"/version.*.log | grep -c RG409)" -gt 0 ] && echo t)" t
check "shards were moved" "$([ "$(grep -c moved "$RUN/disturbed")" -gt 0 ] && echo t)" t
check "backends were killed" "$([ "$(grep -c killed "$RUN/disturbed")" -gt 0 ] && echo t)" t
echo "swaps $(at "$coordinator" "SELECT count(*) FROM passed"), shards moved $(grep -c moved "$RUN/disturbed")," \
    "backends killed $(grep -c killed "$RUN/disturbed"), errors:"
for kind in version cap cooldown key_lock total; do
    cat "$RUN/$kind".*.log | grep -o 'ERROR: .*' | sort | uniq -c | sed "s/\$/ of $kind/" || true
done
