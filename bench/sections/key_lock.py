"""Key lock guard: a key already held, a thousand distinct keys, the first lock of a transaction."""

import plot
from harness import Report, Session, Table, Target, alternate
from report import ns, ratio, us

HELD_ROWS = 5_000
KEYS = 500  # half of what raceguard.max_key_locks allows, so that nothing escalates
TRANSACTIONS = 1_000
ROUNDS = 61

EMPTY, TWIN_NAMESPACE, TWIN, ARTICLE, OURS_NAMESPACE, OURS = (
    "empty C trigger", "C twin, namespace 5000", "C twin", "article D's trigger",
    "raceguard, namespace 5000", "raceguard")


def trigger(call):
    return ("CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {call};")


SETUP = {
    EMPTY: trigger("twin_empty()"),
    TWIN_NAMESPACE: trigger("twin_key_lock('userId', '5000')"),
    TWIN: trigger("twin_key_lock('userId')"),
    ARTICLE: trigger('"take_post_modify_lock_function"()'),
    OURS_NAMESPACE: """SELECT raceguard.add_key_lock('{table}', '"userId"', namespace => 5000);""",
    OURS: """SELECT raceguard.add_key_lock('{table}', '"userId"');""",
}
VARIANTS = list(SETUP)


def make(session, variant, rows, key):
    name = f"posts_{VARIANTS.index(variant)}"
    session.sql(f"""
        DROP TABLE IF EXISTS {name};
        CREATE TABLE {name} (id int PRIMARY KEY, "userId" int NOT NULL, content text NOT NULL)
            WITH (fillfactor = 45);
        INSERT INTO {name} SELECT i, {key}, 'some text' FROM generate_series(1, {rows}) i;
        VACUUM ANALYZE {name};""")
    session.sql(SETUP[variant].format(table=name))
    return name


def held_key(session):
    """ns per row where the transaction has the key's lock already."""
    names = {variant: make(session, variant, HELD_ROWS, "42") for variant in VARIANTS}

    def once(variant):
        session.sql(f"BEGIN; UPDATE {names[variant]} SET content = 'first' WHERE id = 1;")
        spent, calls = session.explain(f"UPDATE {names[variant]} SET content = 'new'").trigger_ns()
        session.sql(f"COMMIT; VACUUM {names[variant]};")
        return spent / calls

    return alternate(VARIANTS, ROUNDS, once)


def distinct_keys(session):
    """ns per row where every row brings a key that is not locked yet."""
    names = {variant: make(session, variant, KEYS, "i") for variant in VARIANTS}

    def once(variant):
        total = total_calls = 0
        for _ in range(10):
            session.sql("BEGIN;")
            spent, calls = session.explain(
                f"UPDATE {names[variant]} SET content = 'new'").trigger_ns()
            session.sql("COMMIT;")
            total, total_calls = total + spent, total_calls + calls
        session.sql(f"VACUUM {names[variant]};")
        return total / total_calls

    return alternate(VARIANTS, ROUNDS, once)


def first_lock(session):
    """us per transaction that updates one row, commit and lock release included."""
    names = {variant: make(session, variant, KEYS, "i") for variant in VARIANTS}
    for name in names.values():
        session.sql(f"""
            CREATE OR REPLACE PROCEDURE one_row_transactions_{name}(INOUT us double precision)
            LANGUAGE plpgsql AS $$
            DECLARE
                started timestamptz;
            BEGIN
                COMMIT;
                started := clock_timestamp();
                FOR i IN 1 .. {TRANSACTIONS} LOOP
                    UPDATE {name} SET content = 'new' WHERE id = 1 + i % {KEYS};
                    COMMIT;
                END LOOP;
                us := extract(epoch FROM clock_timestamp() - started) * 1e6 / {TRANSACTIONS};
            END;
            $$;""")

    def once(variant):
        spent = session.number(f"CALL one_row_transactions_{names[variant]}(NULL);")
        session.sql(f"VACUUM {names[variant]};")
        return spent

    return alternate(VARIANTS, ROUNDS, once)


def run():
    with Session() as session:
        held = held_key(session)
        distinct = distinct_keys(session)
        first = first_lock(session)
    tables = [
        Table(title, ["trigger", "ns per row", "against C twin", "article D's takes"],
              [[v, ns(t), ratio(measured.ratio(v, TWIN)), ratio(measured.ratio(ARTICLE, v))]
               for v, t in measured.medians().items()], note)
        for title, measured, note in (
            ("The key is held already", held,
             f"Trigger time of EXPLAIN (ANALYZE), {HELD_ROWS} rows of one key in one transaction, "
             f"{ROUNDS} rounds."),
            ("Distinct keys", distinct,
             f"Trigger time of EXPLAIN (ANALYZE), {KEYS} rows and as many keys in one transaction."))]
    tables.append(
        Table("First lock of a transaction", ["trigger", "us per transaction", "more than empty, us"],
              [[v, us(t), us(first.difference(v, EMPTY))] for v, t in first.medians().items()],
              f"Whole transactions that update one row each, {TRANSACTIONS} a round, taking and "
              "releasing the lock included."))
    targets = [
        Target("held key against the C twin", 1.3, held.ratio(OURS, TWIN)),
        Target("held key, times faster than article D's trigger", 15, held.ratio(ARTICLE, OURS),
               at_least=True),
        Target("held key against the C twin", 1.15, held.ratio(OURS, TWIN)),
        Target("held key with a namespace against the C twin", 1.15,
               held.ratio(OURS_NAMESPACE, TWIN_NAMESPACE)),
        Target("distinct keys against the C twin", 1.15, distinct.ratio(OURS, TWIN)),
        Target("distinct keys with a namespace against the C twin", 1.15,
               distinct.ratio(OURS_NAMESPACE, TWIN_NAMESPACE)),
        Target("first lock of a transaction, more than the C twin", 2, first.difference(OURS, TWIN),
               unit="us"),
    ]
    return Report("Key lock", tables, targets,
                  [("key_lock.svg", "Trigger time per row, key held already",
                    plot.bars("Trigger time per row, key held already", "ns", held.medians()))])
