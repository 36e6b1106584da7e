"""What each release measured: history.csv, a line for each target of each release.

A whole `make bench` writes the lines of the version it measured anew and leaves those of other versions alone, so
that a release ends with the figures of its last run.
"""

import csv
from dataclasses import dataclass

from harness import HERE, Target

FILE = HERE / "history.csv"
COLUMNS = ["release", "target", "bound", "limit", "measured", "unit", "machine"]


@dataclass
class Line:
    release: str
    machine: str
    target: Target


def load():
    """All lines in the order of the file; none where there is no file."""
    if not FILE.exists():
        return []
    with FILE.open(newline="") as file:
        return [Line(row["release"], row["machine"],
                     Target(row["target"], float(row["limit"]), float(row["measured"]),
                            row["bound"] == "at least", row["unit"]))
                for row in csv.DictReader(file)]


def store(lines):
    with FILE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for line in lines:
            t = line.target
            writer.writerow([line.release, t.what, "at least" if t.at_least else "at most",
                             f"{t.limit:.4g}", f"{t.measured:.4g}", t.unit, line.machine])


def keep(lines, release, machine, reports):
    """The lines with those of the release made anew. Of a target with two bounds the tighter one stays."""
    targets = {}
    for target in (t for report in reports for t in report.targets):
        other = targets.get(target.what)
        tighter = other is None or (target.limit > other.limit) == target.at_least
        targets[target.what] = target if tighter else other
    return ([line for line in lines if line.release != release]
            + [Line(release, machine, target) for target in targets.values()])


def order(release):
    """Releases by number, not by letter: 0.9 comes before 0.10."""
    return [int(part) if part.isdigit() else 0 for part in release.split(".")]


def by_target(lines):
    """(name, release, target), the targets in the order of the newest release, those it no longer has last."""
    newest_first = sorted({line.release for line in lines}, key=order, reverse=True)
    found = {(line.target.what, line.release): line.target for line in lines}
    names = dict.fromkeys(line.target.what for release in newest_first for line in lines if line.release == release)
    return [(name, release, found[name, release])
            for name in names for release in reversed(newest_first) if (name, release) in found]


def machines(lines):
    """Where each release was measured, oldest first."""
    return {line.release: line.machine for line in sorted(lines, key=lambda line: order(line.release))}
