#!/usr/bin/env bash
# make test-debug [ONLY=stage]: the suites on a Postgres built to find mistakes (debug-postgres.sh): with
# assertions, with every cache discarded at every chance, and under valgrind. TESTS="a b" names the regress
# files for these two. Then the specs of pgrx-tests/points, which stop sessions inside of a guard.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh
. scripts/suites.sh
. scripts/stages.sh
. scripts/source.sh
. scripts/debug-postgres.sh

# A backend that discards its caches at every chance, or that valgrind watches, is some hundred times slower: only
# tests that make rules of each guard, change what they depend on, and use every kind of call.
# (key_reentry is none for discarding: where every firing makes its rule anew, a key that writes to its own table meets
# another rule than the one it is evaluated for, and is not refused.)
# (Bad input is none for discarding either: it is refused before anything is kept. parent_types takes three minutes there,
# on a machine that other work shared; these three have the rules of every older guard, and the statements of the calls.)
DISCARDING=${TESTS:-cooldown parent_types calls_changed}
WATCHED=${TESTS:-version version_in_place number number_counter total total_commit key_lock cap cooldown parent swap take lock_rows insert_or_get retry key_reentry parent_types cache_replaced calls_changed}

# The server under valgrind; what it reports counts as failures.
watched_suite() {
    local reports=$RUN/valgrind file failed=0
    as_server mkdir -m 755 "$reports"
    # Copied, since the server's user may not reach the repository.
    cp scripts/valgrind.supp "$reports.supp"
    SERVER_PROGRAM=$RUN/postgres
    cat >"$SERVER_PROGRAM" <<END
#!/bin/sh
exec valgrind --quiet --trace-children=yes --leak-check=no --suppressions="${PG_BIN%/bin}/valgrind.supp" \\
    --suppressions="$reports.supp" --log-file="$reports/%p" "$PG_BIN/postgres" "\$@"
END
    chmod 755 "$SERVER_PROGRAM"
    listed_suite regress "$WATCHED"
    for file in "$reports"/*; do
        [ -s "$file" ] || continue
        failed=$((failed + 1))
        echo "valgrind reports:"
        head -60 "$file"
    done
    counted "$SUITE_PASSED" $((SUITE_FAILED + failed))
}

# listed_suite KIND TESTS [setting=value...]: these tests, in a cluster with these settings.
listed_suite() {
    local kind=$1 tests crashes
    read -r -a tests <<<"$2"
    shift 2
    cluster_start "$kind" "$@"
    suite "$kind" "${tests[@]}"
    cluster_stop "$kind"
    crashes=$(cluster_crashes "$kind")
    SUITE_FAILED=$((SUITE_FAILED + crashes))
    counted "$SUITE_PASSED" "$SUITE_FAILED"
}

only=${1:-}
wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }
debug_stage() { ! wanted "$1" || stage "$@"; }

mkdir -p "$TARGET/test"
major=$(pin default)
setup "$major" debug
run_begin
if [ "$only" != points ]; then
    debug_use "$major"
    stage "build" build dev
fi
debug_stage "regress" server_suite regress
debug_stage "isolation" server_suite isolation
FUZZ_SECONDS=${FUZZ_SECONDS:-120} debug_stage "fuzz" program_suite pgrx-tests/fuzz/run.sh
HOSTILE_SECONDS=${HOSTILE_SECONDS:-120} debug_stage "hostile" program_suite pgrx-tests/hostile/run.sh
debug_stage "discard" listed_suite regress "$DISCARDING" "debug_discard_caches = 1"
debug_stage "valgrind" watched_suite
if wanted points; then
    points_use
    stage "build $PG_MAJOR" build dev injection_points
    stage "points" server_suite points
fi
stages_report
