#!/usr/bin/env bash
# make regress, make isolation: one suite, or the tests named, on a debug build.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh
. scripts/suites.sh

kind=$1
shift
setup "$(pg_wanted)"
run_begin
extension_install dev
cluster_start server
suite "$kind" "$@"
crashes=$(cluster_crashes server)
[ "$crashes" = 0 ] || cp "$RUN/server/server.log" "$TARGET/test/$kind-$PG_MAJOR/"
echo "$SUITE_PASSED passed, $SUITE_FAILED failed, $crashes server crashes"
[ "$SUITE_FAILED" = 0 ] && [ "$crashes" = 0 ]
