# Thin on purpose: each target is a script below scripts/.
#
#   make demo [PSQL=1]         races with and without raceguard in a throwaway cluster
#   make test                  every check; CI=true adds Postgres 16 and 18
#   make test-all              also Postgres 17 (as root: in a chroot of Debian trixie)
#   make regress [TESTS=...]   only pg_regress, on a debug build
#   make isolation [TESTS=...] only the isolation specs, on a debug build
#   make bench [ONLY=version]  benchmarks against the peers, or some sections of them
#   make soak MINUTES=30       the race harness, as long as asked
#   make memory [ROWS=...]     a backend's memory during writes of ten million rows
#   make test-debug [ONLY=...] the suites on a Postgres with assertions, and under valgrind
#   make install               into the Postgres of PG_CONFIG
#   make installcheck          against the running server of PGHOST, PGPORT, PGUSER
#   make package               a directory tree to pack, below target/release
#
# PG_CONFIG=/path/to/pg_config chooses another Postgres than the default.

export PG_CONFIG CI TESTS
MINUTES ?= 30
ROWS ?= 10000000

.DEFAULT_GOAL := help
.PHONY: help demo test test-all regress isolation bench soak memory test-debug install installcheck package clean

help:
	@sed -n 's/^#   //p' Makefile

demo:
	@scripts/demo.sh $(if $(PSQL),psql)

test:
	@scripts/test.sh

test-all:
	@scripts/test.sh all

regress isolation:
	@scripts/one-suite.sh $@ $(TESTS)

bench:
	@scripts/bench.sh $(ONLY)

soak:
	@scripts/soak.sh $(MINUTES)

memory:
	@scripts/memory.sh $(ROWS)

test-debug:
	@scripts/debug.sh $(ONLY)

install:
	@scripts/install.sh install

package:
	@scripts/install.sh package

installcheck:
	@scripts/installcheck.sh

clean:
	@scripts/clean.sh
