# TypeORM: the page's entities, in JavaScript. Without the declarations synchronize drops a guard's parts; with them it
# finds no difference, and the version column is the entity's.

ln -s "$NODE_PATH" node_modules
cat >source.js <<'END'
require("reflect-metadata");
const { DataSource, EntitySchema } = require("typeorm");
const declared = process.env.DECLARED === "yes";
const id = { type: "int", primary: true };
module.exports = new DataSource({
  type: "postgres",
  host: process.env.PGHOST,
  username: process.env.PGUSER,
  database: process.env.PGDATABASE,
  migrations: ["guards.js"],
  entities: [
    new EntitySchema({
      name: "Order",
      tableName: "orders",
      columns: { id, address: { type: "text" }, ...(declared && { version: { type: "int", version: true, default: 1 } }) },
    }),
    new EntitySchema({
      name: "Post",
      tableName: "posts",
      columns: { id, author: { type: "int" }, ...(declared && { slot: { type: "int", nullable: true, insert: false, update: false } }) },
      indices: declared ? [{ name: "posts_cap", synchronize: false }] : [],
      checks: declared ? [{ name: "raceguard_cap_slots", expression: "slot <@ '[0,4)'::int4range" }] : [],
    }),
  ],
});
END
# The page's migration is TypeScript: its types are taken off.
from_page migrations/1777593600000-guards.ts
sed -e 's/ implements MigrationInterface//' -e 's/runner: QueryRunner/runner/' -e 's/^export /module.exports = /' \
    migrations/1777593600000-guards.ts >guards.js

typeorm() { DECLARED=$1 node node_modules/typeorm/cli.js "${@:2}" -d source.js; }

# The version is the entity's, so that add_version adopts it.
quietly typeorm yes schema:sync
check "typeorm: synchronize makes the declared CHECK" "$(sql "SELECT count(*) FROM pg_constraint WHERE conname = 'raceguard_cap_slots'")" 1
quietly typeorm yes migration:run
check "typeorm: a migration puts the guards on" "$(guards)" "cap version"
check "typeorm: with the declarations synchronize finds no difference" \
    "$(typeorm yes schema:log | grep -o 'Your schema is up to date')" "Your schema is up to date"
quietly sql "SELECT raceguard.set_cap('posts', 5)"
check "typeorm: nor when the cap has grown" "$(typeorm yes schema:log | grep -o 'Your schema is up to date')" "Your schema is up to date"
check "typeorm: without them it drops a guard's parts" "$(typeorm no schema:log | sed 's/\x1b\[[0-9;]*m//g' | drops | sed 's/ *$//')" \
    "DROP COLUMN slot
DROP COLUMN version
DROP CONSTRAINT raceguard_cap_slots
DROP INDEX public.posts_cap"
quietly typeorm no schema:sync
check "typeorm: after that no write passes unjudged" \
    "$(sql "INSERT INTO posts VALUES (1, 42)" 2>&1 | grep -o 'column "slot"[^"]*' | head -n 1)" 'column "slot", which does not exist'
