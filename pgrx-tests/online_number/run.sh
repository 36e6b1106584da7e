#!/usr/bin/env bash
# The steps of plan_number, run one by one while clients write: no writer fails or waits for long, the rows that
# stood are numbered in the order of their primary key, and no number is left out or given twice. Finds the server
# through PGHOST, PGPORT and PGUSER, and its programs in PG_BIN.
set -euo pipefail
export PGOPTIONS='-c client_min_messages=warning'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
psql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d online_number "$@"; }

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

"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE IF EXISTS online_number' -c 'CREATE DATABASE online_number'
psql >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE TABLE invoices (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org int NOT NULL, note text);
SELECT raceguard.add_version('invoices');
INSERT INTO invoices (org) SELECT n % 500 FROM generate_series(1, 20000) n;
CREATE INDEX ON invoices (org, id);
-- What the clients have done; in the end the table has to agree.
CREATE TABLE journal (client int, inserted bigint);
SQL

cat >"$work/writer.sql" <<'SQL'
\set org random(0, 499)
\set other random(0, 499)
BEGIN;
WITH i AS (INSERT INTO invoices (org) VALUES (:org), (:org) RETURNING id)
INSERT INTO journal SELECT :client_id, count(*) FROM i;
COMMIT;
UPDATE invoices SET note = 'seen' WHERE id = (SELECT min(id) FROM invoices WHERE org = :other);
INSERT INTO invoices (id, org) OVERRIDING SYSTEM VALUE SELECT max(id), :other FROM invoices WHERE org = :other
    ON CONFLICT (id) DO UPDATE SET note = 'upserted';
SQL
"$PG_BIN/pgbench" -n -c 4 -j 2 -T 20 -l --log-prefix="$work/log" -f "$work/writer.sql" online_number \
    >"$work/writers" 2>&1 &
writers=$!

sleep 1
mapfile -t steps < <(psql -c "SELECT ddl FROM raceguard.plan_number('invoices', 'org')")
check "steps in the plan" "${#steps[@]}" 6
for step in "${steps[@]}"; do
    # The lock_timeout recipe of docs/numbers.md.
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
check "rows lost" "$(psql -c 'SELECT 20000 + sum(inserted) - (SELECT count(*) FROM invoices) FROM journal')" 0
check "rows written meanwhile" "$(psql -c 'SELECT sum(inserted) > 100 FROM journal')" t
check "rows without a number" "$(psql -c 'SELECT count(*) FROM invoices WHERE number IS NULL')" 0
check "keys with a gap or a double" "$(psql -c 'SELECT count(*) FROM (SELECT FROM invoices GROUP BY org
    HAVING min(number) <> 1 OR max(number) <> count(*) OR count(DISTINCT number) <> count(*)) x')" 0
check "rows that stood, out of order" "$(psql -c 'SELECT count(*) FROM (
    SELECT number - lag(number) OVER (PARTITION BY org ORDER BY id) AS step FROM invoices WHERE id <= 20000) x
    WHERE step <> 1')" 0
check "nothing left to do" "$(psql -c "SELECT count(*) FROM raceguard.plan_number('invoices', 'org')")" 0
check "nothing wrong" "$(psql -c "SELECT count(*) FROM raceguard.check_guards('invoices', deep => true)")" 0
# pgbench logs the latency of each transaction in microseconds as the third field.
longest=$(cat "$work"/log* | awk '$3 + 0 > m { m = $3 + 0 } END { print int(m / 1000) }')
echo "longest wait of a writer: $longest ms"
check "waits are measured, none above 3 s" "$((longest > 0 && longest <= 3000))" 1
"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE online_number'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
