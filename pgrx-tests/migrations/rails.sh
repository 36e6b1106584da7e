# Rails: the page's migration, and what a database is that was loaded from schema.rb or from structure.sql.

from_page db/migrate/20260501000000_add_guards.rb
cat >rails.rb <<'END'
require "active_record"
require "stringio"

CONFIG = { "adapter" => "postgresql", "database" => ENV.fetch("PGDATABASE") }.freeze
ActiveRecord::Base.establish_connection(CONFIG)
ActiveRecord::Migration.verbose = ActiveRecord::Schema.verbose = false
Tasks = ActiveRecord::Tasks::DatabaseTasks
Tasks.db_dir = "db"

case ARGV.first
when "migrate"
  ActiveRecord::Schema.define do
    create_table(:orders) { |t| t.text :address; t.integer :lock_version, null: false, default: 0 }
    create_table(:posts) { |t| t.integer :author }
  end
  require "./db/migrate/20260501000000_add_guards"
  AddGuards.migrate(ARGV.fetch(1).to_sym)
when "dump"
  File.open("db/schema.rb", "w") { |file| ActiveRecord::SchemaDumper.dump(ActiveRecord::Base.connection, file) }
  Tasks.structure_dump(CONFIG, "db/structure.sql")
when "load"
  ARGV.fetch(1) == "ruby" ? load("./db/schema.rb") : Tasks.structure_load(CONFIG, "db/structure.sql")
end
END

rails() { ruby rails.rb "$@"; }

quietly rails migrate up
check "rails: the migration puts the guards on" "$(guards)" "cap version"
quietly rails dump
check "rails: schema.rb has the slot, index and CHECK, and no trigger" \
    "$(grep -oE 't\.integer "slot"|name: "posts_cap"|name: "raceguard_cap_slots"|TRIGGER|enable_extension "raceguard"' db/schema.rb | sort | tr '\n' ' ')" \
    'enable_extension "raceguard" name: "posts_cap" name: "raceguard_cap_slots" t.integer "slot" '

manifest=$(sql "SELECT raceguard.manifest('{public}')")
missing() { sql "SELECT raceguard.require_guards('${manifest//\'/\'\'}')" 2>&1 | grep -c 'ERROR' || true; }

empty() { psql -X -q -d postgres -c "DROP DATABASE $PGDATABASE" -c "CREATE DATABASE $PGDATABASE"; }

quietly empty
quietly rails load ruby
check "rails: loaded from schema.rb there is no guard" "$(guards)" "none"
check "rails: and the manifest tells" "$(missing)" 1
check "rails: a capped table then refuses inserts" \
    "$(sql "INSERT INTO posts (author) VALUES (42)" 2>&1 | grep -o 'violates check constraint "[a-z_]*"')" 'violates check constraint "raceguard_cap_slots"'
quietly sql "SELECT raceguard.add_cap('posts', 'author', 3), raceguard.add_version('orders', 'lock_version', unstated => 'reject')"
check "rails: the calls again take over what stands" "$(guards)" "cap version"
quietly empty
quietly rails load sql
check "rails: loaded from structure.sql the guards are whole" "$(guards)" "cap version"
check "rails: as the manifest has them" "$(missing)" 0
