#!/usr/bin/env bash
# make test: every check there is, a table of the stages and their counts, and
# as the last line "N passed, N failed".
#
#   test.sh [default|ci|all]   default: the default major (or that of PG_CONFIG)
#                              ci:      also 16 and 18
#                              all:     every supported major
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh
. scripts/suites.sh

# ---- stages ---------------------------------------------------------------
# A stage is a function that prints what it does and then calls `counted`; a
# stage that ends without, with a failure of its own, or with nothing counted
# has failed.
STAGES=()
counted() { printf '%s %s\n' "$1" "$2" >"$RUN/counted"; }

stage() {
    local name=$1 log passed=0 failed=0 status=0 begin=$SECONDS
    shift
    log=$TARGET/test/${name// /-}.log
    printf '\n==== %s\n' "$name"
    rm -f "$RUN/counted"
    # In a subshell with -e of its own, so that a failing command ends the stage and not the run.
    set +e
    (set -e; "$@") 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    set -e
    [ "$status" -lt 128 ] || [ "$status" = 134 ] || exit "$status"
    [ ! -f "$RUN/counted" ] || read -r passed failed <"$RUN/counted"
    if [ "$failed" = 0 ] && { [ "$status" != 0 ] || [ "$passed" = 0 ]; }; then failed=1; fi
    STAGES+=("$(printf '%-28s %7d passed %5d failed %5d s' "$name" "$passed" "$failed" $((SECONDS - begin)))")
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed))
}
PASSED=0 FAILED=0

check_format() { cargo fmt --all --check && counted 1 0; }

check_clippy() {
    cargo clippy --workspace --all-targets --quiet -- -D warnings && counted 1 0
}

# Unit and property tests of the pure logic, and the #[pg_test]s, which run in a server.
rust_tests() {
    local log=$RUN/cargo-test.log runas=() status=0
    [ "$(id -u)" != 0 ] || runas=(--runas "$SERVER_USER")
    as_server mkdir -p "$RUN/pgrx"
    PATH=$ROOT/scripts/as-root:$PATH "$CARGO_PGRX" pgrx test "pg$PG_MAJOR" "${runas[@]}" --pgdata "$RUN/pgrx" 2>&1 | tee "$log" || status=$?
    count_cargo_tests "$log"
    return "$status"
}

# Sums up cargo's "test result" lines. An ignored test counts as failed: none is skipped here.
count_cargo_tests() {
    local sums
    sums=$(awk '/^test result:/ { passed += $4; failed += $6 + $8 } END { print passed + 0, failed + 0 }' "$1")
    counted ${sums}
}

# Builds the extension without warnings and installs it into the private copy.
build() {
    local log=$RUN/build.log
    extension_install "$1" 2>&1 | tee "$log"
    if grep -q '^warning' "$log"; then
        echo "the build gave warnings"
        return 1
    fi
    counted 1 0
}

server_suite() {
    local crashes
    cluster_start "$1"
    suite "$1"
    crashes=$(cluster_crashes "$1")
    if [ "$crashes" != 0 ]; then
        echo "the server crashed:"
        grep -B5 -A5 -E 'was terminated by signal|PANIC: |TRAP: ' "$RUN/$1/server.log" | head -50
    fi
    cluster_stop "$1"
    counted "$SUITE_PASSED" $((SUITE_FAILED + crashes))
}

# ---- the run --------------------------------------------------------------
majors=$(pg_wanted)
run_begin
mkdir -p "$TARGET/test"
setup "$majors"

stage "format" check_format
stage "clippy" check_clippy
for major in $majors; do
    pg_use "$major"
    stage "rust $major" rust_tests
    stage "build $major" build release
    stage "regress $major" server_suite regress
    stage "isolation $major" server_suite isolation
done

printf '\n'
printf '%s\n' "${STAGES[@]}"
printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
[ "$FAILED" = 0 ]
