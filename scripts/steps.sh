# For the suites that run a plan's steps one by one while clients write: no step waits for long, and no writer fails or
# waits for long. Source it after checks.sh; it works in the database STEPS_DB.
work=$(mktemp -d)
writers=''
trap 'touch "$work/enough"; [ -z "$writers" ] || wait "$writers"; rm -rf "$work"' EXIT
psql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$STEPS_DB" "$@"; }

steps_database() {
    "$PG_BIN/psql" -X -q -d postgres -c "DROP DATABASE IF EXISTS $STEPS_DB" -c "CREATE DATABASE $STEPS_DB"
}

# writers_begin: four clients run the pgbench script of the standard input, again and again, until writers_end: on a busy
# machine nobody knows how long the steps take.
writers_begin() {
    cat >"$work/writer.sql"
    while [ ! -e "$work/enough" ]; do
        "$PG_BIN/pgbench" -n -c 4 -j 2 -T 2 -l --log-prefix="$work/log" -f "$work/writer.sql" "$STEPS_DB" || touch "$work/gave-up"
    done >"$work/writers" 2>&1 &
    writers=$!
    wait_until "the writers have begun" psql -c "SELECT count(*) > 0 FROM journal"
}

# run_steps PLAN STEPS: the steps of a plan that has so many, by the lock_timeout recipe of docs/rollout.md.
run_steps() {
    local steps step said
    mapfile -t steps < <(psql -c "SELECT ddl FROM $1")
    check "steps in the plan" "${#steps[@]}" "$2"
    for step in "${steps[@]}"; do
        for _ in {1..10}; do
            said=$(psql -v VERBOSITY=sqlstate -c "SET lock_timeout = '500ms'" -c "$step" 2>&1) && break
            [[ $said == *55P03* ]] || break
            sleep 1
        done
        check "step ${step:0:50}" "$said" ""
    done
    check "nothing left to do" "$(psql -c "SELECT count(*) FROM $1")" 0
}

writers_end() {
    local longest
    touch "$work/enough"
    wait "$writers" || true
    writers=''
    check "writers that gave up" "$(grep -c 'aborted in command\|ERROR' "$work/writers" || true), $([ ! -e "$work/gave-up" ] || echo some)" "0, "
    check "transactions that failed" "$(awk '/^number of failed transactions:/ { n += $5; runs++ } END { print n + 0, (runs > 0) }' "$work/writers")" "0 1"
    check "rows written meanwhile" "$(psql -c 'SELECT sum(inserted) > 100 FROM journal')" t
    # pgbench logs the latency of each transaction in microseconds as the third field.
    longest=$(cat "$work"/log* | awk '$3 + 0 > m { m = $3 + 0 } END { print int(m / 1000) }')
    echo "longest wait of a writer: $longest ms"
    check "waits are measured, none above 5 s" "$((longest > 0 && longest <= 5000))" 1
}

steps_end() {
    "$PG_BIN/psql" -X -q -d postgres -c "DROP DATABASE $STEPS_DB"
    checks_end
}
