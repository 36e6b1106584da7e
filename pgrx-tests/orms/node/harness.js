// What the tests of every Node client share: a list of tests, comparisons, a plain connection, and
// a race of two saves.

const assert = require("node:assert/strict");
const pg = require("pg");

const tests = [];

/** A named test. */
function test(name, run) {
  tests.push({ name, run });
}

/** The error of that very class (not a subclass) that the promise ends with. */
async function raises(kind, promise) {
  let error;
  try {
    await promise;
  } catch (thrown) {
    error = thrown;
  }
  assert(error, `no ${kind.name}`);
  assert.equal(error.constructor, kind, `${error.constructor.name} instead of ${kind.name}: ${error.stack}`);
  return error;
}

/** The pg error below an ORM's own has what raceguard reports, as the driver names it. */
function reports(error, wanted) {
  for (const [field, value] of Object.entries(wanted)) {
    if (value instanceof RegExp) assert.match(String(error[field]), value, field);
    else assert.equal(error[field], value, field);
  }
}

/** What RG409 says of an order's update that is based on version 1 when the row has version 2. */
const STALE = {
  code: "RG409",
  detail: "Key (id)=(1): stated version 1, stored version 2.",
  hint: /^Read the row again/,
  schema: "public",
  table: "orders",
  column: "version",
  constraint: "zz_raceguard_version",
};

const CAP_FULL = { code: "RG403", detail: "Key (author)=(42): the only slot is taken.", hint: /^Delete a row/, table: "posts" };

const COOLING_DOWN = { code: "RG429", detail: /the next is allowed at/, hint: /^Try again in/, table: "reports", column: "at" };

/** A connection that no ORM knows of. */
let plain;

async function connect() {
  plain = new pg.Client();
  await plain.connect();
}

async function disconnect() {
  await plain.end();
}

async function reset() {
  await plain.query("CALL reset_rows()");
}

async function query(sql, parameters) {
  return (await plain.query(sql, parameters)).rows;
}

/** Address and version of order 1. */
async function stored() {
  const [row] = await query("SELECT address, version FROM orders WHERE id = 1");
  return row;
}

/** As soon as so many sessions of this database wait for a lock. */
async function untilWaiting(sessions) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const [{ waiting }] = await query(
      `SELECT count(*)::int AS waiting FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    if (waiting === sessions) return;
    assert(Date.now() < deadline, `${waiting} sessions wait for a lock instead of ${sessions}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * Starts two saves of order 1 while its row is locked, lets them go when both wait for it, and demands
 * that exactly one of them wins. Each is a function that returns the promise of a save of the address
 * "Ann Street" or "Bob Street". Answers the loser's error.
 */
async function race(ann, bob) {
  const gate = new pg.Client();
  await gate.connect();
  let ends;
  try {
    await gate.query("BEGIN");
    await gate.query("SELECT FROM orders WHERE id = 1 FOR UPDATE");
    ends = Promise.allSettled([ann(), bob()]);
    await untilWaiting(2);
    await gate.query("COMMIT");
  } finally {
    await gate.end();
  }
  const [ofAnn, ofBob] = await ends;
  assert.notEqual(ofAnn.status, ofBob.status, `both ${ofAnn.status}`);
  const annWon = ofAnn.status === "fulfilled";
  assert.deepEqual(await stored(), { address: annWon ? "Ann Street" : "Bob Street", version: 2 });
  return annWon ? ofBob.reason : ofAnn.reason;
}

module.exports = {
  assert,
  test,
  tests,
  raises,
  reports,
  STALE,
  CAP_FULL,
  COOLING_DOWN,
  connect,
  disconnect,
  reset,
  query,
  stored,
  untilWaiting,
  race,
};
