#!/usr/bin/env bash
# release.sh VERSION: makes the tree say VERSION everywhere, dates it in the changelog, checks that all
# agree, and commits and tags. Pushes nothing.
. "$(dirname "$0")/lib.sh"

version=${1:-}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?$ ]] || die "usage: make release VERSION=1.2.3 or 1.2.3-rc.1"
[ -z "$(git status --porcelain)" ] || die "the tree has changes that are not committed"
! git rev-parse --quiet --verify "refs/tags/v$version" >/dev/null || die "tag v$version exists"
grep -qx "## $version (unreleased)" CHANGELOG.md || die "CHANGELOG.md does not begin with \"## $version (unreleased)\""

old=$(extension_version)
sed -i "/^\[package\]/,/^version/ s/^version = .*/version = \"$version\"/" Cargo.toml
sed -i "/^name = \"raceguard\"\$/,/^version/ s/^version = .*/version = \"$version\"/" Cargo.lock
# The version of the distribution and of what it provides; that of the format stands at the end.
sed -i "/\"meta-spec\"/,\$! s/\"version\": \"$old\"/\"version\": \"$version\"/g" META.json
sed -i "s/^## $version (unreleased)\$/## $version ($(date -u +%F))/" CHANGELOG.md

scripts/lint/versions.py || { git checkout --quiet .; die "the versions do not agree; nothing was changed"; }
git commit --quiet --all --message "Release $version"
git tag --annotate --message "raceguard $version" "v$version"
say "committed and tagged v$version; run make test, then: git push origin HEAD v$version"
