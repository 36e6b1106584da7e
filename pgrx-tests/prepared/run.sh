#!/usr/bin/env bash
# PREPARE TRANSACTION: totals are written and judged when the transaction is prepared, versions of parents move then,
# and numbers are given; a restart in between changes nothing. Until COMMIT PREPARED nobody sees any of it, and whoever
# writes a child of the same parent waits.
# Needs a cluster of its own, since the suites' allows no prepared transactions.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin
. scripts/checks.sh
export PGOPTIONS='-c client_min_messages=warning'
cluster_start prepared "max_prepared_transactions = 4"

# Each statement by itself, as COMMIT PREPARED has to be.
sql() { "$PG_BIN/psql" -X -q -A -t -v VERBOSITY=sqlstate <<<"$1" 2>&1 || true; }
# says WANTED STATEMENTS
says() { check "${1:-nothing} from $2" "$(sql "$2")" "$1"; }
events() { sql "SELECT string_agg(concat(id, ': ', booked, ' ', version), ', ' ORDER BY id) FROM events"; }

says zz_raceguard_number "
    CREATE EXTENSION raceguard;
    CREATE TABLE events (id int PRIMARY KEY, capacity int);
    CREATE TABLE bookings (id int PRIMARY KEY, event_id int REFERENCES events DEFERRABLE);
    DO \$\$ BEGIN PERFORM raceguard.add_version('events'), raceguard.add_parent_version('bookings', 'events'); END \$\$;
    CREATE TABLE projects (id int PRIMARY KEY);
    CREATE TABLE members (project int REFERENCES projects, name text, PRIMARY KEY (project, name));
    CREATE TABLE invoices (id int PRIMARY KEY, org int);
    DO \$\$ BEGIN PERFORM raceguard.add_total('members', 'projects', 'n', at_least => '1'); END \$\$;
    INSERT INTO events VALUES (1, 2), (2, 5);
    SELECT raceguard.add_number('invoices', 'org')"

for settle in statement commit; do
    says zz_raceguard_total \
        "SELECT raceguard.add_total('bookings', 'events', 'booked', at_most => 'capacity', settle => '$settle', replace => true)"
    sql "TRUNCATE bookings, events; INSERT INTO events VALUES (1, 2), (2, 5)" >/dev/null
    says "" "BEGIN; INSERT INTO bookings VALUES (1, 1), (2, 2), (3, 2); DELETE FROM bookings WHERE id = 3; PREPARE TRANSACTION 'a'"
    check "$settle: nobody sees it" "$(events)" "1: 0 1, 2: 0 1"
    session waiting
    ask waiting "SELECT pg_backend_pid()"
    pid=$ANSWER
    send waiting "INSERT INTO bookings VALUES (11, 1), (12, 1)"
    waits() { sql "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid"; }
    wait_until "$settle: the next writer waits" waits
    says "" "COMMIT PREPARED 'a'"
    answer waiting
    check "$settle: and is refused" "$ANSWER" "ERROR:  RG403"
    session_end waiting
    check "$settle: counted, and the version moved once" "$(events)" "1: 1 2, 2: 1 2"

    says "" "BEGIN; INSERT INTO bookings VALUES (21, 1); PREPARE TRANSACTION 'b'"
    as_server "$PG_BIN/pg_ctl" -D "$RUN/prepared/data" -l "$RUN/prepared/server.log" -m fast -w restart >/dev/null
    check "$settle: after a restart nobody sees it" "$(events)" "1: 1 2, 2: 1 2"
    says "" "ROLLBACK PREPARED 'b'"
    check "$settle: rolled back" "$(events)" "1: 1 2, 2: 1 2"
    says "" "BEGIN; INSERT INTO bookings VALUES (22, 1); PREPARE TRANSACTION 'c'"
    as_server "$PG_BIN/pg_ctl" -D "$RUN/prepared/data" -l "$RUN/prepared/server.log" -m immediate -w restart >/dev/null
    says "" "COMMIT PREPARED 'c'"
    check "$settle: committed after a crash" "$(events)" "1: 2 3, 2: 1 2"
    says "ERROR:  RG403" "INSERT INTO bookings VALUES (23, 1)"
    says "" "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO bookings VALUES (31, 3), (32, 3); INSERT INTO events VALUES (3, 2);
        PREPARE TRANSACTION 'd'; COMMIT PREPARED 'd'"
    check "$settle: children first" "$(sql "SELECT booked FROM events WHERE id = 3")" 2
done
says "ERROR:  RG403" "BEGIN; INSERT INTO bookings VALUES (41, 1); PREPARE TRANSACTION 'e'"
says "ERROR:  RG422" "BEGIN; INSERT INTO projects VALUES (1); PREPARE TRANSACTION 'f'"
says "" "BEGIN; INSERT INTO projects VALUES (1); INSERT INTO members VALUES (1, 'ann'); PREPARE TRANSACTION 'g'; COMMIT PREPARED 'g'"
says 1 "SELECT n FROM projects"
says 0 "SELECT count(*) FROM pg_prepared_xacts"

# A number that a prepared transaction holds is not given again.
says "" "BEGIN; INSERT INTO invoices VALUES (1, 1), (2, 1); PREPARE TRANSACTION 'h'; ROLLBACK PREPARED 'h'"
says "" "BEGIN; INSERT INTO invoices VALUES (1, 1), (2, 1); PREPARE TRANSACTION 'i'; COMMIT PREPARED 'i'"
says 3 "INSERT INTO invoices VALUES (3, 1) RETURNING number"
# Nor one whose row is gone: the counter goes with the transaction.
says zz_raceguard_number "
    CREATE TABLE orgs (id int PRIMARY KEY);
    CREATE TABLE tickets (id int PRIMARY KEY, org int REFERENCES orgs);
    INSERT INTO orgs VALUES (1);
    SELECT raceguard.add_number('tickets', 'org', counter => 'last')"
says "" "BEGIN; INSERT INTO tickets VALUES (1, 1), (2, 1); PREPARE TRANSACTION 'j'; ROLLBACK PREPARED 'j'"
says 0 "SELECT last FROM orgs"
says "" "BEGIN; INSERT INTO tickets VALUES (1, 1), (2, 1); DELETE FROM tickets WHERE id = 2; PREPARE TRANSACTION 'k'; COMMIT PREPARED 'k'"
says 3 "INSERT INTO tickets VALUES (3, 1) RETURNING number"
says 0 "SELECT count(*) FROM raceguard.check_guards(deep => true) WHERE severity = 'error'"
check "no crash but the one that was asked for" "$(cluster_crashes prepared)" 0
cluster_stop prepared
checks_end
