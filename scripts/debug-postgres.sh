# A Postgres built to find mistakes: assertions, freed memory overwritten, allocations checked at their
# ends, caches that release what nobody holds, and told to valgrind. Source it after lib.sh and postgres.sh.
#
# The source is Debian's, fetched with apt's own signature checks but through lists of its own below
# target/, so it needs no root and changes nothing of the machine's apt.

# Assertions bring CLOBBER_FREED_MEMORY and MEMORY_CONTEXT_CHECKING with them.
# (CATCACHE_FORCE_RELEASE would make a run last an hour; debug_discard_caches finds the same in the tests chosen.)
DEBUG_FLAGS="-O1 -g -fno-omit-frame-pointer -DRELCACHE_FORCE_RELEASE -DCOPY_PARSE_PLAN_TREES -DUSE_VALGRIND"

setup_debug_packages() {
    need "make" make command -v make
    need "gcc" gcc command -v gcc
    need "bzip2" bzip2 command -v bzip2
    need "perl" perl command -v perl
    need "valgrind" valgrind has_file /usr/include/valgrind/valgrind.h
    need "apt-get, which fetches the source," apt command -v apt-get
    need "Debian's keys" debian-archive-keyring has_file /usr/share/keyrings/debian-archive-keyring.gpg
}

# debug_source MAJOR DIR: the unpacked source. Debian's patches only move paths.
debug_source() {
    local major=$1 dir=$2 work=$2.apt codename options version
    [ ! -f "$dir/configure" ] || return 0
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    rm -rf "$dir" "$work"
    mkdir -p "$dir" "$work/lists/partial" "$work/cache/archives/partial"
    for version in "debian $codename" "debian-security $codename-security"; do
        echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/$version main"
    done >"$work/sources.list"
    options=(-q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=$(id -un)")
    apt-get "${options[@]}" update
    # The newest that can be had: a mirror may list a security update and not hold its source.
    for version in $(apt-cache "${options[@]}" showsrc "postgresql-$major" | sed -n 's/^Version: //p' | sort -rVu); do
        ! (cd "$work" && apt-get "${options[@]}" source --download-only "postgresql-$major=$version") || break
    done
    compgen -G "$work/postgresql-*.orig.tar.bz2" >/dev/null || die "no source of postgresql-$major could be fetched"
    tar -xjf "$work"/postgresql-*.orig.tar.bz2 -C "$dir" --strip-components=1
    rm -rf "$work"
}

# debug_use MAJOR: what pg_use does, for the debug build of that major, which is built first when there is none.
debug_use() {
    local tree log=$TARGET/debug-postgres.log status=0
    pg_home
    tree=$PG_HOME/$1-debug
    if [ "$DEBUG_FLAGS" != "$(cat "$tree/.flags" 2>/dev/null)" ]; then
        say "building Postgres $1 with assertions (some minutes)"
        # In a subshell with -e of its own, which || would switch off.
        set +e
        (set -e; debug_compile "$1" "$tree") >"$log" 2>&1
        status=$?
        set -e
        [ "$status" = 0 ] || { tail -20 "$log" >&2; die "Postgres could not be built; all of it is in $log"; }
    fi
    PG_MAJOR=$1
    PG_BIN=$tree/bin
    pg_ready "$1-debug" "$PG_BIN"
    # Apart, so that neither build makes cargo build the other one's crates again.
    export CARGO_TARGET_DIR=$TARGET/debug-postgres/cargo
}

debug_compile() {
    local major=$1 tree=$2 source=$TARGET/debug-postgres/source build=$TARGET/debug-postgres/build
    debug_source "$major" "$source"
    rm -rf "$build" "$tree"
    mkdir -p "$build"
    # Outside the source tree, so that a build that was stopped leaves nothing in it.
    cd "$build"
    "$source/configure" --prefix="$tree" --enable-cassert --enable-debug --without-readline --without-zlib \
        CFLAGS="$DEBUG_FLAGS"
    make -s -j2 -C src install
    make -s -j2 -C contrib/citext install
    make -s -C src/test/regress install
    make -s -C src/test/isolation install
    cp "$source/src/tools/valgrind.supp" "$tree/"
    chmod -R a+rX "$tree"
    rm -rf "$build"
    printf '%s\n' "$DEBUG_FLAGS" >"$tree/.flags"
}
