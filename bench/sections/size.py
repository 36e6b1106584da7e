"""What grows with the rows of a key or of a table: bulk under a big cap, a nearly full key, the first run."""

import time

from harness import Report, Session, Table, Target, alternate
from report import ratio, us

BULK, BULK_CAP, BULK_ROUNDS = 9_000, 10_000, 5
NEAR_CAPS, NEAR_INSERTS, NEAR_ROUNDS = [10, 10_000], 10, 31
NEAR_KEYS = {10: 100, 10_000: 10}
ROWS, RUN_ROUNDS = 1_000_000, 2

LOWEST, APPEND = "lowest", "append"
PLAIN, OURS = "plain SQL", "raceguard"


def cap(session, name, slots, fill):
    session.sql(f"""DROP TABLE IF EXISTS {name};
        CREATE TABLE {name} (k int NOT NULL, content text NOT NULL);
        SELECT raceguard.add_cap('{name}', 'k', {slots}, fill => '{fill}');""")


def bulk(session):
    """Milliseconds of one INSERT of many rows of one key, by fill."""
    def once(fill):
        cap(session, "size_bulk", BULK_CAP, fill)
        statement = f"INSERT INTO size_bulk SELECT 1, 'some text' FROM generate_series(1, {BULK})"
        spent = session.explain(statement).execution_ns / 1e6
        assert session.sql("SELECT max(slot) FROM size_bulk;") == str(BULK)
        return spent

    return alternate([LOWEST, APPEND], BULK_ROUNDS, once)


def nearly_full(session):
    """Microseconds of an insert among the last slots of a key, by cap, the first look at it included."""
    for slots in NEAR_CAPS:
        name = f"size_{slots}"
        cap(session, name, slots, LOWEST)
        keys = NEAR_KEYS[slots]
        session.sql(f"""ALTER TABLE {name} DISABLE TRIGGER USER;
            INSERT INTO {name} (k, content, slot) SELECT k, 'some text', s
                FROM generate_series(1, {keys}) k, generate_series(1, {slots}) s;
            ALTER TABLE {name} ENABLE TRIGGER USER;
            CREATE PROCEDURE {name}_fill(INOUT us double precision) LANGUAGE plpgsql AS $$
            DECLARE
                started timestamptz;
            BEGIN
                -- The key 0 pays for what VACUUM has made the session forget.
                FOR i IN 1 .. {NEAR_INSERTS} LOOP
                    INSERT INTO {name} VALUES (0, 'some text');
                END LOOP;
                COMMIT;
                started := clock_timestamp();
                FOR k IN 1 .. {keys} LOOP
                    FOR i IN 1 .. {NEAR_INSERTS} LOOP
                        INSERT INTO {name} VALUES (k, 'some text');
                    END LOOP;
                    COMMIT;
                END LOOP;
                us := extract(epoch FROM clock_timestamp() - started) * 1e6 / {keys * NEAR_INSERTS};
            END;
            $$;""")

    def once(slots):
        session.sql(f"""DELETE FROM size_{slots} WHERE k = 0 OR slot > {slots - NEAR_INSERTS};
            VACUUM size_{slots};""")
        return session.number(f"CALL size_{slots}_fill(NULL);")

    return alternate(NEAR_CAPS, NEAR_ROUNDS, once)


def timed(session, statements):
    """Seconds of some statements, each its own transaction."""
    started = time.monotonic()
    for statement in statements:
        session.sql(statement)
    return time.monotonic() - started


def fresh(session):
    session.sql(f"""DROP TABLE IF EXISTS size_run;
        CREATE TABLE size_run (id int PRIMARY KEY, k int NOT NULL, content text NOT NULL);
        INSERT INTO size_run SELECT n, n / 3, repeat('x', 24) FROM generate_series(1, {ROWS}) n;
        VACUUM ANALYZE size_run; CHECKPOINT;""")


BY_HAND = ["""BEGIN;
    ALTER TABLE size_run ADD COLUMN slot integer;
    UPDATE size_run r SET slot = n.slot FROM
        (SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) AS slot FROM size_run) n WHERE n.id = r.id;
    CREATE UNIQUE INDEX ON size_run (k, slot);
    COMMIT;"""]


def add(session):
    """Seconds until the rows of a table stand in slots: all in one, by hand and by add_cap."""
    statements = {PLAIN: BY_HAND, OURS: ["SELECT raceguard.add_cap('size_run', 'k', 4);"]}

    def once(variant):
        fresh(session)
        return timed(session, statements[variant])

    return alternate(statements, RUN_ROUNDS, once)


def number(session):
    """Seconds of CALL number_slots."""
    fresh(session)
    session.sql("""ALTER TABLE size_run ADD COLUMN slot integer;
        CREATE UNIQUE INDEX size_run_cap ON size_run (k, slot) WHERE slot > 0;
        CREATE TRIGGER zz_raceguard_cap_full AFTER INSERT ON size_run
            FOR EACH ROW EXECUTE FUNCTION raceguard.cap_full_guard('slot', 'slots=4');
        CREATE TRIGGER zz_raceguard_cap BEFORE INSERT OR UPDATE ON size_run
            FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot', 'slots=4');""")
    seconds = timed(session, ["CALL raceguard.number_slots('size_run');"])
    # A cap without its CHECK: nothing that another section should find.
    session.sql("DROP TABLE size_run;")
    return seconds


def run():
    with Session() as session:
        filled, near, added = bulk(session), nearly_full(session), add(session)
        numbered = number(session)
    return Report(
        "Size",
        [
            Table(f"One INSERT of {BULK} rows of one key under a cap of {BULK_CAP}, ms",
                  ["fill", "ms", "against append"],
                  [[f, us(filled[f]), ratio(filled.ratio(f, APPEND))] for f in (LOWEST, APPEND)],
                  f"{BULK_ROUNDS} rounds, each on a fresh table."),
            Table("One insert into a nearly full key, lowest, us", ["cap", "us", "against cap 10"],
                  [[c, us(near[c]), ratio(near.ratio(c, 10))] for c in NEAR_CAPS],
                  f"The last {NEAR_INSERTS} rows of a key in one transaction, key after key; "
                  f"{NEAR_ROUNDS} rounds."),
            Table(f"The first run on {ROWS} rows, three of each key, s",
                  ["what", "s", "against plain SQL"],
                  [[PLAIN, us(added[PLAIN]), ratio(1)],
                   ["add_cap", us(added[OURS]), ratio(added.ratio(OURS, PLAIN))],
                   ["CALL number_slots", us(numbered), ratio(numbered / added[PLAIN])]],
                  "Plain SQL: ADD COLUMN, one UPDATE with row_number(), CREATE UNIQUE INDEX, in one transaction. "
                  "CALL number_slots: the same rows while others may write, in many."),
        ],
        [
            Target(f"lowest: one INSERT of {BULK} rows of a key against append", 1.5,
                   filled.ratio(LOWEST, APPEND)),
            Target("lowest: an insert into a key with 9990 of 10000 taken against a cap of 10", 3,
                   near.ratio(10_000, 10)),
            Target(f"add_cap on {ROWS} rows against plain SQL", 1.5, added.ratio(OURS, PLAIN)),
            Target(f"number_slots on {ROWS} rows", 4_000, numbered * 1000, unit="ms"),
        ])
