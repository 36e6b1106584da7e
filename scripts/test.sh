#!/usr/bin/env bash
# make test: every check there is, a table of the stages and their counts, and
# as the last line "N passed, N failed".
#
#   test.sh             the default major, or that of PG_CONFIG; with CI=true also
#                       those that come from PyPI
#   test.sh all         every supported major
#   test.sh packages    what users install, and the site
#   test.sh only MAJOR  what is tested on each further major, on that one alone
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh
. scripts/suites.sh
. scripts/stages.sh
. scripts/source.sh
. scripts/lint/lint.sh


# The major that everything is tested on, and those for the suites that may differ between majors.
first=$(pg_wanted)
further=
purpose='test'
case ${1:-} in
all) further=$(pg_supported) purpose=all ;;
packages) purpose=packages ;;
only) first='' further=$2 purpose=only ;;
*) [ "${CI:-}" != true ] || further=$(pg_supported pypi) ;;
esac

mkdir -p "$TARGET/test"
setup "$first $further" "$purpose"
run_begin

if [ -n "$first" ] && [ "$purpose" != packages ]; then
    stage "format" check_format
    stage "clippy" check_clippy
    stage "lint" lint
    stage "client crates" client_crate_tests
    stage "rust $first" rust_tests
    # What ships is what the suites run on.
    stage "build $first" build release
    stage "regress $first" server_suite regress
    stage "isolation $first" server_suite isolation
    stage "race $first" race --seconds 60
    # Rows of full caps updated to other places meanwhile: no spurious 23505, no false refusal.
    stage "race, a cap for a minute" race --seconds 60 --only cap_3
    stage "race, backends killed" race --seconds 15 --kill-every 3
    stage "race, restarts" race --seconds 12 --restart-every 0.5
    stage "race, timeouts" race --seconds 15 --timeouts
    stage "race, tables rebuilt" race --seconds 15 --ddl
    stage "race, no room for locks" race --seconds 15 --starve-locks
    stage "race, broken guards" race --self-test
    stage "demo" demo
    for program in pgrx-tests/*/run.sh; do
        stage "$(basename "$(dirname "$program")")" program_suite "$program"
    done
fi
if [ "$purpose" = all ]; then
    stage "pgspot" program_suite pgrx-tests/pgspot/spot.sh
    stage "sqlsmith" program_suite pgrx-tests/sqlsmith/smith.sh
    stage "foreign" program_suite pgrx-tests/foreign/foreign.sh
fi
if [[ $purpose =~ ^(all|packages)$ ]]; then
    for program in pgrx-tests/packages/{pgxn,oci,deb,site}.sh; do
        stage "package $(basename "$program" .sh)" program_suite "$program"
    done
fi

for major in $further; do
    [ "$major" != "$first" ] || continue
    pg_origin "$major"
    if [ "${ORIGIN[0]}" = debootstrap ]; then
        stage "all $major, in a chroot" in_chroot "${ORIGIN[1]}" "$major"
        continue
    fi
    stage "get $major" get_postgres "$major"
    [ "$STAGE_FAILED" = 0 ] || continue
    pg_use "$major"
    stage "rust $major" rust_tests
    # A debug build: it shares its dependencies with the Rust tests.
    stage "build $major" build dev
    stage "regress $major" server_suite regress
    stage "isolation $major" server_suite isolation
    stage "race $major" race --seconds 10
    # WAIT FOR LSN on the standby is for 19 and later.
    [ "$major" -lt 19 ] || stage "standby $major" program_suite pgrx-tests/standby/run.sh
    [ -z "$first" ] || [ "$major" -lt "$first" ] || stage "upgrade $first to $major" upgrade "$first" "$major"
    [ "${1:-}" != all ] || ! newest=$(pin "newest-$major" 2>/dev/null) \
        || stage "newest $major, in a chroot" in_chroot "$newest" "$major"
done
stages_report
