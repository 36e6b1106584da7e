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
    # shellcheck disable=SC2034 # for the caller
    PG_MAJOR=$1
    PG_BIN=$tree/bin
    pg_ready "$1-debug" "$PG_BIN"
    # Apart, so that neither build makes cargo build the other one's crates again.
    export CARGO_TARGET_DIR=$TARGET/debug-postgres/cargo
}

debug_compile() {
    local major=$1 tree=$2 source build=$TARGET/debug-postgres/build
    source=$(source_dir "$major")
    source_get "$major"
    rm -rf "$build" "$tree"
    mkdir -p "$build"
    # Outside the source tree, so that a build that was stopped leaves nothing in it.
    cd "$build"
    "$source/configure" --prefix="$tree" --enable-cassert --enable-debug --without-readline --without-zlib \
        CFLAGS="$DEBUG_FLAGS"
    # First, since two jobs below src would begin with what needs them.
    make -s -C src/backend generated-headers
    make -s -j2 -C src install
    make -s -j2 -C contrib/citext install
    make -s -C src/test/regress install
    make -s -C src/test/isolation install
    cp "$source/src/tools/valgrind.supp" "$tree/"
    chmod -R a+rX "$tree"
    rm -rf "$build"
    printf '%s\n' "$DEBUG_FLAGS" >"$tree/.flags"
}
