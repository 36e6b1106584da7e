# Rails' Active Record. With a `lock_version` (here: `version`) it counts, and checks in the WHERE clause; what
# goes by a hash, a counter cache among it, counts the version without a check.

require "active_record"

ActiveRecord::Base.establish_connection(adapter: "postgresql", database: ENV.fetch("PGDATABASE"), pool: 3)

class Order < ActiveRecord::Base
  self.locking_column = "version"
end

class Author < ActiveRecord::Base
  self.locking_column = "version"
  has_many :books
end

class Book < ActiveRecord::Base
  belongs_to :author, counter_cache: true
end

# The author as its counter sees it: without the version.
class CountedAuthor < ActiveRecord::Base
  self.table_name = "authors"
  self.lock_optimistically = false
end

class CountedBook < ActiveRecord::Base
  self.table_name = "books"
  belongs_to :author
  belongs_to :counted_author, foreign_key: :author_id, counter_cache: :books_count, optional: true
end

class Post < ActiveRecord::Base
end

class Report < ActiveRecord::Base
end

# The call ends in Rails' error for a driver's error that it does not know.
def refused(code, **wanted, &call)
  reports(raises(ActiveRecord::StatementInvalid, &call).cause, code: code, **wanted)
end

def author
  row("SELECT name, books_count, version FROM authors")
end

test "rails: a save bumps once, a stale one is StaleObjectError" do
  ann, bob = Order.find(1), Order.find(1)
  ann.update!(address: "Ann Street")
  equal(2, ann.version)
  ann.update!(address: "Ann Street 2")
  raises(ActiveRecord::StaleObjectError) { bob.update!(address: "Bob Street") }
  bob.reload.update!(address: "Bob Street")
  equal(["Bob Street", "4"], stored)
end

test "rails: two saves at once: one wins" do
  ann, bob = Order.find(1), Order.find(1)
  error = race(-> { ann.update!(address: "of Ann") }, -> { bob.update!(address: "of Bob") })
  assert(error.instance_of?(ActiveRecord::StaleObjectError), error.inspect)
end

test "rails: destroy and touch are checked" do
  stale = Order.find(1)
  Order.find(1).touch(:deleted_at)
  equal(["Old Street", "2"], stored)
  raises(ActiveRecord::StaleObjectError) { stale.touch(:deleted_at) }
  raises(ActiveRecord::StaleObjectError) { stale.destroy! }
end

test "rails: update_all with a hash counts the version, and checks nothing" do
  Order.where(id: 1).update_all(address: "x")
  equal(%w[x 2], stored)
  equal(0, Order.where(id: 1, version: 1).update_all(address: "y"))
  Order.where(id: 1).update_all(address: "y", version: 3)
  refused("RG409", table: "orders") { Order.where(id: 1).update_all(address: "z", version: 3) }
end

test "rails: update_all with a string and update_columns state what they are told" do
  refused("RG428", table: "orders") { Order.where(id: 1).update_all("address = 'x'") }
  refused("RG428", table: "orders") { Order.find(1).update_columns(address: "x") }
  order, stale = Order.find(1), Order.find(1)
  order.update_columns(address: "x", version: order.version + 1)
  refused("RG409", table: "orders") { stale.update_columns(address: "y", version: stale.version + 1) }
  order.update!(address: "z")
  equal(%w[z 3], stored)
end

test "rails: knows no integrity style" do
  Order.transaction do
    Order.connection.execute("SET LOCAL raceguard.error_style = 'integrity'")
    refused("23R09") { Order.where(id: 1).update_all(address: "x", version: 7) }
    raise ActiveRecord::Rollback
  end
end

test "rails: upsert states the version among its values" do
  upsert = ->(address, **more) { Order.upsert({ id: 1, address: address, **more }) }
  refused("RG428") { upsert["x"] }
  upsert["Ann Street", version: 2]
  refused("RG409") { upsert["Bob Street", version: 2] }
end

test "rails: a counter cache makes the parents that others have read stale, in spite of ignore" do
  of_ann, of_bob = Author.find(1), Author.find(1)
  Book.create!(id: 1, author: of_ann)
  equal(%w[Ann 1 2], author)
  # The object that the child was given to follows.
  of_ann.update!(name: "Anna")
  raises(ActiveRecord::StaleObjectError) { of_bob.update!(name: "Bob") }
  Book.find(1).destroy!
  equal(%w[Anna 0 4], author)
  Author.reset_counters(1, :books)
  Author.find(1).increment!(:books_count)
  equal(%w[Anna 1 6], author)
end

test "rails: a counter through a class without the version makes nobody stale" do
  of_bob = Author.find(1)
  CountedBook.create!(id: 1, author_id: 1)
  CountedBook.create!(id: 2, author: Author.find(1))
  CountedBook.find(1).destroy!
  equal(%w[Ann 1 1], author)
  of_bob.update!(name: "Bob")
  equal(%w[Bob 1 2], author)
end

test "rails: a counter by update_all with a string makes nobody stale" do
  of_bob = Author.find(1)
  Author.where(id: 1).update_all("books_count = books_count + 1")
  of_bob.update!(name: "Bob")
  equal(%w[Bob 1 2], author)
end

# `partial_writes` until Rails 6.1.
PARTIAL = Author.respond_to?(:partial_updates=) ? :partial_updates= : :partial_writes=

test "rails: a save of the whole row names the primary key, and inserts of children wait for it" do
  book = lambda do |id|
    PLAIN.exec("SET lock_timeout = '20ms'; INSERT INTO books VALUES (#{id}, 1)")
  ensure
    PLAIN.exec("RESET lock_timeout")
  end
  save = lambda do |name, &meanwhile|
    Author.transaction { Author.find(1).update!(name: name).then(&meanwhile) }
  end
  save["Anna"] { book[1] }
  begin
    Author.public_send(PARTIAL, false)
    stale = Author.find(1)
    save["Anne"] { raises(PG::LockNotAvailable) { book[2] } }
    raises(ActiveRecord::StaleObjectError) { stale.update!(name: "Bob") }
  ensure
    Author.public_send(PARTIAL, true)
  end
end

test "rails: cap and cooldown" do
  Post.create!(id: 1, author: 42)
  refused("RG403", table: "posts", column: "slot", detail: "the only slot is taken") { Post.create!(id: 2, author: 42) }
  Report.create!(id: 1, author: 42, at: Time.now)
  refused("RG429", table: "reports", column: "at") { Report.create!(id: 2, author: 42, at: Time.now) }
end

test "rails: lock_key" do
  Order.transaction do
    Order.connection.execute(Order.sanitize_sql(["SELECT raceguard.lock_key('seats', ?, ?)", 42, "2026-05-01"]))
    equal(["f"], row("SELECT raceguard.try_lock_key('seats', 42, '2026-05-01')"))
  end
end
