#!/usr/bin/env bash
# What migration tools make of guards: each on a database and in a project of its own, with the files that
# docs/migrations.md shows. TOOL.sh has the project's other files and the checks of that tool.
#
#   run.sh [alembic|django|prisma|drizzle|typeorm|rails]...    all, or those named
#
# Finds the server through the PG* variables. The tools run side by side: most of their time they wait.
set -euo pipefail
cd "$(dirname "$0")"
. ../orms/packages.sh
. ../../scripts/checks.sh

TESTS=$PWD
PAGE=$TESTS/../../docs/migrations.md
export PGOPTIONS='-c client_min_messages=warning' PATH=$PG_BIN:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# from_page FILE...: writes the blocks of the page that begin with a comment of this name.
from_page() {
    local file
    for file in "$@"; do
        mkdir -p "$(dirname "$file")"
        awk -v file="$file" '
            /^```/ { inside = !inside && $0 != "```"; first = inside; next }
            inside && first { first = 0; wanted = $2 == file; next }
            inside && wanted { print }
        ' "$PAGE" >"$file"
        [ -s "$file" ] || { echo "docs/migrations.md has no $file"; return 1; }
    done
}

sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }

# The guards that stand and are whole, by name.
guards() { sql "SELECT coalesce(string_agg(guard, ' ' ORDER BY guard COLLATE \"C\"), 'none') FROM raceguard.guards WHERE enabled AND whole"; }

# The statements of a tool's output that take something away, one to a line, without quotes.
drops() { { grep -oiE '\bdrop[ _](column|index|constraint|table)[^;]*' || true; } | tr -d "\"'" | sort; }

# quietly COMMAND...: shows what it says only if it fails.
quietly() {
    "$@" >quietly.log 2>&1 </dev/null || { echo "failed: $*"; cat quietly.log; return 1; }
}

# In a directory and a database of its own.
tool() {
    local PGDATABASE=raceguard_migrations_$1
    export PGDATABASE
    psql -X -q -d postgres -c "DROP DATABASE IF EXISTS $PGDATABASE" -c "CREATE DATABASE $PGDATABASE"
    mkdir "$work/$1"
    cd "$work/$1"
    # shellcheck source=/dev/null
    . "$TESTS/$1.sh"
    checks_end
}

[ $# != 0 ] || set -- alembic django prisma drizzle typeorm rails
use_python
use_node
use_ruby
for name in "$@"; do
    (set -e; tool "$name") >"$work/$name.log" 2>&1 &
done
wait
passed=0 failed=0
for name in "$@"; do
    echo "---- $name"
    cat "$work/$name.log"
    if [[ $(tail -n 1 "$work/$name.log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    else
        echo "FAILED  $name: the checks did not end"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
