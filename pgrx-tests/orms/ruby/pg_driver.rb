# The pg gem, the driver below Active Record.

def save(address, version)
  PLAIN.exec_params("UPDATE orders SET address = $1, version = $2 WHERE id = 1", [address, version])
end

test "pg: a save bumps once, a stale one is RG409 with all fields" do
  save("Ann Street", 2)
  # The gem knows no class RG.
  error = raises(PG::ServerError) { save("Bob Street", 2) }
  reports(error, **STALE, table: "orders")
  equal(["Ann Street", "2"], stored)
end

test "pg: an integrity error is PG::IntegrityConstraintViolation" do
  PLAIN.transaction do
    PLAIN.exec("SET LOCAL raceguard.error_style = 'integrity'")
    raises(PG::IntegrityConstraintViolation) { save("Bob Street", 7) }
  end
end

test "pg: a counter is added to beside a save" do
  PLAIN.exec("UPDATE authors SET books_count = books_count + 1 WHERE id = 1")
  PLAIN.exec("UPDATE authors SET name = 'Anna', version = 2 WHERE id = 1")
  equal(%w[Anna 1 2], row("SELECT name, books_count, version FROM authors"))
end

test "pg: a whole row is judged by the version in it" do
  whole = lambda do |name|
    PLAIN.exec_params("UPDATE letters SET (id, body, version) = ROW ($1, $2, $3) WHERE id = 1", [1, name, 1])
  end
  whole["of Ann"]
  reports(raises(PG::ServerError) { whole["of Bob"] }, **STALE, table: "letters")
end

test "pg: lock_key" do
  PLAIN.transaction do
    PLAIN.exec_params("SELECT raceguard.lock_key('seats', $1, $2)", [42, "2026-05-01"])
    other = PG.connect
    equal([["f"]], other.exec("SELECT raceguard.try_lock_key('seats', 42, '2026-05-01')").values)
    other.close
  end
end
