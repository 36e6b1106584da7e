"""Cooldown guard: inserts against the native exclusion constraint and article D's statements."""

from harness import Report, Session, Table, Target, alternate
from report import ratio, us

USERS = 1_000
ROWS_PER_USER = 5  # eight days apart, so that every row is allowed
COMMIT_EVERY = 100
OTHER_USERS = 20_000  # with as many rows each, so that statistics and indexes are those of a real table
ROUNDS = 15

PLAIN, EXCLUSION, ARTICLE, OURS = (
    "plain insert, btree index", "EXCLUDE USING gist", "article D's lock and look", "raceguard")

TABLE = """CREATE TABLE {table} ("userId" int NOT NULL, "createdAt" timestamp NOT NULL,
    highlighted boolean NOT NULL, "postContent" text NOT NULL);"""
INDEX = """CREATE INDEX ON {table} ("userId", "createdAt") WHERE highlighted;"""

SETUP = {
    PLAIN: TABLE + INDEX,
    EXCLUSION: TABLE + """ALTER TABLE {table} ADD EXCLUDE USING gist
        ("userId" WITH =, tsrange("createdAt", "createdAt" + interval '7 days') WITH &&)
        WHERE (highlighted);""",
    # Its test "highlighted IS TRUE" does not let Postgres 15 use an index WHERE highlighted.
    ARTICLE: TABLE + """CREATE INDEX ON {table} ("userId", "createdAt");""",
    OURS: TABLE + """SELECT raceguard.add_cooldown('{table}', '"userId"', at => 'createdAt',
        period => '7 days', predicate => 'highlighted');""",
}
INSERT = "INSERT INTO {table} VALUES (k, at, true, 'some text');"
STATEMENT = dict.fromkeys(SETUP, INSERT) | {
    ARTICLE: """
        PERFORM pg_advisory_xact_lock(5000, k);
        PERFORM 1 FROM {table} WHERE "userId" = k AND highlighted IS TRUE
            AND "createdAt" >= at - interval '1 week';
        IF FOUND THEN
            RAISE EXCEPTION 'Already have a highlighted post in the previous seven days';
        END IF;
    """ + INSERT,
}
VARIANTS = list(SETUP)


def make(session, variant):
    name = f"cooldown_{VARIANTS.index(variant)}"
    session.sql(SETUP[variant].format(table=name))
    session.sql(f"""
        ALTER TABLE {name} DISABLE TRIGGER USER;
        INSERT INTO {name}
            SELECT -k, timestamp '2026-01-01' + i * interval '8 days', true, 'some text'
            FROM generate_series(1, {ROWS_PER_USER}) i, generate_series(1, {OTHER_USERS}) k;
        ALTER TABLE {name} ENABLE TRIGGER USER;
        VACUUM ANALYZE {name};""")
    session.sql(f"""
        CREATE PROCEDURE fill_{name}(INOUT us double precision) LANGUAGE plpgsql AS $$
        DECLARE
            started timestamptz;
            at timestamp;
        BEGIN
            COMMIT;
            started := clock_timestamp();
            FOR i IN 1 .. {ROWS_PER_USER} LOOP
                at := timestamp '2026-01-01' + i * interval '8 days';
                FOR k IN 1 .. {USERS} LOOP
                    {STATEMENT[variant].format(table=name)}
                    IF k % {COMMIT_EVERY} = 0 THEN
                        COMMIT;
                    END IF;
                END LOOP;
            END LOOP;
            us := extract(epoch FROM clock_timestamp() - started) * 1e6
                / {USERS * ROWS_PER_USER};
        END;
        $$;""")
    return name


def run():
    with Session() as session:
        names = {variant: make(session, variant) for variant in VARIANTS}

        def once(variant):
            session.sql(f'''DELETE FROM {names[variant]} WHERE "userId" > 0;
                        VACUUM {names[variant]};''')
            return session.number(f"CALL fill_{names[variant]}(NULL);")

        measured = alternate(VARIANTS, ROUNDS, once)
    return Report(
        "Cooldown",
        [Table("One insert, us", ["statement", "us per insert", "against EXCLUDE"],
               [[v, us(t), ratio(measured.ratio(v, EXCLUSION))]
                for v, t in measured.medians().items()],
               f"{USERS} users with {ROWS_PER_USER} rows each, {COMMIT_EVERY} inserts in a "
               f"transaction, {OTHER_USERS} other users in the table; {ROUNDS} rounds.")],
        [Target("cooldown: times faster than the exclusion constraint", 2,
                measured.ratio(EXCLUSION, OURS), at_least=True)])
