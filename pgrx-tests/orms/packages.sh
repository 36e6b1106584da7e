# The clients' packages, for orms/run.sh and migrations/run.sh. Those of Python and Node are kept below
# target/orms; Ruby's and Java's are Debian's:
# a gem of Ruby's would have to be compiled. Source it in this directory's run.sh or beside it.
ORMS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

missing() { echo "raceguard: error: $1 is missing: install the package $2"; exit 1; }

# packages NAME FILE...: sets PACKAGES to the directory of what these files ask for, complete or not
# there at all; NAME_packages fills it.
packages() {
    local name=$1 files=("${@:2}")
    files=("${files[@]/#/$ORMS/}")
    PACKAGES=$(cd "$ORMS/../.." && pwd)/target/orms/$name-$(cat "${files[@]}" | cksum | tr -d ' ')
    if [ ! -d "$PACKAGES" ]; then
        # What older files asked for is of no use any more.
        rm -rf "${PACKAGES%/*}/$name-"*
        mkdir -p "$PACKAGES.new"
        cp "${files[@]}" "$PACKAGES.new/"
        "${name}_packages" "$PACKAGES.new"
        mv "$PACKAGES.new" "$PACKAGES"
    fi
}

# use_python: its packages, in PACKAGES and for the programs that follow.
use_python() {
    packages python python/requirements.txt
    export PYTHONPATH=$PACKAGES PYTHONDONTWRITEBYTECODE=1
}

python_packages() {
    python3 -m pip --version >/dev/null 2>&1 || missing "pip, which fetches the Python clients," python3-pip
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --only-binary :all: --target "$1" \
        --requirement "$1/requirements.txt"
}

# use_node: the same.
use_node() {
    packages node node/package.json node/package-lock.json node/schema.prisma
    export NODE_PATH=$PACKAGES/node_modules CHECKPOINT_DISABLE=1 PRISMA_HIDE_UPDATE_MESSAGE=1
}

node_packages() {
    command -v node >/dev/null || missing "Node.js, which runs the Node clients," nodejs
    command -v npm >/dev/null || missing "npm, which fetches the Node clients," npm
    (
        cd "$1" || exit
        npm ci --ignore-scripts --no-audit --no-fund --engine-strict --loglevel error >/dev/null
        # Only code is generated; the path keeps Prisma from fetching its engine for migrations first.
        PRISMA_SCHEMA_ENGINE_BINARY=/bin/true CHECKPOINT_DISABLE=1 PRISMA_HIDE_UPDATE_MESSAGE=1 \
            node node_modules/prisma/build/index.js generate --no-hints >/dev/null
    )
}

use_ruby() {
    command -v ruby >/dev/null || missing "Ruby, which runs the Ruby clients," ruby
    ruby -e 'require "active_record"; require "pg"' 2>/dev/null \
        || missing "Active Record with its driver" "ruby-activerecord ruby-pg"
}

# use_java: CLASSPATH for the programs that follow.
use_java() {
    local jar
    command -v javac >/dev/null || missing "the JDK, which runs the Java clients," default-jdk-headless
    CLASSPATH=
    for jar in hibernate-core postgresql antlr commons-collections3 dom4j geronimo-jpa_2.0_spec geronimo-jta-1.2-spec \
        hibernate-commons-annotations javassist slf4j-api slf4j-nop; do
        [ -e "/usr/share/java/$jar.jar" ] || missing "Hibernate with its driver" \
            "libhibernate3-java libjavassist-java libpostgresql-jdbc-java libslf4j-java"
        CLASSPATH=$CLASSPATH:/usr/share/java/$jar.jar
    done
    export CLASSPATH
}
