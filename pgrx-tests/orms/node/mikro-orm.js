// MikroORM with a `version` property counts in the server, `version = version + 1`, and checks in the WHERE clause.
// A flush of several objects checks by a SELECT before its UPDATE, unless it is told to send one UPDATE for each.

const { EntitySchema, LockMode, OptimisticLockError, raw } = require("@mikro-orm/core");
const { DriverException, MikroORM } = require("@mikro-orm/postgresql");
const { assert, test, raises, reports, STALE, CAP_FULL, COOLING_DOWN, query, race, stored } = require("./harness.js");

const Order = new EntitySchema({
  name: "Order",
  tableName: "orders",
  properties: {
    id: { type: "integer", primary: true, autoincrement: false },
    address: { type: "text" },
    version: { type: "integer", version: true },
  },
});

const Author = new EntitySchema({
  name: "Author",
  tableName: "authors",
  properties: {
    id: { type: "integer", primary: true, autoincrement: false },
    email: { type: "text" },
    name: { type: "text" },
    booksCount: { type: "integer", default: 0 },
    version: { type: "integer", version: true },
  },
});

const Post = new EntitySchema({
  name: "Post",
  tableName: "posts",
  properties: { id: { type: "integer", primary: true, autoincrement: false }, author: { type: "integer" } },
});

const Report = new EntitySchema({
  name: "Report",
  tableName: "reports",
  properties: {
    id: { type: "integer", primary: true, autoincrement: false },
    author: { type: "integer" },
    at: { type: "Date" },
  },
});

const options = {
  entities: [Order, Author, Post, Report],
  host: process.env.PGHOST,
  port: Number(process.env.PGPORT),
  user: process.env.PGUSER,
  dbName: process.env.PGDATABASE,
  discovery: { disableDynamicFileAccess: true },
};
const orm = MikroORM.initSync(options);
const oneByOne = MikroORM.initSync({ ...options, useBatchUpdates: false });

/** The ORM's error for a driver's that it does not know; it has the driver's fields. */
const refused = async (promise, wanted) => reports(await raises(DriverException, promise), wanted);

async function read(entity = Order) {
  const em = orm.em.fork();
  const object = await em.findOneOrFail(entity, 1);
  return { em, object };
}

function save({ em, object }, change) {
  Object.assign(object, change);
  return em.flush();
}

test("a save bumps once, a stale one is OptimisticLockError", async () => {
  const [ann, bob] = [await read(), await read()];
  await save(ann, { address: "Ann Street" });
  assert.equal(ann.object.version, 2);
  await save(ann, { address: "Ann Street 2" });
  assert.equal(ann.object.version, 3);
  await raises(OptimisticLockError, save(bob, { address: "Bob Street" }));
  assert.deepEqual(await stored(), { address: "Ann Street 2", version: 3 });
});

test("two saves at once: one wins", async () => {
  const [ann, bob] = [await read(), await read()];
  const error = await race(() => save(ann, { address: "Ann Street" }), () => save(bob, { address: "Bob Street" }));
  assert.equal(error.constructor, OptimisticLockError);
});

/** What flushes a change of both orders, which have been read. */
async function flushOfBoth(from = orm) {
  const em = from.em.fork();
  const orders = await em.find(Order, {}, { orderBy: { id: 1 } });
  return (address) => {
    for (const order of orders) order.address = address;
    return em.flush();
  };
}

test("several objects in one flush: a stale one is OptimisticLockError", async () => {
  for (const from of [orm, oneByOne]) {
    const [ann, bob] = [await flushOfBoth(from), await flushOfBoth(from)];
    const address = `Ann Street ${(await stored()).version}`;
    await ann(address);
    await raises(OptimisticLockError, bob("Bob Street"));
    assert.equal((await stored()).address, address);
  }
});

test("two flushes of several objects at once: both pass by default", async () => {
  const [ann, bob] = [await flushOfBoth(), await flushOfBoth()];
  const error = await raises(assert.AssertionError, race(() => ann("Ann Street"), () => bob("Bob Street")));
  assert.match(error.message, /both fulfilled/);
  assert.equal((await stored()).version, 3);
});

test("two flushes of several objects at once: one wins with useBatchUpdates: false", async () => {
  const [ann, bob] = [await flushOfBoth(oneByOne), await flushOfBoth(oneByOne)];
  const error = await race(() => ann("Ann Street"), () => bob("Bob Street"));
  assert.equal(error.constructor, OptimisticLockError);
});

test("a lock with the version that was read", async () => {
  const { object } = await read();
  const em = orm.em.fork();
  await em.findOneOrFail(Order, 1, { lockMode: LockMode.OPTIMISTIC, lockVersion: object.version });
  await raises(OptimisticLockError, orm.em.fork().findOneOrFail(Order, 1, { lockMode: LockMode.OPTIMISTIC, lockVersion: 7 }));
});

test("nativeUpdate counts, and checks a number", async () => {
  const update = (data) => orm.em.fork().nativeUpdate(Order, 1, data);
  await update({ address: "x" });
  assert.deepEqual(await stored(), { address: "x", version: 2 });
  await update({ address: "y", version: 3 });
  await refused(update({ address: "z", version: 3 }), { ...STALE, detail: /stated version 2, stored version 3/ });
});

test("upsert needs the version plus one", async () => {
  await refused(orm.em.fork().upsert(Order, { id: 1, address: "x" }), { code: "RG428", table: "orders" });
  await orm.em.fork().upsert(Order, { id: 1, address: "Ann Street", version: 2 });
  assert.deepEqual(await stored(), { address: "Ann Street", version: 2 });
  await refused(orm.em.fork().upsert(Order, { id: 1, address: "Bob Street", version: 2 }), STALE);
  await refused(orm.em.fork().upsertMany(Order, [{ id: 1, address: "x" }, { id: 2, address: "x" }]), { code: "RG428" });
});

test("a counter by nativeUpdate makes objects stale in spite of ignore, one by SQL does not", async () => {
  const stale = await read(Author);
  await orm.em.fork().execute("UPDATE authors SET books_count = books_count + 1 WHERE id = ?", [1]);
  await save(stale, { name: "Anna" });
  const row = "SELECT name, books_count, version FROM authors";
  assert.deepEqual(await query(row), [{ name: "Anna", books_count: 1, version: 2 }]);
  await orm.em.fork().nativeUpdate(Author, 1, { booksCount: raw("books_count + 1") });
  assert.deepEqual(await query(row), [{ name: "Anna", books_count: 2, version: 3 }]);
  await raises(OptimisticLockError, save(stale, { name: "Anne" }));
});

test("a whole row is assigned, what has changed is sent", async () => {
  const [ann, bob] = [await read(Author), await read(Author)];
  const whole = { id: 1, email: "ann@example.org", booksCount: 0 };
  await save(ann, { ...whole, name: "Anna" });
  await raises(OptimisticLockError, save(bob, { ...whole, name: "Bob" }));
});

test("cap and cooldown", async () => {
  const insert = (entity, data) => orm.em.fork().insert(entity, data);
  await insert(Post, { id: 1, author: 42 });
  await refused(insert(Post, { id: 2, author: 42 }), CAP_FULL);
  await insert(Report, { id: 1, author: 42, at: new Date() });
  await refused(insert(Report, { id: 2, author: 42, at: new Date() }), COOLING_DOWN);
});

test("lock_key in a transaction", async () => {
  await orm.em.fork().transactional(async (em) => {
    await em.execute("SELECT raceguard.lock_key('seats', ?, ?)", [42, "2026-05-01"]);
    const [{ free }] = await query("SELECT raceguard.try_lock_key('seats', 42, '2026-05-01') AS free");
    assert.equal(free, false);
  });
});

exports.close = () => Promise.all([orm.close(), oneByOne.close()]);
