"""compare_and_swap against the hand-written UPDATE ... WHERE version = $n RETURNING to_jsonb(t)."""

from harness import Report, Session, Table, Target, alternate, pgbench
from report import ratio, us

ROWS = 1_000
SWAPS = 20_000
COMMIT_EVERY = 100
ROUNDS = 9

BY_HAND, BY_HAND_GUARDED, TWIN, OURS = (
    "UPDATE by hand", "UPDATE by hand, version_guard on the table", "C twin: a call that runs that UPDATE",
    "raceguard.compare_and_swap")

ORDERS = """CREATE TABLE {table} (id int PRIMARY KEY, customer text NOT NULL,
    shipping_address text NOT NULL, placed_at timestamptz NOT NULL DEFAULT now(),
    total numeric NOT NULL DEFAULT 12.50, version bigint NOT NULL DEFAULT 1) WITH (fillfactor = 45);
    INSERT INTO {table} SELECT i, 'Customer ' || i, 'Old Street' FROM generate_series(1, %d) i;""" % ROWS
GUARD = "SELECT raceguard.add_version('{table}');"
UPDATE = """UPDATE {table} SET shipping_address = 'New Street', version = version + 1
    WHERE id = {id} AND version = {version} RETURNING to_jsonb({table})"""
SWAP = """SELECT raceguard.compare_and_swap('{table}', jsonb_build_object('id', {id}::int),
    {version}::bigint, '{{"shipping_address": "New Street"}}')"""
CALL = """SELECT twin_swap(jsonb_build_object('id', {id}::int), {version}::bigint,
    '{{"shipping_address": "New Street"}}')"""
VARIANTS = {
    BY_HAND: ("swap_by_hand", ORDERS, UPDATE),
    BY_HAND_GUARDED: ("swap_guarded", ORDERS + GUARD, UPDATE),
    TWIN: ("swap_twin", ORDERS + GUARD, CALL),
    OURS: ("swap_ours", ORDERS + GUARD, SWAP),
}


def make(session, variant):
    name, setup, statement = VARIANTS[variant]
    session.sql(f"DROP TABLE IF EXISTS {name};" + setup.format(table=name)
                + f"VACUUM ANALYZE {name};")
    return name, statement


def check(session, name, swaps):
    done = int(session.sql(f"SELECT sum(version - 1) FROM {name};"))
    assert done == swaps, f"{name}: {done} swaps of {swaps} changed a row"


def from_client(session):
    """us per swap as a client with a prepared statement sees it, its transaction included."""
    def once(variant):
        name, statement = make(session, variant)
        # Row by row, each time with the version that the row has by then.
        tps = pgbench(f"""
            \\set n :n + 1
            \\set id 1 + :n % {ROWS}
            \\set version :n / {ROWS}
            {statement.format(table=name, id=":id", version=":version")};""",
                      1, transactions=SWAPS, variables={"n": ROWS - 1})
        check(session, name, SWAPS)
        return 1e6 / tps

    return alternate(VARIANTS, ROUNDS, once)


def in_server(session):
    """us per swap in a PL/pgSQL loop, where the statement is all that is measured."""
    def once(variant):
        name, statement = make(session, variant)
        session.sql(f"""
            CREATE OR REPLACE PROCEDURE loop_{name}(INOUT us double precision)
            LANGUAGE plpgsql AS $$
            DECLARE
                started timestamptz;
                new_row jsonb;
            BEGIN
                COMMIT;
                started := clock_timestamp();
                FOR n IN {ROWS} .. {ROWS + SWAPS - 1} LOOP
                    {statement.format(table=name, id=f"(1 + n % {ROWS})", version=f"(n / {ROWS})")}
                        INTO STRICT new_row;
                    IF n % {COMMIT_EVERY} = 0 THEN
                        COMMIT;
                    END IF;
                END LOOP;
                us := extract(epoch FROM clock_timestamp() - started) * 1e6 / {SWAPS};
            END;
            $$;""")
        spent = session.number(f"CALL loop_{name}(NULL);")
        check(session, name, SWAPS)
        return spent

    return alternate(VARIANTS, ROUNDS, once)


def run():
    with Session() as session:
        client = from_client(session)
        server = in_server(session)
    return Report(
        "Compare and swap",
        [Table("One swap, us", ["call", "from a client", "against by hand", "in the server",
                                "against by hand"],
               [[v, us(client[v]), ratio(client[v] / client[BY_HAND]), us(server[v]),
                 ratio(server[v] / server[BY_HAND])] for v in VARIANTS],
               f"{SWAPS} swaps of one row each over {ROWS} rows, median of {ROUNDS} rounds. From a "
               "client: pgbench with prepared statements, each swap its own transaction. In the "
               f"server: a PL/pgSQL loop with cached plans, {COMMIT_EVERY} swaps in a transaction.")],
        [Target("compare_and_swap against the prepared UPDATE, from a client", 2.5,
                client[OURS] / client[BY_HAND]),
         Target("compare_and_swap against the prepared UPDATE of the guarded table, in the server", 1.3,
                server[OURS] / server[BY_HAND_GUARDED]),
         Target("compare_and_swap against the prepared UPDATE, in the server", 1.3,
                server[OURS] / server[BY_HAND])])
