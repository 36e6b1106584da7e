#!/usr/bin/env bash
# What only a client can see: pipelines, cancelled waits, load on CALL retry, parallel saves, and what
# tokio-postgres makes of errors and parameters.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec cargo run --quiet --locked -p raceguard-clients -- "$DSN"
