#!/usr/bin/env bash
# make memory [ROWS=10000000]: pgrx-tests/memory on the release extension, with as many rows as asked.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh

[[ $1 =~ ^[1-9][0-9]{3,8}$ ]] || die "ROWS=$1 is not a number of rows from 1000 on"
setup "$(pg_wanted)"
run_begin
extension_install release
cluster_start memory
export PG_BIN PG_MAJOR ROWS=$1
pgrx-tests/memory/run.sh
