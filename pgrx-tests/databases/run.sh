#!/usr/bin/env bash
# Two databases of one cluster, the second a copy of the first, so that their tables have the same OIDs
# and their keys the same hashes: no lock, setting or DROP EXTENSION of one reaches the other.
# Finds the server through PGHOST, PGPORT and PGUSER, and psql in PG_BIN.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin
. scripts/checks.sh
# Whoever waits for the other database gets 55P03 instead.
export PGOPTIONS='-c client_min_messages=warning -c lock_timeout=5s'

# asks SESSION WANTED STATEMENT
asks() {
    ask "$1" "$3"
    check "$1: ${2:-nothing} from $3" "$ANSWER" "$2"
}

"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE IF EXISTS one' -c 'DROP DATABASE IF EXISTS two' -c 'CREATE DATABASE one'
"$PG_BIN/psql" -X -q -d one -v ON_ERROR_STOP=1 >"$RUN/setup.log" <<'SQL'
CREATE EXTENSION raceguard;
CREATE TABLE posts (id int PRIMARY KEY, user_id int);
SELECT raceguard.add_version('posts', unstated => 'reject');
SELECT raceguard.add_key_lock('posts', 'user_id');
CREATE TABLE seats (id int, hall int);
SELECT raceguard.add_cap('seats', 'hall', 1);
CREATE TABLE mails (address text, sent timestamptz DEFAULT now());
SELECT raceguard.add_cooldown('mails', 'address', 'sent', '1 day');
CREATE TABLE old_posts (id int, user_id int);
SELECT raceguard.add_key_lock('old_posts', 'user_id', namespace => 5000);
INSERT INTO posts VALUES (1, 7);
SQL
"$PG_BIN/psql" -X -q -d postgres -c 'CREATE DATABASE two TEMPLATE one' -c 'ALTER DATABASE one SET raceguard.max_key_locks = 2'
session one -d one
session two -d two
ask one "SELECT 'posts'::regclass::oid"
asks two "$ANSWER" "SELECT 'posts'::regclass::oid"
for name in one two; do ask "$name" "LOAD 'raceguard'"; done

# ---- a lock of every kind, held in the one: the other does not wait for it and does not show it
while IFS='|' read -r locked held wanted tried; do
    asks one "" "BEGIN"
    ask one "$held"
    asks one "$locked" "SELECT string_agg(DISTINCT target || ' ' || locked, ', ' ORDER BY target || ' ' || locked) FROM raceguard.locks"
    asks two 0 "SELECT count(*) FROM raceguard.locks"
    asks two "" "BEGIN"
    asks two "$wanted" "$tried"
    asks two "" "ROLLBACK"
    asks one "" "ROLLBACK"
done <<'CASES'
posts key|SELECT raceguard.lock_key('posts', 7)|t|SELECT raceguard.try_lock_key('posts', 7)
posts key|SET LOCAL raceguard.lock_keys = posts, '[7, 8]'||SET LOCAL raceguard.lock_keys = posts, '[7]'
posts all keys|SELECT raceguard.lock_table_keys('posts')||INSERT INTO posts VALUES (2, 7)
posts all keys, posts key|INSERT INTO posts SELECT n, n FROM generate_series(10, 20) n||INSERT INTO posts VALUES (10, 10)
posts key|UPDATE posts SET version = version + 1||UPDATE posts SET version = 2
seats slot|INSERT INTO seats VALUES (1, 1)|1|INSERT INTO seats VALUES (1, 1) RETURNING slot
mails key|INSERT INTO mails VALUES ('ann')||INSERT INTO mails VALUES ('ann')
old_posts key|INSERT INTO old_posts VALUES (1, 7)|t|SELECT pg_try_advisory_xact_lock(5000, 7)
CASES
asks one 2 "SHOW raceguard.max_key_locks"
asks two 1000 "SHOW raceguard.max_key_locks"

# ---- guards are those of the own database
asks one "" "SELECT raceguard.drop_guard('posts', 'version')"
asks one 1 "UPDATE posts SET user_id = 7 RETURNING id"
asks two "ERROR:  RG428" "UPDATE posts SET user_id = 7"
asks one 4 "SELECT count(*) FROM raceguard.guards"
asks two 5 "SELECT count(*) FROM raceguard.guards"

# ---- the extension of one goes, and comes back, while the other's transaction is open
asks two "" "BEGIN"
asks two "" "INSERT INTO posts VALUES (30, 30)"
asks one "" "DROP EXTENSION raceguard CASCADE"
asks one "ERROR:  42883" "SELECT raceguard.version()"
asks two "f" "SELECT raceguard.version() IS NULL"
asks two "" "COMMIT"
asks two "ERROR:  RG428" "UPDATE posts SET user_id = 7 WHERE id = 30"
asks two 5 "SELECT count(*) FROM raceguard.guards"
asks one "" "CREATE EXTENSION raceguard"
asks one 0 "SELECT count(*) FROM raceguard.guards"

session_end one
session_end two
"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE one' -c 'DROP DATABASE two'
checks_end
