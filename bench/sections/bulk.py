"""One statement over 1,000,000 rows, with the memory of its backend."""

import statistics

from harness import BenchError, Report, Session, Table, anonymous_kib
from report import ratio

ROWS = 1_000_000
ROUNDS = 3

NONE, EMPTY, TWIN, MODDATETIME, PLPGSQL, OURS = (
    "no trigger", "empty C trigger", "C twin", "contrib moddatetime", "PL/pgSQL trigger", "raceguard")

ORDERS = """CREATE TABLE {table} (id int PRIMARY KEY, shipping_address text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(), version bigint NOT NULL DEFAULT 1)
    WITH (fillfactor = 45);
    INSERT INTO {table} SELECT i, 'Old Street' FROM generate_series(1, %d) i;""" % ROWS
POSTS = """CREATE TABLE {table} (id int PRIMARY KEY, "userId" int NOT NULL, content text NOT NULL)
    WITH (fillfactor = 45);
    INSERT INTO {table} SELECT i, i, 'some text' FROM generate_series(1, %d) i;""" % ROWS


def trigger(call):
    return "CREATE TRIGGER guard BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION " + call + ";"


VERSION = {
    NONE: ORDERS,
    EMPTY: ORDERS + trigger("twin_empty()"),
    TWIN: ORDERS + trigger("twin_version('version')"),
    MODDATETIME: ORDERS + trigger("moddatetime('updated_at')"),
    PLPGSQL: ORDERS + trigger("plpgsql_version()"),
    OURS: ORDERS + "SELECT raceguard.add_version('{table}');",
}
KEY_LOCK = {
    NONE: POSTS,
    EMPTY: POSTS + trigger("twin_empty()"),
    TWIN: POSTS + trigger("twin_key_lock('userId')"),
    "article D's trigger": POSTS + trigger('"take_post_modify_lock_function"()'),
    OURS: POSTS + """SELECT raceguard.add_key_lock('{table}', '"userId"');""",
}


def update(table, assignment):
    """Seconds of one update of all rows and the growth of its backend, MiB; None if out of locks."""
    with Session() as session:
        session.sql(f"UPDATE {table} SET {assignment} WHERE id = 1;")
        before = anonymous_kib(session)
        try:
            seconds = session.explain(f"UPDATE {table} SET {assignment}").execution_ns / 1e9
        except BenchError as error:
            if "out of shared memory" not in str(error):
                raise
            return None
        return seconds, (anonymous_kib(session) - before) / 1024


def measure(variants, assignment):
    """Medians of seconds and MiB by variant; one table at a time, so that all have the same cache."""
    seen = {variant: [] for variant in variants}
    for number in range(ROUNDS):
        for variant in variants if number % 2 else reversed(variants):
            with Session() as session:
                session.sql(variants[variant].format(table="bulk"))
                session.sql("VACUUM ANALYZE bulk; CHECKPOINT;")
            seen[variant].append(update("bulk", assignment))
            with Session() as session:
                session.sql("DROP TABLE bulk;")
    return {v: None if None in runs else tuple(map(statistics.median, zip(*runs)))
            for v, runs in seen.items()}


def table(title, measured, note=""):
    rows = []
    for variant, result in measured.items():
        if result is None:
            rows.append([variant, "fails: out of shared memory", "", ""])
        else:
            seconds, grown = result
            rows.append([variant, f"{seconds:.2f}", ratio(seconds / measured[NONE][0]),
                         f"{grown:.1f}"])
    return Table(title, ["variant", "seconds", "against no trigger", "backend growth, MiB"], rows, note)


def run():
    version = measure(VERSION, "shipping_address = 'New Street'")
    key_lock = measure(KEY_LOCK, "content = 'new text'")
    return Report("Bulk", [
        table(f"UPDATE of {ROWS} rows with a version", version,
              f"Median of {ROUNDS} rounds, each on a fresh table in a fresh backend."),
        table(f"UPDATE of {ROWS} rows with as many distinct keys, one transaction", key_lock,
              "With max_locks_per_transaction = 64, the default."),
    ])
