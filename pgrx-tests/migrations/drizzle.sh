# Drizzle: the page's schema and migration, by drizzle-kit. generate looks at no database; push with everything declared
# finds no difference, and without drops a guard's parts.

ln -s "$NODE_PATH" node_modules
from_page drizzle/schema.js
cat >drizzle.config.js <<END
module.exports = {
  dialect: "postgresql",
  schema: process.env.SCHEMA ?? "./drizzle/schema.js",
  out: "./drizzle",
  dbCredentials: { url: "postgresql://$PGUSER@/$PGDATABASE?host=$PGHOST" },
};
END
# The schema without what a guard adds.
cat >plain.js <<'END'
const { integer, pgTable, text } = require("drizzle-orm/pg-core");
exports.orders = pgTable("orders", { id: integer("id").primaryKey(), address: text("address") });
exports.posts = pgTable("posts", { id: integer("id").primaryKey(), author: integer("author").notNull() });
END

kit() { SCHEMA=$1 node node_modules/drizzle-kit/bin.cjs "${@:2}" --config drizzle.config.js 2>&1 </dev/null; }

quietly kit ./plain.js generate --name tables
quietly kit ./plain.js generate --custom --name guards
from_page drizzle/0001_guards.sql
quietly kit ./plain.js migrate
check "drizzle: migrate puts the guards on" "$(guards)" "cap version"
check "drizzle: generate finds no difference" "$(kit ./plain.js generate | grep -o 'nothing to migrate')" "nothing to migrate"
check "drizzle: nor does push, with everything declared" \
    "$(kit ./drizzle/schema.js push --force | grep -o 'No changes detected')" "No changes detected"
check "drizzle: the guards stand" "$(guards)" "cap version"
check "drizzle: without, push drops a guard's parts" "$(kit ./plain.js push --strict --verbose | drops)" \
    "DROP COLUMN slot
DROP COLUMN version
DROP CONSTRAINT raceguard_cap_slots
DROP INDEX posts_cap"

# What takes a part of a guard away fails in the tool, where protect_ddl is on.
quietly sql "SELECT raceguard.protect_ddl('error')"
check "drizzle: with protect_ddl push --force fails" "$(kit ./plain.js push --force | grep -oE "code: '55000'" | head -n 1)" "code: '55000'"
check "drizzle: and the guards stand" "$(guards)" "cap version"
