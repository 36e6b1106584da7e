# panels.rb DASHBOARD COLLECTOR...: prints what of a Grafana dashboard could not be drawn: panels without a place or a query,
# queries of metrics or labels that the collectors do not make, variables that are not defined.

require "json"
require "yaml"

dashboard, *collectors = ARGV
board = JSON.parse(File.read(dashboard))
problems = %w[title uid schemaVersion panels templating].reject { |field| board[field] }.map { |field| "no #{field}" }

# The labels of each metric; a recording rule has those of what it is made of.
metrics = collectors.flat_map { |file| YAML.safe_load(File.read(file)).fetch("metrics") }.to_h do |metric|
  [metric.fetch("metric_name"), metric.fetch("key_labels", []) + [metric["value_label"]].compact]
end
metrics["raceguard:conflicts:ratio_rate5m"] = metrics.fetch("raceguard_rows_total") - ["outcome"]

variables = board.dig("templating", "list").to_a.map { |variable| variable.fetch("name") }
BUILT_IN = %w[__rate_interval __all __interval].freeze
# Unquoted: what stands in quotes are values of labels.
METRIC = /raceguard(?::\w+)+|raceguard_\w+/.freeze

problems_of_query = lambda do |expr|
  bare = expr.gsub(/"[^"]*"/, '""')
  used = bare.scan(METRIC).uniq
  known = used.flat_map { |metric| metrics.fetch(metric, []) }
  labels = bare.scan(/(\w+)\s*(?:=~|!=|!~|=)\s*""/).flatten + bare.scan(/\b(?:by|without)\s*\(([^)]*)\)/).flatten.flat_map { |list| list.split(/\s*,\s*/) }
  said = used.empty? ? ["names no metric"] : []
  said + (used - metrics.keys).map { |metric| "no collector makes #{metric}" } +
    (labels.uniq - known).map { |label| "#{used.join(' and ')}: no label #{label}" }
end

panels = board.fetch("panels")
panels.each do |panel|
  where = "panel #{panel['title'].inspect}"
  problems += %w[id type title gridPos datasource targets].reject { |field| panel[field] }.map { |field| "#{where}: no #{field}" }
  place = panel.fetch("gridPos")
  problems << "#{where}: beyond the 24 columns" if place["x"].negative? || place["w"] < 1 || place["h"] < 1 || place["x"] + place["w"] > 24
  targets = panel.fetch("targets")
  problems << "#{where}: targets of one refId" unless targets.map { |target| target.fetch("refId") }.uniq.size == targets.size
  targets.each do |target|
    problems += problems_of_query.call(target.fetch("expr")).map { |what| "#{where}: #{what}" }
    shown = target.fetch("legendFormat", "").scan(/\{\{\s*(\w+)\s*\}\}/).flatten
    known = target.fetch("expr").scan(METRIC).flat_map { |metric| metrics.fetch(metric, []) }
    problems += (shown - known).map { |label| "#{where}: its legend shows #{label}, which there is not" }
  end
end
panels.combination(2) do |one, other|
  a, b = one.fetch("gridPos"), other.fetch("gridPos")
  apart = a["x"] + a["w"] <= b["x"] || b["x"] + b["w"] <= a["x"] || a["y"] + a["h"] <= b["y"] || b["y"] + b["h"] <= a["y"]
  problems << "panels #{one['title'].inspect} and #{other['title'].inspect} overlap" unless apart
  problems << "two panels have id #{one['id']}" if one["id"] == other["id"]
end
used = JSON.generate(board).scan(/\$\{?(\w+)/).flatten.uniq
problems += (used - variables - BUILT_IN).map { |name| "variable #{name} is not defined" }
board.dig("templating", "list").to_a.select { |variable| variable["type"] == "query" }.each do |variable|
  asked = variable.dig("query", "query").to_s[/\Alabel_values\((\w+)/, 1]
  problems << "variable #{variable['name']}: no collector makes #{asked.inspect}" unless metrics.key?(asked)
end
puts problems
