#!/usr/bin/env bash
# pgspot on every script that CREATE EXTENSION and ALTER EXTENSION UPDATE run: no name in them may be found in a schema
# that somebody else can write to. A finding of any kind is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=$PWD/target/pgspot-$(cksum <pgrx-tests/pgspot/requirements.txt | tr -d ' ')
if [ ! -d "$packages" ]; then
    rm -rf target/pgspot-*
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --only-binary :all: \
        --target "$packages.new" --requirement pgrx-tests/pgspot/requirements.txt
    mv "$packages.new" "$packages"
fi
passed=0 failed=0
for script in "$("$PG_BIN/pg_config" --sharedir)"/extension/raceguard--*.sql; do
    name=${script##*/}
    # An update replaces the extension's own views: Postgres lets nobody else's be replaced there, and the script
    # refuses a schema with objects of strangers first.
    ignored=()
    [[ ${name#raceguard--} != *--* ]] || ignored=(--ignore PS015)
    # What it finds is more than its exit status tells: warnings do not count there.
    found=$(PYTHONPATH=$packages python3 "$packages/bin/pgspot" "${ignored[@]}" "$script" 2>&1) || true
    if grep -qE '^ ?Errors: 0 Warnings: 0 Unknown: 0 *$' <<<"$found"; then
        passed=$((passed + 1))
        echo "ok      $name"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n%s\n' "$name" "$found"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
