//! What the attacker does besides any statement: functions of his that keys, casts, domains, operator classes and
//! triggers call get other bodies, and types and triggers change under them.

use raceguard_fuzz::draw::Draw;
use raceguard_fuzz::model::Model;
use raceguard_fuzz::{calls, ddl, steps, writes};

/// A function that something calls while a statement runs, and what it may return.
struct Hook {
    head: &'static str,
    values: &'static [&'static str],
}

const NUMBERS: &[&str] = &["$1", "$1", "NULL", "0", "(random() * 3)::int", "-2147483648", "1 / 0"];

const HOOKS: [Hook; 16] = [
    Hook { head: "f.imm(int) RETURNS int IMMUTABLE", values: NUMBERS },
    Hook { head: "f.writes(int) RETURNS int IMMUTABLE", values: NUMBERS },
    Hook { head: "f.fails(int) RETURNS int IMMUTABLE", values: NUMBERS },
    Hook { head: "f.touch() RETURNS trigger", values: &["NEW", "OLD", "NULL", "NEW"] },
    Hook { head: "f.again() RETURNS trigger", values: &["NEW", "OLD", "NULL", "NEW"] },
    Hook {
        head: "f.pair_num(f.pair) RETURNS bigint IMMUTABLE",
        values: &["($1).a", "NULL", "9223372036854775807", "(random() * 3)::int"],
    },
    Hook {
        head: "f.pair_float(f.pair) RETURNS float8 IMMUTABLE",
        values: &["($1).a", "NULL", "'NaN'::float8", "random()"],
    },
    Hook {
        head: "f.pair_text(f.pair) RETURNS text IMMUTABLE",
        values: &["($1).b", "NULL", "repeat('x', 100000)", "random()::text"],
    },
    Hook {
        head: "f.dom_ok(int) RETURNS boolean IMMUTABLE",
        values: &["true", "true", "true", "false", "NULL", "random() < 0.5"],
    },
    Hook {
        head: "f.diff(float8, float8) RETURNS float8 IMMUTABLE",
        values: &["$1 - $2", "NULL", "0"],
    },
    Hook {
        head: "f.odd_eq(f.odd, f.odd) RETURNS boolean IMMUTABLE",
        values: &["($1).a = ($2).a", "true", "false", "NULL", "random() < 0.5"],
    },
    Hook {
        head: "f.odd_lt(f.odd, f.odd) RETURNS boolean IMMUTABLE",
        values: &["($1).a < ($2).a", "true", "false", "NULL"],
    },
    Hook {
        head: "f.odd_cmp(f.odd, f.odd) RETURNS int IMMUTABLE",
        values: &["btint4cmp(($1).a, ($2).a)", "1", "-1", "0", "NULL", "-2147483648"],
    },
    Hook {
        head: "f.odd_hash(f.odd) RETURNS int IMMUTABLE",
        values: &["($1).a", "NULL", "0", "(random() * 100)::int"],
    },
    Hook {
        head: "f.same(int, int) RETURNS boolean IMMUTABLE",
        values: &["$1 OPERATOR(pg_catalog.=) $2", "true", "NULL"],
    },
    Hook {
        head: "f.now() RETURNS timestamptz",
        values: &["NULL", "'infinity'", "clock_timestamp()"],
    },
];

/// One of the functions gets a body that runs a statement now and then.
pub fn arm(draw: &mut Draw, model: &Model) -> String {
    let hook = &HOOKS[draw.below(HOOKS.len())];
    let statement = match draw.below(20) {
        0..=5 => replace_trigger(draw, model),
        6..=9 => own(draw),
        10 => ddl::any(draw, model),
        11 => steps::setting(draw, model),
        12 | 13 => calls::install(draw, model),
        14 | 15 => calls::any(draw, model),
        17 | 18 => write(draw),
        16 => format!(
            "DO $do$ BEGIN {}; {}; END $do$",
            calls::trigger(draw, model),
            writes::any(draw, model)
        ),
        _ => writes::any(draw, model),
    };
    // Postgres runs the commands of an IMMUTABLE function as reading ones; w.run is VOLATILE and a function of its own.
    // A cast runs with the rights of a foreign key's parent in Postgres itself: none of the calls here watches.
    let run = format!(
        "PERFORM w.run($act${statement}$act$, {}, {});",
        draw.pick(&["true", "true", "false"]),
        draw.pick(&["5", "30", "100"])
    );
    let run = match hook.head {
        // Postgres calls a btree's functions with a page locked: only a superuser can name them there, and a statement or
        // an error that is caught in one breaks Postgres without any guard. They may lie.
        head if head.contains("odd_") && !head.contains("odd_hash") => String::new(),
        head if head.contains("pair_") => format!("IF current_user = 'mallory' THEN {run} END IF;"),
        _ => run,
    };
    format!(
        "CREATE OR REPLACE FUNCTION {} LANGUAGE plpgsql AS $hook$ BEGIN {run} RETURN {}; END $hook$",
        hook.head,
        draw.pick(hook.values)
    )
}

/// A trigger that stands, a guard's more often than not, becomes one of another function: its OID stays.
pub fn replace_trigger(draw: &mut Draw, model: &Model) -> String {
    let mut triggers = Vec::new();
    for table in model.tables.iter().filter(|t| t.name.starts_with("f.")) {
        triggers.extend(table.triggers.iter().map(|trigger| (trigger, &table.name)));
    }
    let functions: Vec<&str> =
        model.functions.iter().filter(|f| f.trigger).map(|f| f.name.as_str()).collect();
    let (Some((trigger, table)), false) = (draw.any(&triggers), functions.is_empty()) else {
        return calls::trigger(draw, model);
    };
    let arguments = draw.pick(&[
        "'version'",
        "'user_id'",
        "'id'",
        "'slot', 'slots=2'",
        "'slot', 'slots=3', 'fill=append'",
        "'user_id', 'at=at', 'period=1 day'",
        "'child_parent_fkey'",
        "'version', 'client_sends=current', 'unstated=reject'",
        "'user_id', 'namespace=5'",
        "'user_id', 'namespace=99999999999999999999'",
        "'(f.imm(user_id))'",
        "",
    ]);
    let function = match draw.below(6) {
        0 => "f.touch".to_owned(),
        _ => format!("raceguard.{}", draw.pick(&functions)),
    };
    format!(
        "CREATE OR REPLACE TRIGGER {trigger} {} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}({arguments})",
        draw.pick(&[
            "BEFORE UPDATE",
            "BEFORE INSERT OR UPDATE",
            "BEFORE INSERT OR UPDATE OR DELETE",
            "AFTER INSERT OR UPDATE",
            "AFTER INSERT",
            "BEFORE UPDATE OF note",
        ])
    )
}

/// Types, casts, operators and functions of his change or go.
pub fn own(draw: &mut Draw) -> String {
    draw.pick(&[
        "DROP CAST IF EXISTS (f.pair AS bigint)",
        "CREATE CAST (f.pair AS bigint) WITH FUNCTION f.pair_num(f.pair) AS IMPLICIT",
        "CREATE CAST (f.pair AS text) WITH FUNCTION f.pair_text(f.pair) AS IMPLICIT",
        "CREATE CAST (f.pair AS text) WITH INOUT AS IMPLICIT",
        "CREATE CAST (f.pair AS f.odd) WITHOUT FUNCTION AS IMPLICIT",
        "CREATE CAST (f.pair AS numeric) WITH INOUT AS IMPLICIT",
        "DROP CAST IF EXISTS (f.pair AS float8)",
        "CREATE CAST (f.pair AS float8) WITH FUNCTION f.pair_float(f.pair) AS IMPLICIT",
        "CREATE CAST (f.hdom AS text) WITH INOUT AS IMPLICIT",
        "CREATE CAST (f.mood AS int) WITH INOUT AS IMPLICIT",
        "ALTER DOMAIN f.hdom ADD CHECK (VALUE > 0) NOT VALID",
        "ALTER DOMAIN f.hdom DROP CONSTRAINT IF EXISTS hdom_check1",
        "ALTER DOMAIN f.hdom SET NOT NULL",
        "ALTER DOMAIN f.pairs DROP CONSTRAINT IF EXISTS pairs_check",
        "DROP DOMAIN f.pairs CASCADE",
        "ALTER TYPE f.pair ADD ATTRIBUTE z text CASCADE",
        "ALTER TYPE f.pair DROP ATTRIBUTE IF EXISTS b CASCADE",
        "ALTER TYPE f.pair RENAME TO pear",
        "ALTER TYPE f.pear RENAME TO pair",
        "ALTER TYPE f.odd ADD ATTRIBUTE b text CASCADE",
        "ALTER TYPE f.mood ADD VALUE IF NOT EXISTS 'worse' BEFORE 'sad'",
        "DROP FUNCTION f.pair_num CASCADE",
        "DROP FUNCTION f.imm CASCADE",
        "ALTER FUNCTION f.imm(int) RENAME TO imm2",
        "ALTER FUNCTION f.writes(int) VOLATILE",
        "ALTER FUNCTION f.writes(int) STRICT SECURITY DEFINER SET search_path = f",
        "CREATE OPERATOR f.= (LEFTARG = f.pair, RIGHTARG = bigint, FUNCTION = pg_catalog.record_eq)",
        "DROP OPERATOR IF EXISTS f.= (int, int)",
        "ALTER TABLE f.kid0 ALTER parent TYPE bigint USING NULL",
        "ALTER TABLE f.kid1 ALTER parent TYPE text USING NULL",
        "ALTER TABLE f.kid2 ALTER parent TYPE f.pair USING NULL",
        "ALTER TABLE f.own ALTER user_id TYPE f.pair USING NULL",
        "ALTER TABLE f.own ALTER user_id TYPE int USING NULL",
        "ALTER TABLE f.kid0 ADD FOREIGN KEY (parent) REFERENCES v.parent",
        "CREATE TABLE IF NOT EXISTS f.spy (id int PRIMARY KEY, user_id int, parent int CONSTRAINT child_parent_fkey REFERENCES v.parent)",
        "CREATE TRIGGER zz_raceguard_parent_version AFTER INSERT OR UPDATE OR DELETE ON f.spy FOR EACH ROW \
         EXECUTE FUNCTION raceguard.parent_version_guard('child_parent_fkey')",
        "INSERT INTO f.spy VALUES ((random() * 1000)::int, 1, 1)",
        "SELECT raceguard.add_parent_version('f.spy', 'v.parent')",
        "CREATE TEMP TABLE pg_trigger (tgrelid regclass)",
        "CREATE TEMP TABLE pg_class (oid oid)",
        "SET search_path = f, pg_catalog",
        "SET TimeZone = 'AAA24BBB-24,J60/12,J300'",
        "SET raceguard.max_key_locks = 1",
        "SELECT raceguard.lock_keys('v.open', '[1, 2]')",
        "SET session_replication_role = replica",
    ])
    .into()
}

/// Writes of his own tables that would succeed but for what he has made of them.
pub fn write(draw: &mut Draw) -> String {
    let n = draw.below(3);
    let table = draw.pick(&["plain", "plain", "parts", "base", "child", "own"]);
    let id = draw.below(4);
    match draw.below(12) {
        0..=2 => format!("UPDATE f.{table} SET note = 'w'"),
        3 => format!("UPDATE f.{table} SET user_id = user_id, note = 'v' WHERE id = {id}"),
        4 => format!("UPDATE f.{table} SET version = version + 1"),
        5 | 6 => format!(
            "INSERT INTO f.{table} (id, user_id, note) SELECT {} + i, i % 2, 'i' FROM generate_series(1, 5) i ON CONFLICT DO NOTHING",
            draw.below(900)
        ),
        7 => format!("DELETE FROM f.{table} WHERE id = {id}"),
        8 => format!("UPDATE f.kid{n} SET note = 'k'"),
        9 => format!("INSERT INTO f.kid{n} (id, parent) SELECT {} + id, parent FROM f.kid{n}", 1 + draw.below(900)),
        10 => format!("DELETE FROM f.par{n}"),
        _ => format!("UPDATE f.kid{n} k SET parent = (SELECT parent FROM f.kid{n} WHERE id <> k.id LIMIT 1)"),
    }
}

/// Writes of bob's tables that are allowed, in the main.
pub fn visit(draw: &mut Draw) -> String {
    let id = 10 + draw.below(50);
    let key = 1 + draw.below(8);
    match draw.below(15) {
        0 | 1 => format!("INSERT INTO v.inbox (id, user_id, note) VALUES ({id}, {key}, 'x')"),
        2 => format!("INSERT INTO v.inbox (id, user_id, note, slot) VALUES ({id}, {key}, 'x', {})", draw.below(5)),
        3 => format!("INSERT INTO v.inbox (id, user_id) SELECT {id} + i, {key} FROM generate_series(1, 4) i ON CONFLICT DO NOTHING"),
        4 | 5 => format!(
            "INSERT INTO v.cool (id, user_id, note, at) VALUES ({id}, {key}, 'x', '2026-03-01'::timestamp::timestamptz + interval '{} hours')",
            draw.below(800)
        ),
        12 => format!("INSERT INTO v.seat (id, user_id, n) SELECT {id} + i, 1 + (i + {key}) % 5, {} FROM generate_series(1, {}) i ON CONFLICT DO NOTHING",
            draw.pick(&["1", "i - 1", "NULL", "9"]), 1 + draw.below(3)),
        13 => format!("UPDATE v.seat SET user_id = {}, n = {}", 1 + draw.below(5), draw.pick(&["n", "1", "0", "2147483647"])),
        14 => format!("INSERT INTO v.bill (id, user_id, note) SELECT {id} + i, {}, 'x' FROM generate_series(1, 3) i ON CONFLICT DO NOTHING", 10 + draw.below(3)),
        6 => format!("UPDATE v.open SET note = 'x' {}", draw.pick(&["", ", version = 7770002", ", version = NULL", ", version = 1"])),
        7 => format!("INSERT INTO v.hidden (id, user_id, note, at) VALUES (2000 + {id}, {key}, 'mallory', '2026-01-01')"),
        8 => format!("UPDATE v.hidden SET user_id = 1, note = 'mallory', slot = {}", draw.pick(&["NULL", "0", "1", "1999"])),
        9 => format!("SELECT raceguard.{}('v.{}', '{}')", draw.pick(&["next_free_slot", "next_allowed"]), draw.pick(&["hidden", "secret", "inbox", "cool"]), draw.below(3)),
        10 => format!("SELECT raceguard.{}('v.{}', '{{\"id\": {}}}', {}, '{{\"note\": \"mallory\"}}')",
            draw.pick(&["compare_and_swap", "swap_columns"]), draw.pick(&["hidden", "secret", "open", "parent"]), 1 + draw.below(6), draw.pick(&["'1'", "'{\"note\": \"x\"}'"])),
        _ => format!("SELECT raceguard.lock_keys('v.{}', '{}')", draw.pick(&["open", "hidden", "secret"]), draw.pick(&["[1, 2]", "[1]", "[3, 4, 5]"])),
    }
}
