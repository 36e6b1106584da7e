"""Talking to Postgres through psql, and rounds of measurements in alternating order."""

import json
import statistics
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent


class BenchError(Exception):
    pass


class Session:
    """One psql process and so one backend; statements run one after the other."""

    END = "-- end of answer --"

    def __init__(self, variables=None, database=None):
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
        if database:
            command += ["-d", database]
        for name, value in (variables or {}).items():
            command += ["-v", f"{name}={value}"]
        self.stderr = tempfile.TemporaryFile("w+")
        self.psql = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr, text=True)
        self.sql("SET client_min_messages = warning;")

    def sql(self, text):
        """Runs statements (each ends in a semicolon) and returns what they print."""
        try:
            self.psql.stdin.write(f"{text}\n\\echo {self.END}\n")
            self.psql.stdin.flush()
        except BrokenPipeError:
            raise self._failure(text) from None
        lines = []
        for line in self.psql.stdout:
            if line.rstrip("\n") == self.END:
                return "\n".join(lines)
            lines.append(line.rstrip("\n"))
        raise self._failure(text)

    def _failure(self, text):
        self.psql.wait()
        self.stderr.seek(0)
        return BenchError(f"psql failed on:\n{text}\n{self.stderr.read()}")

    def number(self, text):
        return float(self.sql(text))

    def explain(self, statement):
        answer = json.loads(self.sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement};"))[0]
        return Explained(
            answer["Execution Time"] * 1e6,
            {t["Trigger Name"]: (t["Time"] * 1e6, t["Calls"]) for t in answer["Triggers"]})

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()
        self.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@dataclass
class Explained:
    execution_ns: float
    triggers: dict  # name -> (ns, calls)

    def trigger_ns(self):
        """Nanoseconds and calls of all the statement's triggers together."""
        return (sum(ns for ns, _ in self.triggers.values()),
                max((calls for _, calls in self.triggers.values()), default=0))


class Rounds:
    """Measurements by variant, one of each per round.

    Ratios and differences are taken within a round and then their median, so that what slows the
    machine down for a while slows both sides.
    """

    def __init__(self, values):
        self.values = values

    def __getitem__(self, variant):
        return statistics.median(self.values[variant])

    def medians(self):
        return {variant: self[variant] for variant in self.values}

    def ratio(self, variant, baseline):
        return statistics.median(
            a / b for a, b in zip(self.values[variant], self.values[baseline]))

    def difference(self, variant, baseline):
        return statistics.median(
            a - b for a, b in zip(self.values[variant], self.values[baseline]))


def alternate(variants, rounds, measure):
    """Measures every variant once per round, the order turned round each time.

    One round before the first warms caches and is thrown away.
    """
    values = {variant: [] for variant in variants}
    for number in range(rounds + 1):
        for variant in variants if number % 2 else reversed(variants):
            value = measure(variant)
            if number:
                values[variant].append(value)
    return Rounds(values)


def pgbench(script, clients, seconds=None, transactions=None, variables=None, tries=1):
    """Transactions per second of one pgbench script with prepared statements. With more tries a
    transaction that a deadlock or a serialization failure ended is repeated."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)),
                   "--max-tries", str(tries), "-f", file.name]
        command += ["-T", str(seconds)] if seconds else ["-t", str(transactions)]
        for name, value in (variables or {}).items():
            command += ["-D", f"{name}={value}"]
        done = subprocess.run(command, capture_output=True, text=True)
    # A client whose statement failed is given up, with a message and exit status 2.
    tps = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("tps = ")]
    if done.returncode != 0 or not tps:
        raise BenchError(f"pgbench failed on:\n{script}\n{done.stdout}\n{done.stderr}")
    return float(tps[0])


def anonymous_kib(session):
    """Memory that belongs to the session's backend alone; shared buffers it touched do not count."""
    pid = session.sql("SELECT pg_backend_pid();")
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1])
    raise BenchError(f"/proc/{pid}/smaps_rollup has no line Anonymous")


@dataclass
class Target:
    what: str
    limit: float
    measured: float
    at_least: bool = False
    unit: str = "x"

    def met(self):
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass
class Table:
    title: str
    header: list
    rows: list
    note: str = ""


@dataclass
class Report:
    """What one section measured."""

    title: str
    tables: list = field(default_factory=list)
    targets: list = field(default_factory=list)
    plots: list = field(default_factory=list)  # (file name, title, svg text)
