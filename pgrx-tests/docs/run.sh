#!/usr/bin/env bash
# Runs the ```sql blocks of README.md and of every page in docs/, top to bottom, each page in a
# fresh database. A statement that is meant to fail follows a line
#
#   -- error: SQLSTATE
#
# and has to fail with that code; every other statement has to succeed.
# Finds the server through PGHOST, PGPORT and PGUSER, and psql in PG_BIN.
set -euo pipefail
cd "$(dirname "$0")/../.."
psql=("$PG_BIN/psql" -X -q)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# The page's blocks as one psql script.
script() {
    awk '
        /^```sql/ { inside = 1; next }
        /^```/    { inside = 0; next }
        !inside   { next }
        /^-- error: / { code = $3; print "\\set ON_ERROR_STOP off"; next }
        { print }
        code != "" && /;[[:space:]]*$/ {
            print "SELECT :'\''SQLSTATE'\'' = '\''" code "'\'' AS as_said \\gset"
            print "\\if :as_said"
            print "\\else"
            print "\\warn line " FNR ": the statement should fail with " code
            print "DO $$ BEGIN RAISE EXCEPTION '\''not as the page says'\''; END $$;"
            print "\\quit"
            print "\\endif"
            print "\\set ON_ERROR_STOP on"
            code = ""
        }
    ' "$1"
}

shopt -s nullglob
for page in README.md docs/*.md; do
    blocks=$(grep -c '^```sql' "$page" || true)
    [ "$blocks" != 0 ] || continue
    "${psql[@]}" -d postgres -c 'DROP DATABASE IF EXISTS docs' -c 'CREATE DATABASE docs' 2>"$work/log"
    script "$page" >"$work/page.sql"
    if "${psql[@]}" -d docs -v ON_ERROR_STOP=1 -f "$work/page.sql" >"$work/log" 2>&1 &&
        ! grep -q 'not as the page says' "$work/log"; then
        echo "ok      $page ($blocks blocks)"
        passed=$((passed + blocks))
    else
        echo "FAILED  $page"
        tail -n 20 "$work/log"
        failed=$((failed + 1))
    fi
done
"${psql[@]}" -d postgres -c 'DROP DATABASE IF EXISTS docs'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
