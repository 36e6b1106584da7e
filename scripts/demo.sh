#!/usr/bin/env bash
# make demo: the extension without optimisation, which is built in half the time, a throwaway cluster, and the demo in it.
# With "psql" as argument: a psql prompt in that cluster instead.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh

setup "$(pg_wanted)"
run_begin
say "building (the first time takes some minutes)"
extension_install dev >"$TARGET/demo-build.log" 2>&1 || { cat "$TARGET/demo-build.log" >&2; die "the build failed"; }
[ "${1:-}" = psql ] || cargo build --quiet --locked -p raceguard-demo
cluster_start demo
if [ "${1:-}" = psql ]; then
    say "a throwaway cluster; \\q ends and removes it; \\i demo/tour.sql shows raceguard in two minutes"
    "$PG_BIN/psql" -X -v ON_ERROR_STOP=1 -qc 'CREATE EXTENSION raceguard'
    # Ctrl-C is for psql, which cancels the statement.
    trap : INT
    "$PG_BIN/psql"
else
    RACEGUARD_DEMO_DSN=$DSN "$CARGO_TARGET_DIR/debug/raceguard-demo"
    say "demo/tour.sql is a tour of two minutes to paste into psql; make demo PSQL=1 opens one"
fi
