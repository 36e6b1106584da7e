"""Runs the tests of every client. Connects by the PG* variables; the last line is "N passed, N failed"."""

import sys
import traceback

import asyncpg_driver  # noqa: F401
import django_counters  # noqa: F401
import django_orm  # noqa: F401
import error_styles  # noqa: F401
import harness
import pipelines  # noqa: F401
import psycopg_driver  # noqa: F401  (each module adds its tests)
import sqlalchemy_orm  # noqa: F401


def main():
    failed = 0
    for function in harness.TESTS:
        harness.plain.execute("CALL reset_rows()")
        try:
            function()
            print(f"ok      {function.__name__}")
        except Exception:
            failed += 1
            print(f"FAILED  {function.__name__}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(harness.TESTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
