#!/usr/bin/env bash
# The first seed of random rounds in `make test`: the same sources draw the same rounds, so that a failure comes again and
# a run says something of the next one of the same commit. `make soak` draws by the clock.
set -euo pipefail
cd "$(dirname "$0")/.."
find src sql pgrx-tests/fuzz pgrx-tests/hostile -type f | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cat | cksum | cut -d ' ' -f 1
