// Sequelize with `version: true`: it counts from 0, and checks in the WHERE clause what one instance
// saves. What many rows share (Model.update, upsert) it leaves to the guard.

const { DatabaseError, DataTypes, OptimisticLockError, Sequelize } = require("sequelize");
const { assert, test, raises, reports, STALE, CAP_FULL, COOLING_DOWN, query, race, stored } = require("./harness.js");

const db = new Sequelize({
  dialect: "postgres",
  host: process.env.PGHOST,
  port: process.env.PGPORT,
  username: process.env.PGUSER,
  database: process.env.PGDATABASE,
  logging: false,
  define: { timestamps: false },
});

const id = { type: DataTypes.INTEGER, primaryKey: true };

const Order = db.define(
  "order",
  { id, address: DataTypes.TEXT },
  { version: true, timestamps: true, createdAt: false, updatedAt: false, paranoid: true, deletedAt: "deleted_at" },
);
const Post = db.define("post", { id, author: DataTypes.INTEGER });
const Page = db.define("page", { id, body: DataTypes.TEXT }, { version: true });
const Report = db.define("report", { id, author: DataTypes.INTEGER, at: DataTypes.DATE });

/** The error of Sequelize's own below which the driver's is found. */
async function refused(promise, wanted) {
  const error = await raises(DatabaseError, promise);
  reports(error.parent, wanted);
}

test("save() bumps once, a stale one is Sequelize's own error", async () => {
  const [ann, bob] = [await Order.findByPk(1), await Order.findByPk(1)];
  await ann.update({ address: "Ann Street" });
  assert.equal(ann.version, 2);
  ann.address = "Ann Street 2";
  await ann.save();
  assert.equal(ann.version, 3);
  bob.address = "Bob Street";
  await raises(OptimisticLockError, bob.save());
  assert.deepEqual(await stored(), { address: "Ann Street 2", version: 3 });
  await bob.reload();
  await bob.update({ address: "Bob Street" });
  assert.deepEqual(await stored(), { address: "Bob Street", version: 4 });
});

test("two saves at once: one wins", async () => {
  const [ann, bob] = [await Order.findByPk(1), await Order.findByPk(1)];
  const error = await race(() => ann.update({ address: "Ann Street" }), () => bob.update({ address: "Bob Street" }));
  assert.equal(error.constructor, OptimisticLockError);
});

test("a bigint version, as add_version adds it", async () => {
  const [page, stale] = [await Page.findByPk(1), await Page.findByPk(1)];
  await page.update({ body: "new" });
  await page.update({ body: "newer" });
  assert.equal(page.version, 3);
  await raises(OptimisticLockError, stale.update({ body: "newest" }));
});

test("a new row begins with version 0", async () => {
  const order = await Order.create({ id: 3, address: "New Street" });
  assert.equal(order.version, 0);
  await order.update({ address: "Newer Street" });
  assert.equal((await Order.findByPk(3)).version, 1);
});

test("Model.update() needs a version: a number is judged, an expression counts", async () => {
  const update = (values) => Order.update({ address: "x", ...values }, { where: { id: 1 } });
  await refused(update({}), { code: "RG428" });
  assert.deepEqual(await update({ version: 2 }), [1]);
  await refused(update({ version: 2 }), STALE);
  assert.deepEqual(await update({ version: db.literal("version + 1") }), [1]);
  assert.equal((await stored()).version, 3);
});

test("upsert() and bulkCreate() need a version, and state it", async () => {
  await refused(Order.upsert({ id: 1, address: "x" }), { code: "RG428" });
  await Order.upsert({ id: 1, address: "Ann Street", version: 2 });
  await refused(Order.upsert({ id: 1, address: "Bob Street", version: 2 }), STALE);
  const bulk = (version, fields) =>
    Order.bulkCreate([{ id: 1, address: "Ann Street 2", version }], { updateOnDuplicate: fields });
  await refused(bulk(3, ["address"]), { code: "RG428" });
  await bulk(3, ["address", "version"]);
  await refused(bulk(3, ["address", "version"]), { code: "RG409" });
  assert.deepEqual(await stored(), { address: "Ann Street 2", version: 3 });
});

test("soft deletion and restoring of an instance bump once and are checked", async () => {
  const [order, stale] = [await Order.findByPk(1), await Order.findByPk(1)];
  await order.destroy();
  assert.equal(order.version, 2);
  await order.restore();
  assert.equal(order.version, 3);
  await raises(OptimisticLockError, stale.destroy());
  assert.equal((await stored()).version, 3);
});

test("soft deletion of many rows sends no version", async () => {
  await refused(Order.destroy({ where: { id: 1 } }), { code: "RG428" });
  await refused(Order.restore({ where: { id: 1 } }), { code: "RG428" });
});

test("a stale row that is deleted for good stays there, without an error", async () => {
  const [order, stale] = [await Order.findByPk(1), await Order.findByPk(1)];
  await order.update({ address: "Ann Street" });
  await stale.destroy({ force: true });
  assert.deepEqual(await stored(), { address: "Ann Street", version: 2 });
});

test("an instance read without its version cannot be saved", async () => {
  const order = await Order.findByPk(1, { attributes: ["id", "address"] });
  const error = await raises(Error, order.update({ address: "x" }));
  assert.match(error.message, /parameter "version" has invalid "undefined" value/);
});

test("after a rollback an instance has a version that the row has not", async () => {
  const order = await Order.findByPk(1);
  const rollback = db.transaction(async (transaction) => {
    await order.update({ address: "Ann Street" }, { transaction });
    throw new RangeError("rolled back");
  });
  await raises(RangeError, rollback);
  await raises(OptimisticLockError, order.update({ address: "Ann Street 2" }));
  await order.reload();
  await order.update({ address: "Ann Street 2" });
  assert.deepEqual(await stored(), { address: "Ann Street 2", version: 2 });
});

test("Sequelize knows no class 23: the integrity style changes the code alone", async () => {
  const stale = db.transaction(async (transaction) => {
    await db.query("SET LOCAL raceguard.error_style = 'integrity'", { transaction });
    await Order.update({ version: 9 }, { where: { id: 1 }, transaction });
  });
  await refused(stale, { ...STALE, code: "23R09", detail: "Key (id)=(1): stated version 8, stored version 1." });
});

test("cap and cooldown", async () => {
  await Post.create({ id: 1, author: 42 });
  await refused(Post.create({ id: 2, author: 42 }), CAP_FULL);
  await Report.create({ id: 1, author: 42, at: new Date() });
  await refused(Report.create({ id: 2, author: 42, at: new Date() }), COOLING_DOWN);
});

test("lock_key in a transaction", async () => {
  await db.transaction(async (transaction) => {
    await db.query("SELECT raceguard.lock_key('seats', $1, $2)", { bind: [42, "2026-05-01"], transaction });
    const [{ free }] = await query("SELECT raceguard.try_lock_key('seats', 42, '2026-05-01') AS free");
    assert.equal(free, false);
  });
});

test("sync({ alter: true }) drops a cap's column that no model has; inserts then fail instead of passing", async () => {
  await query("CREATE SCHEMA sequelize; CREATE TABLE sequelize.posts (id int PRIMARY KEY, author int NOT NULL)");
  await query("SELECT raceguard.add_cap('sequelize.posts', 'author', 1)");
  const OtherPost = Post.schema("sequelize");
  await OtherPost.sync({ alter: true });
  await refused(OtherPost.create({ id: 1, author: 42 }), { code: "42703", message: /names column "slot", which does not exist/ });
});

exports.close = () => db.close();
