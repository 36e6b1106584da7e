# Runs the tests of every client. Connects by the PG* variables; the last line is "N passed, N failed".

$stdout.sync = true
require_relative "harness"
require_relative "pg_driver"
require_relative "active_record"
require_relative "counter_cache"

failed = 0
TESTS.each do |name, body|
  PLAIN.exec("CALL reset_rows()")
  body.call
  puts "ok      #{name}"
rescue StandardError => error
  failed += 1
  puts "FAILED  #{name}", error.full_message(highlight: false)
end
puts "#{TESTS.size - failed} passed, #{failed} failed"
exit failed.zero?
