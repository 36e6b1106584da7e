# pg_regress and the isolation tester, one file at a time. Source it after
# lib.sh and postgres.sh; it uses the server that PGHOST, PGPORT and PGUSER name.
#
# Every file below pgrx-tests/regress/sql and pgrx-tests/isolation/specs is a
# test, in a fresh database of its own: no schedule to edit, no order to know.
# A regress file begins with CREATE EXTENSION raceguard; for an isolation spec
# it exists already. Tests that need a feature of a newer Postgres, or one that
# a build may lack, have alternative expected files (name_1.out).

# suite KIND [name...]: runs all files of a kind ("regress", "isolation", or "points", the specs for a
# Postgres with injection points), or those named. Sets SUITE_PASSED and SUITE_FAILED; the diffs and results go to
# target/test/KIND-MAJOR.
suite() {
    local kind=$1 runner folder names name file work results output
    shift
    case $kind in
    regress) runner=$PGXS_TEST/regress/pg_regress folder=sql ;;
    isolation | points) runner=$PGXS_TEST/isolation/pg_isolation_regress folder=specs ;;
    esac
    results=$TARGET/test/$kind-$PG_MAJOR
    work=$RUN/$kind.files
    rm -rf "$results" "$work"
    mkdir -p "$results"
    # A copy, since the server's user runs the tests and may not reach the repository.
    cp -R "pgrx-tests/$kind" "$work"
    [ "$(id -u)" != 0 ] || chown -R "$SERVER_USER" "$work"
    names=("$@")
    if [ ${#names[@]} = 0 ]; then
        for file in "$work/$folder"/*; do
            [ ! -f "$file" ] || { name=${file##*/}; names+=("${name%.*}"); }
        done
    fi
    SUITE_PASSED=0 SUITE_FAILED=0
    for name in "${names[@]}"; do
        if output=$(suite_file "$kind" "$runner" "$work" "$name" 2>&1); then
            SUITE_PASSED=$((SUITE_PASSED + 1))
            echo "ok      $kind $name"
        else
            SUITE_FAILED=$((SUITE_FAILED + 1))
            echo "FAILED  $kind $name"
            # The difference says it best; without one the runner's own words.
            if [ -s "$work/regression.diffs" ]; then
                cat "$work/regression.diffs"
            else
                printf '%s\n' "$output"
            fi
        fi
        cp -R "$work/results/." "$results/" 2>/dev/null || true
        as_server rm -f "$work/regression.diffs" "$work/regression.out"
    done
}

suite_file() {
    local kind=$1 runner=$2 work=$3 name=$4 options=()
    [ "$kind" = regress ] || options+=(--load-extension=raceguard)
    [ "$kind" != points ] || options+=(--load-extension=injection_points)
    # From PostgreSQL 16 on the place of the expected files is an option of its own.
    [ "$("$runner" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')" -lt 16 ] || options+=(--expecteddir="$work")
    as_server env "PATH=$PG_BIN:$PATH" "$runner" --bindir="$PG_BIN" --inputdir="$work" --outputdir="$work" \
        --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" --dbname="raceguard_$kind" "${options[@]}" "$name"
}
