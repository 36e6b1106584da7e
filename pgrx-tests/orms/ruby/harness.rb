# What the tests of every Ruby client share: a list of tests, comparisons, a plain connection, and a race of
# two saves.

require "pg"

TESTS = []
PLAIN = PG.connect

def test(name, &body)
  TESTS << [name, body]
end

def assert(fact, message = "this is not so")
  raise message unless fact
end

def equal(wanted, found)
  assert(wanted == found, "#{found.inspect} instead of #{wanted.inspect}")
end

# The exception of that very class (not a subclass) that the block raises.
def raises(kind)
  begin
    yield
  rescue StandardError => error
    assert(error.instance_of?(kind), "#{error.class} instead of #{kind}: #{error.message}")
    return error
  end
  raise "no #{kind}"
end

# The pg gem's error has the code, DETAIL, HINT and fields of raceguard's report.
def reports(error, code:, table: nil, column: nil, detail: "")
  field = ->(name) { error.result.error_field(PG::Result.const_get("PG_DIAG_#{name}")) }
  equal(code, field["SQLSTATE"])
  assert(field["MESSAGE_DETAIL"].include?(detail) && field["MESSAGE_HINT"], error.message)
  equal(table, field["TABLE_NAME"]) if table
  equal(column, field["COLUMN_NAME"]) if column
end

STALE = { code: "RG409", column: "version", detail: "Key (id)=(1): stated version 1, stored version 2." }.freeze

# The only row of a query, or nil.
def row(sql)
  PLAIN.exec(sql).values.first
end

def stored
  row("SELECT address, version FROM orders WHERE id = 1")
end

# As soon as so many sessions of this database wait for a lock.
def until_waiting(sessions)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
  loop do
    waiting, = row("SELECT count(*) FROM pg_stat_activity" \
                   " WHERE datname = current_database() AND wait_event_type = 'Lock'")
    return if waiting.to_i == sessions
    assert(Process.clock_gettime(Process::CLOCK_MONOTONIC) < deadline,
           "#{waiting} sessions wait for a lock instead of #{sessions}")
    sleep 0.005
  end
end

# Starts two saves of order 1 while its row is locked, lets them go when both wait for it, and demands that
# exactly one wins. Each is a call that saves the address "of Ann" or "of Bob" in a session that has read the
# row. Answers the loser's error.
def race(ann, bob)
  gate = PG.connect
  gate.exec("BEGIN; SELECT FROM orders WHERE id = 1 FOR UPDATE")
  threads = [ann, bob].map do |save|
    Thread.new do
      save.call
      nil
    rescue StandardError => error
      error
    end
  end
  until_waiting(2)
  gate.close
  errors = threads.map(&:value)
  equal(1, errors.compact.size)
  equal([errors[0] ? "of Bob" : "of Ann", "2"], stored)
  errors.compact.first
end
