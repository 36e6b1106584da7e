#!/usr/bin/env python3
"""Whether the compiler refuses what src/fence_tests.rs says it has to: that file must have the errors its lines
name, and no other. Its argument is the feature of the Postgres at hand: `fence.py pg15`."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = "src/fence_tests.rs"


def expected():
    """The line of each error with its code or message."""
    for number, line in enumerate((ROOT / FILE).read_text().splitlines(), 1):
        if found := re.search(r"[;})\]] //~ (.+)$", line):
            yield number, found[1]


def raised(features):
    """The errors of the compiler: (file, line, code, message)."""
    command = ["cargo", "check", "--locked", "--quiet", "--package", "raceguard", "--lib", "--message-format", "json"]
    command += ["--no-default-features", "--features", ",".join([*features, "fence_tests"])]
    cargo = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not cargo.stdout:
        print(cargo.stderr, end="")
    for line in cargo.stdout.splitlines():
        message = json.loads(line).get("message")
        if not message or message["level"] != "error" or not message["spans"]:
            continue
        place = next(span for span in message["spans"] if span["is_primary"])
        yield place["file_name"], place["line_start"], (message["code"] or {}).get("code"), message["message"]


def main():
    wanted, met = dict(expected()), set()
    problems = []
    for file, line, code, message in raised(sys.argv[1:]):
        if file == FILE and wanted.get(line) in (code, message):
            met.add(line)
        else:
            problems.append(f"{file}:{line}: {code or 'error'}: {message}")
    problems += [f"{FILE}:{line}: compiles, and must fail: {wanted[line]}" for line in wanted.keys() - met]
    for problem in problems:
        print(problem)
    print(f"{len(wanted)} errors wanted, {len(problems)} problems")
    sys.exit(bool(problems) or not wanted)


if __name__ == "__main__":
    main()
