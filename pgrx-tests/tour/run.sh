#!/usr/bin/env bash
# demo/tour.sql: every statement that it says is refused is, with that SQLSTATE, all others pass, and nothing of
# it is left. Finds the server through PGHOST, PGPORT and PGUSER, and psql in PG_BIN.
set -euo pipefail
cd "$(dirname "$0")"
. ../../scripts/checks.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tour=../../demo/tour.sql
psql() { "$PG_BIN/psql" -X -q -A -t "$@"; }

psql -d postgres -c 'DROP DATABASE IF EXISTS tour' -c 'CREATE DATABASE tour' 2>/dev/null
announced=$(sed -n 's/^-- error: //p' "$tour")
for time in first second; do
    begin=$SECONDS
    psql -d tour -v VERBOSITY=sqlstate -f "$tour" >"$work/out" 2>&1
    check "$time time: refused is what it says, and nothing else" \
        "$(sed -n 's/.*ERROR:  //p' "$work/out")" "$announced"
    check "$time time: two minutes are enough" "$((SECONDS - begin < 120))" 1
    check "$time time: nothing is left" "$(psql -d tour -c "SELECT count(*) FROM pg_namespace WHERE nspname = 'tour'")" 0
done
# Each refusal stands where it is announced.
awk '/^-- error: / { print "\\echo announced " $3 } { print }' "$tour" >"$work/told.sql"
psql -d tour -v VERBOSITY=sqlstate -f "$work/told.sql" 2>&1 | sed -n 's/^announced //p; s/.*ERROR:  //p' >"$work/pairs"
check "each where it is announced" "$(paste - - <"$work/pairs" | awk '$1 != $2')" ""
psql -d postgres -c 'DROP DATABASE tour'
checks_end
