"""Version guard: trigger time per updated row, plain and with ignored columns."""

import plot
from harness import Report, Session, Table, Target, alternate
from report import ns, ratio

ROWS = 5_000
ROUNDS = 101

NARROW = """id int PRIMARY KEY, shipping_address text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(), version bigint NOT NULL DEFAULT 1"""
FILL_NARROW = "SELECT i, 'Old Street ' || i FROM generate_series(1, {rows}) i"

# Twenty columns: the key, 15 of data in four types, three that need no version, the version.
TYPES = ["int NOT NULL DEFAULT 7", "text NOT NULL DEFAULT 'some text'",
         "timestamptz NOT NULL DEFAULT '2026-01-01'", "numeric NOT NULL DEFAULT 12.50"]
DATA = [f"c{i + 1} {TYPES[i % 4]}" for i in range(15)]
WIDE = ", ".join(["id int PRIMARY KEY", *DATA, "hits int NOT NULL DEFAULT 0",
                  "seen_at timestamptz NOT NULL DEFAULT '2026-01-01'", "note text",
                  "version bigint NOT NULL DEFAULT 1"])
FILL_WIDE = "SELECT i FROM generate_series(1, {rows}) i"

EMPTY, TWIN, MODDATETIME, PLPGSQL, OURS = (
    "empty C trigger", "C twin", "contrib moddatetime", "PL/pgSQL trigger", "raceguard")
TWIN_IGNORE, OURS_IGNORE = "C twin, 3 ignored", "raceguard, 3 ignored"



def trigger(call):
    return ("CREATE TRIGGER guard BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION "
            f"{call};")


SETUP = {
    EMPTY: trigger("twin_empty()"),
    TWIN: trigger("twin_version('version')"),
    MODDATETIME: trigger("moddatetime('updated_at')"),
    PLPGSQL: trigger("plpgsql_version()"),
    OURS: "SELECT raceguard.add_version('{table}');",
    TWIN_IGNORE: trigger("twin_version('version', 'hits', 'seen_at', 'note')"),
    OURS_IGNORE: "SELECT raceguard.add_version('{table}', ignore => '{{hits,seen_at,note}}');",
}


def make(session, table, columns, fill, variant):
    """A filled table with the variant's trigger; half-empty pages keep the updates HOT."""
    session.sql(f"""
        CREATE TABLE {table} ({columns}) WITH (fillfactor = 45);
        INSERT INTO {table} {fill.format(rows=ROWS)};
        VACUUM ANALYZE {table};""")
    session.sql(SETUP[variant].format(table=table))


def measure(session, name, columns, fill, variants, assignments):
    """Trigger time per row, in ns, of each variant on its own copy of the table."""
    tables = {variant: f"version_{name}_{i}" for i, variant in enumerate(variants)}
    for variant, table in tables.items():
        make(session, table, columns, fill, variant)

    def once(variant):
        table = tables[variant]
        spent, calls = session.explain(f"UPDATE {table} SET {assignments}").trigger_ns()
        assert calls == ROWS, f"{variant}: {calls} trigger calls for {ROWS} rows"
        session.sql(f"VACUUM {table};")
        return spent / calls

    measured = alternate(variants, ROUNDS, once)
    for table in tables.values():
        session.sql(f"DROP TABLE {table};")
    return measured


def table(title, measured):
    return Table(title, ["trigger", "ns per row", f"against {TWIN}"],
                 [[v, ns(t), ratio(measured.ratio(v, TWIN))] for v, t in measured.medians().items()],
                 f"Trigger time of EXPLAIN (ANALYZE), {ROWS} rows an update, {ROUNDS} rounds.")


def run():
    wide_variants = [TWIN, TWIN_IGNORE, OURS, OURS_IGNORE]
    with Session() as session:
        bump = measure(session, "bump", NARROW, FILL_NARROW, [EMPTY, TWIN, MODDATETIME, PLPGSQL, OURS],
                       "shipping_address = 'New Street'")
        stated = measure(session, "stated", NARROW, FILL_NARROW, [EMPTY, TWIN, PLPGSQL, OURS],
                         "shipping_address = 'New Street', version = version + 1")
        first, last, skipped = (
            measure(session, "wide", WIDE, FILL_WIDE, wide_variants, assignment)
            for assignment in ("c1 = c1 + 1", "c15 = c15 + '1 s'", "hits = hits + 1"))
    return Report(
        "Version guard",
        [
            table("The update does not state the version: one bump", bump),
            table("The update states OLD + 1: checked, left as it is", stated),
            table("20 columns, the first data column changes", first),
            table("20 columns, the last data column changes", last),
            table("20 columns, only an ignored column changes", skipped),
        ],
        [
            Target("version_guard against its C twin", 1.3, bump.ratio(OURS, TWIN)),
            Target("version_guard against its C twin", 1.15, bump.ratio(OURS, TWIN)),
            Target("version_guard against moddatetime", 1, bump.ratio(OURS, MODDATETIME)),
            Target("3 ignored of 20 columns, first column changes, against the plain C twin", 1.6,
                   first.ratio(OURS_IGNORE, TWIN)),
            Target("3 ignored of 20 columns, last column changes, against the plain C twin", 1.6,
                   last.ratio(OURS_IGNORE, TWIN)),
        ],
        [("version_guard.svg", "Trigger time per updated row",
          plot.bars("Trigger time per updated row", "ns", bump.medians()))])
