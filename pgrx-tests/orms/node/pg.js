// node-postgres, the driver below every other client here: the fields of an error object, and
// parameters, which it sends as text without a type.

const pg = require("pg");
const { assert, test, raises, reports, STALE, CAP_FULL, COOLING_DOWN, race, stored, untilWaiting } = require("./harness.js");

const pool = new pg.Pool();

const save = (address, version) =>
  pool.query("UPDATE orders SET address = $1, version = $2 WHERE id = 1", [address, version]);

test("a save bumps once, a stale one is RG409 with all fields", async () => {
  assert.equal((await save("Ann Street", 2)).rowCount, 1);
  const error = await raises(pg.DatabaseError, save("Bob Street", 2));
  reports(error, STALE);
  assert.equal(error.message, 'row of "orders" has changed since it was read');
  assert.deepEqual(await stored(), { address: "Ann Street", version: 2 });
});

test("a bigint version, as add_version adds it, is a text in JavaScript", async () => {
  const { rows } = await pool.query("SELECT version FROM pages");
  const page = (version) => pool.query("UPDATE pages SET body = 'x', version = $1", [version]);
  assert.equal(rows[0].version, "1");
  const error = await raises(pg.DatabaseError, page(rows[0].version + 1));
  reports(error, { code: "RG409", detail: "Key (id)=(1): stated version 10, stored version 1." });
  await page(Number(rows[0].version) + 1);
});

test("two saves at once: one wins", async () => {
  reports(await race(() => save("Ann Street", 2), () => save("Bob Street", 2)), STALE);
});

test("a prepared statement is judged at every execution", async () => {
  const client = await pool.connect();
  const again = (version) =>
    client.query({ name: "save", text: "UPDATE orders SET version = $1 WHERE id = 1", values: [version] });
  try {
    for (let version = 2; version < 12; version += 1) await again(version);
    assert.equal((await raises(pg.DatabaseError, again(11))).code, "RG409");
  } finally {
    client.release();
  }
});

test("cap and cooldown", async () => {
  const post = "INSERT INTO posts VALUES ($1, $2)";
  await pool.query(post, [1, 42]);
  reports(await raises(pg.DatabaseError, pool.query(post, [2, 42])), CAP_FULL);
  const report = "INSERT INTO reports VALUES ($1, $2, $3)";
  await pool.query(report, [1, 42, new Date()]);
  reports(await raises(pg.DatabaseError, pool.query(report, [2, 42, new Date()])), COOLING_DOWN);
});

const SEATS = "SELECT raceguard.try_lock_key('seats', 42, '2026-05-01') AS free";

/** Whether another session can have the key of `attempt` while a transaction has run this statement. */
async function freeDuring(sql, parameters, attempt = SEATS) {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query(sql, parameters);
    const { rows } = await pool.query(attempt);
    return rows[0].free;
  } finally {
    await client.query("ROLLBACK");
    client.release();
  }
}

test("lock_key with untyped parameters of every kind", async () => {
  const call = "SELECT raceguard.lock_key('seats', $1, $2)";
  assert.equal(await freeDuring(call, [43, "2026-05-01"]), true);
  for (const show of [42, "42", 42n]) {
    for (const day of ["2026-05-01", new Date(2026, 4, 1)]) {
      assert.equal(await freeDuring(call, [show, day]), false, `${typeof show}, ${day}`);
    }
  }
  assert.equal(await freeDuring("SELECT raceguard.lock_key($1, $2, $3)", ["seats", 42, "2026-05-01"]), false);
  // A key of one part, which must not be taken for the array of all parts.
  const author = "SELECT raceguard.try_lock_key('posts', 42) AS free";
  assert.equal(await freeDuring("SELECT raceguard.lock_key('posts', $1)", [42], author), false);
  assert.equal(await freeDuring("SELECT raceguard.lock_key('posts', $1)", [43], author), true);
});

test("a guarded write waits for whoever has called lock_key", async () => {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("SELECT raceguard.lock_key('seats', $1, $2)", [42, "2026-05-01"]);
    const write = pool.query("INSERT INTO seats VALUES ($1, $2, $3)", [1, 42, "2026-05-01"]);
    await untilWaiting(1);
    await pool.query("INSERT INTO seats VALUES ($1, $2, $3)", [2, 43, "2026-05-01"]);
    await client.query("COMMIT");
    assert.equal((await write).rowCount, 1);
  } finally {
    client.release(true);
  }
});

test("lock_keys takes JSON, and an array as it is becomes a Postgres array", async () => {
  const call = "SELECT raceguard.lock_keys('seats', $1)";
  const keys = [[43, "2026-05-01"], [42, "2026-05-01"]];
  assert.equal(await freeDuring(call, [JSON.stringify(keys)]), false);
  assert.equal((await raises(pg.DatabaseError, pool.query(call, [keys]))).code, "22P02");
});

test("compare_and_swap with an object", async () => {
  const swap = (version) =>
    pool.query("SELECT raceguard.compare_and_swap('orders', $1, $2, $3) AS row", [{ id: 1 }, version, { address: "Ann Street" }]);
  const { rows } = await swap(1);
  assert.deepEqual(rows[0].row, { id: 1, address: "Ann Street", version: 2, deleted_at: null });
  assert.equal((await raises(pg.DatabaseError, swap(1))).code, "RG409");
});

exports.close = () => pool.end();
