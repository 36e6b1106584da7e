#!/usr/bin/env bash
# make install, make uninstall, make package: the release extension into the directories of
# PG_CONFIG (default: the default major's own), out of them, or into a tree below target/release.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh

major=$(pg_wanted)
config=${PG_CONFIG:-/usr/lib/postgresql/$major/bin/pg_config}
case $1 in
package) setup "$major" package ;;
install) setup "$major" ;;
esac
as_owner=()
if [ "$1" != package ]; then
    libraries=$("$config" --pkglibdir) extensions=$("$config" --sharedir)/extension
    if ! { [ -w "$libraries" ] && [ -w "$extensions" ]; }; then
        command -v sudo >/dev/null || die "$libraries is not writable: run make $1 as root, or install the package sudo"
        as_owner=(sudo)
    fi
fi
case $1 in
package)
    "$CARGO_PGRX" pgrx package --pg-config "$config"
    ;;
install)
    extension_build release
    extension_copy "$libraries" "$extensions" "${as_owner[@]}"
    ;;
uninstall)
    "${as_owner[@]}" rm -f "$libraries/raceguard.so" "$extensions/raceguard.control" "$extensions"/raceguard--*.sql
    ;;
esac
