#!/usr/bin/env bash
# CALL add_guards on 400 tables that are written meanwhile, ten of them under a reader that stays: no session
# waits for a lock much longer than lock_timeout, none fails, and in the end every table is guarded. Then
# auto_guard over dump and restore. Finds the server through PGHOST, PGPORT and PGUSER, and its programs in PG_BIN.
set -euo pipefail
. "$(dirname "$0")/../../scripts/lib.sh"
. scripts/checks.sh
work=$(mktemp -d)
writers='' reading=''
trap 'kill $writers $reading 2>/dev/null || true; rm -rf "$work"' EXIT
export PGOPTIONS='-c client_min_messages=warning'
psql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d rollout "$@"; }
fresh() { "$PG_BIN/psql" -X -q -d postgres -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1"; }
# The version guards that fire: raceguard.guards would look at each of them more closely.
guarded() { psql -c "SELECT count(*) FROM pg_trigger WHERE tgname = 'zz_raceguard_version' AND tgenabled = 'O'"; }

fresh rollout
psql >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE SCHEMA app;
CREATE SCHEMA few;
SELECT format('CREATE TABLE app.t%s (id int PRIMARY KEY, note text)', n) FROM generate_series(1, 400) n \gexec
SELECT format('INSERT INTO app.t%s SELECT n, ''x'' FROM generate_series(1, 20) n', n) FROM generate_series(1, 400) n \gexec
SELECT format('CREATE TABLE few.t%s AS TABLE app.t1', n) FROM generate_series(1, 20) n \gexec
SQL

# Postgres tells of a wait for a lock when it has lasted for deadlock_timeout: lock_timeout and a tolerance.
told=1000
# load SCHEMA TABLES: until load_end.
load() {
    cat >"$work/writer.sql" <<SQL
\set table random(1, $2)
\set id random(1, 20)
BEGIN;
SELECT note FROM $1.t:table WHERE id = :id;
UPDATE $1.t:table SET note = 'y' WHERE id = :id;
COMMIT;
SQL
    PGOPTIONS="-c client_min_messages=log -c log_lock_waits=on -c deadlock_timeout=${told}ms" \
        "$PG_BIN/pgbench" -n -c 4 -j 2 -T 300 -f "$work/writer.sql" rollout >"$work/load" 2>&1 &
    writers=$!
    wait_until "the writers have begun" psql -c "SELECT sum(n_tup_upd) > 10 FROM pg_stat_user_tables WHERE schemaname = '$1'"
}
load_end() {
    check "the writers of $1 outlived it" "$(kill "$writers" && echo yes)" yes
    wait "$writers" 2>/dev/null || true
    writers=''
    check "writers of $1 that failed" "$(grep -c 'aborted in command\|ERROR' "$work/load" || true)" 0
    check "waits of more than $told ms in $1" "$(grep -c 'still waiting' "$work/load" || true)" 0
}
# reader QUERY: a transaction that has read and stays, until reader_end.
reader() {
    mkfifo "$work/reader"
    psql <"$work/reader" >"$work/read" 2>&1 &
    reading=$!
    exec {input}>"$work/reader"
    printf '%s\n' 'BEGIN;' "$1;" '\echo read' >&"$input"
    wait_until "the reader has read" sh -c "grep -qx read '$work/read' && echo t"
}
reader_end() {
    printf '%s\n' 'COMMIT;' '\q' >&"$input"
    exec {input}>&-
    wait "$reading"
    reading=''
    rm "$work/reader"
}
# add KIND OPTIONS SCHEMA [MORE]
add() { psql -v VERBOSITY=verbose -c "CALL raceguard.add_guards('$1', '$2', '{$3}'${4:+, $4})" 2>&1; }

load app 400
reader "SELECT $(printf '(SELECT count(*) FROM app.t%s) + ' {101..110})0"
plan=$(psql -c "SELECT count(*), count(DISTINCT target), count(DISTINCT target) FILTER (WHERE lock_mode = 'ACCESS EXCLUSIVE' AND blocked_by ~ '^sessions? [0-9, ]+; oldest transaction: [0-9]+, for [0-9:]+$') >= 10 FROM raceguard.plan_guards('version', schemas => '{app}')")
check "the plan names all tables, and who is in the way" "$plan" "800|400|t"
# Stopped in the middle, and called again.
said=$(psql -v VERBOSITY=sqlstate -c "SET statement_timeout = '400 ms'" -c "CALL raceguard.add_guards('version', schemas => '{app}')" 2>&1) || true
check "a roll-out that is cancelled says so" "$said" "ERROR:  57014"
part=$(guarded)
check "what it had done stays" "$((part > 0 && part < 400))" 1
said=$(add version '{}' app 'attempts => 1') || true
check "tables that are locked are left out" "$(grep -cE '^(DETAIL:  )?app\.t1[01][0-9]: locked by others at each of 1 attempts \(session' <<<"$said")" 10
check "with SQLSTATE 55000" "$(grep -o '55000' <<<"$said" | head -1)" 55000
check "all others have their guard" "$(guarded)" 390
add version '{}' app >"$work/added" &
adding=$!
sleep 3
reader_end
wait "$adding" || true
check "the rest is added when the reader has gone" "$(cat "$work/added")" ""
check "all 400 tables are guarded" "$(guarded)" 400
load_end app
check "every UPDATE from then on moves the version" "$(psql -c "UPDATE app.t7 SET note = 'z' WHERE id = 1" -c "SELECT version > 1 FROM app.t7 WHERE id = 1")" t
check "nothing left to do" "$(psql -c "SELECT count(*) FROM raceguard.plan_guards('version', schemas => '{app}')")" 0

# Guards that take other locks and longer.
load few 20
reader "SELECT count(*) FROM few.t3 "
add cap '{"key": "id", "slots": 3}' few >"$work/added" &
adding=$!
sleep 3
reader_end
wait "$adding" || true
check "a cap on 20 tables" "$(cat "$work/added")" ""
check "a key lock on 20 tables" "$(add key_lock '{"key": "id"}' few)" ""
load_end few
check "guards in few" "$(psql -c "SELECT tgname, count(*) FROM pg_trigger WHERE tgname IN ('zz_raceguard_cap', 'zz_raceguard_key_lock') AND tgenabled = 'O' GROUP BY 1 ORDER BY 1" | xargs)" "zz_raceguard_cap|20 zz_raceguard_key_lock|20"

# auto_guard is carried by a dump, and does not get in the way of it.
psql -c "SELECT raceguard.auto_guard('version', '{\"unstated\": \"reject\"}', 'app')" -c 'CREATE TABLE app.t401 (id int PRIMARY KEY)' >/dev/null
"$PG_BIN/pg_dump" -d rollout -f "$work/dump.sql"
"$PG_BIN/psql" -X -q -d postgres -c "DROP DATABASE rollout"
fresh rollout
check "the dump restores" "$(psql -f "$work/dump.sql" 2>&1 >/dev/null)" ""
check "guards after the restore" "$(guarded)" 401
psql -c 'CREATE TABLE app.t402 (id int PRIMARY KEY)'
check "a table made after it" "$(psql -c "SELECT definition ->> 'unstated' FROM raceguard.guards WHERE target = 'app.t402'::regclass")" reject
psql -c "SELECT raceguard.drop_auto_guard('version', 'app')" >/dev/null
"$PG_BIN/psql" -X -q -d postgres -c "DROP DATABASE rollout"
checks_end
