"""A fresh backend: its first guarded statement, and its memory after that."""

import statistics

from harness import Report, Session, Table, Target, alternate, anonymous_kib
from report import ms

ROUNDS = 25

NONE, TWIN, SETTINGS, PLPGSQL, OURS = (
    "no trigger", "C twin", "C twin with as many settings", "PL/pgSQL trigger", "raceguard")

ORDERS = """CREATE TABLE {table} (id int PRIMARY KEY, shipping_address text NOT NULL,
    version bigint NOT NULL DEFAULT 1) WITH (fillfactor = 45);
    INSERT INTO {table} SELECT i, 'Old Street' FROM generate_series(1, 100) i;"""
TRIGGER = "CREATE TRIGGER guard BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION "
SETUP = {
    NONE: ORDERS,
    TWIN: ORDERS + TRIGGER + "twin_version('version');",
    SETTINGS: ORDERS + TRIGGER + "twin_version_with_settings('version');",
    PLPGSQL: ORDERS + TRIGGER + "plpgsql_version();",
    OURS: ORDERS + "SELECT raceguard.add_version('{table}');",
}
VARIANTS = list(SETUP)


def run():
    tables = {v: f"backend_{i}" for i, v in enumerate(VARIANTS)}
    with Session() as session:
        for variant, table in tables.items():
            session.sql(SETUP[variant].format(table=table))
    second = {v: [] for v in VARIANTS}
    memory = {v: [] for v in VARIANTS}

    def once(variant):
        statement = f"UPDATE {tables[variant]} SET shipping_address = 'New Street' WHERE id = 7"
        with Session() as session:
            first = session.explain(statement).execution_ns / 1e6
            second[variant].append(session.explain(statement).execution_ns / 1e6)
            memory[variant].append(anonymous_kib(session) / 1024)
        return first

    first = alternate(VARIANTS, ROUNDS, once)
    base = statistics.median(memory[NONE])
    return Report("A fresh backend", [
        Table("First guarded update of a session", [
            "variant", "first, ms", "second, ms", "memory, MiB", "more than no trigger"],
              [[v, ms(first[v]), ms(statistics.median(second[v])),
                f"{statistics.median(memory[v]):.2f}", f"{statistics.median(memory[v]) - base:.2f}"]
               for v in VARIANTS],
              f"Execution time of a one-row UPDATE in a new connection, loading the library included; "
              f"private memory of the backend after both; median of {ROUNDS} connections."),
    ], [Target("first guarded update of a session", 800, first[OURS] * 1000, unit="us")])
