#!/usr/bin/env bash
# make deb: a Debian package of what is committed, for the default major or that of PG_CONFIG, below target/deb.
# DEBFULLNAME and DEBEMAIL name who publishes it.
. "$(dirname "$0")/lib.sh"
. scripts/postgres.sh
. scripts/setup.sh

major=${1:-$(pg_wanted)}
setup "$major" deb
version=$(extension_version)
# Debian sorts what follows a tilde before the release.
package_version=${version/-/\~}
maintainer="${DEBFULLNAME:-raceguard contributors} <${DEBEMAIL:-raceguard@localhost}>"
work=$TARGET/deb/postgresql-$major-raceguard
rm -rf "$work"
rm -f "$work"_*.deb
mkdir -p "$work/source"
git -c safe.directory="$ROOT" archive HEAD | tar -x -C "$work/source"
cd "$work/source"
cp -R packaging/debian debian
# pgrx calls functions that minor releases have brought: the library loads from the one it was built with on.
minor=$(dpkg-query --show --showformat '${Version}' "postgresql-server-dev-$major")
for file in control.in lintian-overrides.in rules; do
    sed -i "s/PGVERSION/$major/g; s/PGMINOR/${minor%-*}/; s/MAINTAINER/$maintainer/" "debian/$file"
done
mv debian/control.in debian/control
mv debian/lintian-overrides.in "debian/postgresql-$major-raceguard.lintian-overrides"
cat >debian/changelog <<END
raceguard ($package_version) unstable; urgency=medium

  * Version $version; CHANGELOG.md tells what is new.

 -- $maintainer  $(git -C "$ROOT" -c safe.directory="$ROOT" log -1 --format=%cD)
END

# debhelper gives the build another home.
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
dpkg-buildpackage --build=binary --no-sign
mv ../*.deb "$TARGET/deb/"
cd "$ROOT"
rm -rf "$work"
deb=$TARGET/deb/postgresql-$major-raceguard_${package_version}_$(dpkg --print-architecture).deb
lintian --fail-on error,warning "$deb"
say "${deb#"$ROOT"/}"
