#!/usr/bin/env bash
# chroot.sh SUITE COMMAND...: runs the command in this repository, in a chroot of
# that Debian release with this machine's Rust in it. Needs root. The chroot stays
# below target/ and has a target/ of its own, because what is built against a newer
# C library does not run here. The mounts live in a mount namespace and the
# processes in a process namespace of their own, so nothing of either is left.
. "$(dirname "$0")/lib.sh"

suite=$1
shift
fs=$TARGET/debian-$suite
[ "$(id -u)" = 0 ] || die "a chroot of Debian $suite needs root"
unshare --mount true 2>/dev/null || die "a chroot of Debian $suite needs the right to mount, which this container does not give"

if [ ! -f "$fs/.complete" ]; then
    if ! command -v debootstrap >/dev/null; then
        command -v apt-get >/dev/null || die "debootstrap is missing: install the package debootstrap"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    fi
    say "debootstrap of Debian $suite"
    rm -rf "$fs"
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$fs" >"$TARGET/debootstrap.log" 2>&1 \
        || { tail -20 "$TARGET/debootstrap.log" >&2; die "debootstrap of Debian $suite failed"; }
    # No package may start a service in there.
    printf '#!/bin/sh\nexit 101\n' >"$fs/usr/sbin/policy-rc.d"
    chmod +x "$fs/usr/sbin/policy-rc.d"
    touch "$fs/.complete"
fi
cp -L /etc/resolv.conf "$fs/etc/resolv.conf"
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$fs/etc/ssl/certs/"
mkdir -p "$TARGET/debian-$suite-target"

# shellcheck disable=SC2016 # expanded by the inner shell
FS=$fs ROOT=$ROOT INNER_TARGET=$TARGET/debian-$suite-target RUST="$(rustc --print sysroot)" \
    CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} \
    exec unshare --mount --pid --fork --kill-child bash -euc '
    bind() { mkdir -p "$FS$2"; mount --bind "$1" "$FS$2"; }
    mount -t proc proc "$FS/proc"
    mount --rbind /dev "$FS/dev"
    for dir in "$RUST" "$RUSTUP_HOME" "$CARGO_HOME"; do
        [ ! -d "$dir" ] || bind "$dir" "$dir"
    done
    bind "$ROOT" "$ROOT"
    bind "$INNER_TARGET" "$ROOT/target"
    [ ! -x "$ROOT/target/tools/bin/cargo-pgrx" ] || bind "$ROOT/target/tools" "$ROOT/target/tools"
    export CARGO_HOME RUSTUP_HOME PATH=$CARGO_HOME/bin:$RUST/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    unset PG_CONFIG CI CARGO_TARGET_DIR PGRX_HOME LC_ALL LANG TMPDIR
    cd "$FS$ROOT"
    exec chroot "$FS" env -C "$ROOT" "$@"
' bash "$@"
