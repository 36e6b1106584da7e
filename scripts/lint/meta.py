#!/usr/bin/env python3
"""Whether META.json is what PGXN takes (its meta spec, version 1.0.0) and says what the tree says.
The versions in it are looked at by versions.py."""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANDATORY = ["name", "version", "abstract", "maintainer", "license", "provides", "meta-spec"]
OPTIONAL = ["description", "generated_by", "tags", "no_index", "prereqs", "release_status", "resources"]
SEMVER = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?"
# A name that may stand in the address of a page.
TERM = r"[^\s/\\\x00-\x1f]{2,}"


def problems(meta, package, oldest):
    for key in MANDATORY:
        if not meta.get(key):
            yield f"{key} is missing"
    for key in meta.keys() - {*MANDATORY, *OPTIONAL}:
        if not key.lower().startswith("x_"):
            yield f"{key} is no key of the specification"
    if not re.fullmatch(TERM, meta["name"]) or meta["name"] != package["name"]:
        yield f"name {meta['name']!r}"
    if meta["abstract"] != package["description"]:
        yield "abstract is not the description of Cargo.toml"
    if meta["license"] != package["license"].lower():
        yield "license is not that of Cargo.toml"
    if meta["meta-spec"].get("version") != "1.0.0":
        yield "meta-spec is not version 1.0.0"
    if meta.get("release_status", "stable") not in ("stable", "testing", "unstable"):
        yield f"release_status {meta['release_status']!r}"
    if not all(isinstance(tag, str) and 0 < len(tag) < 256 for tag in meta["tags"]):
        yield "tags"
    if meta["prereqs"]["runtime"]["requires"] != {"PostgreSQL": f"{oldest}.0.0"}:
        yield f"prereqs do not ask for PostgreSQL {oldest}.0.0, the oldest in cargo-pgrx.toml"
    for name, provided in meta["provides"].items():
        if not re.fullmatch(TERM, name) or not (ROOT / f"{name}.control").exists():
            yield f"provides {name!r}, which has no control file"
        if not re.fullmatch(SEMVER, provided.get("version", "")):
            yield f"provides {name}: version"
        for key in ("file", "docfile"):
            if not (ROOT / provided.get(key, "")).is_file():
                yield f"provides {name}: {key} {provided.get(key)!r} is no file"


def main():
    meta = json.loads((ROOT / "META.json").read_text())
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    majors = tomllib.loads((ROOT / "cargo-pgrx.toml").read_text())["postgres"]
    found = list(problems(meta, package, min(map(int, majors))))
    for problem in found:
        print(f"META.json: {problem}")
    print(f"{len(found)} problems")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
