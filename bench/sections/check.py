"""check_guards over a database of 400 guards of all kinds, all in order: what a monitor asks each minute."""

from harness import Report, Session, Table, Target, alternate

TABLES = 80  # each with a guard of every kind
ROUNDS = 9
FIRST, AGAIN, VIEW = "first call of a session", "again", "the view guards"


def make(session):
    session.sql(f"""
        DO $$
        BEGIN
            FOR i IN 1 .. {TABLES} LOOP
                EXECUTE format('CREATE TABLE checked_%s (id int PRIMARY KEY,
                    parent int CONSTRAINT checked_parent_%s REFERENCES %I, k int, address text, at timestamptz)',
                    i, i, 'checked_' || greatest(i - 1, 1));
                EXECUTE format('SELECT raceguard.add_version(%L)', 'checked_' || i);
                EXECUTE format('SELECT raceguard.add_parent_version(%L, %L)',
                    'checked_' || i, 'checked_' || greatest(i - 1, 1));
                EXECUTE format('SELECT raceguard.add_key_lock(%L, %L)', 'checked_' || i, 'k, lower(address)');
                EXECUTE format('SELECT raceguard.add_cap(%L, %L, 3)', 'checked_' || i, 'k');
                EXECUTE format('SELECT raceguard.add_cooldown(%L, %L, %L, %L)',
                    'checked_' || i, 'lower(address)', 'at', '1 day');
            END LOOP;
        END $$;""")
    found = session.number("SELECT count(*) FROM raceguard.check_guards() WHERE severity <> 'info';")
    assert found == 0, f"{found} findings on guards that are in order"
    return session.number("SELECT count(*) FROM raceguard.guards;")


def milliseconds(session, query):
    started = session.number("SELECT extract(epoch FROM clock_timestamp()) * 1000;")
    session.sql(f"{query};")
    return session.number("SELECT extract(epoch FROM clock_timestamp()) * 1000;") - started


def run():
    check = "SELECT count(*) FROM raceguard.check_guards()"
    with Session() as session:
        guards = make(session)

        def once(variant):
            if variant == FIRST:
                with Session() as fresh:
                    return milliseconds(fresh, check)
            if variant == AGAIN:
                return milliseconds(session, check)
            return milliseconds(session, "SELECT count(*) FROM raceguard.guards WHERE enabled AND whole")

        rounds = alternate([FIRST, AGAIN, VIEW], ROUNDS, once)
    return Report(
        "Looking at the guards",
        [Table(f"{guards:.0f} guards on {TABLES} tables, nothing wrong", ["", "ms"],
               [[variant, f"{ms:.0f}"] for variant, ms in rounds.medians().items()],
               f"Median of {ROUNDS} calls; the first loads the library and fills the session's caches.")],
        [Target("check_guards, the first call of a session", 150, rounds[FIRST], unit="ms"),
         Target("check_guards, again", 150, rounds[AGAIN], unit="ms")])
