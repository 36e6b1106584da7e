// Kysely has no version of its own: an UPDATE says what its code says. The error is the driver's itself.

const { Kysely, PostgresDialect, sql } = require("kysely");
const pg = require("pg");
const { assert, test, raises, reports, STALE, CAP_FULL, COOLING_DOWN, query, race, stored } = require("./harness.js");

const db = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool() }) });

const read = () => db.selectFrom("orders").selectAll().where("id", "=", 1).executeTakeFirstOrThrow();

const save = (order, address) =>
  db.updateTable("orders").set({ address, version: order.version + 1 }).where("id", "=", order.id).executeTakeFirst();

const refused = async (promise, wanted) => reports(await raises(pg.DatabaseError, promise), wanted);

test("a save bumps once, a stale one is RG409", async () => {
  const [ann, bob] = [await read(), await read()];
  assert.equal((await save(ann, "Ann Street")).numUpdatedRows, 1n);
  await refused(save(bob, "Bob Street"), STALE);
  assert.deepEqual(await stored(), { address: "Ann Street", version: 2 });
});

test("two saves at once: one wins", async () => {
  const [ann, bob] = [await read(), await read()];
  reports(await race(() => save(ann, "Ann Street"), () => save(bob, "Bob Street")), STALE);
});

test("with the version in the condition a stale save updates no row", async () => {
  const checked = () =>
    db
      .updateTable("orders")
      .set({ address: "x", version: 2 })
      .where("id", "=", 1)
      .where("version", "=", 1)
      .executeTakeFirst();
  assert.equal((await checked()).numUpdatedRows, 1n);
  assert.equal((await checked()).numUpdatedRows, 0n);
});

test("an expression counts, an update without a version is refused", async () => {
  const update = (set) => db.updateTable("orders").set(set).where("id", "=", 1).execute();
  await refused(update({ address: "x" }), { code: "RG428" });
  await update((row) => ({ address: "x", version: row("version", "+", 1) }));
  assert.deepEqual(await stored(), { address: "x", version: 2 });
});

test("a whole row that was read is sent back with the version plus one", async () => {
  const author = await db.selectFrom("authors").selectAll().executeTakeFirstOrThrow();
  const whole = (name) =>
    db.updateTable("authors").set({ ...author, name, version: author.version + 1 }).where("id", "=", 1).execute();
  await whole("Anna");
  await refused(whole("Bob"), { ...STALE, table: "authors" });
});

test("a counter is ignored", async () => {
  await db.updateTable("authors").set((row) => ({ books_count: row("books_count", "+", 1) })).execute();
  assert.deepEqual(await query("SELECT books_count, version FROM authors"), [{ books_count: 1, version: 1 }]);
});

test("an upsert states excluded.version", async () => {
  const upsert = (version, address) =>
    db
      .insertInto("orders")
      .values({ id: 1, address, version })
      .onConflict((on) =>
        on.column("id").doUpdateSet((row) => ({ address: row.ref("excluded.address"), version: row.ref("excluded.version") })),
      )
      .execute();
  await upsert(2, "Ann Street");
  await refused(upsert(2, "Bob Street"), STALE);
});

test("cap and cooldown", async () => {
  const post = (id) => db.insertInto("posts").values({ id, author: 42 }).execute();
  await post(1);
  await refused(post(2), CAP_FULL);
  const report = (id) => db.insertInto("reports").values({ id, author: 42, at: new Date() }).execute();
  await report(1);
  await refused(report(2), COOLING_DOWN);
});

test("lock_key in a transaction", async () => {
  await db.transaction().execute(async (transaction) => {
    await sql`SELECT raceguard.lock_key('seats', ${42}, ${"2026-05-01"})`.execute(transaction);
    const [{ free }] = await query("SELECT raceguard.try_lock_key('seats', 42, '2026-05-01') AS free");
    assert.equal(free, false);
  });
});

exports.close = () => db.destroy();
