#!/usr/bin/env bash
# The steps of plan_cap, run one by one while clients write: no writer fails, waits for long or loses
# a row, and the cap holds in the end. Finds the server through PGHOST, PGPORT and PGUSER, and its
# programs in PG_BIN.
set -euo pipefail
export PGOPTIONS='-c client_min_messages=warning'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
psql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d online "$@"; }

# check WHAT GOT WANTED
check() {
    if [ "$2" = "$3" ]; then
        echo "ok      $1"
        passed=$((passed + 1))
    else
        echo "FAILED  $1: $2, should be $3"
        failed=$((failed + 1))
    fi
}

"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE IF EXISTS online' -c 'CREATE DATABASE online'
psql >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE TABLE bookings (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, room int NOT NULL, note text);
SELECT raceguard.add_version('bookings');
INSERT INTO bookings (room) SELECT n % 10000 FROM generate_series(1, 50000) n;
-- What the clients have done; in the end the table has to agree.
CREATE TABLE journal (client int, inserted bigint, deleted bigint);
SQL

# Rooms have five rows, the cap allows ten, and a client adds at most one that it has not taken away.
cat >"$work/writer.sql" <<'SQL'
\set room random(0, 9999)
\set other random(0, 9999)
BEGIN;
WITH i AS (INSERT INTO bookings (room) VALUES (:room) RETURNING id),
     d AS (DELETE FROM bookings WHERE id = (SELECT max(id) FROM bookings WHERE room = :room) RETURNING id)
INSERT INTO journal SELECT :client_id, (SELECT count(*) FROM i), (SELECT count(*) FROM d);
COMMIT;
UPDATE bookings SET note = 'seen' WHERE id = (SELECT min(id) FROM bookings WHERE room = :other);
UPDATE bookings SET room = :other WHERE id = (SELECT max(id) FROM bookings WHERE room = :room)
    AND (SELECT count(*) FROM bookings WHERE room = :other) < 6;
SQL
"$PG_BIN/psql" -X -q -d online -c 'CREATE INDEX ON bookings (room, id)'
"$PG_BIN/pgbench" -n -c 4 -j 2 -T 15 -l --log-prefix="$work/log" -f "$work/writer.sql" online \
    >"$work/writers" 2>&1 &
writers=$!

sleep 1
mapfile -t steps < <(psql -c "SELECT ddl FROM raceguard.plan_cap('bookings', 'room', 10)")
check "steps in the plan" "${#steps[@]}" 7
for step in "${steps[@]}"; do
    # The lock_timeout recipe of docs/caps.md.
    for _ in {1..10}; do
        said=$(psql -v VERBOSITY=sqlstate -c "SET lock_timeout = '500ms'" -c "$step" 2>&1) && break
        [[ $said == *55P03* ]] || break
        sleep 1
    done
    check "step ${step:0:50}" "$said" ""
done
check "the writers outlived the steps" "$(kill -0 "$writers" && echo yes)" yes
wait "$writers" || true

check "writers that gave up" "$(grep -c 'aborted in command' "$work/writers" || true)" 0
check "transactions that failed" "$(sed -n 's/^number of failed transactions: \([0-9]*\).*/\1/p' "$work/writers")" 0
check "rows lost" "$(psql -c 'SELECT 50000 + sum(inserted) - sum(deleted) - (SELECT count(*) FROM bookings) FROM journal')" 0
check "rows written meanwhile" "$(psql -c 'SELECT sum(inserted) > 100 FROM journal')" t
check "rows without a slot" "$(psql -c 'SELECT count(*) FROM bookings WHERE slot IS NULL OR slot = 0')" 0
check "rooms above the cap" "$(psql -c 'SELECT count(*) FROM (SELECT FROM bookings GROUP BY room HAVING count(*) > 10) x')" 0
check "the CHECK is valid" "$(psql -c "SELECT convalidated FROM pg_constraint WHERE conname = 'raceguard_cap_slots'")" t
check "nothing left to do" "$(psql -c "SELECT count(*) FROM raceguard.plan_cap('bookings', 'room', 10)")" 0
# pgbench logs the latency of each transaction in microseconds as the third field.
longest=$(cat "$work"/log* | awk '$3 + 0 > m { m = $3 + 0 } END { print int(m / 1000) }')
echo "longest wait of a writer: $longest ms"
check "waits are measured, none above 3 s" "$((longest > 0 && longest <= 3000))" 1
"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE online'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
