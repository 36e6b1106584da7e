// Prisma with the driver adapter for node-postgres, which needs no engine of its own. Like Drizzle it
// has no version: `version: n + 1` is judged by the guard, a version in `where` by Prisma, and
// `{ increment: 1 }` alone counts.

const { Prisma, PrismaClient } = require("@prisma/client");
const { PrismaPg } = require("@prisma/adapter-pg");
const { assert, test, raises, reports, CAP_FULL, COOLING_DOWN, query, race, stored } = require("./harness.js");

const db = new PrismaClient({ adapter: new PrismaPg({}), errorFormat: "minimal" });

// What the adapter leaves of the error: no table and no constraint.
const kept = ({ code, detail, hint, column }) => ({ code, detail, hint, ...(column && { column }) });
const STALE = kept(require("./harness.js").STALE);

/**
 * The driver's fields, as docs/orms.md finds them. An error that Prisma has no code for is the adapter's
 * own in Prisma 6, and in Prisma 7 a PrismaClientKnownRequestError (P2039) that carries it.
 */
const fieldsOf = (error) => (error.meta?.driverAdapterError ?? error).cause;

function refused(error, wanted) {
  assert(fieldsOf(error), error.stack);
  reports(fieldsOf(error), wanted);
}

const refuses = (promise, wanted) =>
  promise.then(() => assert.fail(`no ${wanted.code}`), (error) => refused(error, wanted));

const read = () => db.order.findUniqueOrThrow({ where: { id: 1 } });

const save = (order, address) =>
  db.order.update({ where: { id: order.id }, data: { address, version: order.version + 1 } });

test("a save bumps once, a stale one is RG409", async () => {
  const [ann, bob] = [await read(), await read()];
  assert.equal((await save(ann, "Ann Street")).version, 2);
  await refuses(save(bob, "Bob Street"), STALE);
  await refuses(db.$transaction((transaction) => transaction.order.update({ where: { id: 1 }, data: { version: 2 } })), STALE);
  assert.deepEqual(await stored(), { address: "Ann Street", version: 2 });
});

test("a bigint version, as add_version adds it", async () => {
  const page = await db.page.findUniqueOrThrow({ where: { id: 1 } });
  const update = () => db.page.update({ where: { id: 1 }, data: { body: "new", version: page.version + 1n } });
  assert.equal((await update()).version, 2n);
  await refuses(update(), STALE);
});

test("two saves at once: one wins", async () => {
  const [ann, bob] = [await read(), await read()];
  refused(await race(() => save(ann, "Ann Street"), () => save(bob, "Bob Street")), STALE);
});

test("two saves at once with the version in where: one wins, the other finds no record", async () => {
  const checked = (address) =>
    db.order.update({ where: { id: 1, version: 1 }, data: { address, version: { increment: 1 } } });
  const error = await race(() => checked("Ann Street"), () => checked("Bob Street"));
  assert.equal(error.constructor, Prisma.PrismaClientKnownRequestError);
  assert.equal(error.code, "P2025");
});

test("updateMany with the version in where: one wins, the other counts 0", async () => {
  const checked = async (address) => {
    const { count } = await db.order.updateMany({ where: { id: 1, version: 1 }, data: { address, version: 2 } });
    if (count === 0) throw new RangeError("stale");
  };
  assert.equal((await race(() => checked("Ann Street"), () => checked("Bob Street"))).message, "stale");
});

test("an update without a version is refused, an increment alone counts", async () => {
  const update = (data) => db.order.update({ where: { id: 1 }, data });
  await refuses(update({ address: "x" }), { code: "RG428" });
  await update({ address: "x", version: { increment: 1 } });
  assert.deepEqual(await stored(), { address: "x", version: 2 });
});

test("upsert needs a version in update, and states it", async () => {
  const upsert = (update) => db.order.upsert({ where: { id: 1 }, create: { id: 1, address: "x" }, update });
  await refuses(upsert({ address: "x" }), { code: "RG428" });
  await upsert({ address: "Ann Street", version: 2 });
  await refuses(upsert({ address: "Bob Street", version: 2 }), STALE);
});

test("cap and cooldown", async () => {
  await db.post.create({ data: { id: 1, author: 42 } });
  await refuses(db.post.create({ data: { id: 2, author: 42 } }), kept(CAP_FULL));
  await db.report.create({ data: { id: 1, author: 42, at: new Date() } });
  await refuses(db.report.create({ data: { id: 2, author: 42, at: new Date() } }), kept(COOLING_DOWN));
});

test("a raw statement's error has the driver's fields too", async () => {
  const error = await raises(
    Prisma.PrismaClientKnownRequestError,
    db.$executeRaw`UPDATE orders SET address = 'x', version = ${9} WHERE id = 1`,
  );
  assert.equal(error.code, "P2010");
  reports(fieldsOf(error), { code: "RG409", detail: /stated version 8, stored version 1/ });
});

test("lock_key by $executeRaw; $queryRaw cannot read its void", async () => {
  const call = Prisma.sql`SELECT raceguard.lock_key('seats', ${42}, ${"2026-05-01"})`;
  await db.$transaction(async (transaction) => {
    await transaction.$executeRaw(call);
    const [{ free }] = await query("SELECT raceguard.try_lock_key('seats', 42, '2026-05-01') AS free");
    assert.equal(free, false);
  });
  const error = await raises(Prisma.PrismaClientKnownRequestError, db.$queryRaw(call));
  assert.match(error.message, /Failed to deserialize column of type 'void'/);
});

exports.close = () => db.$disconnect();
