# Rails' counter cache, by itself (plain_events) and where the database keeps the number (events).

class PlainEvent < ActiveRecord::Base
  has_many :bookings, class_name: "PlainBooking", foreign_key: :event_id
end

class PlainBooking < ActiveRecord::Base
  belongs_to :event, class_name: "PlainEvent", counter_cache: :bookings_count
  validate(on: :create) { errors.add(:event, "is full") if event.bookings_count >= event.capacity }
end

class Event < ActiveRecord::Base
  has_many :bookings
end

class Booking < ActiveRecord::Base
  belongs_to :event
end

# Both count: the counter cache was left in when the total came.
class TwiceCounted < ActiveRecord::Base
  self.table_name = "bookings"
  belongs_to :event, counter_cache: :bookings_count
end

# What is on record for both events, and what stands.
def counted(prefix = "")
  PLAIN.exec("SELECT bookings_count, (SELECT count(*) FROM #{prefix}bookings WHERE event_id = e.id)" \
             " FROM #{prefix}events e ORDER BY id").values.map { |pair| pair.map(&:to_i) }
end

# The ways past the callbacks, by which a counter cache learns nothing.
def write_past_callbacks(event, booking)
  found = []
  event.find(1).bookings.create!
  booking.insert_all([{ event_id: 1 }, { event_id: 1 }])
  found << yield
  booking.where(event_id: 1).first.delete
  found << yield
  booking.where(event_id: 1).update_all(event_id: 2)
  found << yield
  booking.where(event_id: 2).delete_all
  found << yield
end

test "rails: a counter cache misses insert_all, delete, update_all and delete_all" do
  equal([[[1, 3], [0, 0]], [[1, 2], [0, 0]], [[1, 0], [0, 2]], [[1, 0], [0, 0]]],
        write_past_callbacks(PlainEvent, PlainBooking) { counted("plain_") })
end

test "rails: a total counts them" do
  equal([[[3, 3], [0, 0]], [[2, 2], [0, 0]], [[0, 0], [2, 2]], [[0, 0], [0, 0]]],
        write_past_callbacks(Event, Booking) { counted })
end

test "rails: a validation against the counter cache lets a fourth into three seats" do
  2.times { PlainBooking.create!(event: PlainEvent.find(1)) }
  ann, bob = PlainEvent.find(1), PlainEvent.find(1)
  PlainBooking.create!(event: ann)
  PlainBooking.create!(event: bob)
  equal([4, 4], counted("plain_").first)
end

test "rails: a total refuses the fourth" do
  Booking.insert_all([{ event_id: 1 }, { event_id: 1 }])
  ann, bob = Event.find(1), Event.find(1)
  ann.bookings.create!
  refused("RG403", table: "events", column: "bookings_count", detail: "total 3, bound 3, asked for 1") do
    bob.bookings.create!
  end
  equal([3, 3], counted.first)
  # A stale object is saved without the total, since only what has changed is sent.
  bob.update!(name: "faire")
  equal(["faire", "3"], row("SELECT name, bookings_count FROM events WHERE id = 1"))
end

test "rails: reset_counters loses a booking that is under way" do
  PLAIN.exec("INSERT INTO plain_bookings (event_id) VALUES (1)")
  other = PG.connect
  other.exec("BEGIN; INSERT INTO plain_bookings (event_id) VALUES (1);" \
             "UPDATE plain_events SET bookings_count = bookings_count + 1 WHERE id = 1")
  reset = Thread.new do
    ActiveRecord::Base.connection_pool.with_connection { PlainEvent.reset_counters(1, :bookings) }
  end
  until_waiting(1)
  other.exec("COMMIT")
  other.close
  reset.join
  equal([1, 2], counted("plain_").first)
end

test "rails: a counter cache on a total's column is refused" do
  refused("428C9", table: "events", column: "bookings_count") { TwiceCounted.create!(event: Event.find(1)) }
  equal([0, 0], counted.first)
end
