#!/usr/bin/env bash
# What monitoring/ ships: the collector's queries run against a server, real races raise the counters, and the rules
# fire on the figures, or do not. rules_test.yml has the alerts' unit tests.
set -euo pipefail
. "$(dirname "$0")/../../scripts/lib.sh"
. scripts/checks.sh
cd pgrx-tests/monitoring

command -v promtool >/dev/null || die "promtool is missing: install the package prometheus"
export PGOPTIONS='-c client_min_messages=warning'
run_begin

sql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }
collect() { ruby collect.rb "$ROOT"/monitoring/*.collector.yml >"$RUN/$1"; }
# firing BEFORE AFTER TIME: in one line, alerts and tables.
firing() { ruby firing.rb "$RUN/$1" "$RUN/$2" "$3" | paste -s -d ' '; }

# lose_race ROW: two sessions have read a row and update it at once; one of them is refused.
lose_race() {
    ask ann "BEGIN; UPDATE orders SET body = 'Ann', version = (SELECT version + 1 FROM orders WHERE id = $1) WHERE id = $1"
    send bob "UPDATE orders SET body = 'Bob', version = (SELECT version + 1 FROM orders WHERE id = $1) WHERE id = $1"
    wait_until "the second update waits for the row" sql \
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ask ann "COMMIT"
    answer bob
    [ "$ANSWER" = "ERROR:  RG409" ] || die "the race was not lost: $ANSWER"
}

# work PASSED CONFLICTS: so many updates that pass, and so many that lose a race (whose winners pass too).
work() {
    sql "UPDATE orders SET body = 'x', version = version + 1 WHERE id <= $1 - $2"
    for ((row = 1; row <= $2; row++)); do lose_race "$row"; done
}

unit_tests() {
    check "promtool: the rules are valid" "$(promtool check rules "$ROOT/monitoring/raceguard.rules.yml" | grep -c SUCCESS)" 1
    check "promtool: the unit tests of the alerts" "$(promtool test rules rules_test.yml rules_week_test.yml 2>&1 | grep -v '^$')" \
        "Unit Testing:  rules_test.yml
  SUCCESS
Unit Testing:  rules_week_test.yml
  SUCCESS"
}

# Neither sql_exporter nor Grafana is there to be asked: what they want of a file is looked at here.
files() {
    check "sql_exporter would take the collectors" "$(ruby collectors.rb "$ROOT"/monitoring/*.collector.yml)" ""
    check "Grafana would draw every panel" "$(ruby panels.rb "$ROOT/monitoring/grafana-dashboard.json" "$ROOT"/monitoring/*.collector.yml)" ""
}

# The dashboard asks for metrics that are collected, in queries that Prometheus can read.
dashboard() {
    ruby dashboard.rb "$ROOT/monitoring/grafana-dashboard.json" >"$RUN/dashboard.yml"
    check "the dashboard's queries can be read" "$(promtool check rules "$RUN/dashboard.yml" | grep -c SUCCESS)" 1
    check "the dashboard and the rules know the metrics" \
        "$(grep -ohE 'raceguard_[a-z_]+' "$RUN/dashboard.yml" "$ROOT/monitoring/raceguard.rules.yml" | sort -u \
            | grep -vxF -f <(grep -ohE 'raceguard_[a-z_]+' "$ROOT"/monitoring/*.collector.yml; echo raceguard_checks) || true)" ""
}

conflicts() {
    work 99 1
    collect one_percent
    work 95 5
    collect five_percent
    check "the collector's samples are well-formed" "$(promtool check metrics <"$RUN/five_percent" 2>&1)" ""
    check "the counters have the races" \
        "$(sed -n 's/.*table="orders".*outcome="\(passed\|conflicts\)"} //p' "$RUN/five_percent" | paste -s -d ' ')" "194.0 6.0"
    check "1 % of conflicts: no alert" "$(firing nothing one_percent 30m)" ""
    check "5 % for less than 15 minutes: no alert" "$(firing one_percent five_percent 15m)" ""
    check "5 % for 15 minutes: an alert" "$(firing one_percent five_percent 22m)" "RaceguardConflicts orders"
}

guards_off() {
    sql "ALTER TABLE orders DISABLE TRIGGER USER"
    sql "ALTER TABLE posts DISABLE TRIGGER zz_raceguard_cap_full"
    collect off
    check "a guard that is off, and one that is broken: alerts" "$(firing off off 10m)" \
        "RaceguardFindings RaceguardGuardBroken posts RaceguardGuardOff orders"
    sql "ALTER TABLE orders ENABLE TRIGGER USER"
    sql "ALTER TABLE posts ENABLE TRIGGER USER"
}

waits() {
    collect calm
    ask ann "BEGIN; INSERT INTO seats VALUES (1, 42)"
    send bob "INSERT INTO seats VALUES (2, 42)"
    wait_until "the second insert waits for the key" sql \
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    sleep 1
    ask ann "COMMIT"
    answer bob
    collect waited
    check "a wait is counted, with its time" "$(awk '/^raceguard_wait.*"seats"/ { print ($NF >= 1) }' "$RUN/waited" | paste -s -d ' ')" "1 1"
    check "a second a minute: no alert" "$(firing calm waited 30m)" ""
}

observing() {
    sql "SELECT raceguard.set_mode('orders', 'version', 'observe')" >/dev/null
    collect observing
    check "observe mode for a week: an alert" "$(firing observing observing 200h)" "RaceguardObserveForgotten orders"
    sql "SELECT raceguard.set_mode('orders', 'version', 'enforce')" >/dev/null
}

bypassed() {
    collect before
    sql "BEGIN; SELECT raceguard.bypass('orders', 'version', 'a test'); UPDATE orders SET body = 'x' WHERE id = 1; COMMIT" >/dev/null
    collect after
    check "a bypass: an alert" "$(firing before after 5m)" "RaceguardBypassed orders"
}

not_ready() {
    sql "UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'raceguard'"
    collect other_version
    check "library and extension of different versions: an alert" \
        "$(firing other_version other_version 10m | grep -o RaceguardNotReady)" "RaceguardNotReady"
}

files
unit_tests
sql "DROP DATABASE IF EXISTS raceguard_monitoring"
sql "CREATE DATABASE raceguard_monitoring"
export PGDATABASE=raceguard_monitoring
sql "CREATE EXTENSION raceguard;
     CREATE TABLE orders (id int PRIMARY KEY, body text);
     INSERT INTO orders SELECT n FROM generate_series(1, 100) n;
     CREATE TABLE posts (id int PRIMARY KEY, author int);
     CREATE TABLE seats (id int PRIMARY KEY, show int);
     SELECT raceguard.add_version('orders', unstated => 'reject'), raceguard.add_cap('posts', 'author', 1),
            raceguard.add_key_lock('seats', 'show')" >/dev/null
session ann
session bob
collect nothing
check "fresh guards: no alert" "$(firing nothing nothing 30m)" ""
conflicts
guards_off
waits
observing
bypassed
dashboard
not_ready
session_end ann
session_end bob
checks_end
