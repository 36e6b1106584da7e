#!/usr/bin/env python3
"""Reads the `use` lines and paths of src/ and fails on an import circle or a climb.

A module may import from modules further down in LAYERS, and from its own folder. Between the
features there is no order, but no circle either; nor is there one between the files of any folder.
Tests may import what they like.
"""

import re
import sys
from pathlib import Path

# From top to bottom. Modules of one line may import each other, without a circle.
LAYERS = [
    ["lib"],
    ["operate"],
    ["registry"],
    ["cap", "cooldown", "key_lock", "number", "parent", "retry", "rows", "total", "version"],
    ["guard"],
    ["errors"],
    ["pg::sql"],
    ["pg::entry"],
    ["pg::table"],
    ["pg::data"],
    ["pg::session"],
    ["pg::base"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

SRC = Path(__file__).resolve().parents[2] / "src"


def module_of(src, path):
    """src/pg/base/error.rs is pg::base::error, and src/pg/mod.rs is pg."""
    parts = list(path.relative_to(src).with_suffix("").parts)
    if parts[-1] == "mod":
        parts.pop()
    return "::".join(parts)


def layer_of(module):
    """The name in LAYERS that a module belongs to; None for a module that only lists others."""
    parts = module.split("::")
    return "::".join(parts[:2]) if parts[0] == "pg" else parts[0]


def without_comments_and_tests(text):
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text, flags=re.S)
    # Inline test modules stand at the end of a file.
    return re.split(r"#\[cfg\((?:any\()?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:pub )?mod \w+ \{", text)[0]


def flatten(tree):
    """The paths in a use tree: `a::{b, c::{self, D}}` names a::b, a::c, a::c::D."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        return [tree.split(" as ")[0].strip()]
    head, inner, depth, items, item = tree[:brace], tree[brace + 1 : tree.rfind("}")], 0, [], ""
    for char in inner:
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            items.append(item)
            item = ""
        else:
            item += char
    items.append(item)
    paths = [path for item in items if item.strip() for path in flatten(item)]
    return [head + path if path != "self" else head.removesuffix("::") for path in paths]


def imports(module, is_folder, text):
    """The paths that a file names, from the crate's root."""
    here = module.split("::") if module != "lib" else []
    parent = here if is_folder else here[:-1]
    found = []
    uses = re.findall(r"\buse\s+((?:crate|super|self|\$crate)\b[^;]*);", text)
    for tree in uses:
        found += flatten(tree)
    body = re.sub(r"\buse\s[^;]*;", "", text)
    found += re.findall(r"\b(?:crate|super|self)(?:::\w+)+", body)
    for path in found:
        parts = [part.strip() for part in path.replace("$crate", "crate").split("::")]
        if parts[0] == "crate":
            yield parts[1:]
        elif parts[0] == "self":
            yield here + parts[1:]
        else:
            # In a file, `super` is the folder; in an inline module it may be the file itself.
            up = list(parent)
            parts.pop(0)
            while parts and parts[0] == "super":
                up = up[:-1]
                parts.pop(0)
            yield up + parts


def edges(src):
    files = {}
    for path in sorted(src.rglob("*.rs")):
        if not path.stem.endswith("tests"):
            module = module_of(src, path)
            is_folder = path.stem == "mod" or path.with_suffix("").is_dir()
            files[module] = (is_folder, without_comments_and_tests(path.read_text()))
    graph = {module: set() for module in files}
    within = {m.split("::")[2]: m.split("::") for m in files if m.startswith("pg::") and m.count("::") == 2}
    for module, (is_folder, text) in files.items():
        for path in imports(module, is_folder, text):
            # pg names its modules without their layers.
            if path[:1] == ["pg"] and len(path) > 1 and path[1] in within:
                path = within[path[1]] + path[2:]
            # The longest beginning of the path that is a module is what is imported.
            for end in range(len(path), 0, -1):
                target = "::".join(path[:end])
                if target in files:
                    if target != module and not module.startswith(target + "::"):
                        graph[module].add(target)
                    break
    return graph


def climbs(graph):
    for module, targets in graph.items():
        level = LEVEL.get(layer_of(module))
        for target in targets:
            target_level = LEVEL.get(layer_of(target))
            if layer_of(module) == layer_of(target) or level is None or target_level is None:
                continue
            if target_level < level:
                yield f"{module} imports {target}, which lies above it"


def circles(graph):
    """The strongly connected components of more than one module (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def folded(graph):
    """The same between layers: cap::guard to rows::table is cap to rows."""
    layers = {}
    for module, targets in graph.items():
        here = layers.setdefault(layer_of(module), set())
        here.update(layer_of(target) for target in targets if layer_of(target) != layer_of(module))
    for targets in list(layers.values()):
        for target in targets:
            layers.setdefault(target, set())
    return layers


def unknown(graph):
    for module in graph:
        if layer_of(module) not in LEVEL and module != "pg":
            yield f"{module} is in no layer: add it to LAYERS in {Path(__file__).name}"


def main():
    graph = edges(Path(sys.argv[1]) if len(sys.argv) > 1 else SRC)
    files = circles(graph)
    layers = circles(folded(graph))
    problems = list(unknown(graph)) + sorted(climbs(graph))
    problems += [f"circle: {', '.join(circle)}" for circle in files]
    problems += [f"circle of folders: {', '.join(circle)}" for circle in layers]
    for problem in problems:
        print(problem)
    count = sum(len(targets) for targets in graph.values())
    print(f"{len(graph)} modules, {count} imports, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
