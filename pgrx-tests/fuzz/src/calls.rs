//! Calls of the extension's functions: with arguments that fit, or with any, in every position.

use crate::draw::Draw;
use crate::keys;
use crate::model::{Function, Model, Table};
use crate::values::{self, ident, quote};

/// A random call, as a statement of its own.
pub fn any(draw: &mut Draw, model: &Model) -> String {
    match draw.any(&model.functions) {
        Some(function) => of(draw, model, function),
        None => "SELECT 1".into(),
    }
}

/// A call that puts a guard on a table, or takes one off.
pub fn install(draw: &mut Draw, model: &Model) -> String {
    let installs = |f: &&Function| {
        f.name.starts_with("add_") || matches!(f.name.as_str(), "set_cap" | "drop_guard")
    };
    let functions: Vec<Function> = model.functions.iter().filter(installs).cloned().collect();
    match draw.any(&functions) {
        Some(function) => format!("SELECT {}", expression(draw, model, function)),
        None => "SELECT 1".into(),
    }
}

/// Guards as they are meant, so that later steps meet some that work.
pub fn sensible(draw: &mut Draw) -> String {
    let table = draw.pick(&["f.plain", "f.plain", "f.parts", "f.base", "f.child", "f.two"]);
    let key = draw.pick(&[
        "user_id",
        "note",
        "user_id, lower(note)",
        "(user_id % 2)",
        "f.writes(user_id)",
    ]);
    let key = if table == "f.parts" { "id" } else { key };
    match draw.below(10) {
        0 => format!(
            "SELECT raceguard.add_version('{table}', unstated => '{}', client_sends => '{}', ignore => '{}', mode => '{}')",
            draw.pick(&["allow", "warn", "reject"]),
            draw.pick(&["next", "current"]),
            draw.pick(&["{}", "{note}"]),
            draw.pick(&["enforce", "enforce", "observe"])
        ),
        1 => format!("SELECT raceguard.add_key_lock('{table}', '{key}')"),
        2 => format!(
            "SELECT raceguard.add_cap('{table}', '{key}', {}, fill => '{}', predicate => {})",
            draw.pick(&["2", "3", "50"]),
            draw.pick(&["lowest", "append"]),
            draw.pick(&["NULL", "'user_id > 0'"])
        ),
        3 => format!(
            "SELECT raceguard.add_cooldown('{table}', '{key}', 'at', '{}', max_rows => {})",
            draw.pick(&["1 hour", "7 days", "1 mon"]),
            draw.pick(&["3", "10"])
        ),
        4 if draw.percent(40) => format!(
            "SELECT raceguard.add_number('f.child', NULL, counter => '{}', foreign_key => 'child_parent_fkey', replace => {})",
            draw.pick(&["counter", "version", "note"]),
            draw.percent(50)
        ),
        4 => format!(
            "SELECT raceguard.add_number('{table}', '{key}', start => {}, replace => {})",
            draw.pick(&["1", "1000"]),
            draw.percent(20)
        ),
        5..=7 => format!(
            "SELECT raceguard.add_total('f.child', 'f.plain', '{}', amount => '{}', predicate => {}, at_most => {}, \
             at_least => {}, settle => '{}', guard => '{}', replace => {})",
            draw.pick(&["total", "total", "rows"]),
            draw.pick(&["1", "1", "qty", "user_id", "f.writes(user_id)", "f.fails(id)"]),
            draw.pick(&["NULL", "NULL", "'user_id > 0'", "'note <> ''w'''"]),
            draw.pick(&["NULL", "'3'", "'50'", "'user_id'", "'user_id + 5'"]),
            draw.pick(&["NULL", "NULL", "'0'", "'-3'", "'1'"]),
            draw.pick(&["statement", "commit"]),
            draw.pick(&["total", "total", "total2"]),
            draw.percent(30)
        ),
        _ => "SELECT raceguard.add_version('f.plain'), raceguard.add_parent_version('f.child', 'f.plain')".into(),
    }
}

/// A call of this function, and nothing around it.
pub fn plain(draw: &mut Draw, model: &Model, function: &Function) -> String {
    let call = expression(draw, model, function);
    format!("{} {call}", if function.procedure { "CALL" } else { "SELECT" })
}

/// A call of this function.
pub fn of(draw: &mut Draw, model: &Model, function: &Function) -> String {
    let call = expression(draw, model, function);
    if function.procedure {
        return match draw.below(8) {
            0 => format!("SELECT {call}"),
            1 => format!("DO $do$ BEGIN CALL {call}; END $do$"),
            2 => format!("BEGIN; CALL {call}; COMMIT"),
            _ => format!("CALL {call}"),
        };
    }
    let table = table(draw, model).map_or("f.plain".into(), |t| t.name.clone());
    match draw.below(24) {
        0 => format!("SELECT * FROM {call} AS r"),
        1 => format!("SELECT 1 FROM {table} WHERE {call} IS NOT NULL"),
        2 => format!("SELECT {call} FROM {table}"),
        3 => format!("ALTER TABLE {table} ALTER note SET DEFAULT ({call})::text"),
        4 => format!("ALTER TABLE {table} ADD CHECK ({call} IS NOT NULL)"),
        5 => format!("CREATE INDEX ON {table} (({call}))"),
        6 => format!("ALTER TABLE {table} ADD g{} text GENERATED ALWAYS AS (({call})::text) STORED", draw.below(9)),
        7 => format!("UPDATE {table} SET note = ({call})::text"),
        8 => format!("INSERT INTO {table} (id, note) SELECT 50 + i, ({call})::text FROM generate_series(1, 2) i"),
        9 => format!("DELETE FROM {table} WHERE ({call})::text = 'x'"),
        10 => format!("EXPLAIN (ANALYZE, TIMING OFF) SELECT {call}"),
        11 => format!("DO $do$ DECLARE r record; BEGIN FOR r IN SELECT {call} LOOP END LOOP; END $do$"),
        12 => format!("DECLARE c CURSOR WITH HOLD FOR SELECT {call} FROM generate_series(1, 2)"),
        13 => format!("COPY (SELECT {call}) TO '/dev/null'"),
        14 => format!("WITH c AS MATERIALIZED (SELECT {call} AS r) SELECT a.r, b.r FROM c a, c b"),
        15 => format!("SELECT count({call}) OVER () FROM generate_series(1, 2)"),
        16 => format!("SELECT CASE WHEN random() < 2 THEN ({call})::text END ORDER BY 1"),
        17 => format!("VALUES (({call})::text), (({call})::text)"),
        18 => format!("SELECT * FROM {table} t, LATERAL (SELECT {call}) l"),
        _ => format!("SELECT {call}"),
    }
}

/// Any table, the guarded ones more often than the others.
fn table<'a>(draw: &mut Draw, model: &'a Model) -> Option<&'a Table> {
    if draw.percent(50) {
        let guarded = |t: &&Table| t.triggers.iter().any(|name| name.starts_with("zz_raceguard"));
        let guarded: Vec<&Table> = model.tables.iter().filter(guarded).collect();
        if let Some(table) = draw.any(&guarded) {
            return Some(table);
        }
    }
    draw.any(&model.tables)
}

/// `raceguard.name(arguments)`
fn expression(draw: &mut Draw, model: &Model, function: &Function) -> String {
    let Some(table) = table(draw, model).cloned() else {
        return format!("raceguard.{}()", function.name);
    };
    let mut written = Vec::new();
    let named = draw.percent(50);
    for (i, (name, sql_type)) in function.arguments.iter().enumerate() {
        let optional = i >= function.required;
        if optional && draw.percent(55) {
            if named && !function.variadic {
                continue;
            }
            break;
        }
        let last = i + 1 == function.arguments.len();
        if last && function.variadic {
            written.extend(variadic(draw, sql_type));
            continue;
        }
        let value = match draw.below(25) {
            0 => "NULL".into(),
            1 => values::anything(draw),
            2 => values::of_type(draw, sql_type),
            _ => argument(draw, model, &table, name, sql_type),
        };
        let call_by_name = named && !function.variadic && !name.is_empty();
        written.push(if call_by_name { format!("{} => {value}", ident(name)) } else { value });
    }
    match draw.below(60) {
        0 => drop(written.pop()),
        1 => written.push(values::anything(draw)),
        _ => {}
    }
    format!("raceguard.{}({})", function.name, written.join(", "))
}

fn variadic(draw: &mut Draw, sql_type: &str) -> Vec<String> {
    let element = if sql_type.ends_with("[]") { "text" } else { "\"any\"" };
    match draw.below(10) {
        0 => vec![format!("VARIADIC {}", values::of_type(draw, "text[]"))],
        1 => vec![format!("VARIADIC {}", values::of_type(draw, "integer[]"))],
        2 => vec!["VARIADIC NULL::text[]".into()],
        3 => (0..draw.below(110)).map(|_| "1".into()).collect(),
        4 => vec![],
        5..=7 => vec![draw.pick(&["1", "'1'", "2::bigint", "'a'::text", "NULL::int"]).into()],
        _ => (0..1 + draw.below(3)).map(|_| values::of_type(draw, element)).collect(),
    }
}

/// A value that may well fit, by the name that the argument has.
fn argument(draw: &mut Draw, model: &Model, table: &Table, name: &str, sql_type: &str) -> String {
    match (name, sql_type) {
        ("parent", "regclass") if draw.percent(70) => "'f.plain'::regclass".into(),
        ("child", "regclass") if draw.percent(50) => "'f.child'::regclass".into(),
        (_, "regclass") => match draw.below(12) {
            0 => format!("{}::regclass", draw.pick(&values::STRANGE_RELATIONS)),
            1 => {
                draw.any(&model.others).map_or("NULL".into(), |o| format!("{}::regclass", quote(o)))
            }
            2 => values::text(draw),
            _ => format!("{}::regclass", quote(&table.name)),
        },
        ("key", "text") => quote(&keys::key(draw, table)),
        ("predicate", _) => keys::predicate(draw, table),
        ("at", _) => keys::column(draw, table, &["at"]),
        ("slot_column", _) => keys::column(draw, table, &["slot", "slot", "user_id", "slot2"]),
        ("version_column", _) => keys::column(draw, table, &["version", "version", "at", "id"]),
        ("total_column", _) => {
            keys::column(draw, table, &["total", "total", "rows", "qty", "user_id"])
        }
        ("number_column", _) => keys::column(draw, table, &["number", "number", "qty", "id"]),
        ("amount", "text") => {
            quote(draw.pick(&["1", "qty", "user_id", "f.imm(user_id)", "random()", "", "note"]))
        }
        ("at_most" | "at_least", "text") => draw
            .pick(&["NULL", "'3'", "'0'", "'user_id'", "'user_id + 1'", "'note'", "'nope'"])
            .into(),
        ("settle", _) => choice(draw, &["statement", "commit"]),
        ("quantity_column", _) => keys::column(draw, table, &["qty", "qty", "user_id"]),
        ("foreign_key", _) => draw.pick(&["NULL", "'child_parent_fkey'", "'nope'"]).into(),
        ("guard", _) => match draw.below(10) {
            0 => values::text(draw),
            1 => draw.any(&table.triggers).map_or("'x'".into(), |t| quote(t)),
            _ => quote(draw.pick(&[
                "version",
                "cap",
                "cooldown",
                "key_lock",
                "cap2",
                "parent_version",
                "total",
                "total2",
                "number",
            ])),
        },
        ("ignore", _) if draw.percent(60) => {
            draw.pick(&["'{}'", "'{note}'", "'{note,qty,at}'", "'{id}'"]).into()
        }
        ("slots" | "max_rows", _) => {
            draw.pick(&["1", "2", "3", "10", "0", "-1", "2147483647", "NULL"]).into()
        }
        ("namespace", _) => draw.pick(&["NULL", "5", "-5", "2147483647"]).into(),
        ("unstated", _) => choice(draw, &["allow", "warn", "reject"]),
        ("client_sends", _) => choice(draw, &["next", "current"]),
        ("mode", _) => choice(draw, &["enforce", "observe"]),
        ("fill", _) => choice(draw, &["lowest", "append"]),
        ("on_full", _) => choice(draw, &["error", "null"]),
        ("wait", _) => choice(draw, &["wait", "nowait", "skip"]),
        ("token", _) => choice(draw, &["auto", "version", "xmin", "hash"]),
        ("isolation", _) => choice(draw, &["serializable", "repeatable read", "read committed"]),
        ("expected", _) => {
            draw.pick(&["1", "2", "'1'", "'x'", "NULL", "0", "-1", "'99999999999999999999'"]).into()
        }
        ("pk", _) if draw.percent(70) => match table.name.as_str() {
            "f.two" => "'{\"part\": \"p\", \"id\": 1}'".into(),
            "f.moody" => "'{\"id\": \"sad\"}'".into(),
            _ => format!("'{{\"id\": {}}}'", draw.below(5)),
        },
        ("new_row" | "changes" | "was", _) if draw.percent(85) => object(draw, table),
        ("pks", _) if draw.percent(50) => "'[{\"id\": 2}, {\"id\": 1}, {\"id\": 2}]'".into(),
        ("key" | "keys", "jsonb") if draw.percent(50) => {
            draw.pick(&["'1'", "'[1]'", "'\"a\"'", "'[1, 2]'", "'[[1, \"a\"]]'", "'null'"]).into()
        }
        ("params", _) => draw.pick(&["NULL", "'1'", "'[1, 2]'", "'{\"a\": 1}'"]).into(),
        ("statements", _) => quote(draw.pick(&[
            "SELECT 1",
            "UPDATE f.plain SET note = 'r'",
            "INSERT INTO f.plain (id, user_id) VALUES (60, 1)",
            "",
            ";",
            "COMMIT",
            "ROLLBACK",
            "SELECT $1",
            "SELECT $2",
            "BEGIN",
            "SAVEPOINT a; SELECT 1",
            "SELECT 1/0",
            "syntax error",
            "UPDATE f.plain SET note = $1 ->> 0; DELETE FROM f.child",
            "VACUUM",
            "CALL raceguard.retry('SELECT 1')",
            "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$",
            "DO $$ BEGIN COMMIT; END $$",
            "COPY f.plain TO STDOUT",
            "CREATE TABLE f.made AS SELECT 1",
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "LISTEN x",
            "PREPARE TRANSACTION 'x'",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "SELECT raceguard.take('f.plain', '{\"id\": 1}', 'qty', 1)",
        ])),
        ("max_attempts", _) => draw.pick(&["1", "2", "3", "0", "-1", "NULL"]).into(),
        ("base_delay" | "max_delay", _) => {
            draw.pick(&["'1 ms'", "'0'", "'-1 s'", "'1 microsecond'", "NULL", "'infinity'"]).into()
        }
        ("batch", _) => draw.pick(&["1", "2", "100", "0", "-1", "2147483647", "NULL"]).into(),
        ("row_value", _) => draw
            .pick(&["ROW(1, 'a')", "(SELECT t FROM f.plain t LIMIT 1)", "ROW()", "(1, NULL)"])
            .into(),
        ("trigger", "oid") => "(SELECT max(oid) FROM pg_trigger)".into(),
        _ => values::of_type(draw, sql_type),
    }
}

fn choice(draw: &mut Draw, from: &[&str]) -> String {
    match draw.below(12) {
        0 => values::text(draw),
        1 => "NULL".into(),
        _ => quote(draw.pick(from)),
    }
}

/// A JSON object with some of the table's columns.
fn object(draw: &mut Draw, table: &Table) -> String {
    if draw.percent(10) {
        return values::json(draw);
    }
    let mut fields = vec![format!("'id', {}", draw.below(70))];
    for column in &table.columns {
        if column.name != "id" && draw.percent(25) {
            fields.push(format!(
                "{}, ({})::text",
                quote(&column.name),
                values::of_type(draw, &column.sql_type)
            ));
        }
    }
    format!("jsonb_build_object({})", fields.join(", "))
}

/// CREATE TRIGGER with one of the trigger functions, as somebody might write it by hand.
pub fn trigger(draw: &mut Draw, model: &Model) -> String {
    let functions: Vec<&Function> = model.functions.iter().filter(|f| f.trigger).collect();
    let (Some(function), Some(table)) = (draw.any(&functions), table(draw, model)) else {
        return "SELECT 1".into();
    };
    let arguments: Vec<String> = match draw.below(4) {
        0 => vec![],
        1 => (0..draw.below(6)).map(|_| keys::trigger_argument(draw, table)).collect(),
        // As add_* would write it.
        _ => match function.name.as_str() {
            "version_guard" => vec!["'version'".into(), keys::trigger_argument(draw, table)],
            "cap_guard" | "cap_full_guard" => vec!["'slot'".into(), "'slots=2'".into()],
            "key_lock_guard" | "key_lock_first_guard" => vec![quote(&keys::key(draw, table))],
            "cooldown_guard" => vec!["'user_id'".into(), "'at=at'".into(), "'period=1 day'".into()],
            "number_guard" if draw.percent(50) => {
                let options = ["'number'", "'counter=counter'", "'foreign_key=child_parent_fkey'"];
                options.map(String::from).to_vec()
            }
            "total_guard" => vec!["'total'".into(), "'foreign_key=child_parent_fkey'".into()],
            "total_column" | "total_parent" => vec!["'total'".into(), "'at_most=3'".into()],
            "total_statement" | "total_settle" => vec![],
            "number_guard" => vec!["'number'".into(), "'start=5'".into()],
            "number_keeper" => vec!["'counter'".into(), "'start=5'".into()],
            "number_counter" => vec![],
            _ => vec!["'child_parent_fkey'".into()],
        },
    };
    let timing = draw.pick(&["BEFORE", "BEFORE", "AFTER", "AFTER", "INSTEAD OF"]);
    let events = draw.pick(&[
        "INSERT",
        "UPDATE",
        "DELETE",
        "TRUNCATE",
        "INSERT OR UPDATE",
        "INSERT OR UPDATE OR DELETE",
        "UPDATE OF note",
    ]);
    let level = draw.pick(&["ROW", "ROW", "ROW", "STATEMENT"]);
    let constraint = timing == "AFTER" && level == "ROW" && draw.percent(30);
    let when = match draw.below(10) {
        0 => "WHEN (NEW.id > 1)",
        1 => "WHEN (raceguard.parent_version_due())",
        _ => "",
    };
    let transition = match draw.below(12) {
        0 if timing == "AFTER" && events == "UPDATE" => "REFERENCING NEW TABLE AS n OLD TABLE AS o",
        _ if constraint => draw.pick(&["", "DEFERRABLE INITIALLY DEFERRED"]),
        _ => "",
    };
    format!(
        "CREATE {} TRIGGER {} {timing} {events} ON {} {transition} FOR EACH {level} {when} EXECUTE FUNCTION raceguard.{}({})",
        if constraint { "CONSTRAINT" } else { draw.pick(&["", "OR REPLACE"]) },
        draw.pick(&["a", "hand", "zz_raceguard_cap", "zz_raceguard_version", "zzz"]),
        table.name,
        function.name,
        arguments.join(", ")
    )
}
