#!/usr/bin/env bash
# The counters of guards across sessions, databases, crashes, restarts and a standby; with the library preloaded and
# without, with more guards than there is room for, and without any room at all.
#
# Starts clusters of its own; the programs are in PG_BIN.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin
. scripts/checks.sh
export PGOPTIONS='-c client_min_messages=warning'
psql() { "$PG_BIN/psql" -X -q -A -t -v VERBOSITY=sqlstate "$@" 2>&1 || true; }
# counted DATABASE TABLE COLUMNS
counted() { psql -d "$1" -c "SELECT $3 FROM raceguard.stats WHERE target = '$2'::regclass ORDER BY guard"; }
info() { psql -d "$1" -c "SELECT $2 FROM raceguard.stats_info"; }

# ---- without preloading
cluster_start plain "max_connections = 220" "track_commit_timestamp = on"
psql -d postgres -c 'CREATE DATABASE one' >/dev/null
psql -d one -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE TABLE posts (id int PRIMARY KEY, user_id int);
SELECT raceguard.add_version('posts');
SELECT raceguard.add_key_lock('posts', 'user_id');
INSERT INTO posts SELECT n, n FROM generate_series(1, 200) n;
SQL
psql -d postgres -c 'CREATE DATABASE two TEMPLATE one' >/dev/null
case $PG_MAJOR in
15 | 16) backing="shared memory" ;;
*) backing="dynamic shared memory" ;;
esac
check "it says where the counters are" "$(info one backing)" "$backing"
check "a limit needs preloading" "$(psql -d one -c "LOAD 'raceguard'" -c "SHOW raceguard.max_guards")" "ERROR:  42704"

# The tables of both databases have the same OIDs.
psql -d one -c "UPDATE posts SET version = version + 1 WHERE id <= 10"
psql -d two -c "UPDATE posts SET version = version + 1 WHERE id <= 3"
check "counters of one database" "$(counted one posts passed | paste -sd' ')" "210 10"
check "counters of a copy of it" "$(counted two posts passed | paste -sd' ')" "3 3"
check "both databases share the room" "$(info two used)" 4
psql -d two -c "SELECT raceguard.stats_reset()" >/dev/null
check "one is set to zero" "$(counted two posts passed | paste -sd' ')" "0 0"
check "and says when" "$(info two "stats_reset > stats_since")" t
check "the other is not" "$(counted one posts passed | paste -sd' ') $(info one "stats_reset = stats_since")" "210 10 t"

# ---- 200 sessions at once, each with a row that passes and one that does not
pids=()
for n in $(seq 200); do
    psql -d one -c "UPDATE posts SET version = version + 1 WHERE id = $n" \
        -c "UPDATE posts SET version = 99 WHERE id = $n" >>"$RUN/crowd.log" &
    pids+=($!)
done
wait "${pids[@]}"
check "every refusal reached its client" "$(grep -c "ERROR:  RG409" "$RUN/crowd.log")" 200
check "200 sessions at once are counted" "$(counted one posts "passed || ' ' || conflicts" | paste -sd' ')" "610 0 210 200"

# ---- a wait: how often, and how long
session holder -d one
session waiter -d one
ask holder "BEGIN"
ask holder "UPDATE posts SET version = version + 1 WHERE id = 1"
send waiter "INSERT INTO posts VALUES (1001, 1)"
wait_until "the second session waits" psql -d one -c "SELECT count(*) = 1 FROM raceguard.locks WHERE NOT granted"
sleep 0.3
ask holder "COMMIT"
answer waiter
check "a wait is counted" "$(counted one posts "waited || ' ' || (wait_time BETWEEN 250 AND 60000)" | head -1)" "1 true"
# One for lock_key, which a SELECT makes.
ask holder "BEGIN"
ask holder "SELECT raceguard.lock_key('posts', 1)"
send waiter "SELECT raceguard.lock_key('posts', 1)"
wait_until "the second session waits" psql -d one -c "SELECT count(*) = 1 FROM raceguard.locks WHERE NOT granted"
ask holder "COMMIT"
answer waiter
check "a wait in lock_key is counted" "$(counted one posts waited | head -1)" 2

# ---- waits that an error ends, each in a session that has counted nothing before
psql -d one -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
CREATE TABLE seats (id int PRIMARY KEY, hall int);
SELECT raceguard.add_cap('seats', 'hall', 1);
CREATE TABLE mails (address text, sent timestamptz NOT NULL DEFAULT now());
SELECT raceguard.add_cooldown('mails', 'address', 'sent', '1 day');
SQL
# Waits of a table's guards, and whether they took as long as the time-outs below, since the last reset.
waits() { counted one "$1" "waited || ' ' || (wait_time BETWEEN 200 * waited AND 60000 * waited) || ' ' || failed" | paste -sd' '; }
reset() { psql -d one -c "SELECT raceguard.stats_reset('$1')" >/dev/null; }
ask holder "BEGIN"
ask holder "SELECT raceguard.lock_key('posts', 1)"
ask holder "INSERT INTO seats VALUES (1, 1)"
ask holder "INSERT INTO mails VALUES ('ann')"
for table in "posts (id, user_id) VALUES (2001, 1)" "seats VALUES (2, 1)" "mails VALUES ('ann')"; do
    name=${table%% *}
    reset "$name"
    check "a wait for $name ends in a lock_timeout" \
        "$(psql -d one -c "SET lock_timeout = 250" -c "INSERT INTO $table")" "ERROR:  55P03"
    check "and is counted" "$(waits "$name" | cut -d' ' -f1-3)" "1 true 0"
    check "one ends in a statement_timeout" \
        "$(psql -d one -c "SET statement_timeout = 250" -c "INSERT INTO $table")" "ERROR:  57014"
    check "and is counted" "$(waits "$name" | cut -d' ' -f1-3)" "2 true 0"
done
reset posts
check "so is one in a call" \
    "$(psql -d one -c "SET lock_timeout = 250" -c "SELECT raceguard.lock_key('posts', 1)")" "ERROR:  55P03"
check "and one of many keys" \
    "$(psql -d one -c "SET lock_timeout = 250" -c "SELECT raceguard.lock_keys('posts', '[3, 1, 2]')")" "ERROR:  55P03"
check "and one for all keys" \
    "$(psql -d one -c "SET lock_timeout = 250" -c "SELECT raceguard.lock_table_keys('posts')")" "ERROR:  55P03"
psql -d one -c "SET lock_timeout = 250" -c "DO \$\$ BEGIN
    INSERT INTO posts (id, user_id) VALUES (2001, 1);
EXCEPTION WHEN lock_not_available THEN
END \$\$"
check "and one whose error is caught" "$(waits posts)" "4 true 0 0 true 0"
reset posts
session cancelled -d one
ask cancelled "SELECT pg_backend_pid()"
pid=$ANSWER
send cancelled "INSERT INTO posts (id, user_id) VALUES (2001, 1)"
wait_until "the session waits" psql -d one -c "SELECT count(*) = 1 FROM raceguard.locks WHERE NOT granted"
sleep 0.3
psql -d one -c "SELECT pg_cancel_backend($pid)" >/dev/null
answer cancelled
check "a wait ends in a cancel" "$ANSWER $(waits posts)" "ERROR:  57014 1 true 0 0 true 0"
# Each waits for the other: one of them until it is refused, the other one until then.
reset posts
ask cancelled "BEGIN"
ask cancelled "SELECT raceguard.lock_key('posts', 2)"
send cancelled "SELECT raceguard.lock_key('posts', 1)"
wait_until "the session waits" psql -d one -c "SELECT count(*) = 1 FROM raceguard.locks WHERE NOT granted"
ask holder "SELECT raceguard.lock_key('posts', 2)"
ask holder "ROLLBACK"
answer cancelled
ask cancelled "ROLLBACK"
check "a deadlock ends two waits" "$(waits posts)" "2 true 0 0 true 0"
check "and tells of one" "$(cat "$RUN"/holder.out "$RUN"/cancelled.out | grep -c "ERROR:  40P01")" 1
session_end cancelled
reset posts
reset seats
reset mails

# ---- a session that is ended in the middle of its transaction
ask holder "BEGIN"
ask holder "UPDATE posts SET version = version + 1 WHERE id = 2"
ask holder "SELECT pg_backend_pid()"
psql -d one -c "SELECT pg_terminate_backend($ANSWER)" >/dev/null
wait_until "its rows are counted" psql -d one -c "SELECT sum(passed) = 2 FROM raceguard.stats"
session_end holder

# ---- who won
psql -d postgres -c "ALTER DATABASE one SET raceguard.explain_conflicts = on" -c "CREATE ROLE writer LOGIN" >/dev/null
psql -d one -c "GRANT SELECT (id), UPDATE (user_id, version), INSERT ON posts TO writer" >/dev/null
session winner "dbname=one application_name=importer"
loses() { psql -d one -v VERBOSITY=default -U "$1" -c "UPDATE posts SET version = 9 WHERE id = $2" | sed -n 's/^DETAIL: *//p'; }
ask winner "SELECT pg_backend_pid()"
pid=$ANSWER
ask winner "UPDATE posts SET version = version + 1 WHERE id = 7"
xid=$(psql -d one -c "SELECT xmin FROM posts WHERE id = 7")
at=$(psql -d one -c "SELECT pg_xact_commit_timestamp(xmin) FROM posts WHERE id = 7")
check "the winner is named" "$(loses postgres 7)" \
    "Key (id)=(7): stated version 8, stored version 4. It was written by transaction $xid, committed at $at, pid $pid, role \"postgres\", application \"importer\"."
check "but not to who may not read the version" "$(loses writer 7)" "Key (id)=(7): stated version 8."
ask winner "BEGIN"
ask winner "SAVEPOINT s"
ask winner "UPDATE posts SET version = version + 1 WHERE id = 7"
ask winner "RELEASE s"
ask winner "COMMIT"
check "by its subtransaction too" "$(loses postgres 7 | grep -c "pid $pid,")" 1
check "the view has the winner's number" "$(counted one posts "last_conflict_xid" | tail -1)" \
    "$(psql -d one -c "SELECT xmin FROM posts WHERE id = 7")"
psql -d postgres -c "ALTER DATABASE one RESET raceguard.explain_conflicts" >/dev/null
check "nothing is said unless it is wanted" "$(loses postgres 7)" "Key (id)=(7): stated version 8, stored version 5."
session_end winner

# ---- more guards than the first block has room for
many() { # many DATABASE FIRST LAST
    psql -d "$1" -v ON_ERROR_STOP=1 >/dev/null <<SQL
DO \$\$ BEGIN
    FOR i IN $2..$3 LOOP
        EXECUTE format('CREATE TABLE t%s (id int)', i);
        PERFORM raceguard.add_version(format('t%s', i)::regclass);
        EXECUTE format('INSERT INTO t%s VALUES (1)', i);
        EXECUTE format('UPDATE t%s SET id = 2', i);
    END LOOP;
END \$\$
SQL
}
many one 1 140
check "all of 140 guards are counted" \
    "$(psql -d one -c "SELECT count(*) || ' ' || min(passed) FROM raceguard.stats WHERE target::text ~ '^t[0-9]'")" "140 1"
check "nothing was left out" "$(info one "overflow || ' ' || (slots >= used)")" "0 true"

# ---- a crash: the counters begin anew, and say so
ask waiter "SELECT pg_backend_pid()"
crashed=$ANSWER
before=$(info one stats_since)
as_server kill -9 "$crashed"
session_kill waiter
wait_until "the server is up again" psql -d one -c "SELECT true"
check "after a crash all is zero" "$(counted one posts "passed || ' ' || conflicts" | paste -sd' ')" "0 0 0 0"
check "and the time is a new one" "$(info one "stats_since > '$before' AND stats_reset > '$before'")" t
psql -d one -c "UPDATE posts SET version = version + 1 WHERE id = 7"
check "counting goes on" "$(counted one posts passed | paste -sd' ')" "1 1"

# ---- a standby counts nothing and shows its own
standby=$RUN/standby primary=$PGHOST
as_server mkdir -m 755 "$standby"
as_server env "PGHOST=$primary" "PGPORT=$PGPORT" "$PG_BIN/pg_basebackup" -U "$PGUSER" -D "$standby/data" -R -c fast
echo "unix_socket_directories = '$standby'" | as_server tee -a "$standby/data/postgresql.conf" >/dev/null
as_server "$PG_BIN/pg_ctl" -D "$standby/data" -l "$standby/server.log" -w -t 60 start >/dev/null
export PGHOST=$standby
check "a standby has the view" "$(counted one posts passed | paste -sd' ')" "0 0"
check "and its own counters" "$(info one "backing || ' ' || (stats_since IS NOT NULL)")" "$backing true"
check "which may be set to zero" "$(psql -d one -c "SELECT raceguard.stats_reset() IS NOT NULL")" t
psql -d postgres -c "SELECT pg_promote()" >/dev/null
psql -d one -c "UPDATE posts SET version = version + 1 WHERE id <= 5"
check "once promoted it counts" "$(counted one posts passed | paste -sd' ')" "5 5"
export PGHOST=$primary
cluster_stop plain

# ---- preloaded, with little room: what is left out is counted, and no write fails
cluster_start preloaded "shared_preload_libraries = 'raceguard'" "raceguard.max_guards = 16"
psql -d postgres -c 'CREATE EXTENSION raceguard' >/dev/null
check "as much room as was asked for" "$(info postgres slots)" 16
many postgres 1 20
check "four guards are left out" "$(info postgres "used || ' ' || overflow")" "16 4"
psql -d postgres -c "UPDATE t20 SET id = 3" -c "UPDATE t20 SET id = 3, version = 7" >/dev/null
check "also their refusals" "$(info postgres overflow)" 6
check "whose counters stay at zero" "$(counted postgres t20 "passed || ' ' || conflicts")" "0 0"
psql -d postgres -c "DROP TABLE t1, t2, t3, t4, t5, t6, t7, t8"
sleep 10
psql -d postgres -c "UPDATE t20 SET id = 4"
check "dropped guards make room" "$(counted postgres t20 "passed || ' ' || conflicts") $(info postgres used)" "1 0 9"
psql -d postgres -c 'CREATE DATABASE gone' >/dev/null
psql -d gone -c 'CREATE EXTENSION raceguard' >/dev/null
many gone 1 7
check "and another database takes it" "$(info postgres "used || ' ' || overflow")" "16 6"
psql -d postgres -c 'DROP DATABASE gone' >/dev/null
sleep 10
many postgres 30 30
check "until it is dropped" "$(counted postgres t30 passed) $(info postgres used)" "1 10"
cluster_stop preloaded

# ---- thousands of guards
cluster_start thousands "shared_preload_libraries = 'raceguard'" "raceguard.max_guards = 2000"
psql -d postgres -c 'CREATE EXTENSION raceguard' >/dev/null
for first in 1 501 1001 1501; do many postgres "$first" $((first + 499)); done
many postgres 2001 2005
check "2000 guards are counted, and five told of" \
    "$(info postgres "used || ' ' || overflow") $(psql -d postgres -c "SELECT sum(passed), max(passed) FROM raceguard.stats")" \
    "2000 5 2000|1"
cluster_stop thousands

# ---- no room at all: Postgres 15 and 16 lend theirs to whoever takes it first
if [ "$PG_MAJOR" -lt 17 ]; then
    cluster_start full
    psql -d postgres -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION raceguard' -c "CREATE TABLE posts (id int)" \
        -c "SELECT raceguard.add_version('posts')" -c "INSERT INTO posts VALUES (1)" >/dev/null
    as_server "$PG_BIN/pg_ctl" -D "$RUN/full/data" -l "$RUN/full/server.log" -w -t 60 restart >/dev/null
    check "all spare memory goes into locks" \
        "$(psql -d postgres -c "SELECT pg_advisory_lock(n) FROM generate_series(1, 1000000) n")" "ERROR:  53200"
    check "a write does not mind" "$(psql -d postgres -c "UPDATE posts SET id = 2 RETURNING version")" 2
    check "nor does a refusal" "$(psql -d postgres -c "UPDATE posts SET id = 2, version = 7")" "ERROR:  RG409"
    check "the view says that nothing is counted" "$(info postgres "backing || ' ' || slots || ' ' || overflow")" "none 0 0"
    check "and shows zeros" "$(counted postgres posts "passed || ' ' || conflicts")" "0 0"
    check "and nothing can be set to zero" "$(psql -d postgres -c "SELECT raceguard.stats_reset() IS NOT NULL")" t
    cluster_stop full
fi
# ---- custom statistics: Postgres 18 and later can keep the counters over a restart
if [ "$PG_MAJOR" -ge 18 ]; then
    headers=$("$PG_BIN/pg_config" --includedir-server)
    headers=("-I$headers" "-I${headers%/*}" "-I${headers%/*}/internal")
    layout=$(cc -Wall -Werror -fsyntax-only "-DMAJOR=$PG_MAJOR" "${headers[@]}" pgrx-tests/stats/layout.c 2>&1 || true)
    check "what is declared by hand is what the server's headers say" "$layout" ""
    cc -DBITS "-DMAJOR=$PG_MAJOR" "${headers[@]}" -o "$RUN/bits" pgrx-tests/stats/layout.c
    check "the bits too" "$("$RUN/bits" && echo t)" t

    restart() { # restart NAME [option...]
        local name=$1
        shift
        as_server "$PG_BIN/pg_ctl" -D "$RUN/$name/data" -l "$RUN/$name/server.log" -w -t 60 "$@" restart >/dev/null
    }
    cluster_start kept "shared_preload_libraries = 'raceguard'" "raceguard.stats_kind = 27" "raceguard.max_guards = 16"
    psql -d postgres -c 'CREATE DATABASE one' >/dev/null
    psql -d one -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE TABLE posts (id int PRIMARY KEY, user_id int);
SELECT raceguard.add_version('posts');
SELECT raceguard.add_key_lock('posts', 'user_id');
INSERT INTO posts SELECT n, n FROM generate_series(1, 200) n;
SQL
    psql -d postgres -c 'CREATE DATABASE two TEMPLATE one' >/dev/null
    figures() { counted "$1" posts "concat_ws(' ', passed, conflicts, waited, last_conflict_xid)" | paste -sd'|'; }
    psql -d one -c "UPDATE posts SET version = version + 1 WHERE id <= 10" -c "UPDATE posts SET version = 9 WHERE id = 1" \
        -c "SELECT raceguard.compare_and_swap('posts', '{\"id\": 1}', 1, '{\"user_id\": 1}')" >/dev/null
    psql -d two -c "UPDATE posts SET version = version + 1 WHERE id <= 3"
    xid=$(psql -d one -c "SELECT xmin FROM posts WHERE id = 1")
    check "they are statistics of Postgres" "$(info one "backing || ' ' || slots || ' ' || used")" "custom statistics 16 4"
    # The key lock has passed the row that the version guard then refused.
    check "and count as ever" "$(figures one)" "211 0 0|10 2 0 $xid"
    check "each database for itself" "$(figures two)" "3 0 0|3 0 0"
    rows() { psql -d one -c "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'posts'"; }
    wait_until "Postgres has counted too" psql -d one -c "SELECT n_tup_upd = 10 FROM pg_stat_user_tables WHERE relname = 'posts'"
    since=$(info one "stats_since || ' ' || stats_reset")
    restart kept
    check "they outlive a restart" "$(figures one) $(figures two)" "211 0 0|10 2 0 $xid 3 0 0|3 0 0"
    check "and say since when" "$(info one "stats_since || ' ' || stats_reset")" "$since"
    check "and so do those of Postgres" "$(rows)" 10
    psql -d one -c "UPDATE posts SET version = version + 1 WHERE id <= 10"
    check "counting goes on" "$(figures one)" "221 0 0|20 2 0 $xid"
    psql -d two -c "SELECT raceguard.stats_reset('posts', 'version')" >/dev/null
    check "a guard is set to zero" "$(figures two)" "3 0 0|0 0 0"
    psql -d two -c "SELECT raceguard.stats_reset()" >/dev/null
    check "and a database" "$(figures two) $(info two "stats_reset > stats_since")" "0 0 0|0 0 0 t"
    reset_at=$(info two stats_reset)
    restart kept
    check "it stays so" "$(figures two) $(info two stats_reset)" "0 0 0|0 0 0 $reset_at"
    psql -d one -c "SELECT pg_stat_reset()" >/dev/null
    check "Postgres's own reset counts" "$(figures one) $(info one "stats_reset > '$reset_at'")" "0 0 0|0 0 0 t"
    check "for its own database" "$(info two "stats_reset = '$reset_at'")" t

    # What a rollback to a savepoint leaves counted; the table may be dropped from then on.
    session holder -d one
    ask holder "BEGIN"
    ask holder "SAVEPOINT s"
    ask holder "UPDATE posts SET version = version + 1 WHERE id <= 5"
    ask holder "ROLLBACK TO s"
    psql -d one -c "DROP TABLE posts"
    many one 1 14
    check "two are left for the table that is gone" "$(info one "used || ' ' || overflow")" "16 2"
    sleep 10
    check "the view makes room" "$(psql -d one -c "SELECT count(*) FROM raceguard.stats WHERE passed > 0") $(info one used)" "12 14"
    ask holder "SELECT count(*) FROM t1"
    ask holder "COMMIT"
    session_end holder
    many one 20 21
    check "others take it" "$(psql -d one -c "SELECT sum(passed) FROM raceguard.stats") $(info one used)" "14 16"
    psql -d postgres -c 'DROP DATABASE two' >/dev/null
    check "a database takes its own along" "$(info one used)" 14

    # ---- guards come and go in many sessions, while others look and count
    come_and_go() { # come_and_go SESSION
        local i
        for i in $(seq 20); do
            echo "CREATE TABLE c$1_$i (id int);"
            echo "SELECT raceguard.add_version('c$1_$i');"
            echo "INSERT INTO c$1_$i VALUES (1);"
            echo "BEGIN; SAVEPOINT s; UPDATE c$1_$i SET id = 2; ROLLBACK TO s; UPDATE t1 SET id = 3; COMMIT;"
            echo "UPDATE c$1_$i SET id = 3, version = 7;"
            echo "SELECT sum(passed) FROM raceguard.stats;"
            echo "DROP TABLE c$1_$i;"
            echo "SELECT pg_sleep(0.5);"
        done
    }
    pids=()
    for n in $(seq 6); do
        come_and_go "$n" | psql -d one >>"$RUN/come_and_go.log" &
        pids+=($!)
    done
    wait "${pids[@]}"
    check "every refusal reached its client" "$(grep -c "ERROR:  RG409" "$RUN/come_and_go.log")" 120
    check "and nothing else went wrong" "$(grep "ERROR:" "$RUN/come_and_go.log" | grep -vc "RG409" || true)" 0
    check "every row of the others is counted" "$(counted one t1 passed)" 121

    # ---- a crash
    session crashed -d one
    ask crashed "SELECT pg_backend_pid()"
    before=$(info one stats_since)
    as_server kill -9 "$ANSWER"
    session_kill crashed
    wait_until "the server is up again" psql -d one -c "SELECT true"
    check "after a crash all is zero" "$(psql -d one -c "SELECT sum(passed + conflicts) FROM raceguard.stats") $(info one used)" "0 0"
    check "and the time is a new one" "$(info one "stats_since > '$before' AND stats_reset > '$before'")" t
    psql -d one -c "UPDATE t1 SET id = 9"
    check "counting goes on" "$(counted one t1 passed)" 1
    restart kept
    check "and over the next restart" "$(counted one t1 passed)" 1
    restart kept -m immediate
    check "but not where the server was not stopped in order" "$(counted one t1 passed)" 0

    # ---- without the library, or with another number, Postgres begins without statistics, its own included
    psql -d one -c "UPDATE t1 SET id = 10"
    wait_until "Postgres has counted" psql -d one -c "SELECT n_tup_upd > 0 FROM pg_stat_user_tables WHERE relname = 't1'"
    as_server sed -i '/^raceguard/d; /^shared_preload/d' "$RUN/kept/data/postgresql.conf"
    restart kept
    check "unloaded, the counters are in memory again" "$(info one backing)" "dynamic shared memory"
    check "and Postgres's are gone, as the manual says" \
        "$(psql -d one -c "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 't1'")" 0
    cluster_stop kept

    # ---- a number that is none
    cluster_start odd
    printf '%s\n' "shared_preload_libraries = 'raceguard'" "raceguard.stats_kind = 5" \
        | as_server tee -a "$RUN/odd/data/postgresql.conf" >/dev/null
    check "the server does not start with it" "$(restart odd 2>/dev/null && echo started)" ""
    check "and says why" "$(grep -c "custom cumulative statistics ID 5 is out of range" "$RUN/odd/server.log")" 1
    echo "raceguard.stats_kind = 0" | as_server tee -a "$RUN/odd/data/postgresql.conf" >/dev/null
    restart odd
    psql -d postgres -c 'CREATE EXTENSION raceguard' >/dev/null
    check "without one they are in memory" "$(info postgres backing)" "dynamic shared memory"
    cluster_stop odd
fi
checks_end
