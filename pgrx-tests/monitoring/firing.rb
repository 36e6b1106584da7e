# firing.rb BEFORE AFTER TIME: prints which alerts fire at TIME (as 16m, or 200h), and for which tables, where the counters
# grow each minute, or hour, as they did between the two collections, and gauges stay as in the second.
#
# promtool compares with what is expected: asked for nothing, it tells what there is.

require "open3"
require "tempfile"
require "yaml"

RULES = File.expand_path("../../monitoring/raceguard.rules.yml", __dir__)
before, after, time = ARGV

def read(file)
  lines = File.readlines(file, chomp: true)
  lines.grep_v(/\A#/).to_h { |line| line.match(/\A(.*\}) (.*)\z/).captures }.transform_values(&:to_f)
end

first, second = read(before), read(after)
interval = "1#{time[-1]}"
steps = time.to_i + 1
series = second.map do |name, value|
  start = first.fetch(name, value)
  step = name.match?(/_total\{/) ? value - start : 0
  { "series" => name, "values" => "#{step.zero? ? value : start}+#{step}x#{steps}" }
end

test = { "rule_files" => [RULES], "evaluation_interval" => interval,
         "tests" => [{ "interval" => interval, "input_series" => series,
                       "promql_expr_test" => [{ "expr" => 'count by (alertname, table) (ALERTS{alertstate="firing"})',
                                                "eval_time" => time }] }] }

Tempfile.create(["firing", ".yml"]) do |file|
  file.write(test.to_yaml)
  file.close
  said, status = Open3.capture2e("promtool", "test", "rules", file.path)
  exit if status.success?
  got = said[/^ *got: (.*)/, 1] or abort(said)
  puts got.scan(/\{(.*?)\}/).flatten.map { |labels| labels.scan(/"([^"]*)"/).join(" ") }.sort
end
