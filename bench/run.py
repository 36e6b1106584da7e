"""Runs the benchmark sections against the server that PGHOST, PGPORT and PGUSER name.

Usage: run.py FOLDER_OF_TWINS [SECTION ...]
Without sections: all of them, and results.md and plots/ are written anew, and so are the lines of the
measured release in history.csv.
"""

import importlib
import os
import sys
import time

import history
import report
import sections
from harness import HERE, BenchError, Session

DATABASE = "raceguard_bench"


def machine():
    with open("/proc/cpuinfo") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    model = models[0] if models else "unknown processor"
    with Session() as session:
        postgres = session.sql("SHOW server_version;").split()[0]
    return f"{model}, {os.cpu_count()} cores; PostgreSQL {postgres}"


def main(twins, wanted):
    unknown = [name for name in wanted if name not in sections.ORDER]
    if unknown:
        sys.exit(f"no section {', '.join(unknown)}; there are: {', '.join(sections.ORDER)}")
    with Session(database="postgres") as session:
        session.sql(f"DROP DATABASE IF EXISTS {DATABASE};")
        session.sql(f"CREATE DATABASE {DATABASE};")
    os.environ["PGDATABASE"] = DATABASE
    with Session({"twins": f"{twins}/twins.so", "settings": f"{twins}/settings.so"}) as session:
        session.sql("CREATE EXTENSION raceguard;")
        session.sql((HERE / "sql/peers.sql").read_text())
        release = session.sql("SELECT extversion FROM pg_extension WHERE extname = 'raceguard';")
    reports = []
    for name in wanted or sections.ORDER:
        started = time.monotonic()
        reports.append(importlib.import_module(f"sections.{name}").run())
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(report.as_text(reports), f"Machine: {machine()}.", sep="\n\n")
    if not wanted:
        (HERE / "plots").mkdir(exist_ok=True)
        for finished in reports:
            for name, _, svg in finished.plots:
                (HERE / "plots" / name).write_text(svg)
        past = history.keep(history.load(), release, machine(), reports)
        history.store(past)
        (HERE / "results.md").write_text(report.as_markdown(reports, machine(), past))


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except BenchError as error:
        sys.exit(f"bench: {error}")
