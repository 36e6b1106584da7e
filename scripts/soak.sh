#!/usr/bin/env bash
# make soak MINUTES=30 [SEED=n]: the race harness on the release extension, half of the time in peace, and
# half of it with the server restarted and out of locks, statements out of time and tables rebuilt.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh

minutes=$1
[[ $minutes =~ ^[1-9][0-9]*$ ]] || die "MINUTES=$minutes is not a whole number above 0"
setup "$(pg_wanted)"
run_begin
extension_install release
cluster_start race
race() {
    cargo run --quiet --locked --release -p raceguard-race -- \
        --dsn "$DSN" --seconds $((minutes * 30)) ${SEED:+--seed "$SEED"} "$@"
}
status=0
race || status=$?
race --restart-every 10 --timeouts --ddl --starve-locks || status=$?
exit "$status"
