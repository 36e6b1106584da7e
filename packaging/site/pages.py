"""What the site has besides mkdocs.yml.

Run, it lays the pages of the repository out for mkdocs, each in the place it has there, and writes a page
for every function, procedure and view of the SQL files from its COMMENT. As a hook of mkdocs it puts the
pages that mkdocs.yml does not name into the navigation.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "target/docs/src"
COPIED = ["*.md", "LICENSE", "docs/**/*.md", "bench/results.md", "bench/plots/*.svg", "packaging/README.md"]
COPIED += ["demo/tour.sql"]
COMMENT = re.compile(
    r"COMMENT ON (?P<what>FUNCTION|PROCEDURE|VIEW) raceguard\.(?P<name>\w+)(?:\([^)]*\))?\s+"
    r"IS\s+'(?P<text>(?:[^']|'')*)';"
)
CREATED = re.compile(
    r"CREATE (?:OR REPLACE )?(?P<what>FUNCTION|PROCEDURE) raceguard\.(?P<call>(?P<name>\w+)\(.*?)\n?\s+LANGUAGE", re.S
)
SPECIAL = re.compile(r"([\\`*_<>\[\]#|])")


def heading(path):
    """The words of a page's first heading, up to a colon."""
    first = next((line for line in path.read_text().splitlines() if line.startswith("# ")), "# " + path.stem)
    return first[2:].split(":")[0]


def on_config(config):
    """Appends to the navigation what it does not name: the reference, and pages of docs/."""
    named = set(re.findall(r"[\w./-]+\.md", str(config.nav)))
    source = Path(config.docs_dir)
    others = [p for p in sorted(source.glob("docs/**/*.md")) if str(p.relative_to(source)) not in named]
    guides = [{heading(p): str(p.relative_to(source))} for p in others]
    # After what operations has to say, before what is rarely read.
    place = next(n for n, item in enumerate(config.nav) if "More" in item)
    config.nav[place:place] = [{"Guides": guides}] * bool(guides)
    reference = [{p.stem: f"reference/{p.name}"} for p in sorted(source.glob("reference/[!R]*.md"))]
    config.nav.append({"Reference": ["reference/README.md", *reference]})
    return config


def objects(scripts):
    """What the SQL files create and comment on: name to kind, calls and comments."""
    found = {}
    for script in scripts:
        text = script.read_text()
        for created in CREATED.finditer(text):
            entry = found.setdefault(created["name"], {"what": created["what"], "calls": [], "texts": []})
            entry["calls"].append(created["call"])
        for comment in COMMENT.finditer(text):
            entry = found.setdefault(comment["name"], {"what": comment["what"], "calls": [], "texts": []})
            entry["texts"].append(comment["text"].replace("''", "'"))
    # What a script creates for itself only has no comment.
    return {name: entry for name, entry in sorted(found.items()) if entry["texts"]}


def plain(text):
    """Text in which nothing is markup."""
    return SPECIAL.sub(r"\\\1", text)


def page(name, entry, mentions):
    lines = [f"# {plain(name)}", ""]
    for call in entry["calls"]:
        lines += ["```text", f"{'CALL ' * (entry['what'] == 'PROCEDURE')}raceguard.{call}", "```", ""]
    if entry["what"] == "VIEW":
        lines += ["```text", f"SELECT * FROM raceguard.{name}", "```", ""]
    for text in dict.fromkeys(entry["texts"]):
        says, _, errors = text.partition(" Errors: ")
        lines += [plain(says), ""]
        if errors:
            lines += ["## Errors", ""] + [f"- {plain(e)}" for e in re.split(r", (?=[0-9A-Z]{5}\b)", errors)] + [""]
    if mentions:
        lines += ["## Where it is used", ""] + [f"- [{heading(p)}](../{p.relative_to(ROOT)})" for p in mentions]
    return "\n".join(lines) + "\n"


def sources():
    shutil.rmtree(SOURCES, ignore_errors=True)
    for pattern in COPIED:
        for path in ROOT.glob(pattern):
            place = SOURCES / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    shutil.copy(ROOT / "packaging/site/site.css", SOURCES)
    reference = SOURCES / "reference"
    reference.mkdir()
    found = objects(p for p in sorted((ROOT / "sql").glob("*.sql")) if "--" not in p.name)
    guides = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    index = ["# Reference", "", "Every function, procedure and view, as `\\df+ raceguard.*` describes it.", ""]
    for name, entry in found.items():
        used = re.compile(rf"raceguard\.{name}\b|`{name}\b")
        (reference / f"{name}.md").write_text(page(name, entry, [p for p in guides if used.search(p.read_text())]))
        index.append(f"- [{name}]({name}.md): {plain(entry['texts'][0].split('. ')[0].rstrip('.'))}")
    (reference / "README.md").write_text("\n".join(index) + "\n")
    print(f"{len(found)} pages of reference")


if __name__ == "__main__":
    sys.exit(sources())
