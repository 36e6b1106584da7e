#!/usr/bin/env bash
# Benchmarks against the server that the PG* variables name: all sections, or those given.
# `make bench` calls it with a throwaway cluster that has the extension and bench/postgresql.conf.
set -euo pipefail
cd "$(dirname "$0")"
: "${PG_BIN:?set it to the directory of psql, pgbench and pg_config, or run make bench}"

die() { printf 'raceguard: error: %s\n' "$*" >&2; exit 1; }
command -v python3 >/dev/null || die "python3 is missing: install the package python3"
command -v cc >/dev/null || die "the C compiler cc is missing: install the package gcc"

# Built with the flags of the server itself, in a place that the server's user can read.
twins=$(mktemp -d /tmp/raceguard-twins.XXXXXX)
trap 'rm -rf "$twins"' EXIT
chmod 755 "$twins"
flags=$("$PG_BIN/pg_config" --cppflags --cflags --cflags_sl --ldflags | tr '\n' ' ')
# shellcheck disable=SC2086 # the flags are words
twin() { cc $flags -I"$("$PG_BIN/pg_config" --includedir-server)" -shared -o "$twins/$1.so" "${@:2}"; }
twin twins twins/*.c
twin settings twins/settings/*.c

PATH=$PG_BIN:$PATH python3 run.py "$twins" "$@"
