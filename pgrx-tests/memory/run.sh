#!/usr/bin/env bash
# Memory of a backend while one statement writes ROWS rows of a guarded table (default 100,000; `make
# memory` writes ten million), and over thousands of transactions of one session. From a third of
# the way to the end it may grow by no more than noise.
#
# The backend measures itself, from triggers that fire at a few rows: RssAnon of /proc/self/status, in
# which what Rust allocates shows too, and the used bytes of pg_backend_memory_contexts. Postgres
# itself keeps an event in memory for each row that an AFTER trigger waits for, so guards that have one
# are compared with a table that has a trigger that does nothing in its place.
. "$(dirname "$0")/../../scripts/lib.sh"
ROWS=${ROWS:-100000}
# How much a statement may grow, in kB: pages that malloc had not touched before.
NOISE=200
export PGOPTIONS='-c client_min_messages=warning'
passed=0 failed=0

sql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d memory -v VERBOSITY=terse "$@" 2>&1; }

# judge NAME GROWTH LIMIT: both in kB.
judge() {
    if [ "$2" -le "$3" ]; then
        echo "ok      $1: grew by $2 kB (limit $3)"
        passed=$((passed + 1))
    else
        echo "FAILED  $1: grew by $2 kB (limit $3)"
        failed=$((failed + 1))
    fi
}

# grown PHASE COLUMN: growth in kB from the second to the last probe of a phase (BEFORE or AFTER) in the
# answer on stdin; column 2 is RssAnon in kB, 3 used bytes. The first probe is for what is made once.
grown() {
    awk -v phase="$1" -v column="$2" '/probe/ { sub(/.*probe /, "") } $1 == phase { if (n++ == 1) first = $column; last = $column }
        END { print int((last - first) / (column == 2 ? 1 : 1024)) }'
}

"$PG_BIN/psql" -X -q -d postgres -c 'DROP DATABASE IF EXISTS memory' -c 'CREATE DATABASE memory'
sql <<'SQL'
CREATE EXTENSION raceguard;
CREATE FUNCTION probe(phase text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE INFO 'probe % % % %', phase,
        (regexp_match(pg_read_file('/proc/self/status'), 'RssAnon:\s+(\d+)'))[1],
        (SELECT sum(used_bytes) FROM pg_backend_memory_contexts),
        (SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'raceguard rule');
END $$;
CREATE FUNCTION probing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM probe(TG_WHEN); RETURN NEW; END $$;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
SQL

# table NAME: rows spread over ROWS / 10 keys, a day between the rows of a key.
table() {
    sql -v rows="$ROWS" -v name="$1" <<'END'
DROP TABLE IF EXISTS :name CASCADE;
DROP TABLE IF EXISTS orders CASCADE;
CREATE TABLE orders (id int PRIMARY KEY);
INSERT INTO orders SELECT generate_series(0, 99);
SELECT FROM raceguard.add_version('orders');
CREATE TABLE :name (id int PRIMARY KEY, k int, order_id int NOT NULL REFERENCES orders, at timestamp, note text);
-- Before the guards: behind a cap it would be one that may change the slot, and the cap would look again.
CREATE TRIGGER aaaa_probe BEFORE INSERT OR UPDATE ON :name FOR EACH ROW
    WHEN (NEW.id IN (:rows / 6, :rows / 3, :rows * 2 / 3, :rows)) EXECUTE FUNCTION probing();
CREATE TRIGGER zzzz_probe_after AFTER INSERT OR UPDATE ON :name FOR EACH ROW
    WHEN (NEW.id IN (:rows / 6, :rows / 3, :rows * 2 / 3, :rows)) EXECUTE FUNCTION probing();
END
}

# figures ANSWER: RssAnon and used memory while rows are written, then while AFTER triggers fire.
figures() {
    local phase
    [ "$(grep -c "probe " <<<"$1")" = 8 ] || die "not every probe fired: $1"
    for phase in BEFORE AFTER; do
        echo "$(grown $phase 2 <<<"$1") $(grown $phase 3 <<<"$1")"
    done | paste -sd' '
}

# grows TABLE: an INSERT and an UPDATE of all its rows; sets INSERTED and UPDATED to their figures. Each in a
# session of its own, so that the INSERT has not made room for the UPDATE.
grows() {
    # generate_series in the list of columns: in FROM its rows would be stored first.
    local answer
    answer=$(sql -v rows="$ROWS" -v name="$1" <<'END'
INSERT INTO :name (id, k, order_id, at, note)
SELECT i, i % (:rows / 10), i % 100, timestamp '2026-01-01' + i / (:rows / 10) * interval '1 day', 'note'
FROM (SELECT generate_series(1, :rows) AS i) s;
END
    ) || die "$answer"
    INSERTED=$(figures "$answer")
    answer=$(sql -c "UPDATE $1 SET note = note || '!', at = at + interval '1 hour'") || die "$answer"
    UPDATED=$(figures "$answer")
}

# compare NAME "FIGURES" "FIGURES OF THE BASELINE"
compare() {
    local rss used after_rss after_used base_rss base_used rest
    read -r rss used after_rss after_used <<<"$2"
    read -r base_rss base_used rest <<<"$3"
    echo "        $1: RssAnon $rss kB, used $used kB while writing; without guards $base_rss and $base_used"
    judge "$1, RssAnon" $((rss - base_rss)) $NOISE
    judge "$1, memory contexts" $((used - base_used)) $NOISE
    judge "$1, AFTER triggers, RssAnon" "$after_rss" $NOISE
    judge "$1, AFTER triggers, memory contexts" "$after_used" $NOISE
}

# guard NAME INSERT_BASE UPDATE_BASE CALL...: a table with the guards of these calls, compared with these tables.
guard() {
    local name=$1 insert_base=$2 update_base=$3 call
    shift 3
    table "$name"
    for call in "$@"; do
        sql -c "SELECT FROM raceguard.$call" >/dev/null
    done
    grows "$name"
    compare "INSERT, $name" "$INSERTED" "$insert_base"
    compare "UPDATE, $name" "$UPDATED" "$update_base"
}

# after NAME N M: a table with N triggers that do nothing AFTER INSERT, M of them AFTER UPDATE as well.
after() {
    local n
    table "$1"
    for n in $(seq "$2"); do
        sql -c "CREATE TRIGGER t$n AFTER INSERT $([ "$n" -gt "$3" ] || echo "OR UPDATE") ON $1 FOR EACH ROW EXECUTE FUNCTION nothing()"
    done
    grows "$1"
    sql -c "DROP TABLE $1"
}

# One guard at a time only for as many rows as go into half a minute.
if [ "$ROWS" -lt 1000000 ]; then
    after none 0 0
    insert0=$INSERTED update0=$UPDATED
    after one 1 1
    insert1=$INSERTED update1=$UPDATED
    # Which also shows that the measurement sees growth: an event takes more than ten bytes.
    seen=$(("${insert1%% *}" - "${insert0%% *}"))
    judge "what is less than the queue of an AFTER trigger" $((ROWS * 20 / 3 / 1024)) "$seen"
    guard version "$insert0" "$update0" "add_version('version', ignore => '{note}')"
    guard key_lock "$insert0" "$update0" "add_key_lock('key_lock', 'k')"
    guard cap "$insert1" "$update0" "add_cap('cap', 'k', 10)"
    guard cooldown "$insert1" "$update1" "add_cooldown('cooldown', 'k', 'at', '1 hour')"
    guard parent "$insert1" "$update1" "add_parent_version('parent', 'orders')"
    guard total "$insert1" "$update1" "add_total('total', 'orders', 'n')"
    guard total_commit "$insert1" "$update1" "add_total('total_commit', 'orders', 'k', amount => 'k', settle => 'commit')"
    guard number "$insert0" "$update0" "add_number('number', 'k')"
fi
after four 4 3
guard every "$INSERTED" "$UPDATED" "add_version('every')" "add_key_lock('every', 'k')" "add_cap('every', 'k', 10)" \
    "add_cooldown('every', 'k', 'at', '1 hour')" "add_parent_version('every', 'orders')" "add_total('every', 'orders', 'n')" \
    "add_number('every', 'k')"
counted() { sql -c "SELECT count(*) FROM orders o WHERE n <> (SELECT count(*) FROM every WHERE order_id = o.id)"; }
judge "totals that are not what stands under them (a number)" "$(counted)" 0

# lasts NAME TIMES STATEMENTS: a session that runs them TIMES times, each time in a transaction of its own.
lasts() {
    local answer
    answer=$(sql -c "DO \$do\$ BEGIN
        FOR i IN 1..$2 LOOP
            $3
            COMMIT;
            IF i IN ($2 / 6, $2 / 3, $2 * 2 / 3, $2) THEN PERFORM probe('BEFORE'); END IF;
        END LOOP; END \$do\$") || die "$answer"
    judge "$1, $2 transactions, RssAnon" "$(grown BEFORE 2 <<<"$answer")" "$NOISE"
    judge "$1, $2 transactions, memory contexts" "$(grown BEFORE 3 <<<"$answer")" "$NOISE"
    RULES=$(awk '/probe/ { print $NF }' <<<"$answer" | tail -n 1)
}

# every has 10 slots per key and takes ids above ROWS.
lasts "writes that pass and writes that fail" 3000 "
    UPDATE every SET note = 'a', version = version + 1 WHERE id = 1 + i % 100;
    BEGIN UPDATE every SET version = 0 WHERE id = 1; EXCEPTION WHEN SQLSTATE 'RG409' THEN NULL; END;
    BEGIN INSERT INTO every (id, k, order_id, at) VALUES (-1, 1, 1, '2020-01-01'); EXCEPTION WHEN SQLSTATE 'RG403' THEN NULL; END;
    DELETE FROM every WHERE id = 200 + i % 100;
    BEGIN INSERT INTO every (id, k, order_id, at) VALUES (-i, -1, 1, '2020-01-01');
        INSERT INTO every (id, k, order_id, at) VALUES (-i - 1, -1, 1, '2020-01-01');
        EXCEPTION WHEN SQLSTATE 'RG429' THEN NULL; END;"
lasts "calls" 1500 "
    PERFORM raceguard.lock_key('every', i), raceguard.try_lock_key('every', -i), raceguard.lock_keys('every', '[1, 2, 3]');
    PERFORM raceguard.next_allowed('every', '1'), raceguard.next_free_slot('every', '1');
    PERFORM raceguard.insert_next_slot('every', jsonb_build_object('id', -i, 'k', -i, 'order_id', 1), on_full => 'null');
    PERFORM raceguard.insert_or_get('orders', '{\"id\": 1}');
    PERFORM raceguard.take('every', '{\"id\": 2}', 'k', 0), raceguard.take_all('every', 'k', '[{\"id\": 2, \"amount\": 0}]');
    PERFORM raceguard.lock_rows('every', '[{\"id\": 2}, {\"id\": 1}]');
    PERFORM raceguard.swap_columns('every', '{\"id\": 2}', '{\"k\": 2}', '{\"k\": 2}'), raceguard.row_hash(o) FROM orders o WHERE id = 1;
    BEGIN PERFORM raceguard.compare_and_swap('every', '{\"id\": 2}', 0, '{\"note\": \"x\"}');
        EXCEPTION WHEN SQLSTATE 'RG409' THEN NULL; END;"
# Postgres keeps something of each table that a session has dropped; what raceguard keeps are contexts of its own.
lasts_dropped() {
    NOISE=20000
    lasts "tables that come and go" 200 "
    CREATE TEMP TABLE gone_orders (id int PRIMARY KEY);
    CREATE TEMP TABLE gone (id int PRIMARY KEY, k int, order_id int REFERENCES gone_orders, at timestamp);
    PERFORM raceguard.add_version('gone'), raceguard.add_key_lock('gone', 'k'), raceguard.add_cap('gone', 'k', 3),
        raceguard.add_cooldown('gone', 'k', 'at', '1 hour'), raceguard.add_total('gone', 'gone_orders', 'n'),
        raceguard.add_number('gone', 'k');
    INSERT INTO gone_orders VALUES (1);
    INSERT INTO gone VALUES (1, 1, 1, '2026-01-01');
    UPDATE gone SET k = 2;
    DROP TABLE gone, gone_orders;"
}
NOISE=20000 lasts_dropped
judge "rules kept for dropped tables (a number)" "$RULES" 20
judge "totals that are wrong in the end (a number)" "$(counted)" 0

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
