#!/bin/sh
# install-deb.sh MAJOR, in a new system: installs the package that lies beside it, uses it and removes it.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
apt-get install -y -qq --no-install-recommends "./$(ls postgresql-"$1"-raceguard_*.deb)" >&2
# What a user of Debian has then: a cluster "main".
pg_lsclusters --no-header | grep -q "^$1 main" || pg_createcluster "$1" main >&2
pg_ctlcluster "$1" main start >&2
chmod 755 .
su postgres -c "psql -X -q -A -t" <used.sql | tail -n 1
pg_ctlcluster "$1" main stop >&2
apt-get remove -y -qq "postgresql-$1-raceguard" >&2
left=$(find "/usr/lib/postgresql/$1/lib" "/usr/share/postgresql/$1/extension" -name 'raceguard*')
echo "${left:-removed}"
