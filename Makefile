# Thin on purpose: each target is a script below scripts/.
#
#   make demo [PSQL=1]         races with and without raceguard in a throwaway cluster
#   make demo TOUR=1           demo/tour.sql and what it answers
#   make test                  every check; CI=true adds Postgres 16 and 18
#   make test-all              also Postgres 17, the newest 18, and 19 (as root: in chroots of Debian)
#   make packages-test         what users install: built, installed and used; the site in a browser
#   make lint                  what is checked without running anything
#   make regress [TESTS=...]   only pg_regress, on a debug build
#   make isolation [TESTS=...] only the isolation specs, on a debug build
#   make bench [ONLY=version]  benchmarks against the peers, or some sections of them
#   make soak MINUTES=30       race harness and hostile role, as long as asked
#   make memory [ROWS=...]     a backend's memory during writes of ten million rows
#   make test-debug [ONLY=...] the suites on a Postgres with assertions, and under valgrind
#   make install               into the Postgres of PG_CONFIG
#   make installcheck          against the running server of PGHOST, PGPORT, PGUSER
#   make uninstall             what make install has put there
#   make deb                   a Debian package of what is committed, below target/deb
#   make pgxn                  the archive that PGXN takes, below target/pgxn
#   make oci-tree              the files of an image with the extension alone, below target/oci
#   make docs                  the pages as a site, below target/docs/site
#   make release VERSION=1.2.3 the release: versions, date, commit and tag
#   make package               a directory tree to pack, below target/release
#
# PG_CONFIG=/path/to/pg_config chooses another Postgres than the default.

export PG_CONFIG CI TESTS
MINUTES ?= 30
ROWS ?= 10000000

.DEFAULT_GOAL := help
.PHONY: help demo test test-all packages-test lint regress isolation bench soak memory test-debug all install uninstall installcheck deb pgxn oci-tree docs package release clean

help:
	@sed -n 's/^#   //p' Makefile

demo:
	@scripts/demo.sh $(if $(PSQL),psql,$(if $(TOUR),tour))

test:
	@scripts/test.sh

test-all:
	@scripts/test.sh all

packages-test:
	@scripts/test.sh packages

lint:
	@scripts/lint/run.sh

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

# What the client of PGXN calls before install.
all: package

install uninstall package:
	@scripts/install.sh $@

deb:
	@scripts/deb.sh

pgxn:
	@scripts/pgxn.sh

oci-tree:
	@scripts/oci.sh

docs:
	@scripts/docs.sh

release:
	@scripts/release.sh "$(VERSION)"

installcheck:
	@scripts/installcheck.sh

clean:
	@scripts/clean.sh
