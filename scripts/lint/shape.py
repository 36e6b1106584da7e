#!/usr/bin/env python3
"""Whether the Rust code keeps its shape: files of less than 500 lines, and in src/ functions of less than 60, a name
for each type, thread-locals only where they have to be, and no kind of guard known by heart outside of its own
folder."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES = 500
FUNCTION_LINES = 60

# Each guard's folder has its own.
IN_EACH_GUARD = {"Options", "Rule"}

# What else outlives a call lies in a `PerBackend`, where the compiler sees to it that it may.
THREAD_LOCALS = {
    "src/pg/sql/statement.rs",
    "src/pg/table/table_watch.rs",
    "src/number/counter_path.rs",
    "src/rows/table.rs",
    "src/total/known.rs",
    "src/version/backfill_position.rs",
}


def plain(text):
    """The text with comments, strings and characters blanked out, line by line as it was."""
    token = r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:[^"\\]|\\.)*"|b?\'(?:[^\'\\\n]|\\[^\n]+?)\''
    return re.sub(token, lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.S)


def functions(text):
    """The functions that have a body: name, first line, number of lines."""
    for found in re.finditer(r"\bfn\s+(\w+)", text):
        depth, at = 0, found.end()
        while at < len(text) and not (text[at] in "{;" and depth == 0):
            depth += (text[at] in "([") - (text[at] in ")]")
            at += 1
        if at == len(text) or text[at] == ";":
            continue
        end, braces = at + 1, 1
        while braces and end < len(text):
            braces += (text[end] == "{") - (text[end] == "}")
            end += 1
        first = text.count("\n", 0, found.start()) + 1
        yield found[1], first, text.count("\n", found.start(), end) + 1


def types_of(text):
    """The names of a file's types; those of a cfg alternative stand twice in one file, and count once."""
    pattern = r"^(?:pub(?:\([^)]*\))? )?(?:unsafe )?(?:struct|enum|trait|type|union) (\w+)"
    return set(re.findall(pattern, text, re.M))


def trigger_functions():
    """The names of the guards' trigger functions, as each folder's rule.rs has them."""
    for path in (ROOT / "src").glob("*/rule.rs"):
        yield from re.findall(r'\b\w*FUNCTION: &str = "(\w+)"', path.read_text())


def known_by_heart(text, functions):
    """The trigger functions that a file names in a string, its tests apart."""
    text = re.sub(r"//[^\n]*", "", text.split("#[cfg(test)]")[0])
    return sorted(name for name in functions if f'"{name}"' in text)


def main():
    problems, types, longest = [], {}, (0, "")
    kinds = set(trigger_functions())
    for path in sorted(p for p in ROOT.rglob("*.rs") if "target" not in p.relative_to(ROOT).parts):
        name = str(path.relative_to(ROOT))
        text = plain(path.read_text())
        lines = text.count("\n")
        if lines >= FILE_LINES:
            problems.append(f"{name}: {lines} lines")
        if not name.startswith("src/"):
            continue
        for function, line, length in functions(text):
            longest = max(longest, (length, f"{name}:{line} {function}"))
            if length >= FUNCTION_LINES:
                problems.append(f"{name}:{line}: function {function} has {length} lines")
        if re.match(r"src/(guard|operate|registry|errors)\b", name):
            for function in known_by_heart(path.read_text(), kinds):
                problems.append(f"{name}: knows {function} by heart; ask the registry")
        if "thread_local!" in text and name not in THREAD_LOCALS:
            problems.append(f"{name}: a thread_local; keep it in a PerBackend")
        for found in types_of(text):
            types.setdefault(found, []).append(name)
    for found, places in sorted(types.items()):
        if len(places) > 1 and found not in IN_EACH_GUARD:
            problems.append(f"{found} is a type in {', '.join(places)}")
    for problem in problems:
        print(problem)
    print(f"longest function {longest[0]} lines ({longest[1]}), {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
