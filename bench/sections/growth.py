"""Cost against N, and how it grows: rows of a key, cap, parents and keys of a transaction, rows of one statement."""

from dataclasses import dataclass

import fit
from harness import Report, Session, alternate

ROUNDS = 7
WRITES = 200  # in a round
STATEMENT_ROUNDS = 5
WARM = 5  # writes that are not timed, of a key of their own; they pay for what VACUUM made the session forget
MANY = 1_000_000  # a cap that is never reached


@dataclass
class Subject:
    """One cost by N, of raceguard's guard and of the same without it.

    setup makes the table {t}; fill writes {n} rows of each of the keys 0 to {keys}; statement writes one more row, of
    key {k}, and is the r-th of its round. What it wrote has filler > 0, and is taken away after the round.
    """

    name: str
    ns: list
    setup: dict  # variant -> SQL
    fill: str
    statement: dict  # variant -> SQL
    parents: bool = False  # whether there is a {t}_parent
    keys: int = 0  # keys_of(n) where it is 0


OURS, PLAIN = fit.OURS, fit.PLAIN
ROWS_OF_A_KEY = [10, 100, 1_000, 10_000, 100_000]
POSTS = """CREATE TABLE {t} (k int NOT NULL, slot int, at timestamp NOT NULL DEFAULT '2026-01-01',
    filler int NOT NULL DEFAULT 0);"""
SLOTS = "INSERT INTO {t} (k, slot) SELECT k, i FROM generate_series(0, {keys}) k, generate_series(1, {n}) i;"


def keys_of(n):
    """How many keys are filled: the table has about as many rows whatever N is, up to a few keys of the largest."""
    return max(2, min(200, 100_000 // n))


def cap(fill_mode, ns):
    return Subject(
        f"cap, {fill_mode}: rows that the key has", ns,
        {PLAIN: POSTS + "CREATE UNIQUE INDEX ON {t} (k, slot);",
         OURS: POSTS + f"SELECT raceguard.add_cap('{{t}}', 'k', {MANY}, fill => '{fill_mode}');"},
        SLOTS,
        {PLAIN: "INSERT INTO {t} (k, slot, filler) VALUES ({k}, {n} + 10 + r, 1);",
         OURS: "INSERT INTO {t} (k, filler) VALUES ({k}, 1);"})


PARENTS = """CREATE TABLE {t}_parent (id int PRIMARY KEY) WITH (fillfactor = 45);
    INSERT INTO {t}_parent SELECT i FROM generate_series(0, 400) i;
    CREATE TABLE {t} (k int NOT NULL REFERENCES {t}_parent, filler int NOT NULL DEFAULT 0);
    CREATE INDEX ON {t} (k);"""
CHILDREN = "INSERT INTO {t} (k) SELECT k FROM generate_series(0, {keys}) k, generate_series(1, {n}) i;"
CHILD = dict.fromkeys((PLAIN, OURS), "INSERT INTO {t} (k, filler) VALUES ({k}, 1);")
FOUR = [10, 100, 1_000, 10_000]

SUBJECTS = [
    cap("append", ROWS_OF_A_KEY),
    cap("lowest", FOUR),
    Subject("cap, lowest: cap of a key that has 5 rows", [10, 100, 1_000, 10_000, 100_000],
            {PLAIN: POSTS + "CREATE UNIQUE INDEX ON {t} (k, slot);",
             OURS: POSTS + "SELECT raceguard.add_cap('{t}', 'k', {n});"},
            "INSERT INTO {t} (k, slot) SELECT k, i FROM generate_series(0, {keys}) k, generate_series(1, 5) i;",
            {PLAIN: "INSERT INTO {t} (k, slot, filler) VALUES ({k}, 10 + r, 1);",
             OURS: "INSERT INTO {t} (k, filler) VALUES ({k}, 1);"}, keys=WRITES),
    Subject("cooldown: rows that the key has", ROWS_OF_A_KEY,
            {PLAIN: POSTS + "CREATE INDEX ON {t} (k, at);",
             OURS: POSTS + "SELECT raceguard.add_cooldown('{t}', 'k', 'at', '1 hour');"},
            """INSERT INTO {t} (k, at) SELECT k, timestamp '2026-01-01' + i * interval '1 hour'
                FROM generate_series(0, {keys}) k, generate_series(1, {n}) i;""",
            dict.fromkeys((PLAIN, OURS), """INSERT INTO {t} (k, at, filler)
                VALUES ({k}, timestamp '2026-01-01' + ({n} + 10 + r) * interval '1 hour', 1);""")),
    Subject("number: rows that the key has", ROWS_OF_A_KEY,
            {PLAIN: POSTS + "CREATE UNIQUE INDEX ON {t} (k, slot);",
             OURS: POSTS + "SELECT raceguard.add_number('{t}', 'k', 'slot');"},
            SLOTS,
            {PLAIN: "INSERT INTO {t} (k, slot, filler) VALUES ({k}, {n} + 10 + r, 1);",
             OURS: "INSERT INTO {t} (k, filler) VALUES ({k}, 1);"}),
    Subject("key lock: rows that the key has", ROWS_OF_A_KEY,
            {PLAIN: POSTS + "CREATE INDEX ON {t} (k);",
             OURS: POSTS + "CREATE INDEX ON {t} (k); SELECT raceguard.add_key_lock('{t}', 'k');"},
            SLOTS, dict.fromkeys((PLAIN, OURS), "INSERT INTO {t} (k, filler) VALUES ({k}, 1);")),
    Subject("parent version: children that the parent has", FOUR,
            {PLAIN: PARENTS,
             OURS: PARENTS + """SELECT raceguard.add_version('{t}_parent');
                 SELECT raceguard.add_parent_version('{t}', '{t}_parent');"""},
            CHILDREN, CHILD, parents=True),
    Subject("total: children that the parent has", FOUR,
            {PLAIN: PARENTS,
             OURS: PARENTS + "SELECT raceguard.add_total('{t}', '{t}_parent', 'children');"},
            CHILDREN, CHILD, parents=True),
]

# One transaction that writes {n} rows by one statement: of as many keys, of as many parents, or of one key. r tells the
# transactions of a round apart.
KEYS = [10, 100, 1_000, 10_000, 100_000]
BULK = [10, 40, 160, 640, 2_560]
OF_KEYS = "INSERT INTO {t} (k, at) SELECT i + r * {n}, timestamp '2026-01-01' FROM generate_series(1, {n}) i;"
OF_KEYS_SLOT = "INSERT INTO {t} (k, slot) SELECT i + r * {n}, 1 FROM generate_series(1, {n}) i;"
OF_PARENTS = "INSERT INTO {t} (k) SELECT (i + r * {n}) % 10000 FROM generate_series(1, {n}) i;"
OF_ONE = """INSERT INTO {t} (k, at) SELECT r, timestamp '2026-01-01' + i * interval '1 day'
    FROM generate_series(1, {n}) i;"""
OF_ONE_SLOT = "INSERT INTO {t} (k, slot) SELECT r, i FROM generate_series(1, {n}) i;"
MANY_PARENTS = """CREATE TABLE {t}_parent (id int PRIMARY KEY) WITH (fillfactor = 45);
    INSERT INTO {t}_parent SELECT i FROM generate_series(0, 9999) i;
    CREATE TABLE {t} (k int NOT NULL REFERENCES {t}_parent);"""
UNIQUE = "CREATE UNIQUE INDEX ON {t} (k, slot);"
TIMED = "CREATE INDEX ON {t} (k, at);"


@dataclass
class Statement:
    """One cost per row, of a statement of N rows and its COMMIT."""

    name: str
    ns: list
    setup: dict
    statement: dict
    parents: bool = False


def statement(name, ns, plain, guard, text, plain_text=None):
    return Statement(name, ns, {PLAIN: POSTS + plain, OURS: POSTS + guard}, {PLAIN: plain_text or text, OURS: text})


def of_parents(name, guard):
    return Statement(name, FOUR, {PLAIN: MANY_PARENTS, OURS: MANY_PARENTS + guard},
                     dict.fromkeys((PLAIN, OURS), OF_PARENTS), parents=True)


CAP = f"SELECT raceguard.add_cap('{{t}}', 'k', {MANY}, fill => '%s');"
COOLDOWN = "SELECT raceguard.add_cooldown('{t}', 'k', 'at', '1 hour');"
NUMBER = "SELECT raceguard.add_number('{t}', 'k', 'slot');"
KEY_LOCK = "SELECT raceguard.add_key_lock('{t}', 'k');"
STATEMENTS = [
    statement("key lock: keys in a transaction", KEYS, "", KEY_LOCK, OF_KEYS),
    statement("cap: keys in a transaction", KEYS, UNIQUE, CAP % "lowest", OF_KEYS, OF_KEYS_SLOT),
    statement("cooldown: keys in a transaction", KEYS, TIMED, COOLDOWN, OF_KEYS),
    statement("number: keys in a transaction", KEYS, UNIQUE, NUMBER, OF_KEYS, OF_KEYS_SLOT),
    of_parents("parent version: parents in a transaction",
               """SELECT raceguard.add_version('{t}_parent');
                  SELECT raceguard.add_parent_version('{t}', '{t}_parent');"""),
    of_parents("total: parents in a transaction", "SELECT raceguard.add_total('{t}', '{t}_parent', 'children');"),
    statement("cap, append: rows of one key in a statement", BULK, UNIQUE, CAP % "append", OF_ONE, OF_ONE_SLOT),
    statement("cap, lowest: rows of one key in a statement", BULK, UNIQUE, CAP % "lowest", OF_ONE, OF_ONE_SLOT),
    statement("cooldown: rows of one key in a statement", BULK, TIMED, COOLDOWN, OF_ONE),
    statement("number: rows of one key in a statement", BULK, UNIQUE, NUMBER, OF_ONE, OF_ONE_SLOT),
]
ROWS = 2_000  # that a round writes, in as many transactions as that takes


def timed(name, first, body, per_loop):
    """A procedure of so many loops r: us per unit, of which a loop has per_loop. Those below 1 are not timed."""
    return f"""
        CREATE PROCEDURE run_{name}(loops int, INOUT us double precision) LANGUAGE plpgsql AS $$
        DECLARE
            started timestamptz;
        BEGIN
            FOR r IN {first} .. loops LOOP
                IF r = 1 THEN
                    started := clock_timestamp();
                END IF;
                {body}
                COMMIT;
            END LOOP;
            us := extract(epoch FROM clock_timestamp() - started) * 1e6 / loops / {per_loop};
        END;
        $$;"""


def finish(session, names, measured):
    for name in names.values():
        session.sql(f"DROP PROCEDURE run_{name}; DROP TABLE {name}; DROP TABLE IF EXISTS {name}_parent;")
    return measured


def single_writes(session, subject):
    """us per write by (variant, N); every write is a transaction of its own."""
    names = {}
    for n in subject.ns:
        keys = subject.keys or keys_of(n)
        for at, variant in enumerate(subject.setup):
            t = names[variant, n] = f"grown_{at}_{n}"
            words = {"t": t, "n": n, "keys": keys}
            session.sql(subject.setup[variant].format(**words))
            session.sql(f"""ALTER TABLE {t} DISABLE TRIGGER USER; {subject.fill.format(**words)}
                ALTER TABLE {t} ENABLE TRIGGER USER; VACUUM ANALYZE {t};""")
            # Key 0 is that of the loops that are not timed.
            body = subject.statement[variant].format(**words, k=f"(r > 0)::int * (1 + abs(r) % {keys})")
            session.sql(timed(t, 1 - WARM, body, 1))

    def once(case):
        t = names[case]
        spent = session.number(f"CALL run_{t}({WRITES}, NULL);")
        session.sql(f"DELETE FROM {t} WHERE filler > 0; VACUUM {t};")
        if subject.parents:
            session.sql(f"VACUUM {t}_parent;")
        return spent

    return finish(session, names, alternate(list(names), ROUNDS, once))


def whole_statements(session, subject):
    """us per row by (variant, N), COMMIT included."""
    names = {}
    for n in subject.ns:
        for at, variant in enumerate(subject.setup):
            t = names[variant, n] = f"grown_{at}_{n}"
            session.sql(subject.setup[variant].format(t=t, n=n))
            session.sql(timed(t, 0, subject.statement[variant].format(t=t, n=n), n))

    def once(case):
        t = names[case]
        session.sql(f"TRUNCATE {t};" + (f"VACUUM {t}_parent;" if subject.parents else ""))
        return session.number(f"CALL run_{t}({max(1, ROWS // case[1])}, NULL);")

    return finish(session, names, alternate(list(names), STATEMENT_ROUNDS, once))


def run():
    with Session() as session:
        writes = [fit.Curve(s.name, s.ns, single_writes(session, s)) for s in SUBJECTS]
        statements = [fit.Curve(s.name, s.ns, whole_statements(session, s)) for s in STATEMENTS]
    tables = fit.tables("One write and its COMMIT, us", writes,
                        f"{ROUNDS} rounds of {WRITES} writes. {fit.NOTE}")
    tables += fit.tables("A row of one statement and its COMMIT, us", statements,
                         f"{STATEMENT_ROUNDS} rounds of at least {ROWS} rows. {fit.NOTE}")
    return Report("Growth", tables, [curve.target() for curve in writes + statements])
