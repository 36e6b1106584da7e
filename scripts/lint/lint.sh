# What is checked without running anything. Source it after the other libraries.
#
# `lint` runs every check, shows what a failing one says, and counts.

LINT_TOOLS=$TARGET/tools/lint

# The linters come as wheels from PyPI, once for each list of versions.
lint_setup() {
    local wanted=scripts/lint/requirements.txt
    cmp -s "$wanted" "$LINT_TOOLS/requirements.txt" && return 0
    say "installing the linters below target/tools"
    rm -rf "$LINT_TOOLS"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
        --only-binary :all: --target "$LINT_TOOLS" --requirement "$wanted"
    cp "$wanted" "$LINT_TOOLS/"
}

lint_imports() { scripts/lint/imports.py; }

lint_shape() { scripts/lint/shape.py; }

# What the compiler has to refuse outside of src/pg.
lint_fence() { scripts/lint/fence.py "pg$PG_MAJOR"; }

lint_versions() { scripts/lint/versions.py; }

lint_meta() { scripts/lint/meta.py; }

# Each problem of check_guards has a test and an explanation.
lint_problems() { scripts/lint/problems.py; }

# The tests that docs/guarantees.md names are there, and each spec and workload is named.
lint_guarantees() { scripts/lint/guarantees.py; }

# Every link and anchor of the pages leads somewhere.
lint_site() { scripts/docs.sh; }

# A link in a comment that leads nowhere is an error.
lint_rustdoc() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps --document-private-items \
        --package raceguard --no-default-features --features "pg$PG_MAJOR"
}

lint_spelling() { "$LINT_TOOLS/bin/typos" --config scripts/lint/typos.toml; }

# The files are named: it would walk all of target/ to leave it out.
lint_toml() {
    local files
    mapfile -t files < <(find . -path ./target -prune -o -name '*.toml' -type f -print)
    RUST_LOG=error "$LINT_TOOLS/bin/taplo" fmt --check --diff "${files[@]}"
}

lint_python() { "$LINT_TOOLS/bin/ruff" check --quiet --no-cache; }

lint_shell() {
    local scripts
    mapfile -t scripts < <(find scripts pgrx-tests bench .ci -name '*.sh' -o -path '*/as-root/*' -type f -o -path .ci/run)
    "$LINT_TOOLS/bin/shellcheck" "${scripts[@]}"
}

# Without advisories, which it would have to download; the workflow in .github/ looks for them. It reads the manifests
# of all crates in the lock file, also of those that only other systems need and no build here has fetched.
lint_crates() {
    cargo fetch --quiet --locked
    "$LINT_TOOLS/bin/cargo-deny" --offline --locked --all-features --workspace check licenses bans sources
}

lint() {
    local check passed=0 failed=0
    lint_setup
    for check in imports shape fence versions meta problems guarantees site rustdoc spelling toml python shell crates; do
        printf -- '---- %s\n' "$check"
        if ("lint_$check"); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    done
    counted "$passed" "$failed"
}
