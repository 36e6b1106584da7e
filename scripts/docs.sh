#!/usr/bin/env bash
# make docs: the pages as a site below target/docs/site. A link that leads nowhere, or an anchor that no
# heading has, is an error.
. "$(dirname "$0")/lib.sh"

tools=$TARGET/tools/site
wanted=packaging/site/requirements.txt
if ! cmp -s "$wanted" "$tools/requirements.txt"; then
    python3 -m pip --version >/dev/null 2>&1 || die "pip, which fetches mkdocs, is missing: install the package python3-pip"
    say "installing mkdocs below target/tools"
    rm -rf "$tools"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
        --only-binary :all: --target "$tools" --requirement "$wanted"
    cp "$wanted" "$tools/"
fi
python3 packaging/site/pages.py >&2
# What the makers of the theme print about their next one is no warning about these pages.
export PYTHONPATH=$tools NO_MKDOCS_2_WARNING=1
python3 -m mkdocs build --strict --clean --config-file packaging/site/mkdocs.yml
say "the site is in target/docs/site"
