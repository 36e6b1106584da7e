// TypeORM. `@VersionColumn` makes save() compare the entity with a row it reads just before the UPDATE,
// and send `version = version + 1`: it counts, and checks nothing between the two. The subscriber below
// makes save() state the version it read.

require("reflect-metadata");
const { DataSource, EntitySchema, EventSubscriber, OptimisticLockVersionMismatchError, QueryFailedError } = require("typeorm");
const { assert, test, raises, reports, STALE, CAP_FULL, COOLING_DOWN, query, race, stored } = require("./harness.js");

const id = { type: "int", primary: true };
const version = { type: "int", version: true };

const Order = new EntitySchema({
  name: "Order",
  tableName: "orders",
  columns: {
    id,
    address: { type: "text" },
    version,
    deletedAt: { name: "deleted_at", type: "timestamptz", deleteDate: true },
  },
});

const Page = new EntitySchema({
  name: "Page",
  tableName: "pages",
  columns: { id, body: { type: "text" }, version: { type: "bigint", version: true } },
});

const Post = new EntitySchema({ name: "Post", tableName: "posts", columns: { id, author: { type: "int" } } });

const Report = new EntitySchema({
  name: "Report",
  tableName: "reports",
  columns: { id, author: { type: "int" }, at: { type: "timestamptz" } },
});

// docs/versions.md shows this class with TypeORM's decorators.
class StateVersion {
  beforeUpdate({ entity, databaseEntity, metadata }) {
    const name = metadata.versionColumn?.propertyName;
    if (!name || !databaseEntity) return; // no @VersionColumn, or an update() that has read nothing
    const [read, current] = [entity[name], databaseEntity[name]];
    if (read !== current) throw new OptimisticLockVersionMismatchError(metadata.name, read, current);
    // SQL instead of a number: an entity whose save failed never looks current by accident, and a
    // bigint, which is a text in JavaScript, needs no arithmetic.
    entity[name] = () => `${current} + 1`;
  }
}
EventSubscriber()(StateVersion);

const source = (options) => new DataSource({ type: "postgres", entities: [Order, Page, Post, Report], ...options });
const plain = source();
const stating = source({ subscribers: [StateVersion] });

/** A named test with the repository of orders of a data source. */
function orderTest(name, db, run) {
  test(name, async () => {
    if (!db.isInitialized) await db.initialize();
    await run(db.getRepository("Order"), db);
  });
}

/** Order 1 as read, with a new address. */
async function edited(orders, address) {
  const order = await orders.findOneByOrFail({ id: 1 });
  return Object.assign(order, { address });
}

orderTest("save() with the subscriber: bumps once, a stale one is TypeORM's own error", stating, async (orders) => {
  const ann = await edited(orders, "Ann Street");
  const bob = await edited(orders, "Bob Street");
  await orders.save(ann);
  assert.equal(ann.version, 2);
  ann.address = "Ann Street 2";
  await orders.save(ann);
  assert.equal(ann.version, 3);
  await raises(OptimisticLockVersionMismatchError, orders.save(bob));
  await raises(OptimisticLockVersionMismatchError, orders.save({ id: 1, address: "no version" }));
  assert.deepEqual(await stored(), { address: "Ann Street 2", version: 3 });
});

orderTest("save() with the subscriber, two at once: one wins, the other is RG409, again and again", stating, async (orders) => {
  const ann = await edited(orders, "Ann Street");
  const bob = await edited(orders, "Bob Street");
  const error = await race(() => orders.save(ann), () => orders.save(bob));
  assert.equal(error.constructor, QueryFailedError);
  reports(error, STALE);
  reports(error.driverError, STALE);
  const loser = typeof ann.version === "number" ? bob : ann;
  await raises(OptimisticLockVersionMismatchError, orders.save(loser));
});

orderTest("save() of an array with the subscriber: all or nothing", stating, async (orders) => {
  const all = await orders.find({ order: { id: "ASC" } });
  const stale = await orders.find({ order: { id: "ASC" } });
  all.forEach((order) => (order.address += "!"));
  await orders.save(all);
  assert.deepEqual(all.map((order) => order.version), [2, 2]);
  const fresh = await orders.findOneByOrFail({ id: 1 });
  fresh.address = "Ann Street";
  stale[1].address = "Bob Street";
  await raises(OptimisticLockVersionMismatchError, orders.save([fresh, stale[1]]));
  assert.deepEqual(await stored(), { address: "Old Street!", version: 2 });
});

orderTest("save() with the subscriber: a bigint version, which is a text in JavaScript", stating, async (_, db) => {
  const pages = db.getRepository("Page");
  const [page, stale] = [await pages.findOneByOrFail({ id: 1 }), await pages.findOneByOrFail({ id: 1 })];
  await pages.save(Object.assign(page, { body: "new" }));
  assert.equal(page.version, "2");
  await raises(OptimisticLockVersionMismatchError, pages.save(Object.assign(stale, { body: "newer" })));
});

orderTest("save() without the subscriber: a stale one is RG409, the guard bumps once", plain, async (orders) => {
  const ann = await edited(orders, "Ann Street");
  const bob = await edited(orders, "Bob Street");
  await orders.save(ann);
  assert.equal(ann.version, 2);
  const error = await raises(QueryFailedError, orders.save(bob));
  // TypeORM finds that its version differs from the row's and sends it as a change.
  reports(error, { ...STALE, detail: "Key (id)=(1): stated version 0, stored version 2." });
  assert.deepEqual(await stored(), { address: "Ann Street", version: 2 });
});

orderTest("save() without the subscriber, two at once: both pass, since nothing is stated", plain, async (orders) => {
  const ann = await edited(orders, "Ann Street");
  const bob = await edited(orders, "Bob Street");
  const error = await race(() => orders.save(ann), () => orders.save(bob)).catch((both) => both);
  assert.equal(error.message, "both fulfilled");
  assert.equal((await stored()).version, 3);
});

orderTest("save() without the subscriber in REPEATABLE READ, two at once: one wins", plain, async (orders, db) => {
  const ann = await edited(orders, "Ann Street");
  const bob = await edited(orders, "Bob Street");
  const save = (order) => db.transaction("REPEATABLE READ", (manager) => manager.save("Order", order));
  const error = await race(() => save(ann), () => save(bob));
  assert.equal(error.code, "40001");
});

orderTest("one added to a @VersionColumn before save() hides that it is stale", plain, async (orders) => {
  const bob = await edited(orders, "Bob Street");
  await orders.save(await edited(orders, "Ann Street"));
  bob.version += 1;
  await orders.save(bob);
  assert.deepEqual(await stored(), { address: "Bob Street", version: 3 });
});

orderTest("an optimistic lock is checked by the SELECT, and by nothing afterwards", plain, async (orders) => {
  const read = (version) => orders.findOneOrFail({ where: { id: 1 }, lock: { mode: "optimistic", version } });
  const order = await read(1);
  await orders.update({ id: 1 }, { address: "Ann Street" });
  await raises(OptimisticLockVersionMismatchError, read(1));
  assert.equal(order.version, 1);
});

orderTest("update() with the version in its criteria: no row where it is stale", stating, async (orders) => {
  const save = async (address) => {
    const { affected } = await orders.update({ id: 1, version: 1 }, { address });
    if (affected === 0) throw new RangeError("stale");
  };
  assert.equal((await race(() => save("Ann Street"), () => save("Bob Street"))).message, "stale");
});

orderTest("update() with a version is judged, without one it counts", stating, async (orders, db) => {
  await orders.update({ id: 1 }, { address: "Ann Street", version: 2 });
  reports(await raises(QueryFailedError, orders.update({ id: 1 }, { address: "Bob Street", version: 2 })), STALE);
  await orders.update({ id: 1 }, { address: "x" });
  await db.createQueryBuilder().update("Order").set({ address: "y" }).execute();
  assert.deepEqual(await stored(), { address: "y", version: 4 });
});

orderTest("upsert() needs a version, and states it", plain, async (orders) => {
  const upsert = (order) => orders.upsert({ id: 1, ...order }, ["id"]);
  reports(await raises(QueryFailedError, upsert({ address: "x" })), { code: "RG428" });
  const { generatedMaps } = await upsert({ address: "Ann Street", version: 2 });
  assert.equal(generatedMaps[0].version, 2);
  reports(await raises(QueryFailedError, upsert({ address: "Bob Street", version: 2 })), STALE);
  await orders.upsert({ id: 3, address: "new" }, ["id"]);
});

orderTest("soft removal and recovery count, and check nothing", stating, async (orders) => {
  const stale = await edited(orders, "Bob Street");
  const order = await edited(orders, "Ann Street");
  await orders.save(order);
  await orders.softRemove(order);
  assert.equal(order.version, 3);
  await orders.recover(order);
  assert.equal(order.version, 4);
  await orders.softDelete({ id: 1 });
  await orders.restore({ id: 1 });
  await orders.softRemove(stale);
  assert.deepEqual(await stored(), { address: "Ann Street", version: 7 });
});

orderTest("cap and cooldown", plain, async (_, db) => {
  await db.getRepository("Post").save({ id: 1, author: 42 });
  reports(await raises(QueryFailedError, db.getRepository("Post").save({ id: 2, author: 42 })), CAP_FULL);
  await db.getRepository("Report").save({ id: 1, author: 42, at: new Date() });
  reports(await raises(QueryFailedError, db.getRepository("Report").save({ id: 2, author: 42, at: new Date() })), COOLING_DOWN);
});

orderTest("lock_key in a transaction", plain, async (_, db) => {
  await db.transaction(async (manager) => {
    await manager.query("SELECT raceguard.lock_key('seats', $1, $2)", [42, "2026-05-01"]);
    const [{ free }] = await query("SELECT raceguard.try_lock_key('seats', 42, '2026-05-01') AS free");
    assert.equal(free, false);
  });
});

test("synchronize() drops a cap's column that no entity has; inserts then fail instead of passing", async () => {
  await query("CREATE SCHEMA typeorm; CREATE TABLE typeorm.posts (id int PRIMARY KEY, author int NOT NULL)");
  await query("SELECT raceguard.add_cap('typeorm.posts', 'author', 1)");
  const db = new DataSource({ type: "postgres", schema: "typeorm", entities: [Post], synchronize: true });
  await db.initialize();
  try {
    const error = await raises(QueryFailedError, db.getRepository("Post").insert({ id: 1, author: 42 }));
    reports(error, { code: "42703", message: /names column "slot", which does not exist/ });
  } finally {
    await db.destroy();
  }
});

exports.close = () => Promise.all([plain.destroy(), stating.destroy()]);
