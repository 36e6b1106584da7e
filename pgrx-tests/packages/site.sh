#!/usr/bin/env bash
# The documentation as a site, built by `make docs` and read in headless Chromium.
set -euo pipefail
cd "$(dirname "$0")"
. ../../scripts/lib.sh
here=$ROOT/pgrx-tests/packages tools=$TARGET/tools/browser
if ! cmp -s "$here/requirements.txt" "$tools/requirements.txt"; then
    rm -rf "$tools"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
        --only-binary :all: --target "$tools" --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$tools/"
fi
scripts/docs.sh
PYTHONPATH=$tools python3 "$here/site.py" "$TARGET/docs/site" "$(command -v chromium)"
