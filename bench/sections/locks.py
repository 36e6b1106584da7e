"""What the lock manager costs for each distinct key of a transaction, release at COMMIT included, and its entries."""

from harness import Report, Session, Table, Target, alternate
from report import ratio, us

KEYS = [1, 10, 100, 500, 5_000, 50_000]  # raceguard.max_key_locks is 1000: from there on the whole table is locked
STOCK = 5_000  # keys that Postgres's lock table of the default size holds
WRITTEN = 5_000  # keys in a round, in as many transactions as that takes; one where there are more
ENTRIES = [500, 5_000]
ROUNDS = 9

EMPTY, TWIN, ARTICLE, OURS = "empty C trigger", "C twin", "article D's trigger", "raceguard, key lock"
BY_HAND, CALL = "pg_advisory_xact_lock, called", "raceguard.lock_keys, called"

TABLE = """CREATE TABLE {table} (id int, "userId" int NOT NULL, number int, slot int, at timestamp);"""
TRIGGER = "CREATE TRIGGER guard BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION "
KEY_LOCK = """SELECT raceguard.add_key_lock('{table}', '"userId"');"""
SETUP = {
    EMPTY: TABLE + TRIGGER + "twin_empty();",
    TWIN: TABLE + TRIGGER + "twin_key_lock('userId');",
    ARTICLE: TABLE + TRIGGER + "lock_by_hand();",
    OURS: TABLE + KEY_LOCK,
    BY_HAND: "",
    CALL: TABLE + KEY_LOCK,
}
# What one transaction does for the keys 1 to {keys}.
INSERT = """INSERT INTO {table} (id, "userId") SELECT i, i FROM generate_series(1, {keys}) i;"""
STATEMENT = dict.fromkeys(SETUP, INSERT) | {
    BY_HAND: "PERFORM pg_advisory_xact_lock(5000, i) FROM generate_series(1, {keys}) i;",
    CALL: "PERFORM raceguard.lock_keys('{table}', keys) FROM keys_to_lock WHERE n = {keys};",
}
VARIANTS = list(SETUP)
IN_LOCK_TABLE = [TWIN, ARTICLE, BY_HAND]  # of which every key stays there, however many there are

GUARDS = {
    "key lock": KEY_LOCK,
    "cap of 3": """SELECT raceguard.add_cap('{table}', '"userId"', 3);""",
    "cooldown": """SELECT raceguard.add_cooldown('{table}', '"userId"', 'at', '1 day');""",
    "number": """SELECT raceguard.add_number('{table}', '"userId"');""",
    "pg_advisory_xact_lock by hand": TRIGGER + "lock_by_hand();",
}


def cases():
    return [(variant, keys) for keys in KEYS for variant in VARIANTS
            if keys <= STOCK or variant not in IN_LOCK_TABLE]


def distinct(session):
    """us per key by (variant, keys in a transaction)."""
    names = {variant: f"locked_{i}" for i, variant in enumerate(VARIANTS)}
    session.sql(f"""
        CREATE TABLE keys_to_lock AS SELECT n, (SELECT jsonb_agg(i) FROM generate_series(1, n) i) AS keys
            FROM unnest(array{KEYS}) n;""")
    for variant, name in names.items():
        session.sql(SETUP[variant].format(table=name))
        for keys in KEYS:
            session.sql(f"""
                CREATE PROCEDURE lock_{name}_{keys}(transactions int, INOUT us double precision)
                LANGUAGE plpgsql AS $$
                DECLARE
                    started timestamptz;
                BEGIN
                    FOR r IN 0 .. transactions LOOP
                        -- The first transaction pays for what TRUNCATE has made the session forget.
                        IF r = 1 THEN
                            started := clock_timestamp();
                        END IF;
                        {STATEMENT[variant].format(table=name, keys=keys)}
                        COMMIT;
                    END LOOP;
                    us := extract(epoch FROM clock_timestamp() - started) * 1e6 / transactions / {keys};
                END;
                $$;""")

    def once(case):
        variant, keys = case
        if variant != BY_HAND:
            session.sql(f"TRUNCATE {names[variant]};")
        return session.number(f"CALL lock_{names[variant]}_{keys}({max(1, WRITTEN // keys)}, NULL);")

    return alternate(cases(), ROUNDS, once)


def entries(session):
    """Rows of the table: a guard, and its locks in pg_locks after an INSERT of so many keys."""
    rows = []
    for at, (guard, setup) in enumerate(GUARDS.items()):
        session.sql((TABLE + setup).format(table=f"entries_{at}"))
        counts = []
        for keys in ENTRIES:
            session.sql(f"""BEGIN; INSERT INTO entries_{at} (id, "userId", at) SELECT i, i, timestamp '2026-01-01'
                FROM generate_series(1, {keys}) i;""")
            counts.append(session.sql(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();"))
            session.sql("ROLLBACK;")
        rows.append([guard, *counts])
    return rows


def run():
    with Session() as session:
        session.sql("""
            CREATE FUNCTION lock_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock(5000, NEW."userId");
                RETURN NEW;
            END;
            $$;""")
        held = entries(session)
        measured = distinct(session)

    def over_empty(variant, keys):
        if (variant, keys) not in measured.values:
            return "out of locks"
        if variant in (BY_HAND, CALL):
            return us(measured[variant, keys])
        return us(measured.difference((variant, keys), (EMPTY, keys)))

    def against_twin(keys):
        return (measured.difference((OURS, keys), (EMPTY, keys))
                / measured.difference((TWIN, keys), (EMPTY, keys)))

    header = [f"{keys} keys" if keys > 1 else "1 key" for keys in KEYS]
    shown = [v for v in VARIANTS if v != EMPTY]
    return Report("Locks", [
        Table("One distinct key, us: acquired, and released at COMMIT", ["lock", *header],
              [[v, *(over_empty(v, keys) for keys in KEYS)] for v in shown],
              f"Of a transaction that locks so many keys, the time per key; of the triggers what an INSERT takes more "
              f"than with an empty trigger. {WRITTEN} keys a round, {ROUNDS} rounds. With "
              f"raceguard.max_key_locks = 1000: more keys are one lock of the table. At 500 keys raceguard takes "
              f"{ratio(against_twin(500))} of the C twin's."),
        Table("Locks in pg_locks, of one INSERT", ["guard", *(f"{keys} keys" for keys in ENTRIES)], held),
    ], [
        Target("500 distinct keys in a transaction, locks and COMMIT, against the C twin's", 1.3, against_twin(500)),
        Target("50000 distinct keys in a transaction against 500, per key", 1.5,
               measured.ratio((OURS, 50_000), (OURS, 500))),
    ])
