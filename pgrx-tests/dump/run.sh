#!/usr/bin/env bash
# pg_dump and restore into a fresh database keep guards, versions and slots, and the restored guards
# work. Finds the server through PGHOST, PGPORT and PGUSER, and its programs in PG_BIN.
set -euo pipefail
passed=0 failed=0
export PGOPTIONS='-c client_min_messages=warning'
psql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# same WHAT QUERY: both databases answer the same, and not with nothing.
same() {
    local before after
    before=$(psql -d dump_before -c "$2") after=$(psql -d dump_after -c "$2")
    if [ -n "$before" ] && [ "$before" = "$after" ]; then
        echo "ok      $format: $1"
        passed=$((passed + 1))
    else
        printf 'FAILED  %s: %s\nbefore: %s\nafter:  %s\n' "$format" "$1" "$before" "$after"
        failed=$((failed + 1))
    fi
}

# fails SQLSTATE STATEMENT: the restored guards refuse what they should.
fails() {
    local said
    said=$(psql -d dump_after -v VERBOSITY=sqlstate -c "$2" 2>&1) || true
    if [[ $said == *"$1"* ]]; then
        echo "ok      $format: $1 from $2"
        passed=$((passed + 1))
    else
        printf 'FAILED  %s: %s should fail with %s, said: %s\n' "$format" "$2" "$1" "$said"
        failed=$((failed + 1))
    fi
}

psql -d postgres -c 'DROP DATABASE IF EXISTS dump_before' -c 'CREATE DATABASE dump_before'
psql -d dump_before >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE SCHEMA "other schema";
CREATE FUNCTION "other schema".half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 2';
CREATE TABLE "other schema"."Posts" (id int PRIMARY KEY, "userId" int, "createdAt" timestamp, highlighted boolean DEFAULT true);
SELECT raceguard.add_key_lock('"other schema"."Posts"', '"userId"');
SELECT raceguard.add_cap('"other schema"."Posts"', '"other schema".half("userId"), date_trunc(''week'', "createdAt")', 3,
                         predicate => 'highlighted');
SELECT raceguard.add_version('"other schema"."Posts"', unstated => 'reject', ignore => '{slot}');
INSERT INTO "other schema"."Posts" SELECT n, n / 3, '2026-03-02' FROM generate_series(0, 17) n WHERE n % 6 < 3;
UPDATE "other schema"."Posts" SET "createdAt" = '2026-03-03', version = version + 1 WHERE id % 2 = 0;
-- Gaps, which the restore must not fill.
DELETE FROM "other schema"."Posts" WHERE id % 6 = 0;
CREATE TABLE visits (room int, day date, id int) PARTITION BY RANGE (day);
CREATE TABLE visits_may PARTITION OF visits FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
SELECT raceguard.add_cap('visits', 'room, day', 2, slot_column => 'place', fill => 'append');
INSERT INTO visits SELECT 1, '2026-05-01', n FROM generate_series(1, 2) n;
SQL

for format in plain custom directory; do
    work=$(mktemp -d)
    psql -d postgres -c 'DROP DATABASE IF EXISTS dump_after' -c 'CREATE DATABASE dump_after'
    "$PG_BIN/pg_dump" -d dump_before -F "$format" -f "$work/dump"
    if [ "$format" = plain ]; then
        psql -d dump_after -f "$work/dump" >/dev/null
    else
        "$PG_BIN/pg_restore" -d dump_after --exit-on-error -j 1 "$work/dump"
    fi
    rm -rf "$work"
    same "guards" 'SELECT * FROM raceguard.guards ORDER BY 1::text, 2'
    same "rows, versions and slots" 'SELECT * FROM "other schema"."Posts" ORDER BY id'
    same "rows of partitions" 'SELECT tableoid::regclass, * FROM visits ORDER BY id'
    same "constraints" "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
                        WHERE conname LIKE 'raceguard%' ORDER BY 1::text, 2"
    same "indexes" "SELECT indexdef FROM pg_indexes WHERE schemaname NOT LIKE 'pg_%' ORDER BY 1"
    fails RG428 'UPDATE "other schema"."Posts" SET "userId" = 100 WHERE id = 1'
    fails RG409 'UPDATE "other schema"."Posts" SET "userId" = 100, version = 9 WHERE id = 1'
    fails RG403 "INSERT INTO \"other schema\".\"Posts\" SELECT n, 0, '2026-03-02' FROM generate_series(100, 110) n"
    fails RG403 "INSERT INTO visits VALUES (1, '2026-05-01', 3)"
done
psql -d postgres -c 'DROP DATABASE dump_before' -c 'DROP DATABASE dump_after'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
