#!/usr/bin/env bash
# From every released version to this one: the library works under the SQL of the old version, ALTER
# EXTENSION UPDATE leaves the same objects as a fresh installation, guards, rows and tokens of the old
# version live on, and its dumps restore under the new. Finds the server through PGHOST, PGPORT and
# PGUSER, and its programs in PG_BIN.
set -euo pipefail
cd "$(dirname "$0")"
. ../../scripts/checks.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The library tells in a WARNING that the SQL of an old version is not its own.
export PGOPTIONS='-c client_min_messages=error'
psql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
fresh() { psql -d postgres -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1"; }

# fails DATABASE SQLSTATE STATEMENT
fails() {
    local said
    said=$(psql -d "$1" -v VERBOSITY=sqlstate -c "BEGIN" -c "$3" -c "ROLLBACK" 2>&1) || true
    check "$from, $1: $2 from $3" "$(grep -o "$2" <<<"$said" | head -1)" "$2"
}

# Whether the guards of ../dump/guarded.sql refuse what they should, in a database.
guards_work() {
    fails "$1" RG428 'UPDATE "other schema"."Posts" SET "userId" = 100 WHERE id = 1'
    fails "$1" RG409 'UPDATE "other schema"."Posts" SET "userId" = 100, version = 9 WHERE id = 1'
    fails "$1" RG403 "INSERT INTO \"other schema\".\"Posts\" SELECT n, 0, '2026-03-02' FROM generate_series(100, 110) n"
    fails "$1" RG403 "INSERT INTO visits VALUES (1, '2026-05-01', 3)"
    fails "$1" RG429 "INSERT INTO mails VALUES (100, 'ann', '2026-03-20 12:00+00')"
    fails "$1" RG409 "UPDATE notes SET note = 'z', changed = '2026-03-01'"
    check "$from, $1: a new child moves its parent's version" "$(psql -d "$1" <<'SQL'
BEGIN;
CREATE TEMP TABLE before AS SELECT version FROM orders WHERE id = 2;
INSERT INTO items VALUES (1000, 2);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT o.version = b.version + 1 FROM orders o, before b WHERE o.id = 2;
ROLLBACK;
SQL
)" t
    check "$from, $1: writers of a key hold its lock" "$(psql -d "$1" <<'SQL'
BEGIN;
UPDATE many SET id = id WHERE id = 1;
SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 21063;
ROLLBACK;
SQL
)" t
}

# calls_work DATABASE: every call answers, whichever version its SQL is.
calls_work() {
    local call
    while IFS= read -r call; do
        check "$from, $1: $call" \
            "$(psql -d "$1" -c BEGIN -c "SELECT pg_catalog.count(*) >= 0 FROM ($call) call" -c ROLLBACK 2>&1)" t
    done <<'SQL'
SELECT raceguard.lock_rows('orders', '[{"id": 2}, {"id": 1}]')
SELECT raceguard.lock_rows('orders', '[{"id": 2}]', 'skip')
SELECT raceguard.insert_or_get('orders', '{"id": 1}')
SELECT raceguard.insert_next_slot('visits', '{"room": 2, "day": "2026-05-01"}', 'null')
SELECT raceguard.next_free_slot('visits', '[1, "2026-05-01"]')
SELECT raceguard.next_allowed('mails', '"ann"')
SELECT raceguard.compare_and_swap('orders', '{"id": 1}', (SELECT version FROM orders WHERE id = 1), '{"address": "x"}')
SELECT raceguard.compare_and_delete('items', '{"id": 3}', (SELECT raceguard.row_version(xmin) FROM items WHERE id = 3))
SELECT raceguard.swap_columns('orders', '{"id": 1}', '{"address": "Old Street"}', '{"address": "x"}')
SELECT raceguard.take('orders', '{"id": 1}', 'id', 0)
SELECT raceguard.take_all('orders', 'id', '[{"id": 1, "amount": 0}]')
SELECT raceguard.lock_key('many', 1)
SELECT raceguard.try_lock_key('many', 1)
SELECT raceguard.lock_keys('many', '[2, 1]')
SELECT raceguard.lock_table_keys('many')
SELECT raceguard.backfill_version_step('orders', 10)
SELECT raceguard.set_cap('visits', 3)
SELECT raceguard.add_version('many')
SELECT raceguard.add_key_lock('mails', 'address')
SELECT raceguard.add_cap('mails', 'address', 30)
SELECT raceguard.add_cooldown('mails', '(id / 2)', 'sent', '1 minute', guard => 'other')
SELECT raceguard.plan_cap('mails', 'address', 30)
SELECT raceguard.drop_guard('many', 'key_lock')
SELECT * FROM raceguard.locks
SQL
}

GUARDS="SELECT target, guard, kind, trigger_name, definition, enabled, mode FROM raceguard.guards ORDER BY target::text, guard"
ROWS='SELECT (SELECT array_agg(p ORDER BY id) FROM "other schema"."Posts" p), (SELECT array_agg(v ORDER BY id) FROM visits v),
             (SELECT array_agg(m ORDER BY id) FROM mails m), (SELECT array_agg(n) FROM notes n),
             (SELECT array_agg(o ORDER BY id) FROM orders o), (SELECT array_agg(i ORDER BY id) FROM items i)'
TOKENS="SELECT array_agg(raceguard.row_hash(m) || ' ' || raceguard.row_version(m.xmin) ORDER BY id) FROM mails m"
HASHES="SELECT array_agg(raceguard.row_hash(m) ORDER BY id) FROM mails m"

# What an extension made: all that a client can see of it. A function is told by its definition, which
# holds arguments, defaults, volatility and symbol.
CATALOG="
WITH member AS (
    SELECT classid, objid FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
      AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'raceguard'))
SELECT concat_ws(' | ', type, identity,
           CASE classid WHEN 'pg_proc'::regclass THEN pg_get_functiondef(objid) || coalesce((SELECT proacl::text FROM pg_proc WHERE oid = objid), '')
                        WHEN 'pg_class'::regclass THEN pg_get_viewdef(objid) || coalesce((SELECT relacl::text FROM pg_class WHERE oid = objid), '')
                        WHEN 'pg_namespace'::regclass THEN (SELECT nspacl::text FROM pg_namespace WHERE oid = objid) END,
           obj_description(objid, classid::regclass::name))
FROM member, pg_identify_object(classid, objid, 0) ORDER BY 1"

fresh update_fresh
psql -d update_fresh -c 'CREATE EXTENSION raceguard'
psql -d update_fresh -c "$CATALOG" >"$work/fresh"

for script in ../../sql/raceguard--*.sql; do
    from=${script##*/raceguard--} from=${from%.sql}
    # A released version, not the way from one to the next.
    [[ $from != *--* ]] || continue
    as_owner=$(psql -d update_fresh -c "SELECT setting FROM pg_config() WHERE name = 'SHAREDIR'")
    cp "$script" "$as_owner/extension/"
    old=update_from_${from//[^0-9a-z]/_} restored=restored_from_${from//[^0-9a-z]/_}
    fresh "$old"
    psql -d "$old" -c "CREATE EXTENSION raceguard VERSION '$from'"
    sed '/^CREATE EXTENSION/d' ../dump/guarded.sql | psql -d "$old" >/dev/null
    # Somebody's own views on those of raceguard do not stand in the way.
    psql -d "$old" -c 'CREATE VIEW watched AS SELECT guard, kind, enabled, mode FROM raceguard.guards' \
        -c 'CREATE VIEW held AS SELECT target, locked, granted FROM raceguard.locks'
    watched=$(psql -d "$old" -c 'SELECT count(*) > 5, (SELECT count(*) FROM held) FROM watched')
    guards_work "$old"
    calls_work "$old"
    guards=$(psql -d "$old" -c "$GUARDS") rows=$(psql -d "$old" -c "$ROWS") tokens=$(psql -d "$old" -c "$TOKENS")
    hashes=$(psql -d "$old" -c "$HASHES")
    "$PG_BIN/pg_dump" -Fc -f "$work/old.dump" -d "$old"

    # A function that fits a call better than raceguard's own would run in its place, also in a database
    # that has had raceguard for long.
    psql -d "$old" -c "CREATE FUNCTION raceguard.lock_key(regclass, int) RETURNS void LANGUAGE sql AS ''"
    fails "$old" 55000 'ALTER EXTENSION raceguard UPDATE'
    psql -d "$old" -c 'DROP FUNCTION raceguard.lock_key(regclass, int)' -c 'GRANT CREATE ON SCHEMA raceguard TO PUBLIC'
    fails "$old" 42501 'ALTER EXTENSION raceguard UPDATE'
    psql -d "$old" -c 'REVOKE CREATE ON SCHEMA raceguard FROM PUBLIC'
    check "$from: no update over what is not raceguard's" \
        "$(psql -d "$old" -c "SELECT extversion FROM pg_extension WHERE extname = 'raceguard'")" "$from"

    psql -d "$old" -c 'ALTER EXTENSION raceguard UPDATE'
    psql -d "$old" -c "$CATALOG" >"$work/updated"
    check "$from: the same objects as freshly installed" "$(diff "$work/fresh" "$work/updated" || true)" ""
    check "$from: the newest version" "$(psql -d "$old" -c "SELECT extversion = raceguard.version() FROM pg_extension WHERE extname = 'raceguard'")" t
    check "$from: views on its views live on" "$(psql -d "$old" -c 'SELECT count(*) > 5, (SELECT count(*) FROM held) FROM watched')" "$watched"
    check "$from: guards live on" "$(psql -d "$old" -c "$GUARDS")" "$guards"
    check "$from: rows live on" "$(psql -d "$old" -c "$ROWS")" "$rows"
    check "$from: tokens live on" "$(psql -d "$old" -c "$TOKENS")" "$tokens"
    guards_work "$old"
    calls_work "$old"

    fresh "$restored"
    "$PG_BIN/pg_restore" -d "$restored" --exit-on-error "$work/old.dump"
    check "$from: guards are restored" "$(psql -d "$restored" -c "$GUARDS")" "$guards"
    check "$from: rows are restored" "$(psql -d "$restored" -c "$ROWS")" "$rows"
    check "$from: hashes of rows are the same" "$(psql -d "$restored" -c "$HASHES")" "$hashes"
    guards_work "$restored"
    rm "$as_owner/extension/${script##*/}"
done
checks_end
