#!/usr/bin/env bash
# make oci-tree: the files of an image with nothing but the extension, for the major of PG_CONFIG, below target/oci:
# lib/ and share/extension/, where the operator CloudNativePG and Postgres's own extension_control_path and
# dynamic_library_path look for them.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh

major=$(pg_wanted)
setup "$major" package
config=${PG_CONFIG:-/usr/lib/postgresql/$major/bin/pg_config}
"$CARGO_PGRX" pgrx package --pg-config "$config" --out-dir "$TARGET/oci/package"
tree=$TARGET/oci/$major
rm -rf "$tree"
mkdir -p "$tree/lib" "$tree/share/extension" "$tree/licenses"
# The places of that Postgres are not those of the image.
find "$TARGET/oci/package" -name 'raceguard.*so' -exec cp {} "$tree/lib/" \;
find "$TARGET/oci/package" \( -name 'raceguard--*.sql' -o -name raceguard.control \) -exec cp {} "$tree/share/extension/" \;
cp LICENSE "$tree/licenses/raceguard"
rm -rf "$TARGET/oci/package"
say "${tree#"$ROOT"/}"
