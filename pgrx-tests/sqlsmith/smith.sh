#!/usr/bin/env bash
# sqlsmith (the Debian package) writes queries and DML over guarded tables and calls every function it finds, as a role
# that owns no more than that. No crash, no internal error. SMITH_QUERIES, SEED.
set -euo pipefail
. "$(dirname "$0")/../../scripts/lib.sh"
command -v sqlsmith >/dev/null || die "sqlsmith is missing: install the package sqlsmith"
RUN=$(mktemp -d /tmp/raceguard.XXXXXX)
chmod 755 "$RUN"
[ "$(id -u)" != 0 ] || chown "$SERVER_USER" "$RUN"
trap run_end EXIT

queries=${SMITH_QUERIES:-20000} seed=${SEED:-$(date +%s)}
cluster_start smith "log_error_verbosity = verbose" "log_line_prefix = '%e '" "log_min_messages = error"
"$PG_BIN/psql" -XqAt -v ON_ERROR_STOP=1 -f pgrx-tests/sqlsmith/tables.sql >/dev/null 2>&1 \
    || { cat "$RUN/smith/server.log"; die "the tables could not be made"; }
echo "sqlsmith: $queries queries, seed $seed"
status=0
sqlsmith --target="host=$PGHOST port=$PGPORT dbname=$PGDATABASE user=smith options='-c search_path=smith,raceguard,public'" \
    --seed="$seed" --max-queries="$queries" --verbose >"$RUN/smith.log" 2>&1 || status=$?
tail -n 30 "$RUN/smith.log"
log=$RUN/smith/server.log
answered=$(grep -c '^[0-9A-Z]\{5\} ERROR: ' "$log" || true)
[ "$answered" -gt 0 ] || { echo "no query reached the server"; status=1; }
# An internal error counts where a guard can have had a part in it: in a write, in a call of raceguard's, in its own code;
# but for what Postgres raises by itself when it is called with any number as a typmod.
internal=$(awk '
    function judge() {
        if (report ~ /^XX/ && tolower(report) !~ /interval typmod/ &&
            report ~ /raceguard\.|LOCATION: [^\n]*\.rs|insert into|update |delete from|merge into/) print report
    }
    # Every line of a report but the rest of a statement begins with the SQLSTATE.
    /^[0-9A-Z]+ ERROR: / { judge(); report = "" }
    { report = report $0 "\n" }
    END { judge() }' "$log")
[ -z "$internal" ] || head -100 <<<"$internal"
internal=$(grep -c '^XX.* ERROR: ' <<<"$internal" || true)
cluster_stop smith
crashes=$(cluster_crashes smith)
failed=$((internal + crashes + (status != 0)))
echo "$((failed == 0)) passed, $failed failed"
[ "$failed" = 0 ]
