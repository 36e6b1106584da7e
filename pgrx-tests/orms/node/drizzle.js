// Drizzle has no version of its own: an UPDATE says what its code says. Two ways are checked: a number
// that the guard judges, and a condition that leaves no row. `$onUpdate` with an expression only counts.

const { DrizzleQueryError, and, eq, sql } = require("drizzle-orm");
const { drizzle } = require("drizzle-orm/node-postgres");
const { bigint, integer, pgTable, text, timestamp } = require("drizzle-orm/pg-core");
const pg = require("pg");
const { assert, test, raises, reports, STALE, CAP_FULL, COOLING_DOWN, query, race, stored } = require("./harness.js");

const orders = pgTable("orders", {
  id: integer("id").primaryKey(),
  address: text("address").notNull(),
  version: integer("version").notNull().default(1),
});

const countingOrders = pgTable("orders", {
  id: integer("id").primaryKey(),
  address: text("address").notNull(),
  version: integer("version").notNull().default(1).$onUpdate(() => sql`version + 1`),
});

const pages = pgTable("pages", {
  id: integer("id").primaryKey(),
  body: text("body").notNull(),
  version: bigint("version", { mode: "number" }).notNull(),
});

const posts = pgTable("posts", { id: integer("id").primaryKey(), author: integer("author").notNull() });
const reported = pgTable("reports", {
  id: integer("id").primaryKey(),
  author: integer("author").notNull(),
  at: timestamp("at", { withTimezone: true }).notNull(),
});

const pool = new pg.Pool();
const db = drizzle(pool);

/** The error of Drizzle's own below which the driver's is found. */
async function refused(promise, wanted) {
  const error = await raises(DrizzleQueryError, promise);
  reports(error.cause, wanted);
}

const read = async () => (await db.select().from(orders).where(eq(orders.id, 1)))[0];

const save = (order, address) =>
  db.update(orders).set({ address, version: order.version + 1 }).where(eq(orders.id, order.id)).returning();

test("a save bumps once, a stale one is RG409", async () => {
  const [ann, bob] = [await read(), await read()];
  assert.deepEqual(await save(ann, "Ann Street"), [{ id: 1, address: "Ann Street", version: 2 }]);
  await refused(save(bob, "Bob Street"), STALE);
  assert.deepEqual(await stored(), { address: "Ann Street", version: 2 });
});

test("a bigint version, as add_version adds it", async () => {
  const [page] = await db.select().from(pages);
  const update = () => db.update(pages).set({ body: "new", version: page.version + 1 }).returning();
  assert.deepEqual(await update(), [{ id: 1, body: "new", version: 2 }]);
  await refused(update(), { ...STALE, table: "pages" });
});

test("two saves at once: one wins", async () => {
  const [ann, bob] = [await read(), await read()];
  const error = await race(async () => save(ann, "Ann Street"), async () => save(bob, "Bob Street"));
  assert.equal(error.constructor, DrizzleQueryError);
  reports(error.cause, STALE);
});

test("two saves at once with the version in the condition: one wins, the other finds no row", async () => {
  const [ann, bob] = [await read(), await read()];
  const checked = async (order, address) => {
    const rows = await db
      .update(orders)
      .set({ address, version: order.version + 1 })
      .where(and(eq(orders.id, order.id), eq(orders.version, order.version)))
      .returning();
    if (rows.length === 0) throw new RangeError("stale");
  };
  assert.equal((await race(() => checked(ann, "Ann Street"), () => checked(bob, "Bob Street"))).message, "stale");
});

test("an update without a version is refused, $onUpdate counts", async () => {
  await refused(db.update(orders).set({ address: "x" }), { code: "RG428" });
  await db.update(countingOrders).set({ address: "x" }).where(eq(countingOrders.id, 1));
  assert.deepEqual(await stored(), { address: "x", version: 2 });
  await refused(db.update(countingOrders).set({ address: "y", version: 2 }).where(eq(countingOrders.id, 1)), STALE);
});

test("an upsert states excluded.version", async () => {
  const upsert = (version, address) =>
    db
      .insert(orders)
      .values({ id: 1, address, version })
      .onConflictDoUpdate({ target: orders.id, set: { address, version: sql`excluded.version` } });
  await upsert(2, "Ann Street");
  await refused(upsert(2, "Bob Street"), STALE);
  assert.deepEqual(await stored(), { address: "Ann Street", version: 2 });
});

test("cap and cooldown", async () => {
  await db.insert(posts).values({ id: 1, author: 42 });
  await refused(db.insert(posts).values({ id: 2, author: 42 }), CAP_FULL);
  await db.insert(reported).values({ id: 1, author: 42, at: new Date() });
  await refused(db.insert(reported).values({ id: 2, author: 42, at: new Date() }), COOLING_DOWN);
});

test("lock_key in a transaction", async () => {
  await db.transaction(async (transaction) => {
    await transaction.execute(sql`SELECT raceguard.lock_key('seats', ${42}, ${"2026-05-01"})`);
    const [{ free }] = await query("SELECT raceguard.try_lock_key('seats', 42, '2026-05-01') AS free");
    assert.equal(free, false);
  });
});

exports.close = () => pool.end();
