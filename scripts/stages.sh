# The stages of make test. Source it after the other libraries.
#
# A stage is a function that prints what it does and calls `counted`. A stage
# that fails without having counted a failure counts as one, and so does a stage
# that counted nothing: no test may vanish unnoticed.

STAGES=()
FAILING=()
PASSED=0
FAILED=0
# Two spellings, since cargo and cargo-pgrx colour their output by different rules.
export CARGO_TERM_COLOR=never NO_COLOR=1

# counted PASSED FAILED: what a stage found.
counted() { printf '%s %s\n' "$1" "$2" >"$RUN/counted"; }

# stage NAME FUNCTION [argument...]
stage() {
    local name=$1 passed=0 failed=0 status begin=$SECONDS left_out=
    shift
    printf '\n==== %s\n' "$name"
    rm -f "$RUN/counted" "$RUN/left_out"
    # In a subshell with -e of its own, so that a failing command ends the stage and not the run.
    set +e
    (set -e; "$@") 2>&1 | tee "$(stage_log "$name")"
    status=${PIPESTATUS[0]}
    set -e
    [ ! -f "$RUN/counted" ] || read -r passed failed <"$RUN/counted"
    if [ "$failed" = 0 ] && { [ "$status" != 0 ] || [ "$passed" = 0 ]; }; then
        failed=1
        echo "==== $name failed: $([ "$status" = 0 ] && echo "it ran no test" || echo "exit status $status")"
    fi
    [ ! -f "$RUN/left_out" ] || left_out=$(paste -sd, "$RUN/left_out")
    STAGES+=("$(printf '%-26s %6d passed %4d failed %5d s%s' "$name" "$passed" "$failed" $((SECONDS - begin)) \
        "${left_out:+, not run: $left_out}")")
    [ "$failed" = 0 ] || FAILING+=("$name")
    # shellcheck disable=SC2034 # for the caller
    STAGE_FAILED=$failed
    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    # A stage that failed may have left a server behind.
    servers_stop
}

# The log of a stage.
stage_log() { echo "$TARGET/test/${1//[^a-z0-9]/-}.log"; }

# The table, what the failing stages said, and as the last line the sums; fails if anything failed.
# Where a machine keeps only the end of the output, this is the end.
stages_report() {
    local name shown
    printf '\n'
    printf '%s\n' "${STAGES[@]}"
    for name in "${FAILING[@]}"; do
        printf '\n==== %s, its failures\n' "$name"
        # A check's own words, or the lines of a difference; where there are none, how it ended.
        shown=$(grep -E -A 3 '^not ok|FAILED|panicked|^error|^[-+] ' "$(stage_log "$name")" | head -n 20 || true)
        printf '%s\n' "${shown:-$(tail -n 15 "$(stage_log "$name")")}"
    done
    printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
    [ "$FAILED" = 0 ]
}

check_format() {
    cargo fmt --all --check
    counted 1 0
}

check_clippy() {
    cargo clippy --locked --quiet --workspace --all-targets --no-default-features \
        --features "raceguard/pg$PG_MAJOR,raceguard/pg_test" -- -D warnings
    counted 1 0
}

# The tests of the crates that only talk to a server (demo, race harness), without one.
client_crate_tests() {
    local log=$RUN/client-crates.log status=0
    cargo test --workspace --exclude raceguard 2>&1 | tee "$log" || status=$?
    count_cargo_tests "$log"
    return "$status"
}

# Unit and property tests of the pure logic, and the #[pg_test]s, which run in a server.
rust_tests() {
    local log=$RUN/rust.log runas=() status=0
    [ "$(id -u)" != 0 ] || runas=(--runas "$SERVER_USER")
    as_server mkdir -p "$RUN/pgrx"
    PATH=$ROOT/scripts/as-root:$PATH USER=$(id -un) \
        "$CARGO_PGRX" pgrx test "pg$PG_MAJOR" "${runas[@]}" --pgdata "$RUN/pgrx" 2>&1 | tee "$log" || status=$?
    count_cargo_tests "$log"
    same_script || status=1
    return "$status"
}

# cargo-pgrx, which people install with and packages are made with, has put the lines of extension_sql into its script too,
# in an order of its own and with those of its tests.
same_script() {
    local script missing
    script=$("$PG_BIN/pg_config" --sharedir)/extension/raceguard--$(extension_version).sql
    [ -f "$script" ] || { echo "cargo-pgrx has not made $script"; return 1; }
    missing=$(comm -23 <(extension_sql | sort) <(sort "$script"))
    [ -n "$missing" ] || return 0
    printf '%s\n' "$missing"
    echo "cargo-pgrx has not put these lines into $script"
    return 1
}

# Sums up cargo's "test result" lines. An ignored test counts as failed: none is skipped here.
count_cargo_tests() {
    # shellcheck disable=SC2046 # two words are wanted
    counted $(awk '/^test result:/ { passed += $4; failed += $6 + $8 } END { print passed + 0, failed + 0 }' "$1")
}

# Fetches or copies a further major; without it the run goes on with the next.
get_postgres() {
    pg_use "$1"
    "$PG_BIN/postgres" --version
    counted 1 0
}

# build PROFILE [FEATURE]: builds the extension, without warnings, and installs it into the private copy.
build() {
    local needs
    extension_install "$@" 2>&1 | tee "$RUN/build.log"
    if grep -qE '^warning: `raceguard.* generated' "$RUN/build.log"; then
        echo "the compiler gave warnings"
        return 1
    fi
    needs=$(nm -D --undefined-only "$("$PG_BIN/pg_config" --pkglibdir)/raceguard.so")
    # src/pg/data/composite.rs looks it up: older minor releases do not have it, and would not load the library.
    if grep -w DatumGetHeapTupleHeader <<<"$needs"; then
        echo "the library needs what older minor releases of Postgres do not have"
        return 1
    fi
    # src/pg/base/stop.rs calls it in a build for tests, and only there.
    if [ "${2:-}" != injection_points ] && grep -w InjectionPointRun <<<"$needs"; then
        echo "the library can be stopped at points"
        return 1
    fi
    counted 3 0
}

# One of the suites of suites.sh, in a cluster of its own. A crash of the server is a failure,
# whatever the tests say.
server_suite() {
    local crashes
    cluster_start "$1"
    suite "$1"
    cluster_stop "$1"
    crashes=$(cluster_crashes "$1")
    counted "$SUITE_PASSED" $((SUITE_FAILED + crashes))
}

# The race harness with these options. VACUUM passes all the time, so that guards meet pages that it
# has marked and index entries that it has removed.
race() {
    local status=0 crashes
    cluster_start race "autovacuum_naptime = '1s'" "autovacuum_vacuum_threshold = 20" \
        "autovacuum_vacuum_insert_threshold = 20"
    cargo run --quiet --locked -p raceguard-race -- --dsn "$DSN" "$@" 2>&1 | tee "$RUN/race.log" || status=$?
    cluster_stop race
    crashes=$(cluster_crashes race)
    counted_in_last_line "$RUN/race.log" "$crashes"
    return "$status"
}

# What `make demo` shows: each case is a test, and it fails where the race did not show or did not end.
demo() {
    local status=0
    cluster_start demo
    RACEGUARD_DEMO_DSN=$DSN cargo run --quiet --locked -p raceguard-demo 2>&1 | tee "$RUN/demo.log" || status=$?
    [[ $(tail -n 1 "$RUN/demo.log") =~ ^([0-9]+)\ of\ ([0-9]+)\ cases ]] || { echo "the demo did not end"; return 1; }
    counted "${BASH_REMATCH[1]}" $((BASH_REMATCH[2] - BASH_REMATCH[1]))
    return "$status"
}

# A program pgrx-tests/*/run.sh: it finds a fresh cluster through DSN and the PG* variables, PG_BIN and
# PG_MAJOR in its environment, and says "N passed, N failed" in its last line. It may start clusters
# of its own with lib.sh. What it needs and is not given (servers of others' extensions) it names in lines
# "not run: NAME", which the table shows.
program_suite() {
    local status=0
    cluster_start program
    export PG_BIN PG_MAJOR
    "$1" 2>&1 | tee "$RUN/program.log" || status=$?
    ! grep -q '^not run: ' "$RUN/program.log" || sed -n 's/^not run: //p' "$RUN/program.log" >"$RUN/left_out"
    counted_in_last_line "$RUN/program.log"
    return "$status"
}

# upgrade OLD NEW: from one major to another; the extension is installed in both.
upgrade() {
    pg_use "$1"
    export OLD_BIN=$PG_BIN OLD_MAJOR=$PG_MAJOR
    pg_use "$2"
    program_suite pgrx-tests/upgrade/upgrade.sh
}

# counted_in_last_line LOG [FURTHER_FAILURES]
counted_in_last_line() {
    local line
    line=$(tail -n 1 "$1")
    [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] || { echo "the last line is not \"N passed, N failed\""; return 1; }
    counted "${BASH_REMATCH[1]}" $((BASH_REMATCH[2] + ${2:-0}))
}

# in_chroot SUITE MAJOR: all stages of a major that this Debian does not have.
in_chroot() {
    local status=0
    scripts/chroot.sh "$1" scripts/test.sh only "$2" 2>&1 | tee "$RUN/chroot.log" || status=$?
    counted_in_last_line "$RUN/chroot.log"
    return "$status"
}
