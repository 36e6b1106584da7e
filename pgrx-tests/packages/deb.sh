#!/usr/bin/env bash
# The Debian packages: each is built on the release that has its Postgres, by `make deb`, installed by apt
# from the file into a new system of that release, and used there. Without an argument all of them.
set -euo pipefail
cd "$(dirname "$0")"
. ../../scripts/lib.sh
. scripts/checks.sh
run_begin

# deb SUITE MAJOR
deb() {
    local suite=$1 major=$2 built=$TARGET/deb log=$TARGET/test/deb-$2.log package=postgresql-$2-raceguard file used
    rm -rf "$RUN/deb"
    mkdir "$RUN/deb"
    if grep -qx "VERSION_CODENAME=$suite" /etc/os-release; then
        PG_CONFIG='' scripts/deb.sh "$major" >"$log" 2>&1 || true
    else
        built=$TARGET/debian-$suite-target/deb
        scripts/chroot.sh "$suite" scripts/deb.sh "$major" >"$log" 2>&1 || true
    fi
    file=("$built/$package"_*.deb)
    check "$package: built on $suite, and lintian has nothing to say but what is overridden" \
        "$(tail -n 1 "$log")" "raceguard: target/deb/${file[0]##*/}"
    if [ ! -f "${file[0]}" ]; then
        tail -n 30 "$log"
        return
    fi
    cp "${file[0]}" pgrx-tests/packages/used.sql pgrx-tests/packages/install-deb.sh "$RUN/deb/"
    used=$(scripts/chroot.sh --fresh "$suite" "$RUN/deb" ./install-deb.sh "$major" 2>"$log.installed" | tail -n 2) || true
    check "$package: installed on a new system, used, and removed" "$used" "used $(extension_version)
removed"
    [ "$used" = "used $(extension_version)"$'\n'removed ] || tail -n 30 "$log.installed"
}

mkdir -p "$TARGET/test"
while read -r suite major; do
    case ${1:-$major} in "$major") deb "$suite" "$major" ;; esac
done <<'END'
bookworm 15
trixie 17
sid 18
END
checks_end
