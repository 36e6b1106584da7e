#!/usr/bin/env bash
# make pgxn: what is committed, as the archive that PGXN takes, below target/pgxn.
. "$(dirname "$0")/lib.sh"

name=raceguard-$(extension_version)
mkdir -p "$TARGET/pgxn"
git archive --format zip --prefix "$name/" --output "$TARGET/pgxn/$name.zip" HEAD
say "target/pgxn/$name.zip"
