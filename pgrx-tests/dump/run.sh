#!/usr/bin/env bash
# pg_dump and restore keep guards, versions and slots, and the restored guards work: a whole dump in each
# format, section by section, and data alone into guarded tables. Finds the server through PGHOST, PGPORT
# and PGUSER, and its programs in PG_BIN.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
export PGOPTIONS='-c client_min_messages=warning'
psql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# same WHAT QUERY: both databases answer the same, and not with nothing.
same() {
    local before after
    before=$(psql -d dump_before -c "$2") after=$(psql -d dump_after -c "$2")
    if [ -n "$before" ] && [ "$before" = "$after" ]; then
        echo "ok      $way: $1"
        passed=$((passed + 1))
    else
        printf 'FAILED  %s: %s\nbefore: %s\nafter:  %s\n' "$way" "$1" "$before" "$after"
        failed=$((failed + 1))
    fi
}

# fails SQLSTATE STATEMENT: the restored guards refuse what they should.
fails() {
    local said
    said=$(psql -d dump_after -v VERBOSITY=sqlstate -c "$2" 2>&1) || true
    if [[ $said == *"$1"* ]]; then
        echo "ok      $way: $1 from $2"
        passed=$((passed + 1))
    else
        printf 'FAILED  %s: %s should fail with %s, said: %s\n' "$way" "$2" "$1" "$said"
        failed=$((failed + 1))
    fi
}

# passes WANTED STATEMENTS: the restored guards let pass what they should; WANTED is the last line of the answer.
passes() {
    local said
    said=$(psql -d dump_after -v VERBOSITY=sqlstate -c "$2" 2>&1 | tail -n 1) || true
    if [ "$said" = "$1" ]; then
        echo "ok      $way: $1 from $2"
        passed=$((passed + 1))
    else
        printf 'FAILED  %s: %s should answer %s, said: %s\n' "$way" "$2" "$1" "$said"
        failed=$((failed + 1))
    fi
}

psql -d postgres -c 'DROP DATABASE IF EXISTS dump_before' -c 'CREATE DATABASE dump_before'
psql -d dump_before -f guarded.sql -f observing.sql -f numbered.sql -f totalled.sql >/dev/null
# DDL that would break a guard is refused, also where the dump is restored.
psql -d dump_before -c "SELECT raceguard.protect_ddl('error')" >/dev/null

fresh() { psql -d postgres -c 'DROP DATABASE IF EXISTS dump_after' -c 'CREATE DATABASE dump_after'; }
restore() { "$PG_BIN/pg_restore" -d dump_after --exit-on-error "$@"; }

# intact: guards and rows are as they were, and the guards work.
intact() {
    same "guards" 'SELECT * FROM raceguard.guards ORDER BY target::text, guard'
    same "rows, versions and slots" 'SELECT * FROM "other schema"."Posts" ORDER BY id'
    same "rows of partitions" 'SELECT tableoid::regclass, * FROM visits ORDER BY id'
    same "parents and children" 'SELECT o, i FROM orders o JOIN items i ON i.order_id = o.id ORDER BY i.id'
    same "what observes" 'SELECT * FROM watched ORDER BY id'
    # --disable-triggers ends with ENABLE TRIGGER ALL, which takes ENABLE ALWAYS away.
    [[ $way != *disabled ]] || psql -d dump_after -c 'ALTER TABLE watched ENABLE ALWAYS TRIGGER zz_raceguard_version'
    same "its triggers" "SELECT tgname, tgenabled, encode(tgargs, 'escape') FROM pg_trigger WHERE tgrelid = 'watched'::regclass ORDER BY 1"
    same "the other tables" 'SELECT (SELECT array_agg(m ORDER BY id) FROM mails m), (SELECT array_agg(n) FROM notes n), (SELECT count(*) FROM many)'
    same "numbers" 'SELECT * FROM invoices ORDER BY id'
    fails 428C9 'UPDATE invoices SET number = 1 WHERE id = 1'
    same "counters" 'SELECT p, t FROM projects p JOIN tickets t ON t.project = p.id ORDER BY t.id'
    fails 428C9 'UPDATE projects SET last_ticket = 1 WHERE id = 1'
    passes "5 6" "INSERT INTO tickets VALUES (100, 1), (101, 2); SELECT string_agg(number::text, ' ' ORDER BY id) FROM tickets WHERE id > 99"
    fails 23505 'INSERT INTO invoices VALUES (100, 1, 109)'
    totals
    same "the total that no parent may be without" 'SELECT * FROM teams ORDER BY id'
    fails RG422 'DELETE FROM captains WHERE team = 1'
    passes "4|0" "INSERT INTO bookings VALUES (100, 1, 4 - (SELECT taken FROM events WHERE id = 1));
                  SELECT taken, count(*) FILTER (WHERE taken > capacity) OVER () FROM events WHERE id = 1"
    same "constraints" "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
                        WHERE conname LIKE 'raceguard%' ORDER BY conrelid::regclass::text, conname"
    same "indexes" "SELECT indexdef FROM pg_indexes WHERE schemaname NOT LIKE 'pg_%' ORDER BY 1"
    fails RG428 'UPDATE "other schema"."Posts" SET "userId" = 100 WHERE id = 1'
    fails RG409 'UPDATE "other schema"."Posts" SET "userId" = 100, version = 9 WHERE id = 1'
    fails RG403 "INSERT INTO \"other schema\".\"Posts\" SELECT n, 0, '2026-03-02' FROM generate_series(100, 110) n"
    same "event triggers" 'SELECT evtname, evtevent, evtfoid::regproc, evttags FROM pg_event_trigger ORDER BY 1'
    fails 55000 'ALTER TABLE notes DROP COLUMN changed'
    fails RG403 "INSERT INTO visits VALUES (1, '2026-05-01', 3)"
    fails RG429 "INSERT INTO mails VALUES (100, 'ann', '2026-03-20 12:00+00')"
    fails RG409 "UPDATE notes SET note = 'z', changed = '2026-03-01'"
    # A fourth row of a cap of two, within the cooldown; then a version that is neither stated nor right.
    passes 4 "INSERT INTO watched VALUES (4, 1, '2026-03-02 13:00+00'); UPDATE watched SET at = at, version = 9 WHERE id = 4; SELECT count(*) FROM watched"
    passes 2 "SELECT count(*) FROM watched WHERE slot IS NULL"
    fails 23514 "SELECT raceguard.set_mode('watched', 'cap', 'enforce')"
    passes t "DELETE FROM watched WHERE slot IS NULL; SELECT raceguard.set_mode('watched', 'cap', 'enforce');
              SELECT convalidated FROM pg_constraint WHERE conname = 'raceguard_cap_slots' AND conrelid = 'watched'::regclass"
    passes "3 3" "INSERT INTO lots VALUES (1, 1, 2); SET CONSTRAINTS ALL IMMEDIATE; SELECT string_agg(version::text, ' ' ORDER BY id) FROM orders"
}

# totals: they are what they were, what stands under the parents, and kept.
totals() {
    same "totals" 'SELECT * FROM events ORDER BY id'
    same "exact totals" 'SELECT * FROM accounts'
    passes 0 "SELECT count(*) FROM raceguard.check_guards(deep => true) WHERE problem IN ('totals_wrong', 'check_missing')"
    fails RG403 'INSERT INTO bookings SELECT 100 + n, 20, 1 FROM generate_series(1, 24) n'
    fails RG422 'INSERT INTO entries VALUES (100, 1, -1e31)'
    fails 428C9 'UPDATE events SET taken = taken + 1 WHERE id = 1'
}

for format in plain custom directory; do
    way=$format
    fresh
    "$PG_BIN/pg_dump" -d dump_before -F "$format" -f "$work/$format"
    if [ "$format" = plain ]; then
        psql -d dump_after -f "$work/plain" >/dev/null
    else
        restore "$work/$format"
    fi
    intact
done

# Triggers and indexes come last, so that no guard meets the rows.
way=sections
fresh
for section in pre-data data post-data; do restore --section=$section -j 2 "$work/directory"; done
intact

# Data alone into tables that have their guards. A row brings its version and slot along, and a cooldown
# or key lock finds nothing wrong; only a child's row would move its parent's version once more.
# guarded: an empty copy of the database.
guarded() {
    fresh
    restore --schema-only "$work/custom"
}
"$PG_BIN/pg_dump" -d dump_before --data-only -F custom -f "$work/data"
way="data only, one transaction"
guarded
restore --single-transaction "$work/data"
intact
way="data only, triggers disabled"
guarded
psql -d dump_after -c "SELECT raceguard.protect_ddl('warn')" >/dev/null
restore --data-only --disable-triggers "$work/custom" 2>"$work/warnings"
psql -d dump_after -c "SELECT raceguard.protect_ddl('error')" >/dev/null
intact
way="data only, INSERTs"
guarded
"$PG_BIN/pg_dump" -d dump_before --data-only --rows-per-insert=7 -f "$work/inserts"
psql -d dump_after --single-transaction -f "$work/inserts" >/dev/null
intact
# One transaction per table: what the two options above are for.
way="data only"
guarded
# A parent that may not be without children has none yet when its table is there.
if said=$(restore -t teams "$work/data" 2>&1) || [[ $said != *'would fall below its lower bound'* ]]; then
    echo "FAILED  $way: parents without the children that they need: $said"
    failed=$((failed + 1))
else
    echo "ok      $way: parents without the children that they need are refused"
    passed=$((passed + 1))
fi
"$PG_BIN/pg_restore" -l "$work/data" | grep -v ' public \(teams\|captains\) ' >"$work/list"
restore -L "$work/list" "$work/data"
totals
same "rows, versions and slots" 'SELECT * FROM "other schema"."Posts" ORDER BY id'
same "rows of partitions" 'SELECT tableoid::regclass, * FROM visits ORDER BY id'
same "numbers" 'SELECT * FROM invoices ORDER BY id'
same "counters" 'SELECT p, t FROM projects p JOIN tickets t ON t.project = p.id ORDER BY t.id'
moved=$(psql -d dump_after -c 'SELECT version FROM orders ORDER BY id')
if [ "$moved" = "$(psql -d dump_before -c 'SELECT version + 1 FROM orders ORDER BY id')" ]; then
    echo "ok      $way: the parents' versions have moved"
    passed=$((passed + 1))
else
    echo "FAILED  $way: the parents' versions are $moved"
    failed=$((failed + 1))
fi

psql -d postgres -c 'DROP DATABASE dump_before' -c 'DROP DATABASE dump_after'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
