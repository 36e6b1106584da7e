#!/usr/bin/env bash
# make installcheck: pg_regress and the isolation specs against the running
# server that PGHOST, PGPORT and PGUSER name, as PGXS modules do it. The
# extension must be installed there (make install); the user must be a superuser.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/suites.sh

major=$(pg_wanted)
config=${PG_CONFIG:-/usr/lib/postgresql/$major/bin/pg_config}
[ -x "$config" ] || die "$config is missing: name the server's pg_config with PG_CONFIG="
PG_MAJOR=$major
PG_BIN=$("$config" --bindir)
pgxs_test "$PG_BIN"
export PGHOST=${PGHOST:-/var/run/postgresql} PGPORT=${PGPORT:-5432} PGUSER=${PGUSER:-$SERVER_USER}

run_begin
as_server "$PG_BIN/psql" -XAtc 'SELECT 1' -d postgres >/dev/null || die "no server answers at PGHOST=$PGHOST PGPORT=$PGPORT for PGUSER=$PGUSER"
passed=0 failed=0
for kind in regress isolation; do
    suite "$kind"
    passed=$((passed + SUITE_PASSED)) failed=$((failed + SUITE_FAILED))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
