#!/usr/bin/env bash
# What real clients make of raceguard. python/, node/, ruby/ and java/ have a file for each client; tables.sql
# is what all of them work with, in a database of their own for each language.
#
#   run.sh [python|node|ruby|java]...    all, or those named
#
# Finds the server through the PG* variables.
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh

python_tests() {
    use_python
    timeout 300 python3 python/main.py
}

node_tests() {
    use_node
    timeout 300 node node/main.js
}

ruby_tests() {
    use_ruby
    timeout 300 ruby ruby/main.rb
}

java_tests() {
    use_java
    javac -XDsuppressNotes -d "$classes" java/*.java
    CLASSPATH=$classes$CLASSPATH timeout 300 java Main
}

log=$(mktemp) classes=$(mktemp -d)
trap 'rm -rf "$log" "$classes"' EXIT
passed=0 failed=0
[ $# != 0 ] || set -- python node ruby java
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
