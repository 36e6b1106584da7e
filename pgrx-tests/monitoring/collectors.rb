# collectors.rb FILE...: prints what sql_exporter (burningalchemist/sql_exporter, config/*_config.go) would not take of these
# collectors, and what it would take that leads nowhere. It reads YAML strictly: a field that it does not know is an error.

require "yaml"

COLLECTOR = { "collector_name" => String, "min_interval" => String, "metrics" => Array, "queries" => Array }.freeze
METRIC = { "metric_name" => String, "type" => String, "help" => String, "key_labels" => Array, "static_labels" => Hash,
           "value_label" => String, "values" => Array, "query" => String, "query_ref" => String,
           "no_prepared_statement" => :boolean, "static_value" => Numeric, "timestamp_value" => String }.freeze
QUERY = { "query_name" => String, "query" => String, "no_prepared_statement" => :boolean }.freeze
# Labels that sql_exporter sets itself.
RESERVED = %w[job target].freeze
METRIC_NAME = /\A[a-zA-Z_:][a-zA-Z0-9_:]*\z/.freeze
LABEL_NAME = /\A(?!__)[a-zA-Z_][a-zA-Z0-9_]*\z/.freeze

def of_type?(value, type)
  type == :boolean ? [true, false].include?(value) : value.is_a?(type)
end

# What is wrong with the fields of a mapping.
def fields(mapping, known, required, where)
  return ["#{where} is no mapping"] unless mapping.is_a?(Hash)

  (mapping.keys - known.keys).map { |field| "#{where}: unknown field #{field}" } +
    required.reject { |field| mapping[field].to_s.strip != "" }.map { |field| "#{where}: no #{field}" } +
    known.filter_map { |field, type| "#{where}: #{field} is no #{type}" if mapping.key?(field) && !of_type?(mapping[field], type) }
end

def labels(metric, where)
  keys, value = metric.fetch("key_labels", []), metric["value_label"]
  all = keys + metric.fetch("static_labels", {}).keys + [value].compact
  all.grep_v(LABEL_NAME).map { |label| "#{where}: #{label} is no label" } +
    (all & RESERVED).map { |label| "#{where}: label #{label} is reserved" } +
    all.tally.filter_map { |label, times| "#{where}: label #{label} twice" if times > 1 }
end

def metric_problems(metric, queries, where)
  found = fields(metric, METRIC, %w[metric_name type help], where)
  return found unless found.empty?

  values = metric.fetch("values", [])
  found << "#{where}: #{metric['metric_name']} is no name" unless metric["metric_name"].match?(METRIC_NAME)
  found << "#{where}: type #{metric['type']}" unless %w[counter gauge].include?(metric["type"])
  found << "#{where}: a counter's name ends in _total" if (metric["type"] == "counter") != metric["metric_name"].end_with?("_total")
  found << "#{where}: either query or query_ref" unless metric.key?("query") ^ metric.key?("query_ref")
  found << "#{where}: query_ref #{metric['query_ref']} leads nowhere" if metric["query_ref"] && !queries.include?(metric["query_ref"])
  found << "#{where}: either values or static_value" unless values.any? ^ metric.key?("static_value")
  found << "#{where}: several values need a value_label" if values.size > 1 && !metric.key?("value_label")
  found << "#{where}: a value_label for one value" if values.size == 1 && metric.key?("value_label")
  found + labels(metric, where)
end

def collector_problems(collector, where)
  found = fields(collector, COLLECTOR, %w[collector_name metrics], where)
  return found unless found.empty?

  named = collector.fetch("queries", [])
  queries = named.filter_map { |query| query["query_name"] if query.is_a?(Hash) }
  found += named.flat_map { |query| fields(query, QUERY, %w[query_name query], "#{where}, query #{query.is_a?(Hash) ? query['query_name'] : query}") }
  found << "#{where}: queries of one name" if queries.uniq!
  used = collector["metrics"].filter_map { |metric| metric["query_ref"] if metric.is_a?(Hash) }
  found += (queries - used).map { |query| "#{where}: query #{query} serves no metric" }
  found << "#{where}: min_interval" if collector.fetch("min_interval", "1s") !~ /\A(\d+(ms|[smhdwy]))+\z/
  found + collector["metrics"].flat_map { |metric| metric_problems(metric, queries, "#{where}, #{metric.is_a?(Hash) ? metric['metric_name'] : metric}") }
end

collectors = ARGV.to_h { |file| [File.basename(file), YAML.safe_load(File.read(file))] }
puts(collectors.flat_map { |name, collector| collector_problems(collector, name) })
metrics = collectors.values.flat_map { |collector| collector.fetch("metrics", []) }
%w[collector_name metric_name].zip([collectors.values, metrics]).each do |field, things|
  things.map { |thing| thing[field] }.tally.each { |name, times| puts "#{field} #{name} #{times} times" if times > 1 }
end
