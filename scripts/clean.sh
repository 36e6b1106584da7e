#!/usr/bin/env bash
# make clean: removes target/ and the copies of Postgres that lie outside it.
. "$(dirname "$0")/lib.sh"
if [ -f "$TARGET/pg-elsewhere" ]; then
    elsewhere=$(cat "$TARGET/pg-elsewhere")
    if [[ $elsewhere == /var/tmp/raceguard-pg.* ]] && [ -O "$elsewhere" ]; then rm -rf "$elsewhere"; fi
fi
rm -rf "$TARGET"
