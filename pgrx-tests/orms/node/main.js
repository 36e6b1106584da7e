// Runs the tests of every client, or of those named. Connects by the PG* variables; the last line is
// "N passed, N failed".

const harness = require("./harness.js");

const clients = ["pg", "typeorm", "sequelize", "drizzle", "prisma", "kysely", "mikro-orm"];

async function main(wanted) {
  let passed = 0;
  let failed = 0;
  await harness.connect();
  for (const name of wanted.length ? wanted : clients) {
    const client = require(`./${name}.js`);
    for (const test of harness.tests.splice(0)) {
      await harness.reset();
      try {
        await test.run();
        passed += 1;
        console.log(`ok      ${name}: ${test.name}`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}: ${test.name}`);
        console.log(error);
      }
    }
    await client.close();
  }
  await harness.disconnect();
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
