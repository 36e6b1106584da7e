#!/usr/bin/env bash
# The files of the image: a Postgres 18 that is only told where they are has the extension.
set -euo pipefail
cd "$(dirname "$0")"
. ../../scripts/lib.sh
. scripts/postgres.sh
. scripts/checks.sh
run_begin

pg_use 18
config=$PG_BIN/pg_config
installed() { find "$("$config" --pkglibdir)" "$("$config" --sharedir)/extension" -name 'raceguard*'; }
# The private copy may have the extension from another test.
installed | xargs rm -f
PG_CONFIG=$config scripts/oci.sh >"$TARGET/test/oci.log" 2>&1 || tail -n 30 "$TARGET/test/oci.log"
cp -R "$TARGET/oci/18" "$RUN/image"
chmod -R a+rX "$RUN/image"
check "the folders of an image volume of CloudNativePG" "$(ls "$RUN/image")" "lib
licenses
share"
check "the library, and nothing else" "$(ls "$RUN/image/lib")" raceguard.so
check "every SQL script of this version" "$(find "$RUN/image/share/extension" -name "raceguard--*$(extension_version).sql" | wc -l)" \
    "$((1 + $(find sql -name "raceguard--*--$(extension_version).sql" | wc -l)))"
# What a container of CloudNativePG is started with.
cluster_start oci "extension_control_path = '$RUN/image/share:\$system'" "dynamic_library_path = '$RUN/image/lib:\$libdir'"
cp pgrx-tests/packages/used.sql "$RUN/"
check "used where it is only mounted" "$(as_server "$PG_BIN/psql" -X -q -A -t -d "$DSN" <"$RUN/used.sql" 2>&1 | tail -n 1)" \
    "used $(extension_version)"
check "nothing of it in the installation" "$(installed)" ""
cluster_stop oci
checks_end
