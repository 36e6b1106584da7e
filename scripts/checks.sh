# For the programs pgrx-tests/*/run.sh: counted checks, and psql sessions that stay open side by side.
# Sessions need lib.sh and run_begin first.
CHECKS_PASSED=0
CHECKS_FAILED=0

# check WHAT GOT WANTED
check() {
    if [ "$2" = "$3" ]; then
        echo "ok      $1"
        CHECKS_PASSED=$((CHECKS_PASSED + 1))
    else
        printf 'FAILED  %s\nwanted: %s\ngot:    %s\n' "$1" "$3" "$2"
        CHECKS_FAILED=$((CHECKS_FAILED + 1))
    fi
}

# The last line that make test wants.
checks_end() {
    echo "$CHECKS_PASSED passed, $CHECKS_FAILED failed"
    [ "$CHECKS_FAILED" = 0 ]
}

# wait_until WHAT COMMAND...: until the command prints t, for at most 60 s.
wait_until() {
    local what=$1 end=$((SECONDS + 60))
    shift
    until [ "$("$@" 2>/dev/null)" = t ]; do
        [ $SECONDS -lt $end ] || die "60 s passed and still not: $what"
        sleep 0.1
    done
}

# ---- sessions -------------------------------------------------------------
declare -A SESSION_INPUT SESSION_PID SESSION_SENT

# session NAME [psql option...]: opens one. Errors are answered as "ERROR:  SQLSTATE".
session() {
    local name=$1 input
    shift
    rm -f "$RUN/$name.in"
    mkfifo "$RUN/$name.in"
    # Without the other sessions' inputs: they could not see their end.
    (
        for input in "${SESSION_INPUT[@]}"; do exec {input}>&-; done
        exec "$PG_BIN/psql" -X -q -A -t -v VERBOSITY=sqlstate "$@"
    ) <"$RUN/$name.in" >"$RUN/$name.out" 2>&1 &
    SESSION_PID[$name]=$!
    exec {input}>"$RUN/$name.in"
    SESSION_INPUT[$name]=$input
    SESSION_SENT[$name]=0
    printf '%s\n' '\echo <0>' >&"$input"
}

# send NAME SQL: without waiting for the answer.
send() {
    SESSION_SENT[$1]=$((SESSION_SENT[$1] + 1))
    printf '%s;\n\\echo <%d>\n' "$2" "${SESSION_SENT[$1]}" >&"${SESSION_INPUT[$1]}"
}

# answered NAME: prints t when the last statement sent is done.
answered() {
    if grep -qx "<${SESSION_SENT[$1]}>" "$RUN/$1.out"; then echo t; else echo f; fi
}

# answer NAME: waits for the answer to what was sent last and sets ANSWER to it.
answer() {
    wait_until "$1 answers" answered "$1"
    # shellcheck disable=SC2034 # for the caller
    ANSWER=$(sed -n "/^<$((SESSION_SENT[$1] - 1))>\$/,/^<${SESSION_SENT[$1]}>\$/p" "$RUN/$1.out" | grep -v '^<[0-9]*>$' || true)
}

# ask NAME SQL: sends and waits; ANSWER is what psql printed.
ask() {
    send "$1" "$2"
    answer "$1"
}

# session_kill NAME: as if the client's machine had died.
session_kill() {
    kill -9 "${SESSION_PID[$1]}"
    wait "${SESSION_PID[$1]}" 2>/dev/null || true
    session_forget "$1"
}

session_forget() {
    local input=${SESSION_INPUT[$1]}
    exec {input}>&-
    unset "SESSION_INPUT[$1]" "SESSION_PID[$1]" "SESSION_SENT[$1]"
}

# session_end NAME
session_end() {
    local pid=${SESSION_PID[$1]}
    session_forget "$1"
    wait "$pid" || true
}
