# Postgres's own source, as Debian has it: what `make test-debug` builds, and the suites that come with it. Source it
# after lib.sh and setup.sh.
#
# Fetched with apt's own signature checks but through lists of its own below target/, so it needs no root and changes
# nothing of the machine's apt.

setup_source_packages() {
    need "apt-get, which fetches the source," apt command -v apt-get
    need "bzip2" bzip2 command -v bzip2
    need "Debian's keys" debian-archive-keyring has_file /usr/share/keyrings/debian-archive-keyring.gpg
}

# source_dir MAJOR: prints where it lies.
source_dir() { printf '%s\n' "$TARGET/source/$1"; }

# source_get MAJOR [SUITE]: fetches it unless it is there, from this Debian release or another one. Debian's patches only
# move paths.
source_get() {
    local major=$1 codename=${2:-} dir work archives options version
    dir=$(source_dir "$major") work=$(source_dir "$major").apt
    [ ! -f "$dir/configure" ] || return 0
    [ -n "$codename" ] || codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    archives=("debian $codename" "debian-security $codename-security")
    [ "$codename" != sid ] || archives=("debian sid")
    rm -rf "$dir" "$work"
    mkdir -p "$dir" "$work/lists/partial" "$work/cache/archives/partial"
    for version in "${archives[@]}"; do
        echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/$version main"
    done >"$work/sources.list"
    # sid's lists are valid for a week, and a mirror may lag behind.
    options=(-q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=$(id -un)"
        -o Acquire::Check-Valid-Until=false)
    apt-get "${options[@]}" update
    # The newest that can be had: a mirror may list a security update and not hold its source.
    for version in $(apt-cache "${options[@]}" showsrc "postgresql-$major" | sed -n 's/^Version: //p' | sort -rVu); do
        ! (cd "$work" && apt-get "${options[@]}" source --download-only "postgresql-$major=$version") || break
    done
    compgen -G "$work/postgresql-*.orig.tar.bz2" >/dev/null || die "no source of postgresql-$major could be fetched"
    tar -xjf "$work"/postgresql-*.orig.tar.bz2 -C "$dir" --strip-components=1
    rm -rf "$work"
}
