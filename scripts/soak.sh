#!/usr/bin/env bash
# make soak MINUTES=30 [SEED=n]: on the release extension, a third of the time each: the race harness in peace; the race
# harness with the server restarted and out of locks, statements out of time and tables rebuilt; the hostile role.
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
        --dsn "$DSN" --seconds $((minutes * 20)) ${SEED:+--seed "$SEED"} "$@"
}
status=0
race || status=$?
race --restart-every 10 --timeouts --ddl --starve-locks || status=$?
HOSTILE_SECONDS=$((minutes * 20)) SEED=${SEED:-$(date +%s)} pgrx-tests/hostile/run.sh || status=$?
exit "$status"
