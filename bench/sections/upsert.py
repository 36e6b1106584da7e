"""Upserts under a key lock: half of the statements update a row, half upsert it."""

from harness import Report, Session, Table, Target, alternate, pgbench
from report import ratio, us

CLIENTS = 4
KEYS = 5
SECONDS = 2
ALONE = 20_000
ROUNDS = 5

EMPTY, TWIN, OURS = "empty C trigger", "C twin, key before row", "raceguard"
TRIGGER = ("CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON {table} "
           "FOR EACH ROW EXECUTE FUNCTION ")
VARIANTS = {
    EMPTY: ("upserted_empty", TRIGGER + "twin_empty();"),
    TWIN: ("upserted_twin", TRIGGER + "twin_key_lock('k');"),
    OURS: ("upserted_ours", "SELECT raceguard.add_key_lock('{table}', 'k');"),
}
# A deadlock is an answer here: what counts is what gets through.
MIX = """
    \\set k random(1, {keys})
    \\set upsert random(0, 1)
    \\if :upsert
    INSERT INTO {table} VALUES (:k, 0) ON CONFLICT (k) DO UPDATE SET n = {table}.n + 1;
    \\else
    UPDATE {table} SET n = n + 1 WHERE k = :k;
    \\endif"""


def make(session):
    for name, trigger in VARIANTS.values():
        session.sql(f"""
            CREATE TABLE {name} (k int PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 45);""")
        session.sql(trigger.format(table=name))
        fill(session, name)


def fill(session, name):
    session.sql(f"INSERT INTO {name} SELECT i, 0 FROM generate_series(1, {KEYS}) i;")


def mixed(session):
    """Transactions per second of the mix, rows that no deadlock has kept from being written."""
    def once(variant):
        name = VARIANTS[variant][0]
        session.sql(f"UPDATE {name} SET n = 0; VACUUM FULL {name};")
        pgbench(MIX.format(table=name, keys=KEYS), CLIENTS, seconds=SECONDS, tries=1000)
        return session.number(f"SELECT sum(n) FROM {name};") / SECONDS

    return alternate(list(VARIANTS), ROUNDS, once)


def alone(session, first):
    """us per upsert of a session that is alone, each a transaction; keys from `first` on."""
    for name, _ in VARIANTS.values():
        session.sql(f"""
            CREATE OR REPLACE PROCEDURE upsert_{name}(first int, keys int, INOUT us double precision)
            LANGUAGE plpgsql AS $$
            DECLARE
                started timestamptz;
            BEGIN
                COMMIT;
                started := clock_timestamp();
                FOR i IN 1 .. {ALONE} LOOP
                    INSERT INTO {name} VALUES (first + i % keys, 0)
                        ON CONFLICT (k) DO UPDATE SET n = {name}.n + 1;
                    COMMIT;
                END LOOP;
                us := extract(epoch FROM clock_timestamp() - started) * 1e6 / {ALONE};
            END;
            $$;""")
    keys = KEYS if first == 1 else ALONE

    def once(variant):
        name = VARIANTS[variant][0]
        session.sql(f"TRUNCATE {name};")
        fill(session, name)
        return session.number(f"CALL upsert_{name}({first}, {keys}, NULL);")

    return alternate(list(VARIANTS), ROUNDS, once)


def run():
    with Session() as session:
        make(session)
        mix = mixed(session)
        there, new = alone(session, 1), alone(session, 1_000_000)
    return Report(
        "Upserts under a key lock",
        [
            Table(f"{CLIENTS} clients, {KEYS} keys, half UPDATE, half upsert",
                  ["trigger", "writes per second", "against empty"],
                  [[v, f"{tps:.0f}", ratio(mix.ratio(v, EMPTY))] for v, tps in mix.medians().items()],
                  f"pgbench, {SECONDS} s a run, {ROUNDS} rounds; a statement that a deadlock ended is "
                  "tried again."),
            Table("One client, one upsert to a transaction",
                  ["trigger", "row is there, us", "against empty", "row is new, us", "against empty"],
                  [[v, us(there[v]), ratio(there.ratio(v, EMPTY)), us(new[v]),
                    ratio(new.ratio(v, EMPTY))] for v in VARIANTS],
                  f"{ALONE} transactions a round."),
        ],
        [Target("updates and upserts of the same rows, throughput against an empty trigger", 0.5,
                mix.ratio(OURS, EMPTY), at_least=True)])
