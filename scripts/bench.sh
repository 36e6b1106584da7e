#!/usr/bin/env bash
# make bench [ONLY=section]: the release extension, a throwaway cluster, and
# bench/run.sh, which finds PG_BIN, PG_MAJOR, DSN and the PG* variables in its environment.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh

setup "$(pg_wanted)"
run_begin
extension_install release
cluster_start bench "$(cat bench/postgresql.conf)"
export PG_BIN PG_MAJOR
bench/run.sh "$@"
