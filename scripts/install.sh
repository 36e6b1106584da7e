#!/usr/bin/env bash
# make install, make package: the release extension into the directories of
# PG_CONFIG (default: the default major's own), or into a tree below target/release.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh

major=$(pg_wanted)
setup "$major"
config=${PG_CONFIG:-/usr/lib/postgresql/$major/bin/pg_config}
case $1 in
package)
    "$CARGO_PGRX" pgrx package --pg-config "$config"
    ;;
install)
    options=()
    if ! { [ -w "$("$config" --pkglibdir)" ] && [ -w "$("$config" --sharedir)/extension" ]; }; then
        command -v sudo >/dev/null || die "$("$config" --pkglibdir) is not writable: run make install as root, or install the package sudo"
        options=(--sudo)
    fi
    "$CARGO_PGRX" pgrx install --release --pg-config "$config" "${options[@]}"
    ;;
esac
