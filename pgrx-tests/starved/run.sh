#!/usr/bin/env bash
# A server with little memory: whoever makes an argument or a transaction large gets 53200, or is
# served, and nobody else notices. An allocation that Rust answers with abort() would end the cluster.
#
# The backends of a second start may have only so much more address space than an idle one; the large
# values are made before.
. "$(dirname "$0")/../../scripts/lib.sh"
. scripts/checks.sh

# What a statement may need beyond an idle backend, in kB.
ROOM=${ROOM:-65536}

run_begin
cluster_start starved "shared_buffers = '16MB'" "max_connections = 10" "max_wal_senders = 0" \
    "max_parallel_workers_per_gather = 0"
query() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=sqlstate -c "$1" 2>&1; }

query "
CREATE EXTENSION raceguard;
CREATE TABLE t (id int PRIMARY KEY, k int, note text, quantity numeric DEFAULT 100, slot int, at timestamptz DEFAULT now());
SELECT raceguard.add_version('t'), raceguard.add_key_lock('t', 'k'), raceguard.add_cap('t', 'k', 3),
       raceguard.add_cooldown('t', 'k', 'at', '1 second');
CREATE TABLE texts (id text PRIMARY KEY, n int);
SELECT raceguard.add_version('texts');
INSERT INTO t (id, k) SELECT i, i FROM generate_series(1, 1000) i;
CREATE TABLE backfilled (id int PRIMARY KEY);
INSERT INTO backfilled SELECT generate_series(1, 200000);
SELECT raceguard.add_version('backfilled');
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (parent_id int REFERENCES parents);
SELECT raceguard.add_version('parents'), raceguard.add_parent_version('children', 'parents');
INSERT INTO parents SELECT generate_series(1, 300000);
CREATE TABLE sums (id int PRIMARY KEY);
CREATE TABLE parts (id int PRIMARY KEY, sum_id int REFERENCES sums, amount numeric);
CREATE INDEX ON parts (sum_id);
SELECT raceguard.add_total('parts', 'sums', 'n'), raceguard.add_total('parts', 'sums', 'amount', amount => 'amount', settle => 'commit', guard => 'amount');
INSERT INTO sums SELECT generate_series(1, 100000);
CREATE TABLE numbered (id int PRIMARY KEY, k int);
SELECT raceguard.add_number('numbered', 'k');
CREATE ROLE starved;
GRANT INSERT ON t TO starved;
CREATE TABLE given (name text PRIMARY KEY, v jsonb);
GRANT SELECT ON given TO starved;
INSERT INTO given VALUES
    ('numbers', to_jsonb(array_fill(1, ARRAY[1000000]))),
    ('distinct', (SELECT jsonb_agg(i) FROM generate_series(1, 1000000) i)),
    ('nested', (repeat('[', 5000) || repeat(']', 5000))::jsonb),
    ('members', (SELECT jsonb_object_agg('m' || i, i) FROM generate_series(1, 300000) i)),
    ('pks', (SELECT jsonb_agg(jsonb_build_object('id', i)) FROM generate_series(1, 300000) i)),
    ('items', (SELECT jsonb_agg(jsonb_build_object('id', i, 'amount', 1)) FROM generate_series(1, 300000) i)),
    ('row', jsonb_build_object('id', 5000, 'k', 5000, 'note', repeat('x', 20000000))),
    ('text_pk', jsonb_build_object('id', repeat('x', 20000000)));
" >"$RUN/tables.log" || die "the tables could not be made: $(cat "$RUN/tables.log")"

session idle
ask idle "SELECT pg_backend_pid()"
size=$(awk '/^VmPeak:/ { print $2 }' "/proc/$ANSWER/status")
session_end idle
as_server "$PG_BIN/pg_ctl" -D "$RUN/starved/data" -m fast -w stop >/dev/null
(
    ulimit -v $((size + ROOM))
    cluster_run starved
)
started=$(query "SELECT pg_postmaster_start_time()")

# answers WHAT SQL PATTERN: what the statement may answer besides its rows.
answers() {
    local got status=0 wanted=$3
    got=$(query "$2") || status=$?
    if [ $status = 0 ]; then got=served; fi
    if [[ $got =~ ^($wanted)$ ]]; then got=$wanted; fi
    check "$1" "$got" "$wanted"
}
error='ERROR:  '
may_lack="served|${error}53200"
value() { printf "(SELECT v FROM given WHERE name = '%s')" "$1"; }

answers "lock_keys, a million numbers, a role with INSERT" \
    "SET ROLE starved; SELECT raceguard.lock_keys('t', $(value numbers))" "$may_lack"
answers "lock_keys, a million keys" "SELECT raceguard.lock_keys('t', $(value distinct))" "$may_lack"
answers "lock_keys, a deep value" "SELECT raceguard.lock_keys('t', $(value nested))" "${error}22023"
answers "SET LOCAL raceguard.lock_keys, a long list" "
    DO \$\$ BEGIN EXECUTE format('SET LOCAL raceguard.lock_keys = t, %L', $(value distinct)); END \$\$" "$may_lack|${error}25001"
answers "lock_key, an array of a million" \
    "SELECT raceguard.lock_key('t', VARIADIC array_fill(1, ARRAY[1000000]))" "${error}54000|${error}53200"
answers "lock_key, an array of a million texts" \
    "SELECT raceguard.try_lock_key('t', VARIADIC array_fill('1'::text, ARRAY[1000000]))" "${error}54000|${error}53200"
answers "next_free_slot, a million numbers" "SELECT raceguard.next_free_slot('t', $(value numbers))" "${error}22023"
answers "next_allowed, a million numbers" "SELECT raceguard.next_allowed('t', $(value numbers))" "${error}22023"
for call in insert_or_get insert_next_slot; do
    answers "$call, many members" "SELECT raceguard.$call('t', $(value members))" "${error}42703|${error}53200"
    answers "$call, a deep value" "SELECT raceguard.$call('t', $(value nested))" "${error}22023"
    answers "$call, a large row" "BEGIN; SELECT raceguard.$call('t', $(value row)); ROLLBACK" "$may_lack"
done
answers "lock_rows, many keys" "SELECT raceguard.lock_rows('t', $(value pks))" "${error}RG404|${error}53200"
answers "lock_rows, many numbers" "SELECT raceguard.lock_rows('t', $(value numbers))" "${error}22023|${error}53200"
answers "take_all, many items" "SELECT raceguard.take_all('t', 'quantity', $(value items))" "${error}RG404|${error}53200"
answers "take_all, the same item many times" "
    SELECT raceguard.take_all('t', 'quantity',
        (SELECT jsonb_agg('{\"id\": 1, \"amount\": 0}'::jsonb) FROM generate_series(1, 50000)))" "$may_lack"
answers "take, a large key" "SELECT raceguard.take('texts', $(value text_pk), 'n', 1)" "${error}RG404|${error}53200"
answers "take, many members" "SELECT raceguard.take('t', $(value members), 'quantity', 1)" "${error}22023|${error}53200"
answers "compare_and_swap, many members" \
    "SELECT raceguard.compare_and_swap('t', '{\"id\": 1}', 1, $(value members))" "${error}42703|${error}53200"
answers "compare_and_swap, a large row" \
    "BEGIN; SELECT raceguard.compare_and_swap('t', '{\"id\": 1}', 1, $(value row) - 'id' - 'k'); ROLLBACK" "$may_lack"
answers "compare_and_swap, a long version" \
    "SELECT raceguard.compare_and_swap('t', '{\"id\": 1}', repeat('1', 20000000), '{\"note\": \"\"}')" "${error}54000"
answers "compare_and_swap, a large key, as PostgREST is told" \
    "SET raceguard.error_style = 'postgrest'; SELECT raceguard.compare_and_swap('texts', $(value text_pk), 1, '{\"n\": 1}')" \
    "${error}PGRST|${error}53200"
answers "compare_and_delete, a large key" \
    "SELECT raceguard.compare_and_delete('texts', $(value text_pk), 1)" "${error}RG404|${error}53200"
answers "swap_columns, many members" \
    "SELECT raceguard.swap_columns('t', '{\"id\": 1}', $(value members), '{\"note\": \"\"}')" "${error}42703|${error}53200"
answers "swap_columns, large rows" \
    "SELECT raceguard.swap_columns('t', '{\"id\": 1}', $(value row), $(value row) - 'id')" "${error}RG409|${error}53200"
answers "row_hash, a large row" \
    "SELECT length(raceguard.row_hash(r)) FROM (SELECT repeat('x', 30000000), 1) r" "$may_lack"
answers "retry, large params" "CALL raceguard.retry('SELECT length(\$1::text)', to_jsonb(array_fill(1, ARRAY[1000000])))" "$may_lack"
answers "add_version, many names" \
    "SELECT raceguard.add_version('texts', ignore => array_fill('n'::name, ARRAY[200000]), replace => true)" \
    "${error}54000|${error}53200"
answers "add_key_lock, a long key" "SELECT raceguard.add_key_lock('texts', repeat('n, ', 10000000))" "${error}54000|${error}53200"
answers "backfill_version_step, a large batch" "SELECT raceguard.backfill_version_step('backfilled', 1000000)" "$may_lack"
answers "many parents of one transaction" "INSERT INTO children SELECT generate_series(1, 300000)" "$may_lack"
answers "the parents of a truncated table" "TRUNCATE children" "$may_lack"
answers "many totals of one statement" "INSERT INTO parts SELECT i, i, 0.5 FROM generate_series(1, 100000) i" "$may_lack"
answers "few totals of many rows" "INSERT INTO parts SELECT 200000 + i, 1 + i % 10, i FROM generate_series(1, 100000) i" "$may_lack"
answers "many totals that move" "UPDATE parts SET sum_id = 100001 - sum_id, amount = amount + 1" "$may_lack"
answers "the totals of a truncated table" "BEGIN; TRUNCATE parts; ROLLBACK" "$may_lack"
answers "recount, a large batch" "CALL raceguard.recount('parts', batch => 1000000)" "$may_lack"
answers "add_total, a long amount" \
    "SELECT raceguard.add_total('parts', 'sums', 'long', amount => '1' || repeat(' + 1', 1000000), guard => 'long')" \
    "${error}54001|${error}54000|${error}53200"
answers "many numbers of one statement" "INSERT INTO numbered SELECT i, i FROM generate_series(1, 150000) i" "$may_lack"
answers "one key's numbers" "INSERT INTO numbered SELECT 200000 + i, 0 FROM generate_series(1, 100000) i" "$may_lack"
check "totals are what stands under them" "$(query "SELECT count(*) FROM sums s LEFT JOIN
    (SELECT sum_id, count(*) AS n, sum(amount) AS amount FROM parts GROUP BY 1) p ON p.sum_id = s.id
    WHERE (s.n, s.amount) IS DISTINCT FROM (coalesce(p.n, 0), coalesce(p.amount, 0))")" 0
check "numbers have no gap" "$(query "SELECT count(*) FROM (SELECT FROM numbered GROUP BY k HAVING max(number) <> count(*)) g")" 0

# The net below all that: something of Rust's own, bounded by the megabyte that a key may have, finds no memory.
# That backend ends by FATAL, and not the cluster. How much is missing decides who notices first,
# so the room goes from none to plenty.
fatal=0 others=
# shellcheck disable=SC2016 # for the shell of the psql that runs it
limit='prlimit --pid $PID --as=$((($(awk "/^VmSize:/ { print \$2 }" /proc/$PID/status) + ROOM) * 1024))'
export ROOM
for ROOM in 0 $(seq 256 256 8192); do
    # The first call loads and keeps what any call needs. The second asks for another key than that guard has,
    # so where there is memory enough it comes to 42710.
    # As the server's user, who may limit its processes.
    got=$(as_server "$PG_BIN/psql" -X -q -A -t -v VERBOSITY=sqlstate 2>&1 <<SQL
SELECT pg_backend_pid() AS pid \gset
\setenv PID :pid
SELECT FROM raceguard.add_key_lock('texts', 'n');
\! $limit
SELECT raceguard.add_key_lock('texts', format('(n + length(%L))', repeat('x', 500000)));
SQL
) || true
    case $got in
        *prlimit*) others+="$got; " ;;
        *FATAL*53200*) fatal=$((fatal + 1)) ;;
        *ERROR*53200* | *ERROR*42710*) ;;
        *) others+="$ROOM kB: ${got:0:200}; " ;;
    esac
done
check "a backend that ended for want of memory" "$((fatal > 0))" 1
check "and no other answer" "$others" ""

check "nobody else noticed" "$(query "SELECT pg_postmaster_start_time()")" "$started"
cluster_stop starved
check "crashes" "$(cluster_crashes starved)" 0
checks_end
