#!/usr/bin/env bash
# pgbouncer in transaction pooling mode: many clients, each transaction on whatever server connection is
# free. Guards work through it; no lock, setting or bump of one client is left to the next one.
#
# The pool "one" has a single server connection, so that the next client is sure to get the one that
# the client before has used; "two" has two, for clients that race. Finds the server through PGHOST,
# PGPORT and PGUSER, the programs in PG_BIN.
. "$(dirname "$0")/../../scripts/lib.sh"
pgbouncer=$(PATH=$PATH:/usr/sbin command -v pgbouncer) ||
    die "pgbouncer, the connection pool under test, is missing: install the package pgbouncer"
run_begin
. scripts/checks.sh
# pgbouncer refuses clients that send options.
unset PGOPTIONS
work=$RUN/pgbouncer

direct() { "$PG_BIN/psql" -X -q -A -t -v VERBOSITY=sqlstate -d pool -c "$1" 2>&1 || true; }
through() { "$PG_BIN/psql" -X -q -A -t -v VERBOSITY=sqlstate -h "$work" -p 6432 -d "$1" -c "$2" 2>&1 || true; }

# says POOL WANTED STATEMENT: a client of its own, gone after the statement.
says() { check "$1: $2 from $3" "$(through "$1" "$3")" "$2"; }

# asks SESSION WANTED STATEMENT
asks() {
    ask "$1" "$3"
    check "$1: ${2:-nothing} from $3" "$ANSWER" "$2"
}

"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE IF EXISTS pool' -c 'CREATE DATABASE pool' \
    -c 'ALTER DATABASE pool SET client_min_messages = warning' \
    -c "ALTER DATABASE pool SET session_preload_libraries = 'raceguard'"
direct "
    CREATE EXTENSION raceguard;
    CREATE TABLE orders (id int PRIMARY KEY, address text);
    SELECT raceguard.add_version('orders', unstated => 'reject');
    CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders);
    SELECT raceguard.add_parent_version('items', 'orders');
    CREATE TABLE posts (id int GENERATED ALWAYS AS IDENTITY, user_id int);
    SELECT raceguard.add_key_lock('posts', 'user_id');
    SELECT raceguard.add_cap('posts', 'user_id', 3);
    CREATE TABLE mails (address text, sent timestamptz DEFAULT now());
    SELECT raceguard.add_cooldown('mails', 'address', 'sent', '1 day');
    INSERT INTO orders VALUES (1, 'Old Street'), (2, 'Main Street')" >"$RUN/setup.log"

as_server mkdir -m 755 "$work"
as_server tee "$work/pgbouncer.ini" >/dev/null <<INI
[databases]
one = host=$PGHOST port=$PGPORT dbname=pool user=$PGUSER pool_size=1
two = host=$PGHOST port=$PGPORT dbname=pool user=$PGUSER pool_size=2
[pgbouncer]
pool_mode = transaction
auth_type = any
unix_socket_dir = $work
listen_port = 6432
logfile = $work/pgbouncer.log
pidfile = $work/pgbouncer.pid
INI
as_server "$pgbouncer" -q -d "$work/pgbouncer.ini"
wait_until "the pool answers" through one "SELECT true"

# ---- the guards, each statement a client of its own on the same server connection
says one "" "UPDATE orders SET address = 'A Street', version = 2 WHERE id = 1"
says one "ERROR:  RG409" "UPDATE orders SET address = 'B Street', version = 2 WHERE id = 1"
says one "ERROR:  RG428" "UPDATE orders SET address = 'C Street' WHERE id = 1"
says one "1
2
3" "INSERT INTO posts (user_id) VALUES (1), (1), (1) RETURNING slot"
says one "ERROR:  RG403" "INSERT INTO posts (user_id) VALUES (1)"
says one "" "INSERT INTO mails VALUES ('ann')"
says one "ERROR:  RG429" "INSERT INTO mails VALUES ('ann')"
says one "" "INSERT INTO items VALUES (1, 1)"
says one 3 "SELECT version FROM orders WHERE id = 1"
# What the server connection has worked out about a guard does not outlive the guard.
direct "SELECT raceguard.set_cap('posts', 4)" >>"$RUN/setup.log"
says one 4 "INSERT INTO posts (user_id) VALUES (1) RETURNING slot"

# DISCARD ALL is what pgbouncer sends between two clients of a session pool.
says one "" "DISCARD ALL"
says one "ERROR:  RG403" "INSERT INTO posts (user_id) VALUES (1)"

# ---- locks end with the transaction, though the client and the server connection stay
session ann -h "$work" -p 6432 -d one
session bob -h "$work" -p 6432 -d one
free() { direct "SELECT raceguard.try_lock_key('posts', 7)"; }
while IFS='|' read -r locked call; do
    asks ann "" "BEGIN"
    ask ann "$call"
    ask ann "SELECT pg_backend_pid()"
    pid=$ANSWER
    check "others see the locks of $call" \
        "$(direct "SELECT pid, string_agg(locked, ' ' ORDER BY locked) FROM raceguard.locks GROUP BY pid")" "$pid|$locked"
    check "others wait for $call" "$(free)" f
    asks ann "" "COMMIT"
    asks bob "$pid|0" "SELECT pg_backend_pid(), count(*) FROM pg_locks WHERE locktype = 'advisory'"
    check "nobody waits after $call" "$(free)" t
    asks bob "" "SHOW raceguard.lock_keys"
done <<'CALLS'
key|SELECT raceguard.lock_key('posts', 7)
key|SELECT raceguard.try_lock_key('posts', 7)
key key|SELECT raceguard.lock_keys('posts', '[8, 7]')
key|SET LOCAL raceguard.lock_keys = posts, '[7]'
key|SET raceguard.lock_keys = posts, '[7]'
all keys|SELECT raceguard.lock_table_keys('posts')
key slot|INSERT INTO posts (user_id) VALUES (7)
CALLS

# ---- settings of one transaction
asks ann "" "BEGIN"
asks ann "" "SET LOCAL raceguard.error_style = 'integrity'"
asks ann "" "SET LOCAL raceguard.max_key_locks = 2"
asks ann "ERROR:  23R09" "UPDATE orders SET version = 99 WHERE id = 1"
asks ann "" "ROLLBACK"
asks bob "ERROR:  RG409" "UPDATE orders SET version = 99 WHERE id = 1"
asks ann "" "BEGIN"
asks ann "" "SET LOCAL raceguard.error_style = 'integrity'"
asks ann "" "SET LOCAL raceguard.max_key_locks = 2"
asks ann "" "COMMIT"
asks bob "native" "SHOW raceguard.error_style"
asks bob 1000 "SHOW raceguard.max_key_locks"

# ---- CALL retry: its transactions stay on one server connection, its isolation level is its own
asks ann 1 "CALL raceguard.retry('UPDATE orders SET version = version + 1 WHERE id = 1')"
asks bob "read committed" "SHOW transaction_isolation"
asks ann "ERROR:  25001" "BEGIN; CALL raceguard.retry('SELECT 1')"
asks ann "" "ROLLBACK"

# ---- a client that dies in a transaction, and a server connection that does
asks ann "" "BEGIN"
asks ann "" "INSERT INTO posts (user_id) VALUES (7)"
check "held by a client that lives" "$(free)" f
session_kill ann
wait_until "the dead client's lock is free" free
asks bob 1 "SELECT count(*) FROM posts WHERE user_id = 7"
asks bob 2 "INSERT INTO posts (user_id) VALUES (7) RETURNING slot"
asks bob "" "BEGIN"
asks bob "" "SELECT raceguard.lock_key('posts', 7)"
check "held by a connection that lives" "$(free)" f
direct "SELECT pg_terminate_backend(pid) FROM raceguard.locks" >>"$RUN/setup.log"
wait_until "the dead connection's lock is free" free
says one 3 "INSERT INTO posts (user_id) VALUES (7) RETURNING slot"

# ---- eight clients race over two server connections, in the protocol that drivers use
direct "
    CREATE TABLE counter (n int);
    SELECT raceguard.add_version('counter', unstated => 'reject');
    CREATE TABLE seats (hall int, place int);
    SELECT raceguard.add_key_lock('seats', 'hall');
    CREATE TABLE hits (n int);
    INSERT INTO hits VALUES (0);
    INSERT INTO counter VALUES (0);
    CREATE TABLE tally (what text, outcome text, pid int DEFAULT pg_backend_pid());
    CREATE FUNCTION attempt(what text, statement text) RETURNS void LANGUAGE plpgsql AS \$\$
    DECLARE outcome text := 'done';
    BEGIN
        BEGIN
            EXECUTE statement;
        EXCEPTION WHEN OTHERS THEN outcome := SQLSTATE;
        END;
        INSERT INTO tally VALUES (what, outcome);
    END \$\$" >>"$RUN/setup.log"
cat >"$RUN/race.sql" <<'SQL'
\set user random(100, 102)
SELECT attempt('cap', format('INSERT INTO posts (user_id) VALUES (%s)', :user::int));
SELECT attempt('cooldown', 'INSERT INTO mails VALUES (''bob'')');
-- Read in one transaction, written in another, as a form is.
SELECT n, version FROM counter \gset
SELECT attempt('version', format('UPDATE counter SET n = %s, version = %s', :n::int + 1, :version::int + 1));
BEGIN;
SELECT raceguard.lock_key('seats', 1);
SELECT count(*) + 1 AS place FROM seats WHERE hall = 1 \gset
INSERT INTO seats VALUES (1, :place);
COMMIT;
CALL raceguard.retry('UPDATE hits SET n = n + 1', max_attempts => 100);
SQL
"$PG_BIN/pgbench" -n -M extended -c 8 -t 25 -f "$RUN/race.sql" -h "$work" -p 6432 two >"$RUN/race.log" 2>&1 || cat "$RUN/race.log"
outcomes() { direct "SELECT string_agg(DISTINCT outcome, ' ' ORDER BY outcome) FROM tally WHERE what = '$1'"; }
check "two server connections served eight clients" "$(direct "SELECT count(DISTINCT pid) FROM tally")" 2
check "caps: outcomes" "$(outcomes cap)" "RG403 done"
check "caps: rows per user" "$(direct "SELECT array_agg(n) FROM (SELECT count(*) AS n FROM posts WHERE user_id >= 100 GROUP BY user_id) x")" "{4,4,4}"
check "cooldown: outcomes" "$(outcomes cooldown)" "RG429 done"
check "cooldown: rows" "$(direct "SELECT count(*) FROM mails WHERE address = 'bob'")" 1
check "version: outcomes" "$(outcomes version)" "RG409 done"
check "version: no update is lost" \
    "$(direct "SELECT n = (SELECT count(*) FROM tally WHERE what = 'version' AND outcome = 'done') FROM counter")" t
check "key lock: places counted, then taken" "$(direct "SELECT count(*), count(DISTINCT place), max(place) FROM seats")" "200|200|200"
check "retry: all increments" "$(direct "SELECT n FROM hits")" 200
check "nothing is locked" "$(direct "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")" 0

session_end bob
checks_end
