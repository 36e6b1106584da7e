#!/usr/bin/env bash
# A physical standby and its promotion: while it replays, keys cannot be locked (25006) and guards are
# there to see; once promoted, the guards work with the versions and slots that were replayed.
#
# The primary is found through PGHOST, PGPORT and PGUSER, the programs in PG_BIN; the standby is a
# cluster of its own.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin
export PGOPTIONS='-c client_min_messages=warning'
primary=$PGHOST standby=$RUN/standby
passed=0 failed=0

on() { "$PG_BIN/psql" -X -q -A -t -h "$1" -d standby -v VERBOSITY=sqlstate -c "$2" 2>&1 || true; }

# says SERVER EXPECTED STATEMENT
says() {
    local said
    said=$(on "$1" "$3")
    if [ "$said" = "$2" ]; then
        echo "ok      $2 from $3"
        passed=$((passed + 1))
    else
        printf 'FAILED  %s should answer %s, said: %s\n' "$3" "$2" "$said"
        failed=$((failed + 1))
    fi
}

# until SERVER QUERY: waits, at most 30 s, until the query answers t.
until_true() {
    local end=$((SECONDS + 30))
    until [ "$(on "$1" "$2")" = t ]; do
        [ $SECONDS -lt $end ] || die "30 s passed and still not: $2"
        sleep 0.1
    done
}

"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE IF EXISTS standby' -c 'CREATE DATABASE standby'
on "$primary" "
    CREATE EXTENSION raceguard;
    CREATE TABLE posts (id int PRIMARY KEY, user_id int, at timestamp);
    SELECT raceguard.add_version('posts', unstated => 'reject');
    SELECT raceguard.add_key_lock('posts', 'user_id');
    SELECT raceguard.add_cap('posts', 'user_id', 3);
    SELECT raceguard.add_cooldown('posts', 'user_id', 'at', '1 hour');
    INSERT INTO posts VALUES (1, 42, '2026-03-02'), (2, 42, '2026-03-03');
    UPDATE posts SET version = version + 1 WHERE id = 1" >"$RUN/setup.log"

as_server mkdir -m 755 "$standby"
as_server env "PGHOST=$primary" "PGPORT=$PGPORT" "$PG_BIN/pg_basebackup" -U "$PGUSER" -D "$standby/data" -R -c fast
echo "unix_socket_directories = '$standby'" | as_server tee -a "$standby/data/postgresql.conf" >/dev/null
as_server "$PG_BIN/pg_ctl" -D "$standby/data" -l "$standby/server.log" -w -t 60 start >/dev/null

until_true "$standby" "SELECT count(*) = 2 FROM posts"
says "$standby" t "SELECT pg_is_in_recovery()"
says "$standby" "cap,cooldown,key_lock,version" "SELECT string_agg(guard, ',' ORDER BY guard) FROM raceguard.guards"
for call in "SELECT raceguard.lock_key('posts', 42)" "SELECT raceguard.try_lock_key('posts', 42)" \
    "SELECT raceguard.lock_keys('posts', '[42, 43]')" "SELECT raceguard.lock_table_keys('posts')"; do
    says "$standby" "ERROR:  25006" "$call"
done
says "$standby" t "SELECT raceguard.ready()"
says "$standby" 0 "SELECT count(*) FROM raceguard.check_guards(deep => true)"
says "$standby" "" "SELECT raceguard.require_guard('posts', 'cap', '{\"slots\": 3}')"
says "$standby" "" "SELECT raceguard.require_guards(raceguard.manifest())"
says "$standby" 3 "SELECT raceguard.next_free_slot('posts', '42')"
says "$standby" t "SELECT raceguard.next_allowed('posts', '42') > now() - interval '1 minute'"

# Reading one's own write, as docs/operations.md shows it. WAIT FOR came with Postgres 19.
if [ "$PG_MAJOR" -ge 19 ]; then
    position=$(on "$primary" "UPDATE posts SET version = version + 1 WHERE id = 2; SELECT pg_current_wal_insert_lsn()")
    says "$standby" success "WAIT FOR LSN '$position' WITH (TIMEOUT '60s', NO_THROW)"
    says "$standby" 2 "SELECT version FROM posts WHERE id = 2"
    says "$primary" "not in recovery" "WAIT FOR LSN '$position' WITH (NO_THROW)"
fi

as_server "$PG_BIN/pg_ctl" -D "$standby/data" -w promote >/dev/null
until_true "$standby" "SELECT NOT pg_is_in_recovery()"
says "$standby" 2 "SELECT version FROM posts WHERE id = 1"
says "$standby" 3 "INSERT INTO posts VALUES (3, 42, '2026-03-04') RETURNING slot"
says "$standby" "ERROR:  RG403" "INSERT INTO posts VALUES (4, 42, '2026-03-05')"
says "$standby" "ERROR:  RG409" "UPDATE posts SET version = 2 WHERE id = 1"
says "$standby" t "SELECT raceguard.try_lock_key('posts', 42)"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
