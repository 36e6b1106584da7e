"""One statement over many rows, with the memory of its backend."""

import statistics

from harness import BenchError, Report, Session, Table, Target, anonymous_kib
from report import ratio

UPDATED = 1_000_000
INSERTED = 300_000
ROUNDS = 3

NONE, EMPTY, TWIN, MODDATETIME, PLPGSQL, OURS = (
    "no trigger", "empty C trigger", "C twin", "contrib moddatetime", "PL/pgSQL trigger", "raceguard")
UNIQUE, BTREE, EXCLUSION = "unique index, slots given", "btree index alone", "EXCLUDE USING gist"
FILLING, NOTING = "unique index, C trigger that fills the slot", "btree index, empty C trigger AFTER INSERT"

ORDERS = """CREATE TABLE {table} (id int PRIMARY KEY, shipping_address text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(), version bigint NOT NULL DEFAULT 1)
    WITH (fillfactor = 45);
    INSERT INTO {table} SELECT i, 'Old Street' FROM generate_series(1, %d) i;""" % UPDATED
POSTS = """CREATE TABLE {table} (id int PRIMARY KEY, "userId" int NOT NULL, content text NOT NULL)
    WITH (fillfactor = 45);
    INSERT INTO {table} SELECT i, i, 'some text' FROM generate_series(1, %d) i;""" % UPDATED
CAPPED = """CREATE TABLE {table} ("userId" int NOT NULL, slot int, content text NOT NULL);"""
COOLED = """CREATE TABLE {table} ("userId" int NOT NULL, "createdAt" timestamp NOT NULL);"""


def trigger(call):
    return "CREATE TRIGGER guard BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION " + call + ";"


def inserted(timing, call):
    return f"CREATE TRIGGER guard {timing} INSERT ON {{table}} FOR EACH ROW EXECUTE FUNCTION {call};"


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
CAP = {
    NONE: CAPPED,
    UNIQUE: CAPPED + """CREATE UNIQUE INDEX ON {table} ("userId", slot);""",
    FILLING: CAPPED + """CREATE UNIQUE INDEX ON {table} ("userId", slot);"""
    + inserted("BEFORE", "twin_cap('slot', '3')"),
    OURS: CAPPED + """SELECT raceguard.add_cap('{table}', '"userId"', 3);""",
}
COOLDOWN = {
    NONE: COOLED,
    BTREE: COOLED + """CREATE INDEX ON {table} ("userId", "createdAt");""",
    NOTING: COOLED + """CREATE INDEX ON {table} ("userId", "createdAt");""" + inserted("AFTER", "twin_empty()"),
    EXCLUSION: COOLED + """ALTER TABLE {table} ADD EXCLUDE USING gist
        ("userId" WITH =, tsrange("createdAt", "createdAt" + interval '7 days') WITH &&);""",
    OURS: COOLED + """SELECT raceguard.add_cooldown('{table}', '"userId"', at => 'createdAt',
        period => '7 days');""",
}

# A first row for each session, so that it has loaded what the measured statement needs, and the
# statement. A cap gives the slots itself, elsewhere the statement does.
ADDRESS = ("UPDATE {table} SET shipping_address = 'New Street' WHERE id = 1;",
           "UPDATE {table} SET shipping_address = 'New Street'")
CONTENT = ("UPDATE {table} SET content = 'new text' WHERE id = 1;",
           "UPDATE {table} SET content = 'new text'")
SERIES = f"FROM generate_series(1, {INSERTED}) i"
CAPPED_ROWS = ("INSERT INTO {table} SELECT 0, {slot}, 'some text' FROM generate_series(1, 1) i;",
               "INSERT INTO {table} SELECT (i + 2) / 3, {slot}, 'some text' " + SERIES)
COOLED_ROWS = ("INSERT INTO {table} VALUES (0, timestamp '2026-01-01');",
               "INSERT INTO {table} SELECT i / 3 + 1, timestamp '2026-01-01' + i % 3 * interval '8 days' "
               + SERIES)


def run_once(touch, statement):
    """Seconds of one statement and the growth of its backend, MiB; None if out of locks."""
    with Session() as session:
        session.sql(touch)
        before = anonymous_kib(session)
        try:
            seconds = session.explain(statement).execution_ns / 1e9
        except BenchError as error:
            if "out of shared memory" not in str(error):
                raise
            return None
        return seconds, (anonymous_kib(session) - before) / 1024


def measure(variants, statements):
    """Medians of seconds and MiB by variant; one table at a time, so that all have the same cache."""
    seen = {variant: [] for variant in variants}
    for number in range(ROUNDS):
        for variant in variants if number % 2 else reversed(variants):
            with Session() as session:
                session.sql(variants[variant].format(table="bulk"))
                session.sql("VACUUM ANALYZE bulk; CHECKPOINT;")
            slot = "NULL" if variant in (FILLING, OURS) else "i % 3 + 1"
            seen[variant].append(
                run_once(*(s.format(table="bulk", slot=slot) for s in statements)))
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


def against(measured, variant, baseline):
    return measured[variant][0] / measured[baseline][0]


def run():
    version, cap = measure(VERSION, ADDRESS), measure(CAP, CAPPED_ROWS)
    cooldown = measure(COOLDOWN, COOLED_ROWS)
    return Report("Bulk", [
        table(f"UPDATE of {UPDATED} rows with a version", version,
              f"Median of {ROUNDS} rounds, each on a fresh table in a fresh backend."),
        table(f"UPDATE of {UPDATED} rows with as many distinct keys, one transaction",
              measure(KEY_LOCK, CONTENT),
              "With max_locks_per_transaction = 64, the default."),
        table(f"INSERT of {INSERTED} rows, three for each key, under a cap of 3",
              cap),
        table(f"INSERT of {INSERTED} rows, three for each key, under a cooldown", cooldown),
    ], [
        Target(f"UPDATE of {UPDATED} rows with a version against no trigger", 1.45,
               against(version, OURS, NONE)),
        Target(f"INSERT of {INSERTED} rows under a cap of 3 against no trigger", 2.8, against(cap, OURS, NONE)),
        Target(f"INSERT of {INSERTED} rows under a cooldown against the btree index alone", 1.6,
               against(cooldown, OURS, BTREE)),
    ])
