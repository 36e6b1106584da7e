"""Total: a bulk load and one insert beside hand-written counter caches, and writers of one parent beside each other."""

import tempfile
from pathlib import Path

from harness import Report, Session, Table, Target, alternate, pgbench
from report import ratio, us

NONE, EMPTY, TWIN, ROW, TRANSITION, COUNTED, OURS, AT_COMMIT = (
    "no trigger", "empty C trigger", "C twin, for each row, past the executor", "PL/pgSQL counter cache, for each row",
    "PL/pgSQL counter cache, transition table", "PL/pgSQL, lock the parent and count", "raceguard",
    "raceguard, settle => 'commit'")

TABLES = """CREATE TABLE {parent} (id int PRIMARY KEY, capacity int, booked bigint NOT NULL DEFAULT 0);
    CREATE TABLE {child} (id int NOT NULL, event_id int NOT NULL REFERENCES {parent});
    CREATE INDEX ON {child} (event_id);"""
CHECK = "ALTER TABLE {parent} ADD CHECK (booked <= capacity);"
ADD = "SELECT raceguard.add_total('{child}', '{parent}', 'booked', at_most => 'capacity'"
FUNCTION = "CREATE FUNCTION of_{child}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
TRIGGER = "RETURN NULL; END; $$; CREATE TRIGGER counted AFTER INSERT ON {child} "
PER_ROW = " FOR EACH ROW EXECUTE FUNCTION of_{child}();"

SETUP = {
    NONE: TABLES,
    EMPTY: TABLES + "CREATE TRIGGER empty AFTER INSERT ON {child} FOR EACH ROW EXECUTE FUNCTION twin_empty();",
    TWIN: TABLES + CHECK + "CREATE TRIGGER counted AFTER INSERT ON {child} FOR EACH ROW "
        "EXECUTE FUNCTION twin_total('event_id', '{parent}', 'booked', 'capacity');",
    ROW: TABLES + CHECK + FUNCTION + """
        UPDATE {parent} SET booked = booked + 1 WHERE id = NEW.event_id;""" + TRIGGER + PER_ROW,
    TRANSITION: TABLES + CHECK + FUNCTION + """
        UPDATE {parent} SET booked = booked + n
          FROM (SELECT event_id, count(*) AS n FROM added GROUP BY event_id) a WHERE id = event_id;""" + TRIGGER + """
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION of_{child}();""",
    COUNTED: TABLES + FUNCTION + """
        IF (SELECT capacity FROM {parent} WHERE id = NEW.event_id FOR NO KEY UPDATE)
           < (SELECT count(*) FROM {child} WHERE event_id = NEW.event_id) THEN
            RAISE EXCEPTION 'event % is full', NEW.event_id;
        END IF;""" + TRIGGER + PER_ROW,
    OURS: TABLES + ADD + ");",
    AT_COMMIT: TABLES + ADD + ", settle => 'commit');",
}

LOADED, LOADED_PARENTS, LOAD_ROUNDS = 1_000_000, 1_000, 5
LOAD = [NONE, EMPTY, TRANSITION, OURS, AT_COMMIT]

FEW, MANY = 10, 100_000  # children that a parent has
PARENTS = {FEW: 1_000, MANY: 4}
INSERTS = 4_000  # in each round, taking turns among the parents
COUNTING_INSERTS = 40  # of the trigger that counts, where there is much to count
COMMIT_EVERY = 100
INSERT_ROUNDS = 15
ONE = [(variant, rows) for rows in (FEW, MANY) for variant in (NONE, COUNTED, ROW, TWIN, OURS, AT_COMMIT)]

CLIENTS = [1, 4, 8, 16]
SECONDS = 2
HOT_ROUNDS = 3
SLEEP_MS = 5
HOT = [ROW, OURS, AT_COMMIT]


def make(session, name, variant, parents, children=0):
    """Tables with so many parents and children of each. The children are there before the trigger."""
    child, parent = f"{name}_bookings", f"{name}_events"
    tables, trigger = TABLES, SETUP[variant].removeprefix(TABLES)
    session.sql(tables.format(child=child, parent=parent))
    session.sql(f"""
        INSERT INTO {parent} (id, capacity, booked)
            SELECT n, 100000000, {children} FROM generate_series(1, {parents}) n;
        INSERT INTO {child} SELECT 0, n FROM generate_series(1, {children}), generate_series(1, {parents}) n;""")
    if trigger:
        session.sql(trigger.format(child=child, parent=parent))
    session.sql(f"VACUUM ANALYZE {parent}, {child};")
    return child, parent


def load(session):
    """Seconds of one COPY by variant."""
    names = {v: make(session, f"load_{LOAD.index(v)}", v, LOADED_PARENTS) for v in LOAD}
    with tempfile.TemporaryDirectory() as folder:
        # The server's user reads it.
        Path(folder).chmod(0o755)
        file = Path(folder) / "bookings"
        file.write_text("".join(f"{i}\t{i % LOADED_PARENTS + 1}\n" for i in range(LOADED)))
        file.chmod(0o644)

        def once(variant):
            child, parent = names[variant]
            session.sql(f"""
                TRUNCATE {child};
                {f"UPDATE {parent} SET booked = 0;" if variant == TRANSITION else ""}
                VACUUM {parent}, {child};
                CHECKPOINT;
                DROP PROCEDURE IF EXISTS load;
                CREATE PROCEDURE load(INOUT seconds double precision) LANGUAGE plpgsql AS $$
                DECLARE
                    started timestamptz;
                BEGIN
                    COMMIT;
                    started := clock_timestamp();
                    COPY {child} FROM '{file}';
                    COMMIT;
                    seconds := extract(epoch FROM clock_timestamp() - started);
                END;
                $$;""")
            return session.number("CALL load(NULL);")

        return alternate(LOAD, LOAD_ROUNDS, once)


def one(session):
    """Microseconds of one single-row INSERT by variant and children of a parent."""
    inserts = {case: COUNTING_INSERTS if case == (COUNTED, MANY) else INSERTS for case in ONE}
    names = {}
    for case in ONE:
        variant, rows = case
        names[case] = child, _ = make(session, f"one_{ONE.index(case)}", variant, PARENTS[rows], rows)
        session.sql(f"""
            CREATE PROCEDURE fill_{child}(INOUT us double precision) LANGUAGE plpgsql AS $$
            DECLARE
                started timestamptz;
            BEGIN
                COMMIT;
                started := clock_timestamp();
                FOR i IN 1 .. {inserts[case]} LOOP
                    INSERT INTO {child} VALUES (i, 1 + (i - 1) % {PARENTS[rows]});
                    IF i % {COMMIT_EVERY} = 0 THEN
                        COMMIT;
                    END IF;
                END LOOP;
                COMMIT;
                us := extract(epoch FROM clock_timestamp() - started) * 1e6 / {inserts[case]};
            END;
            $$;""")

    def once(case):
        child, parent = names[case]
        session.sql(f"DELETE FROM {child} WHERE id > 0; VACUUM {child}, {parent};")
        return session.number(f"CALL fill_{child}(NULL);")

    return alternate(ONE, INSERT_ROUNDS, once)


def hot(session):
    """Transactions per second of inserts for one parent, each transaction open for 5 ms."""
    names = {v: make(session, f"hot_{HOT.index(v)}", v, 1) for v in HOT}

    def once(case):
        clients, variant = case
        child, parent = names[variant]
        session.sql(f"TRUNCATE {child}; VACUUM {child}, {parent};")
        return pgbench(f"""
            BEGIN;
            INSERT INTO {child} VALUES (1, 1);
            \\sleep {SLEEP_MS} ms
            COMMIT;""", clients, seconds=SECONDS)

    return alternate([(c, v) for c in CLIENTS for v in HOT], HOT_ROUNDS, once)


def run():
    with Session() as session:
        loaded, single, beside = load(session), one(session), hot(session)

    def overhead(variant, rows):
        return single.difference((variant, rows), (NONE, rows))

    names = ["1 client" if c == 1 else f"{c} clients" for c in CLIENTS]
    against_row = overhead(OURS, FEW) / overhead(ROW, FEW)
    return Report(
        "Total",
        [Table(f"COPY of {LOADED} children of {LOADED_PARENTS} parents, s",
               ["trigger", "seconds", "against the empty trigger"],
               [[v, f"{loaded[v]:.2f}", ratio(loaded.ratio(v, EMPTY))] for v in LOAD],
               f"All with the foreign key and an index on it; {LOAD_ROUNDS} rounds."),
         Table("One insert, us", ["trigger", "children of the parent", "us per insert", "more than without, us"],
               [[variant, f"{rows}", us(single[variant, rows]), us(overhead(variant, rows))]
                for variant, rows in ONE],
               f"{PARENTS[FEW]} parents with {FEW} children each and {PARENTS[MANY]} with {MANY}; {COMMIT_EVERY} "
               f"inserts in a transaction, each of the next parent; {INSERT_ROUNDS} rounds. raceguard's overhead is "
               f"{ratio(against_row)} of that of the counter cache for each row."),
         Table(f"One hot parent, transactions of {SLEEP_MS} ms: transactions per second",
               ["trigger", *names, "at 8, against settle => 'statement'"],
               [[v, *(f"{beside[c, v]:.0f}" for c in CLIENTS), ratio(beside.ratio((8, v), (8, OURS)))]
                for v in HOT],
               f"pgbench, {SECONDS} s a run, {HOT_ROUNDS} rounds.")],
        [Target(f"total: COPY of {LOADED} children against an empty C trigger", 1.15, loaded.ratio(OURS, EMPTY)),
         Target("total: overhead of one insert against a counter cache in PL/pgSQL", 0.5, against_row),
         Target(f"total: an insert under a parent of {MANY} children against one of {FEW}", 1.2,
                single.ratio((OURS, MANY), (OURS, FEW))),
         Target("8 sessions, one parent: throughput of settle => 'commit' against 'statement'", 5,
                beside.ratio((8, AT_COMMIT), (8, OURS)), at_least=True)])
