# Prisma: the page's schema and migration, with a shadow database. The engine for migrations is not in Prisma's npm
# package; its WebAssembly twin is, which goes through the driver adapter (prisma.config.ts).

ln -s "$NODE_PATH" node_modules
mkdir -p prisma/migrations/20260401000000_tables
from_page prisma/schema.prisma prisma/migrations/20260501000000_guards/migration.sql
cp "$TESTS/prisma.config.ts" .
cat >>prisma/schema.prisma <<'END'
generator client {
  provider   = "prisma-client-js"
  engineType = "client"
  output     = "../client"
}
datasource db {
  provider = "postgresql"
  url      = "postgresql://unused"
}
END
echo 'provider = "postgresql"' >prisma/migrations/migration_lock.toml
cat >prisma/migrations/20260401000000_tables/migration.sql <<'END'
CREATE TABLE orders (id int PRIMARY KEY, address text NOT NULL);
CREATE TABLE posts (id int PRIMARY KEY, author int NOT NULL);
END
grep -vE '^  (version|slot) ' prisma/schema.prisma >prisma/lacking.prisma

prisma() { node node_modules/prisma/build/index.js "$@" 2>&1 </dev/null; }
# What migrate dev would write: the migrations, played into a shadow database, against the schema.
difference() { prisma migrate diff --from-migrations prisma/migrations --to-schema-datamodel "$1" --script; }

quietly prisma migrate deploy
check "prisma: deploy puts the guards on" "$(guards)" "cap version"
check "prisma: with both columns in the schema there is no difference" "$(difference prisma/schema.prisma | grep -e "^--")" \
    "-- This is an empty migration."
check "prisma: migrate dev finds nothing to do, and no drift" \
    "$(prisma migrate dev --skip-generate | grep -o 'Already in sync')" "Already in sync"
check "prisma: nor has db push anything to do" \
    "$(prisma db push --skip-generate | grep -o 'is already in sync')" "is already in sync"
check "prisma: the guards stand" "$(guards)" "cap version"
check "prisma: columns that the schema lacks are dropped" "$(difference prisma/lacking.prisma | drops)" \
    "DROP COLUMN slot
DROP COLUMN version"
sed -i '/CREATE EXTENSION/d' prisma/migrations/20260501000000_guards/migration.sql
check "prisma: without the extension the shadow database fails" \
    "$(difference prisma/schema.prisma | grep -o 'schema "raceguard" does not exist' | head -n 1)" 'schema "raceguard" does not exist'
