// Lets Prisma's migrations run through @prisma/adapter-pg, which is made for queries: it knows neither `name` nor
// `"char"` columns, as Postgres's catalogs have them, and drops a shadow database that it is still connected to.
import { PrismaPg } from "@prisma/adapter-pg";

// Prisma waits at its end for what is idle: connections, and the engine's timer for a lock that it has got.
const start = globalThis.setTimeout;
globalThis.setTimeout = ((run, ms, ...rest) => {
  const timer = start(run, ms, ...rest);
  return ms >= 10_000 ? timer.unref() : timer;
}) as typeof start;

const [CHAR, NAME, TEXT] = [18, 19, 25];
const CHARACTER = 6; // ColumnTypeEnum.Character

function withCatalogTypes(adapter) {
  const queryRaw = adapter.queryRaw;
  adapter.queryRaw = async (query) => {
    const characters: number[] = [];
    const performIO = async (asked) => {
      const result = await adapter.performIO(asked);
      result.fields.forEach((field, column) => {
        if (field.dataTypeID === CHAR) characters.push(column);
        if ([CHAR, NAME].includes(field.dataTypeID)) field.dataTypeID = TEXT;
      });
      return result;
    };
    const answer = await queryRaw.call(Object.create(adapter, { performIO: { value: performIO } }), query);
    for (const column of characters) answer.columnTypes[column] = CHARACTER;
    return answer;
  };
  return adapter;
}

class Adapter extends PrismaPg {
  async connect() {
    return withCatalogTypes(await super.connect());
  }

  async connectToShadowDb() {
    const database = `${process.env.PGDATABASE}_shadow_${process.pid}`;
    const main = await this.connect();
    await main.executeScript(`CREATE DATABASE "${database}"`);
    const shadow = await new Adapter({ ...this.config, database }).connect();
    const dispose = shadow.dispose.bind(shadow);
    shadow.dispose = async () => {
      await dispose();
      await main.executeScript(`DROP DATABASE "${database}"`);
      await main.dispose();
    };
    return shadow;
  }
}

export default {
  experimental: { adapter: true },
  engine: "js",
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  adapter: async () => new Adapter({ database: process.env.PGDATABASE, allowExitOnIdle: true }),
};
