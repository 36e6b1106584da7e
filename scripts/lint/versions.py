#!/usr/bin/env python3
"""Whether the versions agree: of Cargo.toml, Cargo.lock, the control file, META.json, CHANGELOG.md and
the update scripts. `make release` changes them together."""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DISTANCE = "raceguard--{}--{}.sql"


def read(name):
    return (ROOT / name).read_text()


def main():
    version = tomllib.loads(read("Cargo.toml"))["package"]["version"]
    problems = []

    def expect(what, found):
        if found != version:
            problems.append(f"{what} says {found}, Cargo.toml {version}")

    locked = tomllib.loads(read("Cargo.lock"))["package"]
    expect("Cargo.lock", next(p["version"] for p in locked if p["name"] == "raceguard"))

    control = re.search(r"^default_version = '(.*)'$", read("raceguard.control"), re.M)
    # cargo-pgrx puts the version of Cargo.toml there.
    if control is None or control[1] != "@CARGO_VERSION@":
        problems.append("raceguard.control must say default_version = '@CARGO_VERSION@'")

    meta = json.loads(read("META.json"))
    expect("META.json", meta["version"])
    for name, provided in meta["provides"].items():
        expect(f"META.json, provides {name},", provided["version"])

    released = re.findall(r"^## (\S+) \((unreleased|\d{4}-\d\d-\d\d)\)$", read("CHANGELOG.md"), re.M)
    if not released:
        problems.append("CHANGELOG.md has no heading \"## VERSION (unreleased or date)\"")
    elif version not in [released[0][0]]:
        problems.append(f"CHANGELOG.md begins with {released[0][0]}, Cargo.toml says {version}")
    if any(state == "unreleased" for _, state in released[1:]):
        problems.append("CHANGELOG.md: only the newest version may be unreleased")

    # Who has the version before gets to this one by ALTER EXTENSION ... UPDATE.
    if len(released) > 1:
        script = DISTANCE.format(released[1][0], version)
        if not (ROOT / "sql" / script).exists():
            problems.append(f"sql/{script} is missing")

    for problem in problems:
        print(problem)
    print(f"version {version}, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
