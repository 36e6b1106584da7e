# Private copies of Postgres installations, one per major, into which an
# ordinary user can install the extension. Source it after lib.sh.
#
# Postgres finds its share and lib directories relative to its own binary, so a
# copy that keeps their relative places is a working installation of its own.

# The copies lie in target/pg, or, where the server's user cannot enter that
# (a clone below /root), in a directory below /var/tmp that target/ remembers.
# The place must stay the same from run to run: its pg_config path is part of
# what cargo compares to decide whether to rebuild.
pg_home() {
    local remembered=$TARGET/pg-elsewhere
    mkdir -p "$TARGET/pg"
    if as_server test -x "$TARGET/pg"; then
        PG_HOME=$TARGET/pg
    elif [ -f "$remembered" ] && [ -O "$(cat "$remembered")" ]; then
        PG_HOME=$(cat "$remembered")
    else
        PG_HOME=$(mktemp -d /var/tmp/raceguard-pg.XXXXXX)
        chmod 755 "$PG_HOME"
        printf '%s\n' "$PG_HOME" >"$remembered"
    fi
}

# pg_copy SOURCE_PG_CONFIG TREE: copies programs, libraries and share files,
# links the headers.
pg_copy() {
    local config=$1 tree=$2 bindir sharedir pkglibdir includedir prefix dir
    bindir=$("$config" --bindir) sharedir=$("$config" --sharedir)
    pkglibdir=$("$config" --pkglibdir) includedir=$("$config" --includedir)
    # The longest directory that holds all of them.
    prefix=$bindir
    for dir in "$sharedir" "$pkglibdir" "$includedir"; do
        while [ "${dir#"$prefix"/}" = "$dir" ]; do prefix=${prefix%/*}; done
    done
    rm -rf "$tree"
    mkdir -p "$tree${bindir#"$prefix"}" "$tree${pkglibdir#"$prefix"}" "$tree${sharedir#"$prefix"}" \
        "$(dirname "$tree${includedir#"$prefix"}")"
    # Named, since in some distributions bindir is /usr/bin.
    for dir in postgres initdb psql createdb dropdb createuser dropuser vacuumdb reindexdb clusterdb; do
        cp -L "$bindir/$dir" "$tree${bindir#"$prefix"}/"
    done
    cp -L "$bindir"/pg[_b]* "$tree${bindir#"$prefix"}/"
    cp -RL "$pkglibdir/." "$tree${pkglibdir#"$prefix"}"
    cp -RL "$sharedir/." "$tree${sharedir#"$prefix"}"
    ln -s "$includedir" "$tree${includedir#"$prefix"}"
    # An extension of the same name in the source installation must not be what gets tested.
    rm -f "$tree${sharedir#"$prefix"}/extension/raceguard"* "$tree${pkglibdir#"$prefix"}/raceguard".*
    PG_BIN=$tree${bindir#"$prefix"}
    # Libraries that a program finds relative to itself (libpq, in a relocatable build).
    while IFS= read -r dir; do
        mkdir -p "$PG_BIN/$(dirname "${dir#"$bindir"/}")"
        cp -L "$dir" "$PG_BIN/${dir#"$bindir"/}"
    done < <(ldd "$bindir/psql" | awk -v prefix="$bindir/../" 'index($3, prefix) == 1 { print $3 }')
}

# pg_wheel REQUIREMENT FOLDER: unpacks an installation from a wheel and uses it
# where it lies, since its programs look for their libraries beside it. The wheel
# is fetched for a fixed platform tag: nothing of it is imported.
pg_wheel() {
    local requirement=$1 folder=$2 dir
    dir=$PG_HOME/${requirement/==/-}
    if [ ! -f "$dir/.complete" ]; then
        [ "$(uname -m)" = x86_64 ] || die "$requirement holds programs for x86_64 only; name another Postgres with PG_CONFIG=/path/to/pg_config"
        say "fetching $requirement from PyPI"
        rm -rf "$dir" && mkdir -p "$dir"
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --implementation cp --python-version 3.11 --abi cp311 --platform manylinux_2_28_x86_64 \
            --dest "$dir" "$requirement" || die "$requirement could not be fetched from PyPI"
        python3 -m zipfile -e "$dir"/*.whl "$dir"
        chmod 755 "$dir"/*/pginstall*/bin/* "$dir"/*/pginstall*/lib/postgresql/pgxs/src/test/*/*
        chmod -R a+rX "$dir"
        rm "$dir"/*.whl
        touch "$dir/.complete"
    fi
    PG_BIN=$(echo "$dir"/*/"$folder"/bin)
}

# pg_use MAJOR: makes PG_BIN, PG_MAJOR, PGXS_TEST and PGRX_HOME those of the
# private copy of that major, making the copy first when there is none.
pg_use() {
    local source stamp bindir
    PG_MAJOR=$1
    pg_home
    pg_origin "$PG_MAJOR"
    source=("${ORIGIN[@]}")
    [ "${source[0]}" != apt ] || source=(config "/usr/lib/postgresql/$PG_MAJOR/bin/pg_config")
    case ${source[0]} in
    config)
        stamp=$(pg_stamp "${source[1]}")
        bindir=$("${source[1]}" --bindir)
        if [ "$stamp" = "$(cat "$PG_HOME/$PG_MAJOR/.source" 2>/dev/null)" ]; then
            PG_BIN=$(cat "$PG_HOME/$PG_MAJOR/.bindir")
        else
            pg_copy "${source[1]}" "$PG_HOME/$PG_MAJOR/root"
            printf '%s\n' "$PG_BIN" >"$PG_HOME/$PG_MAJOR/.bindir"
            printf '%s\n' "$stamp" >"$PG_HOME/$PG_MAJOR/.source"
        fi
        ;;
    pypi)
        pg_wheel "${source[1]}" "${source[2]}"
        bindir=$PG_BIN
        ;;
    esac
    pg_ready "$PG_MAJOR" "$bindir"
}

# pg_ready NAME BINDIR: checks the installation at PG_BIN, made from the one at BINDIR, and tells pgrx of it.
pg_ready() {
    as_server "$PG_BIN/psql" --version >/dev/null || die "the copy of Postgres $PG_MAJOR in $PG_HOME does not run"
    pgxs_test "$2"

    # A directory for each: what pgrx has built depends on the time of its config.toml.
    export PGRX_HOME=$TARGET/pgrx-home/$1
    local config="[configs]
pg$PG_MAJOR = \"$PG_BIN/pg_config\""
    mkdir -p "$PGRX_HOME"
    [ "$config" = "$(cat "$PGRX_HOME/config.toml" 2>/dev/null)" ] || printf '%s\n' "$config" >"$PGRX_HOME/config.toml"
}

# pgxs_test BINDIR: sets PGXS_TEST to the folder with pg_regress and the isolation tester. They are clients, so those of
# another major do as well: the pg_regress of 18 in the wheel crashes on start, that of 16 beside it does not.
pgxs_test() {
    local bindir=$1
    for PGXS_TEST in "$(dirname "$("$PG_BIN/pg_config" --pgxs)")/../test" "$bindir"/../../*/lib/postgresql/pgxs/src/test \
        /usr/lib/postgresql/*/lib/pgxs/src/test; do
        if "$PGXS_TEST/regress/pg_regress" --version && "$PGXS_TEST/isolation/pg_isolation_regress" --version; then
            return 0
        fi
    done >/dev/null 2>&1
    die "Postgres $PG_MAJOR in $PG_BIN has no pg_regress or isolation tester that runs (package postgresql-server-dev-$PG_MAJOR)"
}

pg_major_of() { "$1" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'; }

# What a copy was made from; when that changes (a minor update), the copy is made again.
pg_stamp() {
    echo "$1 $("$1" --version) $(stat -L -c %Y "$("$1" --bindir)/postgres") $PG_HOME"
}

# The major to work with: that of PG_CONFIG, else the default.
pg_wanted() {
    local major
    if [ -z "${PG_CONFIG:-}" ]; then
        pin default
    else
        [ -x "$PG_CONFIG" ] || die "PG_CONFIG=$PG_CONFIG is not a program"
        major=$(pg_major_of "$PG_CONFIG")
        pin "$major" >/dev/null 2>&1 || die "PG_CONFIG=$PG_CONFIG is Postgres $major; raceguard supports $(pg_supported)"
        printf '%s\n' "$major"
    fi
}

# pg_supported [ORIGIN]: the supported majors, or those of them that come from there.
pg_supported() { sed -n "s/^\([0-9][0-9]*\) = \"${1:-}.*/\1/p" "$ROOT/cargo-pgrx.toml" | paste -sd' '; }

# pg_origin MAJOR: sets ORIGIN to the words of where it comes from. A chroot that was made for the major, and
# a Debian release that has it, need no chroot of themselves, and PG_CONFIG overrides both.
pg_origin() {
    read -r -a ORIGIN <<<"$(pin "$1")"
    if [ -n "${CHROOT_SUITE:-}" ] \
        || { [ "${ORIGIN[0]}" = debootstrap ] && grep -qx "VERSION_CODENAME=${ORIGIN[1]}" /etc/os-release; }; then
        ORIGIN=(apt "postgresql-$1" "postgresql-server-dev-$1")
    fi
    if [ -n "${PG_CONFIG:-}" ] && [ "$(pg_major_of "$PG_CONFIG")" = "$1" ]; then
        ORIGIN=(config "$PG_CONFIG")
    fi
}

# extension_sql: the script that creates the extension: the files of src/lib.rs, each behind those that it requires.
extension_sql() {
    local file
    sed -n 's|^extension_sql_file!("\.\./\(sql/[a-z_]*\.sql\)".*|\1|p' src/lib.rs | while IFS= read -r file; do
        cat "$file"
        echo
    done
}

# extension_build PROFILE [FEATURE]: sets LIBRARY to what was built for the Postgres of pg_use. All SQL is written by hand, so nothing
# needs cargo-pgrx, which takes longer to build than the extension.
extension_build() {
    local folder=$1
    [ "$1" != dev ] || folder=debug
    cargo build --locked --lib -p raceguard --profile "$1" --no-default-features --features "pg$PG_MAJOR${2:+,$2}"
    # shellcheck disable=SC2034 # for the caller
    LIBRARY=$CARGO_TARGET_DIR/$folder/libraceguard.so
}

# extension_copy LIBRARIES EXTENSIONS [command...]: puts what was built into these directories, with this command before it.
extension_copy() {
    local libraries=$1 extensions=$2 version file
    shift 2
    version=$(extension_version)
    # A new file beside the old one, which a running server may have mapped.
    "$@" install -m 755 "$LIBRARY" "$libraries/raceguard.so"
    sed "s/@CARGO_VERSION@/$version/" raceguard.control | "$@" install -m 644 /dev/stdin "$extensions/raceguard.control"
    extension_sql | "$@" install -m 644 /dev/stdin "$extensions/raceguard--$version.sql"
    for file in sql/raceguard--*--*.sql; do
        "$@" install -m 644 "$file" "$extensions/"
    done
}

# extension_install PROFILE [FEATURE]: builds the extension and installs it into the private copy.
extension_install() {
    extension_build "$@"
    extension_copy "$("$PG_BIN/pg_config" --pkglibdir)" "$("$PG_BIN/pg_config" --sharedir)/extension"
}
