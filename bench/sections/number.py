"""Number guard: one insert against `max + 1` under an advisory lock, by how many rows the key has, and with a counter
against a trigger that counts in the parent's row."""

from harness import Report, Session, Table, Target, alternate
from report import ratio, us

FEW, MANY = 10, 100_000  # rows that a key has
KEYS = {FEW: 1_000, MANY: 4}
INSERTS = 4_000  # in each round, taking turns among the keys
COMMIT_EVERY = 100
ROUNDS = 21

STATED, MAX_PLUS_ONE, OURS = (
    "number stated, no trigger", "PL/pgSQL, max + 1 under a lock", "raceguard")
STATED_BELOW, COUNTED, COUNTER = (
    "number stated, a foreign key", "PL/pgSQL, UPDATE of the parent's counter", "raceguard, with a counter")

TABLE = """CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY, org int NOT NULL,
    total int NOT NULL, number int);
CREATE UNIQUE INDEX ON {table} (org, number);"""

SETUP = {
    STATED: TABLE,
    MAX_PLUS_ONE: TABLE + """
        CREATE FUNCTION next_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(7000, NEW.org);
            SELECT coalesce(max(number), 0) + 1 INTO NEW.number FROM {table} WHERE org = NEW.org;
            RETURN NEW;
        END;
        $$;
        CREATE TRIGGER numbered BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION next_of_{table}();""",
    OURS: TABLE + "SELECT raceguard.add_number('{table}', 'org');",
}
BELOW = """CREATE TABLE {table}_orgs (id int PRIMARY KEY, last int NOT NULL DEFAULT 0);
INSERT INTO {table}_orgs SELECT k, {rows} FROM generate_series(1, {keys}) k;
""" + TABLE + "ALTER TABLE {table} ADD FOREIGN KEY (org) REFERENCES {table}_orgs;"
SETUP |= {
    STATED_BELOW: BELOW,
    COUNTED: BELOW + """
        CREATE FUNCTION next_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE {table}_orgs SET last = last + 1 WHERE id = NEW.org RETURNING last INTO NEW.number;
            RETURN NEW;
        END;
        $$;
        CREATE TRIGGER numbered BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION next_of_{table}();""",
    COUNTER: BELOW + "SELECT raceguard.add_number('{table}', 'org', counter => 'last');",
}
INSERT = "INSERT INTO {table} (org, total) VALUES (k, i);"
GIVEN = "INSERT INTO {table} (org, total, number) VALUES (k, i, {rows} + (i - 1) / {keys} + 1);"
STATEMENT = dict.fromkeys(SETUP, INSERT) | {STATED: GIVEN, STATED_BELOW: GIVEN}
VARIANTS = list(SETUP)
COUNTING = [STATED_BELOW, COUNTED, COUNTER]
CASES = [(variant, rows) for rows in (FEW, MANY) for variant in VARIANTS
         if rows == FEW or variant not in COUNTING]


def make(session, variant, rows):
    name = f"numbers_{VARIANTS.index(variant)}_{rows}"
    keys = KEYS[rows]
    session.sql(SETUP[variant].format(table=name, rows=rows, keys=keys))
    session.sql(f"""
        ALTER TABLE {name} DISABLE TRIGGER USER;
        INSERT INTO {name} (org, total, number)
            SELECT k, 0, i FROM generate_series(1, {rows}) i, generate_series(1, {keys}) k;
        ALTER TABLE {name} ENABLE TRIGGER USER;
        VACUUM ANALYZE {name};""")
    statement = STATEMENT[variant].format(table=name, rows=rows, keys=keys)
    session.sql(f"""
        CREATE PROCEDURE fill_{name}(INOUT us double precision) LANGUAGE plpgsql AS $$
        DECLARE
            started timestamptz;
            k int;
        BEGIN
            COMMIT;
            started := clock_timestamp();
            FOR i IN 1 .. {INSERTS} LOOP
                k := 1 + (i - 1) % {keys};
                {statement}
                IF i % {COMMIT_EVERY} = 0 THEN
                    COMMIT;
                END IF;
            END LOOP;
            us := extract(epoch FROM clock_timestamp() - started) * 1e6 / {INSERTS};
        END;
        $$;""")
    return name


def run():
    with Session() as session:
        names = {case: make(session, *case) for case in CASES}

        def once(case):
            name = names[case]
            # Only the rows of the round before are gone; VACUUM takes their index entries along.
            forget = ""
            if case[0] in COUNTING:
                parent = f"{name}_orgs"
                forget = f"""ALTER TABLE {parent} DISABLE TRIGGER USER; UPDATE {parent} SET last = {case[1]};
                    ALTER TABLE {parent} ENABLE TRIGGER USER; VACUUM {parent};"""
            session.sql(f"DELETE FROM {name} WHERE number > {case[1]}; VACUUM {name}; {forget}")
            return session.number(f"CALL fill_{name}(NULL);")

        measured = alternate(CASES, ROUNDS, once)

    def overhead(variant, rows):
        return measured.difference((variant, rows), (STATED_BELOW if variant in COUNTING else STATED, rows))

    against_counted = overhead(COUNTER, FEW) / overhead(COUNTED, FEW)

    return Report(
        "Number",
        [Table("One insert, us", ["trigger", "rows of the key", "us per insert", "more than stated, us"],
               [[variant, f"{rows}", us(measured[variant, rows]), us(overhead(variant, rows))]
                for variant, rows in CASES],
               f"{KEYS[FEW]} keys of {FEW} rows and {KEYS[MANY]} of {MANY}; {COMMIT_EVERY} inserts in a "
               f"transaction, each of the next key; {ROUNDS} rounds. raceguard's overhead is "
               f"{ratio(overhead(OURS, FEW) / overhead(MAX_PLUS_ONE, FEW))} of the PL/pgSQL trigger's, and with "
               f"a counter {ratio(against_counted)} of that of the one that counts in the parent's row.")],
        [Target("number: overhead against max + 1 in PL/pgSQL under a lock", 1 / 3,
                overhead(OURS, FEW) / overhead(MAX_PLUS_ONE, FEW)),
         Target("number: an insert into a key of 100000 rows against one of 10", 1.2,
                measured.ratio((OURS, MANY), (OURS, FEW)))])
