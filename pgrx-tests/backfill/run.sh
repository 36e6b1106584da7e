#!/usr/bin/env bash
# backfill_version among writers, killed in the middle and called again (A3):
#
#   * rows that were numbered before the kill keep their version
#   * the second call goes on, and every version is distinct at the end
#   * writers, who give up after waiting 5 seconds for a lock, never have to
#
# Finds the server through PGHOST, PGPORT and PGUSER, and its programs in PG_BIN.
set -euo pipefail
rows=100000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PGDATABASE=backfill PGOPTIONS='-c client_min_messages=warning'
psql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
passed=0 failed=0

# check WHAT SQL: the statement has to return "t".
check() {
    if [ "$(psql -c "$2")" = t ]; then
        echo "ok      $1"
        passed=$((passed + 1))
    else
        echo "FAILED  $1"
        failed=$((failed + 1))
    fi
}

psql -d postgres -c 'DROP DATABASE IF EXISTS backfill' -c 'CREATE DATABASE backfill'
psql -c 'CREATE EXTENSION raceguard' \
    -c 'CREATE TABLE orders (id int PRIMARY KEY, note text)' \
    -c "INSERT INTO orders SELECT n, 'x' FROM generate_series(0, $rows) n" \
    -c "SELECT raceguard.add_version('orders', unstated => 'reject')" >"$work/setup"

cat >"$work/write.sql" <<SQL
\set id random(1, $rows)
SET lock_timeout = '5s';
UPDATE orders SET note = note || 'y', version = version + 1 WHERE id = :id;
SQL
"$PG_BIN/pgbench" -n -c 2 -T 600 -f "$work/write.sql" >"$work/writers" 2>&1 &
writers=$!

# Somebody holds row 0, which no writer touches: the call cannot come to its end before it is killed.
psql -c 'BEGIN' -c 'SELECT FROM orders WHERE id = 0 FOR UPDATE' -c 'SELECT pg_sleep(600)' >"$work/holder" 2>&1 &
holder=$!
until [ "$(psql -c "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")" = 1 ]; do
    kill -0 "$holder"
done
psql -c "CALL raceguard.backfill_version('orders', 500)" 2>"$work/killed" &
call=$!
until [ "$(psql -c 'SELECT count(*) >= 5000 FROM orders WHERE version > 1000')" = t ]; do
    kill -0 "$call"
done
psql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL raceguard%' OR query LIKE 'SELECT pg_sleep%'" >"$work/kill"
if wait "$call"; then
    echo "FAILED  the call was killed"
    failed=$((failed + 1))
fi
wait "$holder" || true
psql -c 'CREATE TABLE done AS SELECT id, version FROM orders WHERE version > 1000'
check 'killed in the middle' "SELECT count(*) BETWEEN 5000 AND $rows FROM done"
check 'the sequence remembers it' "SELECT count(*) = 1 FROM pg_sequences WHERE sequencename LIKE 'raceguard%'"

psql -c "CALL raceguard.backfill_version('orders', 500)"
kill "$writers"
wait "$writers" || true

check 'every version is distinct' 'SELECT count(DISTINCT version) = count(*) FROM orders'
check 'every row is done' 'SELECT min(version) > 1000 FROM orders'
check 'rows done before the kill were left alone' \
    'SELECT bool_and(o.version BETWEEN d.version AND d.version + 999) FROM orders o JOIN done d USING (id)'
check 'writers were at work all the time' "SELECT sum(length(note)) > $rows FROM orders"
check 'nothing is left behind' 'SELECT count(*) = 0 FROM pg_sequences'
if grep -q ERROR "$work/writers"; then
    echo 'FAILED  no writer had to give up'
    sort "$work/writers" | uniq -c | head
    failed=$((failed + 1))
else
    echo 'ok      no writer had to give up'
    passed=$((passed + 1))
fi
psql -d postgres -c 'DROP DATABASE backfill'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
