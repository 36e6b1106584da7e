#!/usr/bin/env bash
# make lint: format, clippy and everything else that is checked without running anything.
. "$(dirname "$0")/../lib.sh"
. scripts/postgres.sh
. scripts/setup.sh
. scripts/suites.sh
. scripts/stages.sh
. scripts/lint/lint.sh

mkdir -p "$TARGET/test"
setup "$(pg_wanted)" lint
run_begin
stage "format" check_format
stage "clippy" check_clippy
stage "lint" lint
stages_report
