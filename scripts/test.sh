#!/usr/bin/env bash
# make test: every check there is, a table of the stages and their counts, and
# as the last line "N passed, N failed".
#
#   test.sh             the default major, or that of PG_CONFIG; with CI=true also
#                       those that come from PyPI
#   test.sh all         every supported major
#   test.sh only MAJOR  that major alone
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh
. scripts/suites.sh
. scripts/stages.sh


majors=$(pg_wanted)
case ${1:-} in
all) majors="$majors $(pg_supported)" ;;
only) majors=$2 ;;
*) [ "${CI:-}" != true ] || majors="$majors $(pg_supported pypi)" ;;
esac
majors=$(printf '%s\n' $majors | awk '!seen[$0]++' | paste -sd' ')
first=${majors%% *}

mkdir -p "$TARGET/test"
setup "$majors"
run_begin

stage "format" check_format
stage "clippy" check_clippy
stage "client crates" client_crate_tests
for major in $majors; do
    if pg_needs_chroot "$major"; then
        stage "all $major, in a chroot" in_chroot "$major"
        continue
    fi
    if [ "$major" != "$first" ]; then
        stage "get $major" get_postgres "$major"
        [ "$STAGE_FAILED" = 0 ] || continue
        pg_use "$major"
    fi
    stage "rust $major" rust_tests
    # What ships is tested on the first major; on the others a debug build, which
    # shares its dependencies with the Rust tests, tells what differs between majors.
    if [ "$major" = "$first" ]; then profile=release seconds=60; else profile=dev seconds=10; fi
    stage "build $major" build "$profile"
    stage "regress $major" server_suite regress
    stage "isolation $major" server_suite isolation
    [ ! -d pgrx-tests/race ] || stage "race $major" race --seconds "$seconds"
    [ "$major" = "$first" ] || continue
    if [ -d pgrx-tests/race ]; then
        stage "race, backends killed" race --seconds 15 --kill-every 3
        stage "race, broken guards" race --seconds 10 --self-test
    fi
    for program in pgrx-tests/*/run.sh; do
        [ ! -e "$program" ] || stage "$(basename "$(dirname "$program")") $major" program_suite "$program"
    done
done
stages_report
