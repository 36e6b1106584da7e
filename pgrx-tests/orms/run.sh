#!/usr/bin/env bash
# What SQLAlchemy and Django make of the version guard and of raceguard's errors. Finds the server
# through the PG* variables; the packages are kept below target/.
set -euo pipefail
cd "$(dirname "$0")"
python3 -m pip --version >/dev/null 2>&1 ||
    { echo "raceguard: error: pip, which fetches SQLAlchemy and Django, is missing: install the package python3-pip"; exit 1; }

# A directory for each set of versions, complete or not there at all.
packages=../../target/orms/$(cksum <requirements.txt | tr -d ' ')
if [ ! -d "$packages" ]; then
    rm -rf "$packages.new"
    python3 -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        --target "$packages.new" --requirement requirements.txt
    mv "$packages.new" "$packages"
fi

export PGDATABASE=raceguard_orms
"$PG_BIN/psql" -X -q -d postgres -c "DROP DATABASE IF EXISTS $PGDATABASE" -c "CREATE DATABASE $PGDATABASE"
PYTHONPATH=$packages PYTHONDONTWRITEBYTECODE=1 python3 orms.py
