#!/usr/bin/env python3
"""Whether each problem that check_guards can name is found by a test of regress, and explained in docs/checks.md.

A problem is the first argument of Finding::error, warning or info: a text, or `problem` where a function of the same
file makes several, and names them in tuples or as the first argument of a closure."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/checks.md"
NAME = r'"([a-z]+(?:_[a-z]+)*)"'
FIRST_ARGUMENT = re.compile(r'\bFinding::(?:error|warning|info)\(\s*("[^"]*"|[^,]+?)\s*,')
# A tuple of a name and something, or a call of a closure with a name first.
NAMED = re.compile(r"(?:\bfinding)?\(\s*" + NAME + r"\s*,")


def named(src):
    """The problems, each with the file that names it."""
    found, odd = {}, []
    for path in sorted(src.rglob("*.rs")):
        text = path.read_text()
        for argument in FIRST_ARGUMENT.findall(text):
            if name := re.fullmatch(NAME, argument):
                found.setdefault(name[1], path)
            elif argument == "problem":
                found |= {name: path for name in NAMED.findall(text) if name not in found}
            else:
                odd.append(f"{path.relative_to(ROOT)}: {argument} names a problem that cannot be read here")
    return found, odd


def shown(name, outputs):
    """Whether it stands in a column of what a query has returned."""
    return any(re.search(rf"(?m)(^|\|)\s*{name}\s*(\||$)", output) for output in outputs)


def main():
    src = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "src"
    found, problems = named(src)
    tests = [path.read_text() for path in ROOT.glob("pgrx-tests/regress/expected/*.out")]
    outputs = [output for output in tests if "check_guards" in output]
    page = (ROOT / PAGE).read_text()
    for name, path in sorted(found.items()):
        if not shown(name, outputs):
            problems.append(f"{name}, of {path.name}, is found by no test of pgrx-tests/regress")
        if f"`{name}`" not in page:
            problems.append(f"{name}, of {path.name}, is not in {PAGE}")
    if not found:
        problems.append("no problems are named at all")
    for problem in problems:
        print(problem)
    print(f"{len(found)} problems of guards, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
