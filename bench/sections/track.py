"""What counting costs: trigger time per row of each guard with raceguard.track = all, beside none."""

from harness import Report, Session, Table, Target, alternate
from report import ns

from .version import FILL_NARROW, NARROW

ROWS = 5_000
ROUNDS = 101

# Every guard where it does least per row: one key, one slot to look at, nothing to refuse.
GUARDS = {
    "version": "SELECT raceguard.add_version('guarded');",
    "key_lock": "SELECT raceguard.add_key_lock('guarded', 'length(shipping_address)');",
}
LEVELS = ["none", "refusals", "all"]


def measure(session, guard):
    """Trigger time per row, in ns, at each level, on the same table."""
    session.sql(f"""
        CREATE TABLE guarded ({NARROW}) WITH (fillfactor = 45);
        INSERT INTO guarded {FILL_NARROW.format(rows=ROWS)};
        VACUUM ANALYZE guarded;
        {GUARDS[guard]}""")

    def once(level):
        session.sql(f"SET raceguard.track = '{level}';")
        spent, calls = session.explain("UPDATE guarded SET shipping_address = 'New Street'").trigger_ns()
        assert calls == ROWS, f"{guard}: {calls} trigger calls for {ROWS} rows"
        session.sql("VACUUM guarded;")
        return spent / calls

    measured = alternate(LEVELS, ROUNDS, once)
    session.sql("DROP TABLE guarded;")
    return measured


def run():
    with Session() as session:
        measured = {guard: measure(session, guard) for guard in GUARDS}
    rows = [[guard, *(ns(figures[level]) for level in LEVELS), f"{figures.difference('all', 'none'):.1f}"]
            for guard, figures in measured.items()]
    return Report(
        "Counting",
        [Table("Trigger time per row by raceguard.track", ["guard", *LEVELS, "all - none"], rows,
               f"Trigger time of EXPLAIN (ANALYZE) in ns, {ROWS} rows an update, {ROUNDS} rounds.")],
        [Target("version_guard, counting all rows above none", 3,
                measured["version"].difference("all", "none"), unit="ns")])
