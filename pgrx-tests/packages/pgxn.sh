#!/usr/bin/env bash
# The archive for PGXN: installed with PGXN's client into a Postgres that has not had the extension, and used there.
set -euo pipefail
cd "$(dirname "$0")"
. ../../scripts/lib.sh
. scripts/postgres.sh
. scripts/checks.sh
run_begin

name=raceguard-$(extension_version) archive=$TARGET/pgxn/raceguard-$(extension_version).zip log=$TARGET/test/pgxn.log
mkdir -p "$TARGET/test"
scripts/pgxn.sh
check "everything is in a folder of name and version" \
    "$(python3 -m zipfile -l "$archive" | awk 'NR > 1 && $1 !~ "^'"$name"'/"')" ""
check "META.json is in it" "$(python3 -m zipfile -l "$archive" | grep -c "^$name/META.json ")" 1
check "it is of a size that one downloads" "$(($(stat -c %s "$archive") < 4000000))" 1

# A copy of the server: the build is from the beginning, as on the machine of whoever installs it.
pg_copy "$PG_BIN/pg_config" "$RUN/postgres"
chmod 755 "$RUN/postgres"
# The client judges by this folder whether it may install.
mkdir -p "$("$PG_BIN/pg_config" --libdir)"
PATH=$TARGET/tools/bin:$PATH pgxn install --verbose --pg_config "$PG_BIN/pg_config" "$archive" >"$log" 2>&1 \
    || tail -n 30 "$log"
cluster_start pgxn
cp pgrx-tests/packages/used.sql "$RUN/"
check "installed and used" "$(as_server "$PG_BIN/psql" -X -q -A -t -d "$DSN" <"$RUN/used.sql" 2>&1 | tail -n 1)" \
    "used $(extension_version)"
cluster_stop pgxn
pgxn uninstall --pg_config "$PG_BIN/pg_config" "$archive" >>"$log" 2>&1 || tail -n 30 "$log"
check "uninstalled" "$(find "$RUN/postgres" -name 'raceguard*')" ""
checks_end
