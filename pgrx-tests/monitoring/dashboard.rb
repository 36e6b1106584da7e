# dashboard.rb FILE: prints the queries of a Grafana dashboard as recording rules, which promtool can read.

require "json"
require "yaml"

targets = JSON.parse(File.read(ARGV.fetch(0))).fetch("panels").flat_map { |panel| panel.fetch("targets") }
rules = targets.each_with_index.map do |target, number|
  { "record" => "panel#{number}", "expr" => target.fetch("expr").gsub("$__rate_interval", "5m") }
end
puts({ "groups" => [{ "name" => "dashboard", "rules" => rules }] }.to_yaml)
