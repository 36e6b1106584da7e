#!/usr/bin/env python3
"""Whether each test that docs/guarantees.md names is there, and each isolation spec, each spec that stops a session
inside of a guard, and each workload and broken guard of the race harness is named on it.

A line of the page that begins with "* specs:", "* points:", "* workloads:", "* twins:", "* regress:" or "* programs:"
names tests, and so do the indented lines that follow it. Before it judges the page the check judges a page that is
wrong, and has to notice."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/guarantees.md"
TESTS = ROOT / "pgrx-tests"
RACE = TESTS / "race" / "src"
# Of these each one has to be on the page.
ALL_NAMED = ("specs", "points", "workloads", "twins")


def stems(folder, suffix):
    return {path.stem for path in (TESTS / folder).glob(f"*{suffix}")}


def first_texts(functions, text):
    """The first text literal in each call of the functions, where it is a name; calls, not definitions."""
    calls = rf'(?<!fn )\b(?:{"|".join(sorted(functions))})\(\s*[^";{{}}]*?"([a-z0-9_]+)"'
    return re.findall(calls, text)


def sources(folder):
    return [path.read_text().split("#[cfg(test)]")[0] for path in sorted((RACE / folder).glob("*.rs"))]


def workloads():
    """The names, and how many the files say there are in their lists."""
    text = "\n".join(sources("workloads"))
    makers = re.findall(r"\bfn (\w+)\([^)]*\bname: &'static str[^)]*\)\s*->\s*Workload\b", text)
    names = first_texts([*makers, "Workload::new"], text)
    names += re.findall(r'\.name = "([a-z0-9_]+)"', text)
    lists = re.findall(r"fn all\(\) -> Vec<Workload> \{\s*(?:vec!|let mut all = )\[([^\]]*)\]", text)
    return set(names), sum(len(re.findall(r"\w+\(\)", one)) for one in lists)


def twins():
    text = "\n".join(sources("selftest"))
    names = first_texts(["instead"], text) + re.findall(r'SelfTest \{\s*name: "([a-z0-9_]+)"', text)
    return set(names), len(re.findall(r"(?<!fn )\binstead\(|SelfTest \{\s*name: \"", text))


def named(page):
    """The names on the page by kind."""
    found = {}
    for kind, names in re.findall(r"(?m)^\* (specs|points|workloads|twins|regress|programs):(.*(?:\n  .*)*)", page):
        found.setdefault(kind, set()).update(re.findall(r"`([^`]+)`", names))
    return found


def judge(page, tests):
    found = named(page)
    for kind, there in tests.items():
        for name in sorted(found.get(kind, set()) - there):
            yield f"{PAGE} names {name} among its {kind}, and there is none"
        if kind in ALL_NAMED:
            for name in sorted(there - found.get(kind, set())):
                yield f"{name} of the {kind} is not in {PAGE}"


def notices():
    """Whether the check sees what is wrong with a page: one spec that is not there, one workload that is missing."""
    page = "* specs: `here`,\n  `gone`\n* workloads: `one`\n* twins: `broken`\n* regress: `file`\n* programs: `run`\n"
    tests = {
        "specs": {"here"},
        "workloads": {"one", "two"},
        "twins": {"broken"},
        "regress": {"file"},
        "programs": {"run"},
    }
    wrong = list(judge(page, tests))
    right = page.replace(",\n  `gone`", "").replace("`one`", "`one`, `two`")
    return len(wrong) == 2 and "gone" in wrong[0] and "two" in wrong[1] and not list(judge(right, tests))


def main():
    problems = [] if notices() else ["the check does not notice a page that is wrong"]
    (loads, of_loads), (broken, of_broken) = workloads(), twins()
    if len(loads) != of_loads or len(broken) != of_broken:
        problems.append(
            f"the race harness has {of_loads} workloads and {of_broken} self-tests, "
            f"and {len(loads)} and {len(broken)} names of them can be read here"
        )
    tests = {
        "specs": stems("isolation/specs", ".spec"),
        "points": stems("points/specs", ".spec"),
        "workloads": loads,
        "twins": broken,
        "regress": stems("regress/sql", ".sql"),
        "programs": {path.parent.name for path in TESTS.glob("*/run.sh")},
    }
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / PAGE
    problems += judge(page.read_text(), tests)
    for problem in problems:
        print(problem)
    count = sum(len(names) for names in named(page.read_text()).values())
    print(f"{count} tests named in {PAGE}, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
