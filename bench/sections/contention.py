"""Throughput with 1 to 64 clients: one hot key under a cap, and updates of random rows."""

import plot
from harness import Report, Session, Table, Target, alternate, pgbench
from report import ratio

CLIENTS = [1, 4, 8, 16, 32, 64]
COMPARED = [8, 64]  # clients, against the first variant
SECONDS_HOT = 1
SECONDS_SPREAD = 1
ROUNDS = 3
CAP = 100_000
SLEEP_MS = 5
ROWS = 10_000

LOCK_THEN_COUNT, LOWEST, APPEND = (
    "article D: lock, then count", "raceguard, lowest", "raceguard, append")
NONE, TWIN, PLPGSQL, OURS = "no trigger", "C twin", "PL/pgSQL trigger", "raceguard"

POSTS = """CREATE TABLE {table} ("userId" int NOT NULL, "createdAt" timestamp NOT NULL DEFAULT now(),
    "postContent" text NOT NULL);"""
OUR_CAP = """SELECT raceguard.add_cap('{table}', '"userId"', %d, """ % CAP
CAPPED = {
    LOCK_THEN_COUNT: ("posts_counted", POSTS + f"""
        CREATE INDEX ON posts_counted ("userId");
        CREATE TRIGGER guard BEFORE INSERT ON posts_counted
            FOR EACH ROW EXECUTE FUNCTION lock_then_count({CAP});"""),
    LOWEST: ("posts_lowest", POSTS + OUR_CAP + "fill => 'lowest');"),
    APPEND: ("posts_append", POSTS + OUR_CAP + "fill => 'append');"),
}

ORDERS = """CREATE TABLE {table} (id int PRIMARY KEY, shipping_address text NOT NULL,
    version bigint NOT NULL DEFAULT 1) WITH (fillfactor = 45);
    INSERT INTO {table} SELECT i, 'Old Street' FROM generate_series(1, %d) i;""" % ROWS
TRIGGER = "CREATE TRIGGER guard BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION "
VERSIONED = {
    NONE: ("orders_none", ORDERS),
    TWIN: ("orders_twin", ORDERS + TRIGGER + "twin_version('version');"),
    PLPGSQL: ("orders_plpgsql", ORDERS + TRIGGER + "plpgsql_version();"),
    OURS: ("orders_ours", ORDERS + "SELECT raceguard.add_version('{table}');"),
}


def hot_key(session):
    """Transactions per second of inserts for one key, each transaction open for 5 ms."""
    for name, setup in CAPPED.values():
        session.sql(setup.format(table=name))

    def once(case):
        clients, variant = case
        name = CAPPED[variant][0]
        session.sql(f"TRUNCATE {name}; VACUUM ANALYZE {name};")
        return pgbench(f"""
            BEGIN;
            INSERT INTO {name} ("userId", "postContent") VALUES (1, 'some text');
            \\sleep {SLEEP_MS} ms
            COMMIT;""", clients, seconds=SECONDS_HOT)

    return alternate([(c, v) for c in CLIENTS for v in CAPPED], ROUNDS, once)


def random_rows(session):
    """Transactions per second of one-row updates spread over the table."""
    for name, setup in VERSIONED.values():
        session.sql(setup.format(table=name))

    def once(case):
        clients, variant = case
        name = VERSIONED[variant][0]
        session.sql(f"VACUUM ANALYZE {name};")
        return pgbench(f"""
            \\set id random(1, {ROWS})
            UPDATE {name} SET shipping_address = 'New Street' WHERE id = :id;""",
                         clients, seconds=SECONDS_SPREAD)

    return alternate([(c, v) for c in CLIENTS for v in VERSIONED], ROUNDS, once)


def clients_name(clients):
    return "1 client" if clients == 1 else f"{clients} clients"


def table(title, measured, variants, baseline, note):
    return Table(title, ["variant", *map(clients_name, CLIENTS), *(f"at {c}, against the first" for c in COMPARED)],
                 [[v, *(f"{measured[c, v]:.0f}" for c in CLIENTS),
                   *(ratio(measured.ratio((c, v), (c, baseline))) for c in COMPARED)] for v in variants], note)


def run():
    with Session() as session:
        hot = hot_key(session)
        spread = random_rows(session)
    chart = plot.lines(f"One hot key, cap {CAP}, transactions of {SLEEP_MS} ms", "clients",
                       "transactions per second", CLIENTS,
                       {v: [hot[c, v] for c in CLIENTS] for v in CAPPED})
    return Report(
        "Contention",
        [
            table(f"One hot key under a cap of {CAP}, transactions of {SLEEP_MS} ms: transactions "
                  "per second", hot, CAPPED, LOCK_THEN_COUNT,
                  f"pgbench, {SECONDS_HOT} s a run, {ROUNDS} rounds."),
            table(f"Updates of random rows among {ROWS}: transactions per second", spread, VERSIONED,
                  NONE, f"pgbench, {SECONDS_SPREAD} s a run, {ROUNDS} rounds."),
        ],
        [
            *(Target(f"{clients} sessions, one key, {variant}: throughput against article D's lock", 5,
                     hot.ratio((clients, variant), (clients, LOCK_THEN_COUNT)), at_least=True)
              for clients in COMPARED for variant in (LOWEST, APPEND)),
            Target("64 sessions, updates of random rows: throughput against the C twin", 0.8,
                   spread.ratio((64, OURS), (64, TWIN)), at_least=True),
        ],
        [("contention.svg", "Throughput on one hot key", chart)])
