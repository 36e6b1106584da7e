# Shared by the scripts beside it: paths, messages, and throwaway clusters.
# Source it; it runs nothing but settings.
set -euo pipefail
umask 022

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
TARGET=$ROOT/target
mkdir -p "$TARGET"
cd "$ROOT"
# Kept where the caller has one: PGXN's client builds in a folder that it removes.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$TARGET}
# build.rs gives the library alone the flag that this would give to every crate.
export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1

say() { printf '%s\n' "raceguard: $*" >&2; }
die() { printf '%s\n' "raceguard: error: $*" >&2; exit 1; }

# pin KEY: a value from cargo-pgrx.toml.
pin() {
    local value
    value=$(sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" "$ROOT/cargo-pgrx.toml")
    [ -n "$value" ] || die "cargo-pgrx.toml has no entry \"$1\""
    printf '%s\n' "$value"
}

# The version that Cargo.toml says.
extension_version() { sed -n '/^\[package\]/,/^version/ s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml"; }

# ---- who runs the servers -------------------------------------------------
# Postgres refuses to run as root, so root starts its servers as another user.
if [ "$(id -u)" = 0 ]; then SERVER_USER=${SERVER_USER:-postgres}; else SERVER_USER=$(id -un); fi

# as_server COMMAND...: as the user that owns the throwaway clusters, from a
# directory that this user can enter (Postgres 15 programs fail to find their
# own installation when they cannot return to the working directory).
as_server() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && exec setpriv --reuid "$SERVER_USER" --regid "$(id -g "$SERVER_USER")" --init-groups -- \
            env -u XDG_RUNTIME_DIR HOME=/ USER="$SERVER_USER" LOGNAME="$SERVER_USER" "$@")
    else
        (cd / && exec "$@")
    fi
}

# ---- the run directory ----------------------------------------------------
# Everything a run leaves on disk besides target/ is below $RUN: data, sockets,
# test inputs. In /tmp, since a socket path may have no more than 107 bytes and
# since the server's user must reach it wherever the repository lies.
RUN=
# After setup: the user that owns the servers may come with the packages.
run_begin() {
    RUN=$(mktemp -d /tmp/raceguard.XXXXXX)
    chmod 755 "$RUN"
    [ "$(id -u)" != 0 ] || chown "$SERVER_USER" "$RUN"
    trap run_end EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# Stops every server below $RUN, also those that cargo pgrx test started, and every connection pool.
servers_stop() {
    local pidfile
    while IFS= read -r pidfile; do
        kill "$(cat "$pidfile")" 2>/dev/null || true
    done < <(find "$RUN" -name pgbouncer.pid 2>/dev/null)
    while IFS= read -r pidfile; do
        as_server "$PG_BIN/pg_ctl" -D "${pidfile%/*}" -m immediate -w stop >/dev/null 2>&1 || true
    done < <(find "$RUN" -name postmaster.pid 2>/dev/null)
}

run_end() {
    local status=$?
    trap - EXIT
    trap '' HUP INT TERM
    servers_stop
    rm -rf "$RUN"
    exit "$status"
}

# ---- clusters -------------------------------------------------------------
# cluster_start NAME [setting=value...]: a cluster on a unix socket only, without
# durability, otherwise with Postgres's default settings. Sets PGHOST, PGPORT,
# PGUSER, PGDATABASE and DSN for the programs that follow. The port only names
# the socket file. SERVER_PROGRAM, where it is set, is run in place of postgres.
SERVER_PROGRAM=
cluster_start() {
    cluster_init "$@"
    cluster_run "$1"
}

# cluster_init NAME [setting=value...]: without starting it.
cluster_init() {
    local name=$1 dir=$RUN/$1 setting
    shift
    as_server rm -rf "$dir"
    as_server mkdir -m 755 "$dir"
    as_server "$PG_BIN/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync \
        >"$RUN/$name.initdb.log" 2>&1 || { cat "$RUN/$name.initdb.log" >&2; die "initdb failed"; }
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$dir'"
        echo "fsync = off"
        echo "synchronous_commit = off"
        echo "full_page_writes = off"
        for setting in "$@"; do echo "$setting"; done
    } | as_server tee -a "$dir/data/postgresql.conf" >/dev/null
}

# cluster_run NAME: starts one that cluster_init has made.
cluster_run() {
    local dir=$RUN/$1
    as_server "$PG_BIN/pg_ctl" -D "$dir/data" -l "$dir/server.log" ${SERVER_PROGRAM:+-p "$SERVER_PROGRAM"} \
        -w -t 60 start >/dev/null 2>&1 || { cat "$dir/server.log" >&2; die "the throwaway server did not start"; }
    export PGHOST=$dir PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
    export DSN="host=$PGHOST port=$PGPORT user=$PGUSER dbname=$PGDATABASE"
}

# cluster_stop NAME: stops it in order and removes its data; its log stays until the run ends.
cluster_stop() {
    as_server "$PG_BIN/pg_ctl" -D "$RUN/$1/data" -m fast -w -t 60 stop >/dev/null \
        || as_server "$PG_BIN/pg_ctl" -D "$RUN/$1/data" -m immediate -w stop >/dev/null
    as_server rm -rf "$RUN/$1/data"
}

# cluster_crashes NAME: prints how often the server's log tells of a crash, and what it says to stderr.
# A kill -9 is not counted: only a test does that.
cluster_crashes() {
    local signs='was terminated by signal ([1-8]|[1-9][0-9])[: ]|PANIC: |TRAP: '
    if grep -qE "$signs" "$RUN/$1/server.log"; then
        say "the server crashed:"
        grep -B5 -A5 -E "$signs" "$RUN/$1/server.log" | head -100 >&2
    fi
    grep -cE "$signs" "$RUN/$1/server.log" || true
}
