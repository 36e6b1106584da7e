# collect.rb FILE...: does what sql_exporter does with these collectors, in the database of the PG* variables, and prints
# the samples as Prometheus reads them. A query whose columns are not those that its metric names is an error.

require "pg"
require "yaml"

NAME = /\A[a-z_][a-z0-9_]*\z/.freeze

def escaped(text)
  text.gsub(/[\\"\n]/) { |c| c == "\n" ? "\\n" : "\\#{c}" }
end

# Every result row as [labels, value].
def samples(metric, rows)
  keys, values = metric.fetch("key_labels"), metric.fetch("values")
  rows.flat_map do |row|
    unknown = keys + values - row.keys
    raise "#{metric['metric_name']}: no columns #{unknown}" unless unknown.empty?

    values.map do |value|
      labels = row.slice(*keys)
      labels[metric.fetch("value_label")] = value if values.size > 1
      [labels, Float(row.fetch(value))]
    end
  end
end

connection = PG.connect
ARGV.each do |file|
  collector = YAML.safe_load(File.read(file))
  queries = collector.fetch("queries", []).to_h { |query| [query.fetch("query_name"), query.fetch("query")] }
  # A query that several metrics refer to runs once.
  results = Hash.new { |known, sql| known[sql] = connection.exec(sql).to_a }
  collector.fetch("metrics").each do |metric|
    name = metric.fetch("metric_name")
    raise "#{name} is no name" unless ([name] + metric.fetch("key_labels") + metric.fetch("values")).all?(NAME)

    puts "# HELP #{name} #{metric.fetch('help')}", "# TYPE #{name} #{metric.fetch('type')}"
    samples(metric, results[metric["query"] || queries.fetch(metric.fetch("query_ref"))]).each do |labels, value|
      puts "#{name}{#{labels.map { |label, text| "#{label}=\"#{escaped(text)}\"" }.join(', ')}} #{value}"
    end
  end
end
