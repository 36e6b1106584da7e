#!/usr/bin/env bash
# A server whose configuration has every session pass the guards (session_replication_role = replica, left behind by a
# bulk load): check_guards finds it wherever it is set, says what mends it, and finds nothing once it is mended.
# Needs clusters of its own; psql and the server's programs are in PG_BIN.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin
. scripts/checks.sh
export PGOPTIONS='-c client_min_messages=warning'

sql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "${@:2}" -c "$1" 2>&1; }
found() { sql "SELECT severity, problem, target, remedy FROM raceguard.check_guards() WHERE problem = 'replica_role'" "$@"; }
detail() { sql "SELECT detail FROM raceguard.check_guards() WHERE problem = 'replica_role'"; }
# stale: whether an update with a version that is not the row's passes.
stale() { sql "UPDATE orders SET version = 99 WHERE id = 1" -v VERBOSITY=sqlstate; }
# reloaded WANTED: the setting of a new session.
reloaded() {
    sql "SELECT pg_reload_conf()" >/dev/null
    wait_until "sessions begin as $1" sql "SELECT current_setting('session_replication_role') = '$1'"
}

cluster_start loaded
sql "CREATE EXTENSION raceguard; CREATE TABLE orders (id int PRIMARY KEY); SELECT raceguard.add_version('orders');
     INSERT INTO orders VALUES (1); CREATE ROLE looker LOGIN;
     CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders); SELECT raceguard.add_total('lines', 'orders', 'lines');
     INSERT INTO lines VALUES (1, 1)" >/dev/null
check "nothing is found" "$(found)" ""
check "a stale update is refused" "$(stale)" "ERROR:  RG409"

sql "ALTER SYSTEM SET session_replication_role = replica"
reloaded replica
check "ALTER SYSTEM: found" "$(found)" "error|replica_role||ALTER SYSTEM RESET session_replication_role"
check "ALTER SYSTEM: the detail says how it takes effect" "$(detail | grep -o 'SELECT pg_reload_conf()')" "SELECT pg_reload_conf()"
check "ALTER SYSTEM: whoever may not know the file is told what to do" "$(found -U looker)" "error|replica_role||"
check "ALTER SYSTEM: it is no false alarm" "$(stale)" ""
check "ALTER SYSTEM: nothing is counted" "$(sql "INSERT INTO lines VALUES (2, 1); SELECT lines FROM orders")" 1
check "ALTER SYSTEM: which a deep check finds" "$(sql "SELECT problem FROM raceguard.check_guards(deep => true) WHERE problem = 'totals_wrong'")" totals_wrong
sql "$(sql "SELECT remedy FROM raceguard.check_guards() WHERE problem = 'replica_role'")"
reloaded origin
check "ALTER SYSTEM: mended" "$(found)" ""
check "a stale update is refused again" "$(stale)" "ERROR:  RG409"
sql "CALL raceguard.recount('lines')" >/dev/null
check "what was not counted is counted again" "$(sql "SELECT lines FROM orders")" 2
check "and once" "$(sql "INSERT INTO lines VALUES (3, 1); SELECT lines FROM orders")" 3
check "a deep check finds nothing" "$(sql "SELECT problem FROM raceguard.check_guards(deep => true) WHERE severity = 'error'")" ""

echo "session_replication_role = replica" | as_server tee -a "$RUN/loaded/data/postgresql.conf" >/dev/null
reloaded replica
check "postgresql.conf: found, without a statement" "$(found)" "error|replica_role||"
check "postgresql.conf: the detail says what to do" "$(detail | grep -o 'take it out there, and reload')" "take it out there, and reload"
as_server sed -i '/^session_replication_role/d' "$RUN/loaded/data/postgresql.conf"
reloaded origin
check "postgresql.conf: mended" "$(found)" ""

as_server "$PG_BIN/pg_ctl" -D "$RUN/loaded/data" -m fast -w stop >/dev/null
as_server "$PG_BIN/pg_ctl" -D "$RUN/loaded/data" -l "$RUN/loaded/server.log" -o "-c session_replication_role=replica" -w start >/dev/null
check "command line: found" "$(found)" "error|replica_role||"
# What one session sets for itself is its own affair.
as_server "$PG_BIN/pg_ctl" -D "$RUN/loaded/data" -l "$RUN/loaded/server.log" -w restart -o "" >/dev/null
check "command line: mended" "$(found)" ""
check "a session's own setting is none" \
    "$(PGOPTIONS="$PGOPTIONS -c session_replication_role=replica" found)" ""
cluster_stop loaded
checks_end
