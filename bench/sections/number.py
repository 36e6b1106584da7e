"""Number guard: one insert against `max + 1` under an advisory lock, and by how many rows the key has."""

from harness import Report, Session, Table, Target, alternate
from report import ratio, us

FEW, MANY = 10, 100_000  # rows that a key has
KEYS = {FEW: 1_000, MANY: 4}
INSERTS = 4_000  # in each round, taking turns among the keys
COMMIT_EVERY = 100
ROUNDS = 21

STATED, MAX_PLUS_ONE, OURS = (
    "number stated, no trigger", "PL/pgSQL, max + 1 under a lock", "raceguard")

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
INSERT = "INSERT INTO {table} (org, total) VALUES (k, i);"
STATEMENT = dict.fromkeys(SETUP, INSERT) | {
    STATED: "INSERT INTO {table} (org, total, number) VALUES (k, i, {rows} + (i - 1) / {keys} + 1);",
}
VARIANTS = list(SETUP)
CASES = [(variant, rows) for rows in (FEW, MANY) for variant in VARIANTS]


def make(session, variant, rows):
    name = f"numbers_{VARIANTS.index(variant)}_{rows}"
    keys = KEYS[rows]
    session.sql(SETUP[variant].format(table=name))
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
            session.sql(f"DELETE FROM {name} WHERE number > {case[1]}; VACUUM {name};")
            return session.number(f"CALL fill_{name}(NULL);")

        measured = alternate(CASES, ROUNDS, once)

    def overhead(variant, rows):
        return measured.difference((variant, rows), (STATED, rows))

    return Report(
        "Number",
        [Table("One insert, us", ["trigger", "rows of the key", "us per insert", "more than stated, us"],
               [[variant, f"{rows}", us(measured[variant, rows]), us(overhead(variant, rows))]
                for variant, rows in CASES],
               f"{KEYS[FEW]} keys of {FEW} rows and {KEYS[MANY]} of {MANY}; {COMMIT_EVERY} inserts in a "
               f"transaction, each of the next key; {ROUNDS} rounds. raceguard's overhead is "
               f"{ratio(overhead(OURS, FEW) / overhead(MAX_PLUS_ONE, FEW))} of the PL/pgSQL trigger's.")],
        [Target("number: overhead against max + 1 in PL/pgSQL under a lock", 1 / 3,
                overhead(OURS, FEW) / overhead(MAX_PLUS_ONE, FEW)),
         Target("number: an insert into a key of 100000 rows against one of 10", 1.2,
                measured.ratio((OURS, MANY), (OURS, FEW)))])
