//! Keys, predicates and the other texts that raceguard reads: sensible ones over a table's columns, and
//! ones that it has to refuse.

use crate::draw::Draw;
use crate::model::Table;
use crate::values::{ident, quote, text};

const BAD_PARTS: [&str; 52] = [
    "nope",
    "",
    ",",
    "*",
    "t.*",
    "f.parts.*",
    "ctid",
    "tableoid",
    "xmin",
    "$1",
    "NULL",
    "1",
    "'a'",
    "DEFAULT",
    "CURRENT_USER",
    "now()",
    "random()",
    "f.vol(user_id)",
    "f.fails(user_id)",
    "f.srf(user_id)",
    "(SELECT 1)",
    "(SELECT user_id)",
    "EXISTS (SELECT 1)",
    "generate_series(1, 2)",
    "count(*)",
    "max(user_id)",
    "row_number() OVER ()",
    "grouping(user_id)",
    "user_id) , (1",
    "user_id); DROP SCHEMA f CASCADE; --",
    "user_id -- comment",
    "user_id /* open",
    "user_id,",
    "user_id user_id",
    "user_id int4_ops",
    "user_id DESC NULLS FIRST",
    "user_id COLLATE \"C\"",
    "note COLLATE \"C\"",
    "note COLLATE nope",
    "(user_id, note)",
    "ROW(user_id, note)",
    "user_id::nope",
    "1 / 0",
    "10 / user_id",
    "user_id % (user_id - user_id)",
    "note::int",
    "user_id IS NULL",
    "XMLPARSE(DOCUMENT note)",
    "nextval('f.seq')",
    "pg_sleep(0)",
    "WITH x AS (SELECT 1) SELECT 1",
    "user_id = ANY (ARRAY[1, 2])",
];

const GOOD_PARTS: [&str; 14] = [
    "(user_id % 3)",
    "user_id",
    "user_id",
    "note",
    "lower(note)",
    "f.imm(user_id)",
    "date_trunc('week', at)",
    "(at::date)",
    "COALESCE(user_id, 0)",
    "abs(user_id)",
    "left(note, 1)",
    "(user_id = 1)",
    "f.writes(user_id)",
    "(CASE WHEN user_id > 1 THEN note ELSE 'x' END)",
];

/// A key, as text to be quoted.
pub fn key(draw: &mut Draw, table: &Table) -> String {
    match draw.below(40) {
        0 => return format!("{}user_id{}", "(".repeat(2000), ")".repeat(2000)),
        1 => return vec!["user_id"; 33].join(", "),
        2 => {
            return draw
                .pick(&["\u{1F418}", "\"", "'", "\\", "\n", ";", "\u{0}x"])
                .replace('\0', "")
        }
        _ => {}
    }
    let parts = 1 + draw.below(3) / 2 + draw.below(5) / 4;
    let parts: Vec<String> = (0..parts).map(|_| part(draw, table)).collect();
    parts.join(", ")
}

fn part(draw: &mut Draw, table: &Table) -> String {
    match draw.below(20) {
        0..=2 => draw.pick(&BAD_PARTS).into(),
        3..=9 => draw.pick(&GOOD_PARTS).into(),
        10..=13 => "user_id".into(),
        _ => draw.any(&table.columns).map_or("user_id".into(), |c| ident(&c.name)),
    }
}

/// A predicate, as an SQL expression of type text.
pub fn predicate(draw: &mut Draw, table: &Table) -> String {
    match draw.below(20) {
        0 => text(draw),
        1 | 2 => quote(draw.pick(&BAD_PARTS)),
        3 => quote(&format!("{} IS NOT NULL", part(draw, table))),
        4..=11 => "NULL".into(),
        _ => quote(draw.pick(&[
            "user_id > 0",
            "note IS NOT NULL",
            "true",
            "false",
            "NULL",
            "f.imm(user_id) = 1",
            "user_id = 1 OR note = 'a'",
            "slot > 0",
            "slot IS NULL",
            "version > 1",
            "at > '2026-01-01'",
            "id % 2 = 0",
            "f.writes(user_id) > 0",
        ])),
    }
}

/// The name of a column, fitting or not.
pub fn column(draw: &mut Draw, table: &Table, wanted: &[&str]) -> String {
    match draw.below(12) {
        0 => text(draw),
        1 => quote(draw.pick(&["ctid", "xmin", "tableoid", "nope", "Version", "version ", "oid"])),
        2 | 3 => quote(draw.any(&table.columns).map_or("nope", |c| &c.name)),
        _ => quote(draw.pick(wanted)),
    }
}

/// An argument of a trigger function, or what somebody might write there.
pub fn trigger_argument(draw: &mut Draw, table: &Table) -> String {
    match draw.below(12) {
        0 => draw
            .pick(&[
                "''",
                "'='",
                "'slots='",
                "'\u{1F418}'",
                "'a=b=c'",
                "5",
                "1.5",
                "nope",
                "X'1F'",
                "'\\000'",
            ])
            .into(),
        1 => quote(&key(draw, table)),
        2 => draw.any(&table.constraints).map_or("'fk'".into(), |c| quote(c.trim_matches('"'))),
        3 => quote(draw.any(&table.columns).map_or("nope", |c| &c.name)),
        4 => "'".to_owned() + &"x".repeat(5000) + "'",
        _ => quote(draw.pick(&[
            "version",
            "slot",
            "user_id",
            "at",
            "id",
            "qty",
            "client_sends=next",
            "client_sends=current",
            "unstated=reject",
            "unstated=warn",
            "unstated=allow",
            "mode=observe",
            "mode=enforce",
            "ignore=note",
            "ignore=nope",
            "slots=3",
            "slots=0",
            "slots=-1",
            "slots=2147483647",
            "slots=99999999999",
            "fill=append",
            "fill=lowest",
            "at=at",
            "at=note",
            "period=1 day",
            "period=-1 day",
            "period=infinity",
            "period=nope",
            "max_rows=2",
            "max_rows=0",
            "predicate=user_id > 0",
            "predicate=nope",
            "predicate=",
            "namespace=5",
            "namespace=x",
            "child_parent_fkey",
        ])),
    }
}
