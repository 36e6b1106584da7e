#!/usr/bin/env bash
# Tables whose rows another extension keeps elsewhere: Citus on other nodes, TimescaleDB in chunks.
#
#   RACEGUARD_CITUS="DSN|DSN|DSN"   the coordinator and its workers, whose servers have raceguard's files
#   RACEGUARD_TIMESCALE=DSN         a database of a server that has TimescaleDB and raceguard
#   SECONDS_OF_RACES=20             how long writers race on the nodes
#
# What is not given is not run, and said so; the catalogs of both, imitated, are always looked at. Finds a server
# of its own through PGHOST, PGPORT and PGUSER, and the programs in PG_BIN. Works in a schema that it drops.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin
. scripts/checks.sh
export PGOPTIONS='-c client_min_messages=warning'
here=$ROOT/pgrx-tests/distributed

# at DSN SQL: what psql prints; an error as "ERROR:  SQLSTATE".
at() { "$PG_BIN/psql" -X -q -A -t -v VERBOSITY=sqlstate -d "$1" -c "$2" 2>&1 || true; }

# says DSN WANTED SQL
says() { check "${2:-nothing} from $3" "$(at "$1" "$3")" "$2"; }

# asks SESSION WANTED SQL
asks() {
    ask "$1" "$3"
    check "$1: ${2:-nothing} from $3" "$ANSWER" "$2"
}

. "$here/imitated.sh"
if [ -n "${RACEGUARD_CITUS:-}" ]; then
    . "$here/citus.sh"
else
    echo "not run: Citus"
fi
if [ -n "${RACEGUARD_TIMESCALE:-}" ]; then
    . "$here/timescale.sh"
else
    echo "not run: TimescaleDB"
fi
checks_end
