"""Cap guard: what one insert costs by cap, the last rows of a key that is nearly full."""

from dataclasses import dataclass

import plot
from harness import Report, Session, Table, Target, alternate
from report import us

CAPS = [3, 10, 100, 1_000, 10_000]
KEYS = {3: 300, 10: 100, 100: 100, 1_000: 50, 10_000: 10}  # measured in each round
LAST = 10  # rows inserted per key: the key's last ones (at cap 3 all); the others stand already
COMMIT_EVERY = 100  # inserts in a transaction
OTHER_ROWS = 100_000  # of other users, whose keys are full, so that statistics and indexes are real
ROUNDS = 31
# From cap 1000 on the article's statement takes milliseconds: fewer rounds, of one key.
SLOW_CAP, SLOW_ROUNDS = 1_000, 5
# At cap 10000 it takes a second, so that two rows have to do.
SLOW_LAST = {1_000: 10, 10_000: 2}

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

OUR_RULE = """
SELECT raceguard.add_cap('{{table}}', '"userId", date_trunc(''week'', "createdAt")', {{cap}},
    slot_column => 'weeklyHighlightedPostNumber', fill => '{fill}');"""
OUR_STATEMENT = """INSERT INTO {table} ("userId", "createdAt", "postContent")
    VALUES (k, now(), 'some text');"""

SETUP = {
    BARE: TABLE,
    PLAIN: ARTICLE_RULE,
    ARTICLE: ARTICLE_RULE,
    LOWEST: TABLE + OUR_RULE.format(fill="lowest"),
    APPEND: TABLE + OUR_RULE.format(fill="append"),
}
STATEMENT = {
    BARE: "INSERT INTO {table} VALUES (k, now(), i, 'some text');",
    PLAIN: "INSERT INTO {table} VALUES (k, now(), i, 'some text');",
    ARTICLE: ARTICLE_STATEMENT,
    LOWEST: OUR_STATEMENT,
    APPEND: OUR_STATEMENT,
}
VARIANTS = list(SETUP)


def last(cap):
    return min(cap, LAST)


def make(session, variant, cap, name=None):
    """The variant's table, its measured keys full, and a procedure that inserts their last rows."""
    name = name or f"posts_{VARIANTS.index(variant)}"
    session.sql(f"DROP TABLE IF EXISTS {name};")
    session.sql(SETUP[variant].format(table=name, cap=cap))
    session.sql(f"""
        ALTER TABLE {name} DISABLE TRIGGER USER;
        INSERT INTO {name} SELECT -k, now(), i, 'some text'
            FROM generate_series(1, {OTHER_ROWS // cap}) k, generate_series(1, {cap}) i;
        INSERT INTO {name} SELECT k, now(), i, 'some text'
            FROM generate_series(1, {KEYS[cap]}) k, generate_series(1, {cap}) i;
        ALTER TABLE {name} ENABLE TRIGGER USER;
        VACUUM ANALYZE {name};""")
    session.sql(f"""
        CREATE OR REPLACE PROCEDURE fill_{name}(keys int, rows_per_key int,
                                                INOUT us double precision)
        LANGUAGE plpgsql AS $$
        DECLARE
            started timestamptz;
            inserted int := 0;
        BEGIN
            COMMIT;
            -- The key 0 pays for what VACUUM has made the session forget.
            FOR k IN 0 .. keys LOOP
                IF k = 1 THEN
                    COMMIT;
                    started := clock_timestamp();
                    inserted := 0;
                END IF;
                FOR i IN {cap} - rows_per_key + 1 .. {cap} LOOP
                    {STATEMENT[variant].format(table=name, cap=cap)}
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


def fill(session, name, cap, keys, rows_per_key):
    """Microseconds per insert of the last rows of `keys` keys."""
    session.sql(f"""
        DELETE FROM {name} WHERE "userId" = 0
            OR "userId" BETWEEN 1 AND {keys} AND "weeklyHighlightedPostNumber" > {cap - rows_per_key};
        VACUUM {name};""")
    spent = session.number(f"CALL fill_{name}({keys}, {rows_per_key}, NULL);")
    rows = int(session.sql(f'''SELECT count(*) FROM {name} WHERE "userId" > 0;'''))
    assert rows == KEYS[cap] * cap, f"{name}: {rows} rows, {KEYS[cap] * cap} expected"
    return spent


@dataclass
class AtCap:
    """Microseconds at one cap, by variant."""

    insert: dict
    overhead: dict
    article_to_lowest: float


def measure(session, cap):
    names = {variant: make(session, variant, cap) for variant in VARIANTS}
    slow = cap >= SLOW_CAP
    fast = alternate([v for v in VARIANTS if v != ARTICLE or not slow], ROUNDS,
                     lambda v: fill(session, names[v], cap, KEYS[cap], last(cap)))
    article = fast if not slow else alternate(
        [PLAIN, ARTICLE, LOWEST], SLOW_ROUNDS,
        lambda v: fill(session, names[v], cap, 1, SLOW_LAST[cap]))
    source = dict.fromkeys(VARIANTS, fast) | {ARTICLE: article}
    return AtCap({v: source[v][v] for v in VARIANTS},
                 {v: source[v].difference(v, PLAIN) for v in (ARTICLE, LOWEST, APPEND)},
                 article.ratio(ARTICLE, LOWEST))


def append(session, caps):
    """Microseconds of an insert in append mode by cap, the caps taking turns."""
    names = {cap: make(session, APPEND, cap, f"append_{cap}") for cap in caps}
    return alternate(caps, ROUNDS, lambda cap: fill(session, names[cap], cap, KEYS[cap], last(cap)))


def run():
    with Session() as session:
        by_cap = {cap: measure(session, cap) for cap in CAPS}
        appended = append(session, [10, 10_000])
    over = {v: [by_cap[cap].overhead[v] for cap in CAPS] for v in (ARTICLE, LOWEST, APPEND)}
    chart = plot.lines("Insert overhead over a plain insert, last rows of a key",
                       "cap", "microseconds", CAPS, over)
    against_article = by_cap[3].overhead[LOWEST] / by_cap[3].overhead[ARTICLE]
    return Report(
        "Cap",
        [
            Table("One insert, us", ["statement", *(f"cap {cap}" for cap in CAPS)],
                  [[v, *(us(by_cap[cap].insert[v]) for cap in CAPS)] for v in VARIANTS],
                  f"The last {LAST} rows of a key (all rows at cap 3), {COMMIT_EVERY} inserts in a "
                  f"transaction, in a PL/pgSQL loop with cached plans, {OTHER_ROWS} rows of other "
                  f"users in the table; {ROUNDS} rounds (article: {SLOW_ROUNDS} from cap {SLOW_CAP} on)."),
            Table("Overhead over the plain insert into the same table and index, us",
                  ["statement", *(f"cap {cap}" for cap in CAPS)],
                  [[v, *map(us, values)] for v, values in over.items()]),
        ],
        [
            Target("cap 3: insert overhead against the article's", 1 / 2, against_article),
            Target("cap 3: insert overhead against the article's", 1 / 3, against_article),
            Target("cap 1000, lowest: times faster than the article's whole insert", 100,
                   by_cap[1_000].article_to_lowest, at_least=True),
            Target("append: cost of an insert at cap 10000 against that at cap 10", 1.5,
                   appended.ratio(10_000, 10)),
        ],
        [("cap_overhead.svg", "Insert overhead by cap", chart)])
