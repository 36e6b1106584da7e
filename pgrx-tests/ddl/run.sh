#!/usr/bin/env bash
# Tables change under clients that write to them. What touches no guard goes unnoticed. What takes something
# from under a guard (a column, the index, the trigger) makes writes fail with an error that names guard, table
# and remedy, and never lets one pass unguarded; taking it back heals, and drop_guard always works. In the end
# the table holds what the clients were told.
#
# The race harness does with --ddl what must go unnoticed at every isolation level; here is the rest.
# Finds the server through PGHOST, PGPORT and PGUSER, and its programs in PG_BIN.
set -euo pipefail
. "$(dirname "$0")/../../scripts/checks.sh"
export PGDATABASE=ddl
psql() { PGOPTIONS='-c client_min_messages=warning' "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
work=$(mktemp -d)
trap 'touch "$work/stop"; wait; rm -rf "$work"' EXIT


# clients TABLE STATEMENT: two sessions that send it over and over, one of them prepared.
clients() {
    table=$1
    rm -f "$work/stop"
    : >"$work/plain"
    : >"$work/prepared"
    { writer "$2;" | session plain; } &
    { { echo "PREPARE write AS $2;"; writer "EXECUTE write;"; } | session prepared; } &
    turns
}
writer() {
    local never
    exec {never}<> <(:)
    until [ -e "$work/stop" ]; do
        echo "$1"
        # Sleeps without a process of its own.
        read -r -t 0.005 -u "$never" || true
    done
}
session() {
    PGOPTIONS='-c search_path=public,elsewhere' "$PG_BIN/psql" -X -v VERBOSITY=verbose >"$work/$1" 2>&1
}
# turns: waits until each client has been answered some times more.
turns() {
    local client wanted end=$((SECONDS + 60))
    for client in plain prepared; do
        wanted=$(($(answers "$client") + 4))
        until [ "$(answers "$client")" -ge "$wanted" ]; do
            [ $SECONDS -lt $end ] || { echo "client \"$client\" of $table stands still"; exit 1; }
            sleep 0.02
        done
    done
}
answers() { grep -cE '^(INSERT|UPDATE|ERROR)' "$work/$1" 2>/dev/null || true; }
# Where in the clients' answers something begins, and the errors since, refusals of the guards apart.
mark() { marks=("$(wc -l <"$work/plain")" "$(wc -l <"$work/prepared")"); }
since() { tail -qn "+$((marks[0] + 1))" "$work/plain"; tail -qn "+$((marks[1] + 1))" "$work/prepared"; }
errors() { since | sed -n 's/^ERROR:  //p' | grep -vE '^RG4(03|29)' | sort -u; }

# unnoticed DDL
unnoticed() {
    mark
    psql -c "$1" >/dev/null
    turns
    check "$table, unnoticed: $1" "$(errors)" ""
}

# refused DDL ERROR HINT: from then on every write meets this error, with these words in its HINT.
refused() {
    local before
    psql -c "$1" >/dev/null
    # Answers from before may still be on their way.
    turns
    mark
    before=$(state)
    turns
    check "$table: $1" "$(errors)" "$2"
    check "  names the remedy" "$(since | grep HINT | grep -vF "$3" | sort -u)" ""
    check "  lets nothing pass" "$(state)" "$before"
}
state() { psql -c "SELECT count(*), sum(hashtext(t::text)) FROM $table t"; }

# healed DDL: no write is refused any more.
healed() {
    psql -c "$1" >/dev/null
    turns
    mark
    turns
    check "$table, healed: $1" "$(errors)" ""
}

# over: ends the clients, once they have the answers to all that they sent.
over() {
    touch "$work/stop"
    wait
    answered=$(cat "$work/plain" "$work/prepared" | grep -cE '^(INSERT 0|UPDATE) 1')
}

# guards EXPECTED: those of the table.
guards() { check "guards of $table" "$(psql -c "SELECT string_agg(guard, ',') FROM raceguard.guards WHERE target = '$table'::regclass")" "$1"; }
# holds: what $rule says of the table, at this moment.
holds() { check "$table holds what it should" "$(psql -c "$rule")" t; }

psql -d postgres -c 'DROP DATABASE IF EXISTS ddl' -c 'CREATE DATABASE ddl'
psql -c 'CREATE EXTENSION raceguard' -c 'CREATE SCHEMA elsewhere' -c 'ALTER DATABASE ddl SET search_path = public, elsewhere'

# ---- version ----
psql >/dev/null <<'SQL'
CREATE TABLE v (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, note text);
INSERT INTO v SELECT generate_series(0, 9);
SELECT raceguard.add_version('v');
SQL
clients v 'UPDATE v SET n = n + 1 WHERE id = (SELECT (random() * 1000)::int % 10)'
# One bump for every write.
rule='SELECT sum(n) = sum(version - 1) FROM v'
gone='42703: guard "zz_raceguard_version" on table "v" names column "version", which does not exist'
remedy='Call raceguard.add_version for the table'
unnoticed 'ALTER TABLE v ADD COLUMN more text DEFAULT now()'
unnoticed 'ALTER TABLE v DROP COLUMN more'
unnoticed 'ALTER TABLE v ALTER COLUMN n TYPE bigint'
unnoticed 'ALTER TABLE v ALTER COLUMN version TYPE integer'
unnoticed 'VACUUM FULL v'
unnoticed 'BEGIN; ALTER TABLE v RENAME TO w; CREATE VIEW v AS SELECT * FROM w; COMMIT'
unnoticed 'BEGIN; DROP VIEW v; ALTER TABLE w RENAME TO v; COMMIT'
unnoticed 'ALTER TABLE v SET SCHEMA elsewhere'
unnoticed 'ALTER TABLE v SET SCHEMA public'
unnoticed "BEGIN; SELECT raceguard.drop_guard('v', 'version'); SELECT raceguard.add_version('v'); COMMIT"
holds
refused 'ALTER TABLE v RENAME version TO revision' "$gone" "$remedy"
healed 'ALTER TABLE v RENAME revision TO version'
refused 'ALTER TABLE v ALTER COLUMN version TYPE text' \
    '39P01: trigger "zz_raceguard_version" on table "v" has wrong arguments' 'Drop the trigger and let raceguard.add_* create it.'
healed 'ALTER TABLE v ALTER COLUMN version TYPE bigint USING version::bigint'
holds
refused 'ALTER TABLE v DROP COLUMN version' "$gone" "$remedy"
healed "SELECT raceguard.drop_guard('v', 'version')"
unnoticed "SELECT raceguard.add_version('v')"
unnoticed 'DROP TRIGGER zz_raceguard_version ON v'
guards ""
unnoticed "SELECT raceguard.add_version('v')"
guards version
over
check "no write is lost" "$(psql -c 'SELECT sum(n) FROM v')" "$answered"

# ---- key lock ----
psql >/dev/null <<'SQL'
CREATE TABLE l (id int PRIMARY KEY, user_id int NOT NULL, n int NOT NULL DEFAULT 0);
INSERT INTO l SELECT i, i % 3 FROM generate_series(0, 9) i;
SELECT raceguard.add_key_lock('l', 'user_id');
SQL
clients l 'UPDATE l SET n = n + 1 WHERE id = (SELECT (random() * 1000)::int % 10)'
gone='42703: guard "zz_raceguard_key_lock" on table "l" cannot use its key (user_id)'
remedy="raceguard.drop_guard('public.l', 'zz_raceguard_key_lock')"
unnoticed 'ALTER TABLE l ALTER COLUMN user_id TYPE bigint'
unnoticed "BEGIN; SELECT raceguard.drop_guard('l', 'key_lock'); SELECT raceguard.add_key_lock('l', 'user_id'); COMMIT"
refused 'ALTER TABLE l RENAME user_id TO author' "$gone" "$remedy"
healed 'ALTER TABLE l RENAME author TO user_id'
refused 'ALTER TABLE l DROP COLUMN user_id' "$gone" "$remedy"
healed "SELECT raceguard.drop_guard('l', 'key_lock')"
guards ""
over
check "no write is lost" "$(psql -c 'SELECT sum(n) FROM l')" "$answered"

# ---- cap ----
psql >/dev/null <<'SQL'
CREATE TABLE c (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, user_id int NOT NULL);
SELECT raceguard.add_cap('c', 'user_id', 3);
SQL
# More rows than ever have room, so that each key is full most of the time and not always.
clients c 'WITH gone AS (DELETE FROM c WHERE id < (SELECT max(id) FROM c) - 20) INSERT INTO c VALUES (DEFAULT, (random() * 1000)::int % 10)'
gone='42703: guard "zz_raceguard_cap" on table "c" names column "slot", which does not exist'
remedy='raceguard.drop_guard'
rule='SELECT count(DISTINCT (user_id, slot)) = count(*) AND min(slot) >= 1 AND max(slot) <= 3 FROM c'
unnoticed 'ALTER TABLE c RENAME user_id TO author'
unnoticed 'ALTER TABLE c RENAME author TO user_id'
unnoticed 'ALTER TABLE c ALTER COLUMN user_id TYPE bigint'
unnoticed 'REINDEX INDEX CONCURRENTLY c_cap'
unnoticed 'REINDEX TABLE CONCURRENTLY c'
unnoticed 'VACUUM FULL c'
unnoticed 'CLUSTER c USING c_pkey'
unnoticed 'TRUNCATE c'
holds
unnoticed 'TRUNCATE c RESTART IDENTITY'
unnoticed 'ALTER TABLE c SET SCHEMA elsewhere'
unnoticed 'ALTER TABLE c SET SCHEMA public'
unnoticed "BEGIN; SELECT raceguard.drop_guard('c', 'cap'); SELECT raceguard.add_cap('c', 'user_id', 3); COMMIT"
holds
refused 'ALTER TABLE c RENAME slot TO place' "$gone" "$remedy"
healed 'ALTER TABLE c RENAME place TO slot'
refused 'DROP INDEX c_cap' '55000: guard "zz_raceguard_cap" on table "c" has lost its index' 'raceguard.drop_guard'
healed "SELECT raceguard.drop_guard('c', 'cap')"
unnoticed 'BEGIN; LOCK TABLE c; DELETE FROM c; SELECT raceguard.add_cap('"'c', 'user_id', 3); COMMIT"
holds
refused 'ALTER TABLE c DROP COLUMN slot' "$gone" "$remedy"
healed "SELECT raceguard.drop_guard('c', 'cap')"
unnoticed 'BEGIN; LOCK TABLE c; DELETE FROM c; SELECT raceguard.add_cap('"'c', 'user_id', 3); COMMIT"
holds
refused 'DROP TRIGGER zz_raceguard_cap ON c' '23514: new row for relation "c" violates check constraint "raceguard_cap_slots"' ""
healed "SELECT raceguard.add_cap('c', 'user_id', 3)"
holds
guards cap
refused 'DROP TRIGGER zz_raceguard_cap ON c' '23514: new row for relation "c" violates check constraint "raceguard_cap_slots"' ""
healed "SELECT raceguard.drop_guard('c', 'cap')"
guards ""
over

# ---- cap of a partitioned table ----
psql >/dev/null <<'SQL'
CREATE TABLE p (room int NOT NULL, day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT raceguard.add_cap('p', 'room, day', 2);
SQL
clients p "WITH gone AS (DELETE FROM p WHERE day < '2026-02-01' AND random() < 0.3) INSERT INTO p VALUES ((random() * 3)::int, '2026-01-01'::date + (random() * 3)::int)"
rule='SELECT count(DISTINCT (room, day, slot)) = count(*) AND max(slot) <= 2 FROM p'
unnoticed 'ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY'
psql -c "INSERT INTO p2 VALUES (1, '2026-02-02', 1)"
unnoticed "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')"
check "an attached partition is guarded" "$(psql -c "INSERT INTO p VALUES (1, '2026-02-02') RETURNING slot")" 2
unnoticed "CREATE TABLE p3 (LIKE p INCLUDING CONSTRAINTS); ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')"
check "one that is new to the cap too" "$(psql -c "INSERT INTO p VALUES (1, '2026-03-02'), (1, '2026-03-02') RETURNING slot" | paste -sd' ')" "1 2"
unnoticed 'REINDEX TABLE CONCURRENTLY p'
unnoticed 'VACUUM FULL p1'
unnoticed 'ALTER TABLE p1 RENAME TO january'
unnoticed 'ALTER TABLE january SET SCHEMA elsewhere'
unnoticed 'TRUNCATE p'
holds
refused 'ALTER TABLE p DETACH PARTITION january' '23514: no partition of relation "p" found for row' ""
healed "ALTER TABLE p ATTACH PARTITION january FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')"
refused 'ALTER TABLE p RENAME slot TO place' '42703: guard "zz_raceguard_cap" on table "january" names column "slot", which does not exist' "$remedy"
healed 'ALTER TABLE p RENAME place TO slot'
holds
healed "SELECT raceguard.drop_guard('p', 'cap', drop_column => true)"
guards ""
over

# ---- cooldown ----
psql >/dev/null <<'SQL'
CREATE TABLE d (at timestamptz NOT NULL, user_id int NOT NULL);
SELECT raceguard.add_cooldown('d', 'user_id', 'at', '1 day');
SQL
clients d "WITH gone AS (DELETE FROM d WHERE random() < 0.3) INSERT INTO d VALUES ('2026-01-01', (random() * 20)::int)"
remedy='raceguard'
rule='SELECT count(DISTINCT user_id) = count(*) FROM d'
unnoticed 'ALTER TABLE d ALTER COLUMN at TYPE timestamptz(3)'
unnoticed 'REINDEX TABLE CONCURRENTLY d'
unnoticed 'VACUUM FULL d'
unnoticed 'TRUNCATE d'
holds
refused 'ALTER TABLE d RENAME at TO happened' '42703: guard "zz_raceguard_cooldown" on table "d" names column "at", which does not exist' "$remedy"
healed 'ALTER TABLE d RENAME happened TO at'
refused 'ALTER TABLE d RENAME user_id TO author' '42703: guard "zz_raceguard_cooldown" on table "d" cannot use its key (user_id)' "$remedy"
healed 'ALTER TABLE d RENAME author TO user_id'
holds
refused 'ALTER TABLE d DROP COLUMN user_id, ADD COLUMN author int' '42703: guard "zz_raceguard_cooldown" on table "d" cannot use its key (user_id)' "$remedy"
healed "SELECT raceguard.drop_guard('d', 'cooldown')"
guards ""
over

# ---- parent version ----
psql >/dev/null <<'SQL'
CREATE TABLE o (id int PRIMARY KEY);
INSERT INTO o SELECT generate_series(0, 9);
CREATE TABLE i (order_id int NOT NULL REFERENCES o, n int);
SELECT raceguard.add_version('o');
SELECT raceguard.add_parent_version('i', 'o');
SQL
clients i 'INSERT INTO i VALUES ((random() * 1000)::int % 10, 1)'
remedy='raceguard'
rule='SELECT (SELECT sum(version - 1) FROM o) = (SELECT count(*) FROM i)'
unnoticed 'ALTER TABLE o RENAME id TO number'
unnoticed 'ALTER TABLE i RENAME order_id TO of_order'
unnoticed 'VACUUM FULL o'
unnoticed 'REINDEX TABLE CONCURRENTLY o'
unnoticed 'ALTER TABLE o SET SCHEMA elsewhere'
unnoticed 'ALTER TABLE o SET SCHEMA public'
holds
refused 'ALTER TABLE o RENAME version TO revision' '42703: guard "zz_raceguard_version" on table "o" names column "version", which does not exist' "$remedy"
healed 'ALTER TABLE o RENAME revision TO version'
refused "SELECT raceguard.drop_guard('o', 'version')" '55000: parent "o" of table "i" has no version guard' "$remedy"
healed "SELECT raceguard.add_version('o')"
holds
refused 'ALTER TABLE i DROP CONSTRAINT i_order_id_fkey' '55000: guard "zz_raceguard_parent_version" on table "i" has lost the foreign key to its parent "o"' "$remedy"
healed "SELECT raceguard.drop_guard('i', 'parent_version')"
guards ""
over
check "no write is lost" "$(psql -c 'SELECT count(*) FROM i')" "$answered"

psql -d postgres -c 'DROP DATABASE ddl'
checks_end
