#!/usr/bin/env bash
# Postgres's own regress and isolation suites with a guard on every table they make, beside a control in which triggers
# of the same shape do nothing of raceguard's. What a test prints must be the same in both; where a guard's contract makes
# it another, the test stands in `differs` with the reason, and must differ. Each kind of guard is run apart.
#
#   foreign.sh [KIND/SUITE...]    KIND: key_lock, version; SUITE: regress, isolation; all by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../scripts/lib.sh"
. scripts/postgres.sh
. scripts/source.sh
. scripts/checks.sh
source_get "$PG_MAJOR"
pgxs_test "$PG_BIN"
run_begin

# The suites, where the server's user can read them, and the C functions that they load.
suites=$RUN/suites library=$RUN/library kept=$TARGET/test/foreign-$PG_MAJOR
cp -R "$(source_dir "$PG_MAJOR")/src/test" "$suites"
mkdir "$library"
cc -shared -fPIC -O1 -w -I"$("$PG_BIN/pg_config" --includedir-server)" -o "$library/regress.so" "$suites/regress/regress.c"
cp "$("$PG_BIN/pg_config" --pkglibdir)"/{autoinc,refint}.so "$library/"
cat >>"$suites/regress/sql/test_setup.sql" <<'END'
SELECT control.guard_all(array_agg(oid::regclass)) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition;
END
chmod -R a+rX "$suites" "$library"

# suite_run KIND SUITE CONTROL: the control where CONTROL is on, the guards where it is off. Results go to $RUN/KIND-SUITE-CONTROL.out.
suite_run() {
    local kind=$1 suite=$2 control=$3 name=$1-$2-$3 runner options=()
    case $suite in
    regress)
        # One test at a time: what those of a group see of each other would differ from run to run.
        runner=$PGXS_TEST/regress/pg_regress
        options=(--schedule="$suites/regress/parallel_schedule" --dlpath="$library" --max-connections=1)
        ;;
    isolation)
        runner=$PGXS_TEST/isolation/pg_isolation_regress
        options=(--schedule="$suites/isolation/isolation_schedule")
        ;;
    esac
    [ "$PG_MAJOR" -lt 16 ] || options+=(--expecteddir="$suites/$suite")
    cluster_start "$name" "max_prepared_transactions = 2" "autovacuum = off" "log_line_prefix = '%e '"
    # What pg_regress sets in a database that it makes.
    "$PG_BIN/psql" -Xq -v ON_ERROR_STOP=1 <<END
CREATE DATABASE regression TEMPLATE template0 LOCALE 'C';
ALTER DATABASE regression SET lc_messages TO 'C';
ALTER DATABASE regression SET lc_monetary TO 'C';
ALTER DATABASE regression SET lc_numeric TO 'C';
ALTER DATABASE regression SET lc_time TO 'C';
ALTER DATABASE regression SET bytea_output TO 'hex';
ALTER DATABASE regression SET timezone_abbreviations TO 'Default';
ALTER DATABASE regression SET guarding.kind TO '$kind';
ALTER DATABASE regression SET guarding.control TO '$control';
END
    "$PG_BIN/psql" -Xq -d regression -f "$here/guard.sql"
    as_server mkdir "$RUN/$name.out"
    # It fails by design: the expected files know of no triggers. A step that waits for what never ends is
    # cancelled, in a time that no other step needs on a loaded machine.
    as_server env PGISOLATIONTIMEOUT=20 "PATH=$PG_BIN:$PATH" "$runner" --bindir="$PG_BIN" \
        --inputdir="$suites/$suite" --outputdir="$RUN/$name.out" --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" \
        --dbname=regression --use-existing "${options[@]}" >"$RUN/$name.log" 2>&1 || true
    cluster_stop "$name"
    # Kept, with the server's log, where the run's own folder goes at its end.
    rm -rf "${kept:?}/$name"
    mkdir -p "$kept/$name"
    cp -R "$RUN/$name.out/results" "$RUN/$name.log" "$RUN/$name/server.log" "$kept/$name/"
}

# compare KIND SUITE
compare() {
    local kind=$1 suite=$2 control=$RUN/$1-$2-on guard=$RUN/$1-$2-off name difference guarded
    guarded=$(tables guarded "$guard")
    echo "$kind $suite: $guarded tables with a guard, $(tables unguarded "$guard") that none can stand on"
    check "$kind $suite: tables were guarded" "$((guarded > 50))" 1
    check "$kind $suite: as many in the control" "$(tables guarded "$control")" "$guarded"
    check "$kind $suite: no crash" "$(cluster_crashes "${guard##*/}")" 0
    check "$kind $suite: no internal error but those of the control" "$(internal "$guard")" "$(internal "$control")"
    check "$kind $suite: the same tests ran" "$(ls "$guard.out/results")" "$(ls "$control.out/results")"
    for name in "$control.out/results"/*.out; do
        name=$(basename "$name" .out)
        difference=$(diff -U2 <(plain "$control.out/results/$name.out") <(plain "$guard.out/results/$name.out") \
            | sed 1,2d | head -60 || true)
        if grep -q "^$kind/$suite/$name " "$here/differs"; then
            check "$kind $suite $name: differs" "${difference:+by contract}" "by contract"
        else
            check "$kind $suite $name" "$difference" ""
        fi
    done
}

# plain FILE: without what differs from run to run, or must: the functions of the triggers, and the relfrozenxid that
# `rules` prints, which depends on whether the session before it has ended.
plain() { sed -E -e 's/(raceguard|control)\.[a-z_]+\(/GUARD(/g' -e 's/( \| r +\|) +[0-9]+$/\1 XID/' "$1" || true; }

# tables guarded|unguarded RUN: how many, by the log lines of guard.sql.
tables() { grep -c "^00000 LOG:  $1: " "$2/server.log" || true; }

# internal RUN: the internal errors in its log, each with its count.
internal() { { grep -E '^XX... (ERROR|FATAL|PANIC):' "$1/server.log" || true; } | sort | uniq -c; }

wanted=("$@")
[ $# != 0 ] || wanted=({key_lock,version}/{regress,isolation})
for run in "${wanted[@]}"; do
    kind=${run%/*} suite=${run#*/}
    suite_run "$kind" "$suite" on &
    control=$!
    suite_run "$kind" "$suite" off
    wait "$control"
    compare "$kind" "$suite"
done
checks_end
