#!/usr/bin/env bash
# Random calls, guards, writes and DDL for half a minute.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec cargo run --quiet --locked -p raceguard-fuzz -- --dsn "$DSN" --seconds "${FUZZ_SECONDS:-30}" --seed "${SEED:-$(scripts/seed.sh)}"
