#!/usr/bin/env bash
# From one major of Postgres to another, once with pg_upgrade and once with a dump by the new pg_dump:
# guards, rows, versions and slots are as they were, keys have the same locks, and the guards work.
#
# The programs of the old major are in OLD_BIN, those of the new one in PG_BIN; the extension is
# installed in both. No run.sh, since it needs two majors: make test runs it where it tests a second.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin
. scripts/checks.sh
new_bin=$PG_BIN
export PGOPTIONS='-c client_min_messages=warning'

shop() { "$new_bin/psql" -X -q -A -t -v VERBOSITY=sqlstate -d shop "$@" 2>&1 || true; }

# says WANTED STATEMENT
says() { check "$way: $1 from $2" "$(shop -c "$2")" "$1"; }

# Everything that has to stay as it is. The locks' targets are named, since a dump gives tables new OIDs.
state() {
    shop -v ON_ERROR_STOP=1 <<'SQL'
SELECT * FROM raceguard.guards ORDER BY target::text, guard;
SELECT * FROM "other schema"."Posts" ORDER BY id;
SELECT tableoid::regclass, * FROM visits ORDER BY id;
SELECT * FROM mails ORDER BY id;
SELECT * FROM notes;
SELECT * FROM orders ORDER BY id;
SELECT * FROM items ORDER BY id;
SELECT count(*) FROM many;
SELECT * FROM invoices ORDER BY id;
SELECT * FROM events ORDER BY id;
SELECT * FROM accounts;
SELECT * FROM teams ORDER BY id;
SELECT count(*) FROM raceguard.check_guards(deep => true) WHERE problem = 'totals_wrong';
SELECT * FROM watched ORDER BY id;
SELECT tgname, tgenabled, encode(tgargs, 'escape') FROM pg_trigger WHERE tgrelid = 'watched'::regclass ORDER BY tgname;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE conname LIKE 'raceguard%' ORDER BY conrelid::regclass::text, conname;
SELECT indexdef FROM pg_indexes WHERE schemaname NOT LIKE 'pg_%' ORDER BY indexdef;
BEGIN;
SELECT raceguard.lock_keys('many', '[1, 2147483647]');
SELECT raceguard.lock_key('keys', 1.50, 'Zoë', '2026-03-02', 'f47ac10b-58cc-4372-a567-0e02b2c3d479', 'green', '{1,2}');
INSERT INTO visits VALUES (2, '2026-05-01', 90);
SELECT target, locked, key_hash FROM raceguard.locks ORDER BY target::text, locked, key_hash;
ROLLBACK;
SQL
}

# works: what came over is a table with guards like any other, and so is a new one.
works() {
    check "$way: everything as it was" "$(state)" "$before"
    says "ERROR:  RG428" 'UPDATE "other schema"."Posts" SET "userId" = 100 WHERE id = 1'
    says "ERROR:  RG409" 'UPDATE "other schema"."Posts" SET "userId" = 100, version = 9 WHERE id = 1'
    says 2 'UPDATE "other schema"."Posts" SET highlighted = true, version = 2 WHERE id = 1 RETURNING version'
    says "ERROR:  RG403" "INSERT INTO \"other schema\".\"Posts\" SELECT n, 0, '2026-03-02' FROM generate_series(100, 110) n"
    says "ERROR:  RG403" "INSERT INTO visits VALUES (1, '2026-05-01', 3)"
    says 2 "DELETE FROM visits WHERE id = 2; INSERT INTO visits VALUES (1, '2026-05-01', 3) RETURNING place"
    says "ERROR:  RG429" "INSERT INTO mails VALUES (100, 'ann', '2026-03-20 12:00+00')"
    says "ERROR:  RG409" "UPDATE notes SET note = 'z', changed = '2026-03-01'"
    says 110 "INSERT INTO invoices VALUES (90, 1) RETURNING number"
    says "ERROR:  23505" "INSERT INTO invoices VALUES (91, 1, 110)"
    says "ERROR:  RG403" "INSERT INTO bookings SELECT 100 + n, 20, 1 FROM generate_series(1, 24) n"
    says "ERROR:  RG422" "DELETE FROM captains WHERE team = 1"
    says "ERROR:  428C9" "UPDATE events SET taken = taken + 1 WHERE id = 1"
    says t "WITH before AS (SELECT taken FROM events WHERE id = 2), new AS (INSERT INTO waiting VALUES (90, 2)) SELECT count(*) = 1 FROM before"
    says 0 "SELECT count(*) FROM raceguard.check_guards(deep => true) WHERE problem = 'totals_wrong'"
    says "" "INSERT INTO items VALUES (90, 1)"
    says 4 "SELECT version FROM orders WHERE id = 1"
    says "" "INSERT INTO lots VALUES (1, 1, 2)"
    says "4 3" "SELECT string_agg(version::text, ' ' ORDER BY id) FROM orders"
    # A fourth row of a cap of two, within the cooldown; then a version that is neither stated nor right.
    says "4|" "INSERT INTO watched VALUES (4, 1, '2026-03-02 13:00+00') RETURNING id, slot"
    says 2 "UPDATE watched SET at = at, version = 9 WHERE id = 4 RETURNING version"
    says "ERROR:  23514" "SELECT raceguard.set_mode('watched', 'cap', 'enforce')"
    says "" "DELETE FROM watched WHERE slot IS NULL; SELECT raceguard.set_mode('watched', 'cap', 'enforce')"
    says "ERROR:  RG403" "INSERT INTO watched VALUES (5, 1, '2026-03-02 13:00+00')"
    says "" "ALTER EXTENSION raceguard UPDATE"
    says zz_raceguard_cap "CREATE TABLE seats (id int, hall int); SELECT raceguard.add_cap('seats', 'hall', 1)"
    says "ERROR:  RG403" "INSERT INTO seats VALUES (1, 1), (2, 1)"
}

PG_BIN=$OLD_BIN cluster_start old
"$new_bin/psql" -X -q -d postgres -c 'CREATE DATABASE shop'
shop -v ON_ERROR_STOP=1 -f pgrx-tests/dump/guarded.sql -f pgrx-tests/dump/observing.sql \
    -f pgrx-tests/dump/numbered.sql -f pgrx-tests/dump/totalled.sql >"$RUN/setup.log"
shop -v ON_ERROR_STOP=1 >>"$RUN/setup.log" <<'SQL'
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TABLE keys (a numeric, b text, c date, d uuid, e colour, f int[]);
SELECT raceguard.add_key_lock('keys', 'a, lower(b), c, d, e, f');
SQL
check "the old server" "$(shop -c 'SHOW server_version_num' | cut -c1-2)" "$OLD_MAJOR"
before=$(state)
case $before in *ERROR* | '') die "the old state cannot be read: $before" ;; esac
old=$PGHOST
# Minor releases since November 2026 (15.20) keep a version of each column among its options. Where the new
# major is of an earlier date its pg_dump takes that for an option of the user's, and no server knows it: then
# the columns become as they are in a cluster that an earlier minor release has made.
grep -q pg_attver "$new_bin/pg_dump" || shop -v ON_ERROR_STOP=1 -c 'SET allow_system_table_mods = on' \
    -c "UPDATE pg_attribute SET attoptions = NULL WHERE attoptions::text LIKE '{pg_attver=%'"

way="dump and restore"
PG_BIN=$new_bin
cluster_start restored
"$new_bin/psql" -X -q -d postgres -c 'CREATE DATABASE shop'
"$new_bin/pg_dump" -h "$old" -d shop -F custom -f "$RUN/dump"
"$new_bin/pg_restore" -d shop --exit-on-error "$RUN/dump"
check "the new server" "$(shop -c 'SHOW server_version_num' | cut -c1-2)" "$PG_MAJOR"
works
cluster_stop restored

way=pg_upgrade
as_server "$OLD_BIN/pg_ctl" -D "$RUN/old/data" -m fast -w stop >/dev/null
# Both must have checksums or not; initdb makes them by default from 18 on.
[ "$PG_MAJOR" -lt 18 ] || as_server "$OLD_BIN/pg_checksums" --enable --no-sync -D "$RUN/old/data" >/dev/null
cluster_init upgraded
# It writes into the directory where it runs, and puts its sockets there.
as_server mkdir "$RUN/upgrade"
# shellcheck disable=SC2016 # the inner shell expands it
as_server sh -c 'cd "$1" && shift && exec "$@"' sh "$RUN/upgrade" "$new_bin/pg_upgrade" -U postgres -s "$RUN/upgrade" \
    -b "$OLD_BIN" -B "$new_bin" -d "$RUN/old/data" -D "$RUN/upgraded/data" >"$RUN/upgrade.log" 2>&1 ||
    { cat "$RUN/upgrade.log"; die "pg_upgrade failed"; }
cluster_run upgraded
check "the new server" "$(shop -c 'SHOW server_version_num' | cut -c1-2)" "$PG_MAJOR"
works

checks_end
