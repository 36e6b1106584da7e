# A Postgres built to find mistakes: assertions, freed memory overwritten, allocations checked at their
# ends, caches that release what nobody holds, and told to valgrind. Source it after lib.sh, postgres.sh and source.sh.

# Assertions bring CLOBBER_FREED_MEMORY and MEMORY_CONTEXT_CHECKING with them.
# (CATCACHE_FORCE_RELEASE would make a run last an hour; debug_discard_caches finds the same in the tests chosen.)
DEBUG_FLAGS="-O1 -g -fno-omit-frame-pointer -DRELCACHE_FORCE_RELEASE -DCOPY_PARSE_PLAN_TREES -DUSE_VALGRIND"

setup_debug_packages() {
    need "make" make command -v make
    need "gcc" gcc command -v gcc
    need "perl" perl command -v perl
    need "valgrind" valgrind has_file /usr/include/valgrind/valgrind.h
    setup_source_packages
}

# debug_use MAJOR [SUITE [OPTION...]]: what pg_use does, for the debug build of that major, which is built first when there
# is none: from the source of that Debian release, with these options of configure.
debug_use() {
    local tree log=$TARGET/debug-postgres-$1.log status=0 flags=$DEBUG_FLAGS
    [ $# -lt 3 ] || flags+=" ${*:3}"
    pg_home
    tree=$PG_HOME/$1-debug
    if [ "$flags" != "$(cat "$tree/.flags" 2>/dev/null)" ]; then
        say "building Postgres $1 with assertions (some minutes)"
        # In a subshell with -e of its own, which || would switch off.
        set +e
        (set -e; debug_compile "$tree" "$@"; printf '%s\n' "$flags" >"$tree/.flags") >"$log" 2>&1
        status=$?
        set -e
        [ "$status" = 0 ] || { tail -20 "$log" >&2; die "Postgres could not be built; all of it is in $log"; }
    fi
    # shellcheck disable=SC2034 # for the caller
    PG_MAJOR=$1
    PG_BIN=$tree/bin
    pg_ready "$1-debug" "$PG_BIN"
    # Apart, so that no build makes cargo build another one's crates again.
    export CARGO_TARGET_DIR=$TARGET/debug-postgres/cargo-$1
}

# points_use: the same for a build that can be stopped at a point, of the newest major that has injection points.
points_use() { debug_use 18 "$(pin newest-18)" --enable-injection-points --without-icu; }

# debug_compile TREE MAJOR [SUITE [OPTION...]]
debug_compile() {
    local tree=$1 major=$2 source build=$TARGET/debug-postgres/build-$2
    source=$(source_dir "$major")
    source_get "$major" "${3:-}"
    rm -rf "$build" "$tree"
    mkdir -p "$build"
    # Outside the source tree, so that a build that was stopped leaves nothing in it.
    cd "$build"
    "$source/configure" --prefix="$tree" --enable-cassert --enable-debug --without-readline --without-zlib \
        CFLAGS="$DEBUG_FLAGS" "${@:4}"
    # First, since two jobs below src would begin with what needs them.
    make -s -C src/backend generated-headers
    make -s -j2 -C src install
    make -s -j2 -C contrib/citext install
    make -s -C src/test/regress install
    make -s -C src/test/isolation install
    [ ! -d "$source/src/test/modules/injection_points" ] || make -s -C src/test/modules/injection_points install
    cp "$source/src/tools/valgrind.supp" "$tree/"
    chmod -R a+rX "$tree"
    rm -rf "$build"
}
