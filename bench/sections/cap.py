"""Cap guard: what one insert costs by cap, the last rows of a key that is nearly full."""

import plot
from harness import Report, Session, Table, alternate
from report import ratio, us

CAPS = [3, 10, 100, 1_000, 10_000]
LAST = 10  # rows inserted per key: the key's last ones; the rows before them are put there first
COMMIT_EVERY = 100  # inserts in a transaction
OTHER_ROWS = 100_000  # of other users, whose keys are full, so that statistics and indexes are real
SECONDS_PER_ROUND = 0.05
ROUNDS = 9
ROUNDS_AT_10_000 = 3  # where the article's statement takes half a second

BARE, PLAIN, ARTICLE, LOWEST, APPEND = (
    "plain insert, no index", "plain insert, slot given", "article's statement",
    "raceguard, lowest", "raceguard, append")

TABLE = """CREATE TABLE {table} ("userId" int NOT NULL, "createdAt" timestamp NOT NULL,
    "weeklyHighlightedPostNumber" int, "postContent" text NOT NULL);"""

# Article D, case 3, with the cap for its 3.
ARTICLE_RULE = TABLE + """
ALTER TABLE {table} ADD CONSTRAINT {table}_check CHECK
    (("weeklyHighlightedPostNumber" IS NULL) OR ("weeklyHighlightedPostNumber" BETWEEN 1 AND {cap}));
CREATE UNIQUE INDEX {table}_index
ON {table} ("userId", DATE_TRUNC('week', "createdAt"), "weeklyHighlightedPostNumber")
WHERE "weeklyHighlightedPostNumber" IS NOT NULL;"""

ARTICLE_STATEMENT = """
WITH next_highlighted_post_num AS MATERIALIZED (
    SELECT series_num
    FROM GENERATE_SERIES(1, {cap}) AS series_num
    WHERE NOT EXISTS (
        SELECT * FROM {table} AS posts
        WHERE posts."userId" = k
          AND DATE_TRUNC('week', NOW()) <= posts."createdAt"
          AND posts."weeklyHighlightedPostNumber" = series_num
    )
    LIMIT 1
)
INSERT INTO {table} SELECT k, NOW(), series_num, 'some text' FROM next_highlighted_post_num;"""

SETUP = {
    BARE: TABLE,
    PLAIN: ARTICLE_RULE,
    ARTICLE: ARTICLE_RULE,
}
STATEMENT = {
    BARE: "INSERT INTO {table} VALUES (k, now(), i, 'some text');",
    PLAIN: "INSERT INTO {table} VALUES (k, now(), i, 'some text');",
    ARTICLE: ARTICLE_STATEMENT,
}
VARIANTS = list(SETUP)


def last(cap):
    return min(cap, LAST)


def make(session, variant, cap):
    """The variant's table and a procedure that inserts the last rows of `keys` keys."""
    name = f"posts_{VARIANTS.index(variant)}"
    session.sql(f"DROP TABLE IF EXISTS {name};")
    session.sql(SETUP[variant].format(table=name, cap=cap))
    session.sql(f"""
        ALTER TABLE {name} DISABLE TRIGGER USER;
        INSERT INTO {name} SELECT -k, now(), i, 'some text'
            FROM generate_series(1, {OTHER_ROWS // cap}) k, generate_series(1, {cap}) i;
        ALTER TABLE {name} ENABLE TRIGGER USER;
        VACUUM ANALYZE {name};""")
    statement = STATEMENT[variant].format(table=name, cap=cap)
    session.sql(f"""
        CREATE OR REPLACE PROCEDURE fill_{name}(keys int, INOUT us double precision)
        LANGUAGE plpgsql AS $$
        DECLARE
            started timestamptz;
            inserted int := 0;
        BEGIN
            COMMIT;
            started := clock_timestamp();
            FOR k IN 1 .. keys LOOP
                FOR i IN {cap - last(cap) + 1} .. {cap} LOOP
                    {statement}
                    inserted := inserted + 1;
                    IF inserted % {COMMIT_EVERY} = 0 THEN
                        COMMIT;
                    END IF;
                END LOOP;
            END LOOP;
            COMMIT;
            us := extract(epoch FROM clock_timestamp() - started) * 1e6 / inserted;
        END;
        $$;""")
    return name


def fill(session, name, cap, keys):
    """Microseconds per insert, of the last rows of `keys` keys that are full but for these."""
    session.sql(f"""
        DELETE FROM {name} WHERE "userId" > 0;
        VACUUM {name};
        ALTER TABLE {name} DISABLE TRIGGER USER;
        INSERT INTO {name} SELECT k, now(), i, 'some text'
            FROM generate_series(1, {keys}) k, generate_series(1, {cap - last(cap)}) i;
        ALTER TABLE {name} ENABLE TRIGGER USER;
        VACUUM {name};""")
    spent = session.number(f"CALL fill_{name}({keys}, NULL);")
    rows = int(session.sql(f'SELECT count(*) FROM {name} WHERE "userId" > 0;'))
    assert rows == keys * cap, f"{name}: {rows} rows, {keys * cap} expected"
    return spent


def measure(session, cap):
    names = {variant: make(session, variant, cap) for variant in VARIANTS}
    keys = {}
    for variant, name in names.items():
        wanted = SECONDS_PER_ROUND * 1e6 / (fill(session, name, cap, 1) * last(cap))
        keys[variant] = int(max(1, min(wanted, OTHER_ROWS / cap, 1_000)))
    rounds = ROUNDS if cap < 10_000 else ROUNDS_AT_10_000
    return alternate(VARIANTS, rounds, lambda v: fill(session, names[v], cap, keys[v]))


def run():
    with Session() as session:
        by_cap = {cap: measure(session, cap) for cap in CAPS}
    over = {v: [by_cap[cap].difference(v, PLAIN) for cap in CAPS]
            for v in VARIANTS if v not in (BARE, PLAIN)}
    chart = plot.lines("Insert overhead over a plain insert, last rows of a key",
                       "cap", "microseconds", CAPS, over)
    return Report("Cap", [
        Table("One insert, us", ["statement", *(f"cap {cap}" for cap in CAPS)],
              [[v, *(us(by_cap[cap][v]) for cap in CAPS)] for v in VARIANTS],
              f"The last {LAST} rows of a key (all rows at cap 3), {COMMIT_EVERY} inserts in a "
              f"transaction, in a PL/pgSQL loop with cached plans, {OTHER_ROWS} rows of other users in "
              f"the table; {ROUNDS} rounds ({ROUNDS_AT_10_000} at cap 10000)."),
        Table("Overhead over the plain insert into the same table and index, us",
              ["statement", *(f"cap {cap}" for cap in CAPS)],
              [[v, *map(us, values)] for v, values in over.items()]),
    ], plots=[("cap_overhead.svg", "Insert overhead by cap", chart)])
