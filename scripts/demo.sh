#!/usr/bin/env bash
# make demo: the extension without optimisation, which is built in half the time, a throwaway cluster, and the demo in it.
# With "psql" as argument: a psql prompt in that cluster instead; with "tour": demo/tour.sql and what it answers.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh

setup "$(pg_wanted)"
run_begin
say "building (the first time takes some minutes)"
extension_install dev >"$TARGET/demo-build.log" 2>&1 || { cat "$TARGET/demo-build.log" >&2; die "the build failed"; }
[ -n "${1:-}" ] || cargo build --quiet --locked -p raceguard-demo
cluster_start demo
if [ "${1:-}" = psql ]; then
    say "a throwaway cluster; \\q ends and removes it; \\i demo/tour.sql shows raceguard in two minutes"
    "$PG_BIN/psql" -X -v ON_ERROR_STOP=1 -qc 'CREATE EXTENSION raceguard'
    # Ctrl-C is for psql, which cancels the statement.
    trap : INT
    "$PG_BIN/psql"
elif [ "${1:-}" = tour ]; then
    "$PG_BIN/psql" -X -a <demo/tour.sql 2>&1
else
    RACEGUARD_DEMO_DSN=$DSN "$CARGO_TARGET_DIR/debug/raceguard-demo"
    say "make demo TOUR=1 prints a tour of two minutes: demo/tour.sql, to paste into psql, which make demo PSQL=1 opens"
fi
