#!/usr/bin/env bash
# chroot.sh SUITE COMMAND...: runs the command in this repository, in a chroot of
# that Debian release, with this machine's Rust in it unless that is Debian's own: then
# setup.sh installs the release's. Needs root. The chroot stays below target/ and has a
# target/ of its own, because what is built against a newer C library does not run here. The mounts live in a mount namespace and the
# processes in a process namespace of their own, so nothing of either is left.
#
# chroot.sh --fresh SUITE FOLDER COMMAND...: in a new one with nothing in it but the release's smallest set of packages,
# with the folder at /mnt; it is removed afterwards.
. "$(dirname "$0")/lib.sh"

fresh=
if [ "$1" = --fresh ]; then
    fresh=$3
    set -- "$2" "${@:4}"
fi
suite=$1
shift
[ "$(id -u)" = 0 ] || die "a chroot of Debian $suite needs root"
unshare --mount true 2>/dev/null || die "a chroot of Debian $suite needs the right to mount, which this container does not give"

# The release as debootstrap makes it; every chroot is a copy.
base=$TARGET/debian-$suite.base
if [ ! -f "$base/.complete" ]; then
    if ! command -v debootstrap >/dev/null; then
        command -v apt-get >/dev/null || die "debootstrap is missing: install the package debootstrap"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    fi
    say "debootstrap of Debian $suite"
    rm -rf "$base"
    # Experimental is no release but what some packages of sid will become.
    debootstrap --variant=minbase --include=ca-certificates "${suite/experimental/sid}" "$base" >"$TARGET/debootstrap.log" 2>&1 \
        || { tail -20 "$TARGET/debootstrap.log" >&2; die "debootstrap of Debian $suite failed"; }
    # No package may start a service in there.
    printf '#!/bin/sh\nexit 101\n' >"$base/usr/sbin/policy-rc.d"
    chmod +x "$base/usr/sbin/policy-rc.d"
    # sid's lists are valid for a week, and a mirror may lag behind.
    echo 'Acquire::Check-Valid-Until "false";' >"$base/etc/apt/apt.conf.d/raceguard"
    if [ "$suite" != sid ] && [ "$suite" != experimental ]; then
        echo "deb http://deb.debian.org/debian-security $suite-security main" >"$base/etc/apt/sources.list.d/security.list"
    fi
    if [ "$suite" = experimental ]; then
        sed 's/ sid / experimental /' "$base/etc/apt/sources.list" >"$base/etc/apt/sources.list.d/experimental.list"
        printf '%s\n' "Package: src:postgresql-*" "Pin: release a=experimental" "Pin-Priority: 600" \
            >"$base/etc/apt/preferences.d/experimental"
    fi
    touch "$base/.complete"
fi
if [ -n "$fresh" ]; then
    fs=$(mktemp -d "$TARGET/debian-$suite.XXXXXX")
    trap 'rm -rf --one-file-system "$fs"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cp -a "$base/." "$fs"
else
    fs=$TARGET/debian-$suite
    [ -f "$fs/.complete" ] || { rm -rf "$fs" && cp -a "$base" "$fs"; }
fi
cp -L /etc/resolv.conf "$fs/etc/resolv.conf"
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$fs/etc/ssl/certs/"

# in_namespace COMMAND...: with mounts and processes of its own; BIND holds pairs of what is bound where. With INSTEAD
# it takes the place of this shell.
in_namespace() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    FS=$fs ${INSTEAD:+exec} unshare --mount --pid --fork --kill-child bash -euc '
        mount -t proc proc "$FS/proc"
        mount --rbind /dev "$FS/dev"
        while [ "$1" != -- ]; do
            mkdir -p "$FS$2"
            mount --bind "$1" "$FS$2"
            shift 2
        done
        shift
        unset PG_CONFIG CI CARGO_TARGET_DIR PGRX_HOME LC_ALL LANG TMPDIR
        unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS DSN PG_BIN PG_MAJOR
        cd "$FS"
        exec chroot "$FS" "$@"
    ' bash "${BIND[@]}" -- "$@"
}

SYSTEM_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ -n "$fresh" ]; then
    BIND=("$fresh" /mnt)
    in_namespace env -C /mnt PATH="$SYSTEM_PATH" "$@"
    exit
fi
mkdir -p "$TARGET/debian-$suite-target"
rust=$(rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo} rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
BIND=()
for dir in "$rust" "$rustup_home" "$cargo_home"; do
    [ ! -d "$dir" ] || [ "$dir" = /usr ] || BIND+=("$dir" "$dir")
done
BIND+=("$ROOT" "$ROOT" "$TARGET/debian-$suite-target" "$ROOT/target")
# cargo-pgrx, which may be this machine's, is no part of that.
[ ! -x "$TARGET/tools/bin/cargo-pgrx" ] || BIND+=("$TARGET/tools" "$ROOT/target/tools")
INSTEAD=1
in_namespace env -C "$ROOT" CHROOT_SUITE="$suite" CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" \
    PATH="$cargo_home/bin:$rust/bin:$SYSTEM_PATH" "$@"
