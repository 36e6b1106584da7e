//! Random writes.

use crate::draw::Draw;
use crate::model::{Model, Table};
use crate::values::{ident, of_type};

/// A random INSERT, UPDATE, DELETE, MERGE, COPY or TRUNCATE.
pub fn any(draw: &mut Draw, model: &Model) -> String {
    let Some(table) = draw.any(&model.tables) else {
        return "SELECT 1".into();
    };
    let name = &table.name;
    match draw.below(30) {
        0..=7 => insert(draw, table),
        8 => format!("{} ON CONFLICT DO NOTHING", insert(draw, table)),
        9 | 10 => {
            let set = assignments(draw, table);
            format!("{} ON CONFLICT (id) DO UPDATE SET {set} RETURNING *", insert(draw, table))
        }
        11..=17 => update(draw, table),
        18 => format!("UPDATE {name} t SET {} FROM f.plain p WHERE t.id = p.id RETURNING t.*", assignments(draw, table)),
        19 | 20 => format!("DELETE FROM {name} WHERE id {} {}", draw.pick(&["=", "<", ">"]), draw.below(70)),
        21 => format!("DELETE FROM {name}"),
        22..=24 => merge(draw, table),
        25 => copy(draw, table),
        26 => format!("WITH d AS (DELETE FROM {name} WHERE id > 1 RETURNING *) INSERT INTO {name} SELECT * FROM d"),
        27 => format!("WITH u AS ({} RETURNING *) {}", update(draw, table), update(draw, table)),
        28 => format!("TRUNCATE {name} {}", draw.pick(&["", "CASCADE", "RESTART IDENTITY"])),
        _ => format!(
            "INSERT INTO {name} (id, user_id, note) SELECT 100 + i, i % 7, 'many' FROM generate_series(1, {}) i \
             ON CONFLICT DO NOTHING",
            draw.pick(&["5", "100", "300"])
        ),
    }
}

/// The columns of one row, by chance, and their values.
fn row(draw: &mut Draw, table: &Table) -> (Vec<String>, Vec<String>) {
    let mut columns = Vec::new();
    let mut values = Vec::new();
    for column in &table.columns {
        let usual = matches!(column.name.as_str(), "id" | "user_id");
        if !draw.percent(if usual { 90 } else { 35 }) || column.generated && draw.percent(95) {
            continue;
        }
        columns.push(ident(&column.name));
        values.push(match draw.below(12) {
            0 => "DEFAULT".into(),
            _ if column.name == "id" && draw.percent(80) => draw.below(70).to_string(),
            _ => of_type(draw, &column.sql_type),
        });
    }
    (columns, values)
}

fn insert(draw: &mut Draw, table: &Table) -> String {
    let name = &table.name;
    let (columns, values) = row(draw, table);
    if columns.is_empty() {
        return format!("INSERT INTO {name} DEFAULT VALUES");
    }
    let mut rows = vec![format!("({})", values.join(", "))];
    for _ in 0..draw.below(4) {
        let again: Vec<String> = columns
            .iter()
            .zip(&values)
            .map(
                |(column, value)| {
                    if column == "\"id\"" {
                        draw.below(90).to_string()
                    } else {
                        value.clone()
                    }
                },
            )
            .collect();
        rows.push(format!("({})", again.join(", ")));
    }
    format!(
        "INSERT INTO {name} ({}) {} VALUES {}",
        columns.join(", "),
        draw.pick(&["", "", "OVERRIDING SYSTEM VALUE", "OVERRIDING USER VALUE"]),
        rows.join(", ")
    )
}

fn assignments(draw: &mut Draw, table: &Table) -> String {
    let mut set = Vec::new();
    for column in &table.columns {
        let odds = match column.name.as_str() {
            "version" | "slot" => 40,
            "id" => 5,
            _ => 20,
        };
        if !draw.percent(odds) || column.generated && draw.percent(95) {
            continue;
        }
        let name = ident(&column.name);
        let value = match draw.below(8) {
            0..=2 if column.name == "version" => format!("{}.version + 1", table.name),
            0 => "DEFAULT".into(),
            1 => format!("{}.{name}", table.name),
            _ => of_type(draw, &column.sql_type),
        };
        set.push(format!("{name} = {value}"));
    }
    if set.is_empty() {
        set.push("note = 'changed'".into());
    }
    set.join(", ")
}

fn update(draw: &mut Draw, table: &Table) -> String {
    let name = &table.name;
    let only = draw.pick(&["", "", "ONLY "]);
    // The table's name stands unqualified in the assignments where the statement gives no alias.
    let set = assignments(draw, table);
    match draw.below(6) {
        0 => format!("UPDATE {only}{name} SET {set}"),
        1 => format!("UPDATE {only}{name} SET id = id + 1 WHERE id > {}", draw.below(70)),
        2 => format!(
            "UPDATE {only}{name} SET {set} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {name}))"
        ),
        _ => format!("UPDATE {only}{name} SET {set} WHERE id = {}", draw.below(5)),
    }
}

fn merge(draw: &mut Draw, table: &Table) -> String {
    let name = &table.name;
    // MERGE knows the target by its bare name.
    let bare = format!("{}.", name);
    let set = assignments(draw, table).replace(&bare, "t.");
    let (columns, values) = row(draw, table);
    let inserted = match columns.is_empty() {
        true => "DEFAULT VALUES".into(),
        false => format!("({}) VALUES ({})", columns.join(", "), values.join(", ")),
    };
    let matched = match draw.below(4) {
        0 => "DELETE".into(),
        1 => "DO NOTHING".into(),
        _ => format!("UPDATE SET {set}"),
    };
    let second = match draw.below(3) {
        0 => "WHEN MATCHED AND t.id > 1 THEN UPDATE SET note = 'merged'",
        _ => "",
    };
    format!(
        "MERGE INTO {name} t USING (SELECT i AS id FROM generate_series(1, {}) i) s ON t.id = s.id \
         {second} WHEN MATCHED THEN {matched} WHEN NOT MATCHED THEN INSERT {inserted}",
        1 + draw.below(6)
    )
}

fn copy(draw: &mut Draw, table: &Table) -> String {
    let lines: Vec<String> = (0..1 + draw.below(4))
        .map(|_| {
            format!(
                "{}\\t{}\\t{}",
                draw.below(90),
                draw.pick(&["1", "2", "\\\\N", "x"]),
                draw.pick(&["a", "\\\\N", ""])
            )
        })
        .collect();
    format!(
        "COPY {} (id, user_id, note) FROM PROGRAM 'printf \"{}\\n\"'",
        table.name,
        lines.join("\\n")
    )
}
