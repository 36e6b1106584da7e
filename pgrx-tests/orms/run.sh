#!/usr/bin/env bash
# What real clients make of raceguard. python/ and node/ have a file for each client; tables.sql is what
# all of them work with, in a database of their own for each language.
#
#   run.sh [python|node]...    both, or those named
#
# Finds the server through the PG* variables. The packages are kept below target/orms.
set -euo pipefail
cd "$(dirname "$0")"
missing() { echo "raceguard: error: $1 is missing: install the package $2"; exit 1; }

# packages NAME FILE...: sets PACKAGES to the directory of what these files ask for, complete or not
# there at all; NAME_packages fills it.
packages() {
    local name=$1
    PACKAGES=$(cd ../.. && pwd)/target/orms/$name-$(cat "${@:2}" | cksum | tr -d ' ')
    if [ ! -d "$PACKAGES" ]; then
        # What older files asked for is of no use any more.
        rm -rf "${PACKAGES%/*}/$name-"*
        mkdir -p "$PACKAGES.new"
        cp "${@:2}" "$PACKAGES.new/"
        "${name}_packages" "$PACKAGES.new"
        mv "$PACKAGES.new" "$PACKAGES"
    fi
}

python_packages() {
    python3 -m pip --version >/dev/null 2>&1 || missing "pip, which fetches the Python clients," python3-pip
    python3 -m pip install --quiet --disable-pip-version-check --only-binary :all: --target "$1" \
        --requirement "$1/requirements.txt"
}

node_packages() {
    command -v node >/dev/null || missing "Node.js, which runs the Node clients," nodejs
    command -v npm >/dev/null || missing "npm, which fetches the Node clients," npm
    (
        cd "$1"
        npm ci --ignore-scripts --no-audit --no-fund --engine-strict --loglevel error >/dev/null
        # Only code is generated; the path keeps Prisma from fetching its engine for migrations first.
        PRISMA_SCHEMA_ENGINE_BINARY=/bin/true CHECKPOINT_DISABLE=1 PRISMA_HIDE_UPDATE_MESSAGE=1 \
            node node_modules/prisma/build/index.js generate --no-hints >/dev/null
    )
}

python_tests() {
    packages python python/requirements.txt
    PYTHONPATH=$PACKAGES PYTHONDONTWRITEBYTECODE=1 timeout 300 python3 python/main.py
}

node_tests() {
    packages node node/package.json node/package-lock.json node/schema.prisma
    NODE_PATH=$PACKAGES/node_modules timeout 300 node node/main.js
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0
[ $# != 0 ] || set -- python node
for language in "$@"; do
    export PGDATABASE=raceguard_orms_$language
    psql=("$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1)
    PGOPTIONS='-c client_min_messages=warning' \
        "${psql[@]}" -d postgres -c "DROP DATABASE IF EXISTS $PGDATABASE" -c "CREATE DATABASE $PGDATABASE"
    PGOPTIONS='-c client_min_messages=warning' "${psql[@]}" -f tables.sql >/dev/null
    # A subshell with -e of its own, which a condition would take away.
    set +e
    (set -e; "${language}_tests") 2>&1 | tee "$log"
    set -e
    if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        echo "FAILED  $language: the tests did not end"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
