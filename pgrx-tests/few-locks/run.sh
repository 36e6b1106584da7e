#!/usr/bin/env bash
# A server with next to no room for locks, and clients that lock many keys of many tables: whoever finds the
# lock table full gets 53200 with a HINT that helps, and loses its own transaction alone. Nobody else's work is
# lost, no lock stays behind, and a bulk job that locks the whole table early gets through.
#
# Starts a cluster of its own; the programs are in PG_BIN.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin
. scripts/checks.sh
cluster_start few "max_connections = 12" "max_locks_per_transaction = 10" "max_worker_processes = 0" \
    "max_wal_senders = 0" "max_replication_slots = 0" "autovacuum_max_workers = 1" "max_pred_locks_per_transaction = 10"
export PGOPTIONS='-c client_min_messages=warning'
psql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
psql >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE TABLE journal (writes int NOT NULL);
CREATE PROCEDURE make(i int) LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, k int NOT NULL, n int NOT NULL DEFAULT 0)', i);
    EXECUTE format('INSERT INTO t%s SELECT g, g FROM generate_series(1, 20) g', i);
    CASE i % 4
    WHEN 0 THEN PERFORM raceguard.add_key_lock(format('t%s', i), 'k', namespace => 6000 + i);
    WHEN 1 THEN PERFORM raceguard.add_key_lock(format('t%s', i), 'k');
    WHEN 2 THEN PERFORM raceguard.add_cap(format('t%s', i), 'k', 5);
    ELSE PERFORM raceguard.add_version(format('t%s', i));
    END CASE;
END $$;
-- One to a transaction: DDL takes many locks.
SELECT format('CALL make(%s)', i) FROM generate_series(0, 39) i \gexec
CREATE TABLE by_hand (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO by_hand SELECT generate_series(1, 5000);
SELECT raceguard.add_key_lock('by_hand', 'id', namespace => 5000);
CREATE TABLE bulk (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO bulk SELECT generate_series(1, 5000);
SELECT raceguard.add_key_lock('bulk', 'id');
SQL

# client NAME: sends what comes from its standard input, and writes the answers down, until told to stop. Whoever
# connects needs locks himself, so nobody begins before all are there.
client() { "$PG_BIN/psql" -X -A -t -v VERBOSITY=verbose >"$RUN/$1" 2>&1; }
begin() {
    echo "SELECT 'connected';"
    until [ -e "$RUN/begin" ]; do sleep 0.05; done
}
# In order of tables and keys, so that a deadlock would be a fault.
small() {
    local i sql
    begin
    until [ -e "$RUN/stop" ]; do
        sql="BEGIN;"
        for i in $((RANDOM % 10)) $((10 + RANDOM % 10)) $((20 + RANDOM % 10)) $((30 + RANDOM % 10)); do
            sql+=" UPDATE t$i SET n = n + 1 WHERE id = $((1 + RANDOM % 10)); UPDATE t$i SET n = n + 1 WHERE id = $((11 + RANDOM % 10));"
        done
        echo "$sql INSERT INTO journal VALUES (8); COMMIT;"
        sleep 0.05
    done
}
again() {
    begin
    until [ -e "$RUN/stop" ]; do
        echo "$1"
        sleep 0.1
    done
}
for name in small1 small2 small3 small4; do small | client $name & done
again "UPDATE by_hand SET n = n + 1;" | client by_hand &
again "SET raceguard.max_key_locks = 100000; UPDATE bulk SET n = n + 1;" | client single &
again "SET raceguard.max_key_locks = 20; UPDATE bulk SET n = n + 1;" | client whole &

# until_seen HOW_OFTEN PATTERN NAME...: each has got that answer so often.
until_seen() {
    local name often=$1 pattern=$2 end=$((SECONDS + 60))
    shift 2
    for name in "$@"; do
        until [ "$(grep -cE "$pattern" "$RUN/$name" 2>/dev/null || true)" -ge "$often" ]; do
            [ $SECONDS -lt $end ] || { tail -5 "$RUN/$name"; die "$name has not seen $pattern $often times"; }
            sleep 0.1
        done
    done
}
until_seen 1 '^connected' small1 small2 small3 small4 by_hand single whole
touch "$RUN/begin"
until_seen 30 '^COMMIT' small1 small2 small3 small4
until_seen 15 '^ERROR:  53200' by_hand single
until_seen 10 '^UPDATE 5000' whole
touch "$RUN/stop"
wait

errors() { cat "$@" | sed -n 's/^ERROR:  \(.....\).*/\1/p' | sort -u; }
hints() { sed -n 's/^HINT:  //p' "$1" | sort -u; }
cd "$RUN"
echo "$(cat small? | grep -c '^COMMIT') transactions of clients committed, $(cat small? | grep -c '^ERROR:  53200') found no room"
check "clients hear of nothing but the full lock table" "$(errors small? whole | grep -vx 25P02)" 53200
check "bulk jobs neither" "$(errors by_hand single)" 53200
check "a namespace's HINT" "$(hints by_hand | grep -v '^You might need')" \
    "A key lock with a namespace does not change over to one lock for the whole table, because code that takes pg_advisory_xact_lock by hand would not see it. Raise max_locks_per_transaction, or write fewer keys per transaction."
check "the HINT of a limit too high" "$(hints single | grep -v '^You might need')" \
    "Raise max_locks_per_transaction, or lower raceguard.max_key_locks so that a bulk job locks the whole table earlier."
check "what failed left nothing" "$(psql -c 'SELECT sum(n) FROM by_hand')" 0
check "each row of the bulk table counts the jobs that were told of success" "$(psql -c 'SELECT DISTINCT n FROM bulk')" \
    "$(cat single whole | grep -c '^UPDATE 5000')"
tables=$(psql -c "SELECT string_agg(format('SELECT n FROM t%s', i), ' UNION ALL ') FROM generate_series(0, 39) i")
check "every committed write is there, and no other" "$(psql -c "SELECT sum(n) FROM ($tables) x")" \
    "$(psql -c 'SELECT sum(writes) FROM journal')"
check "no lock is left" "$(psql -c "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")" 0
cd /
cluster_stop few
check "server crashes" "$(cluster_crashes few)" 0
checks_end
