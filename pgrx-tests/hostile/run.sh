#!/usr/bin/env bash
# An unprivileged role plays against the server and other people's tables, for a minute.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec cargo run --quiet --locked -p raceguard-hostile -- --dsn "$DSN" --seconds "${HOSTILE_SECONDS:-60}" \
    --seed "${SEED:-$(scripts/seed.sh)}"
