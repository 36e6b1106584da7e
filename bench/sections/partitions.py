"""Cost against the number of partitions: one write, and the first write of a session."""

import fit
from harness import Report, Session, alternate

PARTITIONS = [1, 10, 100, 1_000]
WIDTH = 10_000  # values of the partition key in each
ROUNDS = 7
WRITES = 500  # in a round, taking turns among ten partitions
WARM = 20  # writes that are not timed
FIRST_ROUNDS = 5

PLAIN_INSERT, PLAIN_UPDATE = "INSERT", "UPDATE"
TABLE = """CREATE TABLE {t} (k int NOT NULL, u int NOT NULL, at timestamp NOT NULL, slot int,
    version bigint NOT NULL DEFAULT 1) PARTITION BY RANGE (k);"""
INDEX = "CREATE UNIQUE INDEX ON {t} (k, u, slot);"
INSERT = "INSERT INTO {t} (k, u, at) VALUES ({k}, {u}, timestamp '2026-01-01' + {u} * interval '1 day');"
INSERT_SLOT = "INSERT INTO {t} (k, u, at, slot) VALUES ({k}, {u}, timestamp '2026-01-01', 1);"
UPDATE = "UPDATE {t} SET at = timestamp '2026-01-02' WHERE k = {k} AND u = 0 AND slot = 1;"

# name -> setup, statement, the peer without the guard
TABLES = {
    PLAIN_INSERT: (INDEX, INSERT_SLOT, None),
    PLAIN_UPDATE: (INDEX, UPDATE, None),
    "version": (INDEX + "SELECT raceguard.add_version('{t}');", UPDATE, PLAIN_UPDATE),
    "key lock": (INDEX + "SELECT raceguard.add_key_lock('{t}', 'k');", INSERT_SLOT, PLAIN_INSERT),
    "cap": ("SELECT raceguard.add_cap('{t}', 'k, u', 3);", INSERT, PLAIN_INSERT),
    "number": ("SELECT raceguard.add_number('{t}', 'k, u', 'slot');", INSERT, PLAIN_INSERT),
    "cooldown, the partition key in its key": (
        "SELECT raceguard.add_cooldown('{t}', 'k, u', 'at', '1 hour');", INSERT, PLAIN_INSERT),
    "cooldown across all partitions": (
        "SELECT raceguard.add_cooldown('{t}', 'u', 'at', '1 hour');", INSERT, PLAIN_INSERT),
}
GUARDS = [name for name, (_, _, peer) in TABLES.items() if peer]
CASES = [(name, n) for n in PARTITIONS for name in TABLES]


def name_of(case):
    return f"parted_{list(TABLES).index(case[0])}_{case[1]}"


def make(session, case):
    """The table with its partitions, a row to update in each, and a procedure that writes."""
    (name, n), t = case, name_of(case)
    setup, statement, _ = TABLES[name]
    session.sql(TABLE.format(t=t) + f"""
        DO $$
        BEGIN
            FOR i IN 0 .. {n - 1} LOOP
                EXECUTE format('CREATE TABLE {t}_%s PARTITION OF {t} FOR VALUES FROM (%s) TO (%s)',
                               i, i * {WIDTH}, (i + 1) * {WIDTH});
            END LOOP;
        END $$;""")
    session.sql(setup.format(t=t))
    if statement == UPDATE:
        session.sql(f"""INSERT INTO {t} (k, u, at, slot) SELECT p * {WIDTH} + i, 0, timestamp '2026-01-01', 1
            FROM generate_series(0, {n - 1}) p, generate_series(0, 99) i;""")
    # Ten of the partitions, spread over all of them. Every round writes to keys of its own: nothing has to be taken
    # away and vacuumed, after which a session would look at a thousand partitions anew.
    key = f"(r % 10) * {n} / 10 * {WIDTH} + r / 10 % 100"
    session.sql(f"""
        CREATE PROCEDURE write_{t}(round int, INOUT us double precision) LANGUAGE plpgsql AS $$
        DECLARE
            started timestamptz;
        BEGIN
            FOR r IN 0 .. {WARM + WRITES - 1} LOOP
                IF r = {WARM} THEN
                    started := clock_timestamp();
                END IF;
                {statement.format(t=t, k=key, u=f"(round * {WARM + WRITES} + r)")}
                COMMIT;
            END LOOP;
            us := extract(epoch FROM clock_timestamp() - started) * 1e6 / {WRITES};
        END;
        $$;""")


def first_write(case, number):
    """us of the first write of a session."""
    statement = TABLES[case[0]][1].format(t=name_of(case), k=7, u=-1 - number)
    with Session() as session:
        return session.explain(statement.rstrip(";")).execution_ns / 1e3


def curves(title, measured):
    """A curve for each guard, its peer beside it."""
    made = []
    for guard in GUARDS:
        peer = TABLES[guard][2]
        values = {(variant, n): measured.values[name, n]
                  for variant, name in ((fit.OURS, guard), (fit.PLAIN, peer)) for n in PARTITIONS}
        made.append(fit.Curve(f"{title}{guard}", PARTITIONS, type(measured)(values)))
    return made


def run():
    rounds = iter(range(1_000_000))
    with Session() as session:
        # A plan for every partition there might be has to lock all of them, guard or no guard.
        session.sql("SET plan_cache_mode = force_custom_plan;")
        for case in CASES:
            make(session, case)
        writes = curves("partitions, a write: ", alternate(
            CASES, ROUNDS, lambda case: session.number(f"CALL write_{name_of(case)}({next(rounds)}, NULL);")))
        first = curves("partitions, first write of a session: ", alternate(
            CASES, FIRST_ROUNDS, lambda case: first_write(case, next(rounds))))
        for case in CASES:
            session.sql(f"DROP PROCEDURE write_{name_of(case)}; DROP TABLE {name_of(case)};")
    return Report(
        "Partitions",
        [*fit.tables("One write and its COMMIT, us", writes, f"{ROUNDS} rounds of {WRITES} writes. {fit.NOTE}"),
         *fit.tables("The first write of a session, us", first,
                     f"Execution time of EXPLAIN (ANALYZE), {FIRST_ROUNDS} sessions. {fit.NOTE}")],
        [curve.target() for curve in writes + first])
