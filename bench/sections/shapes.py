"""The ratios of other sections on tables of other shapes: fillfactor, wide and toasted rows, many guarded tables."""

from harness import Report, Session, Table, Target, alternate
from report import ns, ratio, us

ROWS = 2_000
ROUNDS = 9
TABLES = [1, 4, 16, 64]
WRITES = 1_920  # in each round, a multiple of every number of tables
TOASTED = 4_000  # bytes of a value that does not compress, stored out of line

NONE, EMPTY, TWIN, PLPGSQL, OURS = (
    "no trigger", "empty C trigger", "C twin", "PL/pgSQL trigger", "raceguard")
TWIN_IGNORE, OURS_IGNORE = "C twin, 3 ignored", "raceguard, 3 ignored"
ARTICLE = "article D's trigger"
UNIQUE = "unique index, slot given"

TYPES = ["int NOT NULL DEFAULT 7", "text NOT NULL DEFAULT 'some text'",
         "timestamptz NOT NULL DEFAULT '2026-01-01'", "numeric NOT NULL DEFAULT 12.50"]
FIRST = """id int PRIMARY KEY, "userId" int NOT NULL, content text NOT NULL DEFAULT 'some text'"""
LAST = "hits int NOT NULL DEFAULT 0, seen_at timestamptz, note text, version bigint NOT NULL DEFAULT 1, slot int"
WIDE = ", ".join(f"c{i} {TYPES[i % 4]}" for i in range(92))  # 100 columns with those before and after
RANDOM = "(SELECT string_agg(md5(j::text), '') FROM generate_series(1, %d) j)" % (TOASTED // 32)

# name -> columns, fillfactor, the columns that are filled besides id and "userId", and with what
SHAPES = {
    "8 columns, fillfactor 45": (f"{FIRST}, {LAST}", 45, "", ""),
    "8 columns, fillfactor 80": (f"{FIRST}, {LAST}", 80, "", ""),
    "8 columns, fillfactor 100": (f"{FIRST}, {LAST}", 100, "", ""),
    "100 columns": (f"{FIRST}, {WIDE}, {LAST}", 45, "", ""),
    "100 columns, fillfactor 100": (f"{FIRST}, {WIDE}, {LAST}", 100, "", ""),
    f"TOAST, {TOASTED} bytes": (f"{FIRST}, body text NOT NULL, {LAST}", 45, ", body", ", " + RANDOM),
}


def trigger(events, call):
    return f"CREATE TRIGGER guard BEFORE {events} ON {{table}} FOR EACH ROW EXECUTE FUNCTION {call};"


VERSION = {
    NONE: "",
    EMPTY: trigger("UPDATE", "twin_empty()"),
    TWIN: trigger("UPDATE", "twin_version('version')"),
    TWIN_IGNORE: trigger("UPDATE", "twin_version('version', 'hits', 'seen_at', 'note')"),
    PLPGSQL: trigger("UPDATE", "plpgsql_version()"),
    OURS: "SELECT raceguard.add_version('{table}');",
    OURS_IGNORE: "SELECT raceguard.add_version('{table}', ignore => '{{hits,seen_at,note}}');",
}
KEY_LOCK = {
    NONE: "",
    EMPTY: trigger("UPDATE", "twin_empty()"),
    TWIN: trigger("UPDATE", "twin_key_lock('userId')"),
    ARTICLE: trigger("UPDATE", '"take_post_modify_lock_function"()'),
    OURS: """SELECT raceguard.add_key_lock('{table}', '"userId"');""",
}
CAP = {
    NONE: "",
    UNIQUE: """CREATE UNIQUE INDEX ON {table} ("userId", slot);""",
    OURS: """SELECT raceguard.add_cap('{table}', '"userId"', 3);""",
}


def make(session, name, shape, guard, filled=True):
    columns, fillfactor, more, values = SHAPES[shape]
    session.sql(f"CREATE TABLE {name} ({columns}) WITH (fillfactor = {fillfactor});")
    if filled:
        session.sql(f"""INSERT INTO {name} (id, "userId"{more}) SELECT i, i % 100{values}
            FROM generate_series(1, {ROWS}) i;""")
    session.sql(f"{guard.format(table=name)} VACUUM ANALYZE {name};")


def drop(session, names):
    for name in names.values():
        session.sql(f"DROP TABLE {name};")


def updates(session, shape, guards):
    """(ns per row of the whole statement, ns per row in triggers) of an UPDATE of all rows, by variant."""
    names = {variant: f"shaped_{i}" for i, variant in enumerate(guards)}
    in_triggers = {}
    for variant, name in names.items():
        make(session, name, shape, guards[variant])

    def once(variant):
        done = session.explain(f"UPDATE {names[variant]} SET content = 'new'")
        session.sql(f"VACUUM {names[variant]};")
        in_triggers.setdefault(variant, []).append(done.trigger_ns()[0] / ROWS)
        return done.execution_ns / ROWS

    whole = alternate(guards, ROUNDS, once)
    drop(session, names)
    # The first round warms and does not count.
    return whole, type(whole)({variant: values[1:] for variant, values in in_triggers.items()})


def inserts(session, shape, guards):
    """ns per row of an INSERT of three rows for each key, by variant."""
    names = {variant: f"shaped_{i}" for i, variant in enumerate(guards)}
    for variant, name in names.items():
        make(session, name, shape, guards[variant], filled=False)
    more, values = SHAPES[shape][2:]

    def once(variant):
        session.sql(f"TRUNCATE {names[variant]};")
        # The first row pays for what TRUNCATE made the session forget.
        session.sql(f"""INSERT INTO {names[variant]} (id, "userId"{more}) SELECT 0, -1{values}
            FROM generate_series(1, 1) i;""")
        slot = "NULL" if variant == OURS else "i % 3 + 1"
        return session.explain(f"""INSERT INTO {names[variant]} (id, "userId", slot{more})
            SELECT i, i / 3, {slot}{values} FROM generate_series(1, {ROWS}) i""").execution_ns / ROWS

    measured = alternate(guards, ROUNDS, once)
    drop(session, names)
    return measured


def shaped(session):
    """Tables of the version guard, the key lock and the cap on every shape, and the ratios for targets."""
    rows = {"version": [], "key lock": [], "cap": []}
    trigger_ratios, cap_ratios = {}, {}
    for shape in SHAPES:
        for kind, guards in (("version", VERSION), ("key lock", KEY_LOCK)):
            whole, triggers = updates(session, shape, guards)
            trigger_ratios[kind, shape] = triggers.ratio(OURS, TWIN)
            rows[kind] += [
                [f"{shape}: {variant}", ns(whole[variant]), ratio(whole.ratio(variant, NONE)),
                 *([ns(triggers[variant]), ratio(triggers.ratio(variant, TWIN))] if variant != NONE else ["", ""])]
                for variant in guards]
        whole = inserts(session, shape, CAP)
        cap_ratios[shape] = whole.ratio(OURS, UNIQUE)
        rows["cap"] += [[f"{shape}: {variant}", ns(whole[variant]), ratio(whole.ratio(variant, NONE)),
                         ratio(whole.ratio(variant, UNIQUE))] for variant in CAP]
    header = ["shape: trigger", "statement, ns per row", "against no trigger", "in triggers, ns per row",
              "against C twin"]
    note = f"UPDATE of all {ROWS} rows, EXPLAIN (ANALYZE), {ROUNDS} rounds, VACUUM between them."
    tables = [
        Table("Version guard by shape", header, rows["version"], note),
        Table("Key lock guard by shape, 100 keys", header, rows["key lock"], note),
        Table("Cap of 3 by shape, INSERT of three rows for each key",
              ["shape: trigger", "statement, ns per row", "against no trigger", "against the index"], rows["cap"],
              f"INSERT of {ROWS} rows into an empty table, {ROUNDS} rounds."),
    ]
    return tables, trigger_ratios, cap_ratios


MANY = {  # of the many tables, each with every guard of its variant
    NONE: "",
    TWIN: (trigger("UPDATE", "twin_version('version')")
           + trigger("UPDATE", "twin_key_lock('userId')").replace("TRIGGER guard", "TRIGGER another")),
    PLPGSQL: (trigger("UPDATE", "plpgsql_version()")
              + trigger("UPDATE", '"take_post_modify_lock_function"()').replace("TRIGGER guard", "TRIGGER another")),
    OURS: VERSION[OURS] + KEY_LOCK[OURS],
}


def many_tables(session):
    """us of one update by (variant, tables that a transaction writes to)."""
    shape = "8 columns, fillfactor 45"
    for at, guard in enumerate(MANY.values()):
        for i in range(max(TABLES)):
            make(session, f"many_{at}_{i}", shape, guard)
        for tables in TABLES:
            statements = "\n".join(
                f"UPDATE many_{at}_{i} SET content = 'new' WHERE id = 1 + r % {ROWS};" for i in range(tables))
            session.sql(f"""
                CREATE PROCEDURE write_{at}_{tables}(transactions int, INOUT us double precision)
                LANGUAGE plpgsql AS $$
                DECLARE
                    started timestamptz;
                BEGIN
                    FOR r IN 0 .. transactions LOOP
                        -- The first transaction pays for what VACUUM has made the session forget.
                        IF r = 1 THEN
                            started := clock_timestamp();
                        END IF;
                        {statements}
                        COMMIT;
                    END LOOP;
                    us := extract(epoch FROM clock_timestamp() - started) * 1e6 / transactions / {tables};
                END;
                $$;""")

    def once(case):
        variant, tables = case
        at = list(MANY).index(variant)
        for i in range(tables):
            session.sql(f"VACUUM many_{at}_{i};")
        return session.number(f"CALL write_{at}_{tables}({WRITES // tables}, NULL);")

    return alternate([(variant, tables) for tables in TABLES for variant in MANY], ROUNDS, once)


def run():
    with Session() as session:
        tables, trigger_ratios, cap_ratios = shaped(session)
        many = many_tables(session)
    tables.append(Table(
        "One update, us, in transactions that write to so many guarded tables",
        ["triggers", *(f"{n} table" + "s" * (n > 1) for n in TABLES), f"at {TABLES[-1]}, against no trigger"],
        [[v, *(us(many[v, n]) for n in TABLES), ratio(many.ratio((v, TABLES[-1]), (NONE, TABLES[-1])))] for v in MANY],
        f"Each table has a version guard and a key lock; one row of each is written, then COMMIT, which counts. "
        f"{WRITES} updates a round, {ROUNDS} rounds."))
    worst = {kind: max(r for (k, _), r in trigger_ratios.items() if k == kind) for kind in ("version", "key lock")}
    return Report("Shapes of tables", tables, [
        Target("version guard against its C twin, the worst shape of a table", 1.3, worst["version"]),
        Target("key lock guard against its C twin, the worst shape of a table", 1.5, worst["key lock"]),
        Target("cap of 3 against the unique index alone, the worst shape of a table", 2.8, max(cap_ratios.values())),
        Target("64 guarded tables in one transaction: an update against the C twins", 1.3,
               many.ratio((OURS, 64), (TWIN, 64))),
    ])
