#!/usr/bin/env bash
# Every order of steps of a few sessions, and broken protocols that have to be noticed. Needs no server.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec cargo run --quiet --locked --profile simulate -p raceguard-simulator -- --seed "${SEED:-1}" "$@"
