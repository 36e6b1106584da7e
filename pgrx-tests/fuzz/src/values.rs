//! Random values, as SQL writes them.

use crate::draw::Draw;

/// Texts that have broken programs before: quoting, encodings, lengths, formats.
const TEXTS: [&str; 26] = [
    "",
    " ",
    "a",
    "b",
    "note",
    "O'Reilly",
    "a\"b",
    "\\",
    "\\x00",
    "two\nlines",
    "tab\there",
    "%s %n %d",
    "{}",
    "$1",
    "$$",
    "Ünïcödé",
    "日本語",
    "🐘🐘",
    "e\u{301}",
    "'); DROP SCHEMA f CASCADE; --",
    "\" ; DROP SCHEMA f CASCADE; --",
    "NULL",
    "1",
    "-5",
    "2026-03-02 10:00+00",
    "true",
];

pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An expression of type text.
pub fn text(draw: &mut Draw) -> String {
    match draw.below(20) {
        0 => "repeat('x', 100000)".into(),
        1 => "repeat('é', 40)".into(),
        2 => "repeat('x', 61) || 'éé'".into(),
        3 => "repeat('\"', 70)".into(),
        4 => "E'\\x01\\x1f'".into(),
        5 => "U&'\\0441\\043b'".into(),
        _ => quote(draw.pick(&TEXTS)),
    }
}

/// An object of another kind than expected, by its regclass.
pub const STRANGE_RELATIONS: [&str; 18] = [
    "'pg_class'",
    "'pg_catalog.pg_proc'",
    "'information_schema.tables'",
    "'pg_toast.pg_toast_2619'",
    "'pg_class_oid_index'",
    "'f.view'",
    "'f.matview'",
    "'f.seq'",
    "'f.foreign'",
    "'f.pair'",
    "'raceguard.guards'",
    "'raceguard.locks'",
    "0::oid::regclass",
    "999999::oid::regclass",
    "4294967295::oid::regclass",
    "'-'",
    "'pg_authid'",
    "'f.parts_1'",
];

const JSON: [&str; 34] = [
    "{}",
    "[]",
    "null",
    "1",
    "\"a\"",
    "true",
    "[null]",
    "[[]]",
    "[1, 2, 3]",
    "[3, 2, 2, 1]",
    "[[1], [2]]",
    "[[1, \"a\"], [2, \"b\"]]",
    "[{\"id\": 1}, {\"id\": 2}]",
    "[{\"id\": 1, \"amount\": 1}, {\"id\": 2, \"amount\": 2}]",
    "[{\"id\": 1, \"amount\": null}]",
    "[{\"id\": 1, \"amount\": \"1e400\"}]",
    "[{\"id\": 1, \"amount\": -1e130000}]",
    "{\"id\": 1}",
    "{\"id\": 2}",
    "{\"id\": \"2\"}",
    "{\"id\": null}",
    "{\"id\": 1e400}",
    "{\"id\": 99999999999999999999}",
    "{\"id\": {\"id\": 1}}",
    "{\"id\": [1]}",
    "{\"id\": 1, \"user_id\": 1, \"note\": \"x\"}",
    "{\"id\": 1, \"nope\": 1}",
    "{\"\": 1}",
    "{\"id\\\"\": 1}",
    "{\"ID\": 1}",
    "{\"id\": 1, \"id\": 2}",
    "{\"note\": \"\\u0441\\ud83d\\udc18\"}",
    "-0.0",
    "[1, \"a\", null, {\"id\": 1}, [[]]]",
];

/// An expression of type jsonb.
pub fn json(draw: &mut Draw) -> String {
    match draw.below(24) {
        0 => "(repeat('[', 3000) || repeat(']', 3000))::jsonb".into(),
        1 => "(repeat('{\"id\":', 3000) || '1' || repeat('}', 3000))::jsonb".into(),
        2 => "(SELECT jsonb_agg(i) FROM generate_series(1, 3000) i)".into(),
        3 => "(SELECT jsonb_agg(jsonb_build_object('id', i, 'amount', 0)) FROM generate_series(1, 300) i)".into(),
        4 => "(SELECT jsonb_object_agg(i, i) FROM generate_series(1, 3000) i)".into(),
        5 => "jsonb_build_object('id', 1, 'note', repeat('x', 1000000))".into(),
        6 => "to_jsonb(repeat('y', 100000))".into(),
        _ => format!("{}::jsonb", quote(draw.pick(&JSON))),
    }
}

const INTERVALS: [&str; 14] = [
    "7 days",
    "1 hour",
    "1 microsecond",
    "1 mon",
    "1 mon -1 day",
    "1 year 2 mons 3 days 04:05:06.789",
    "0",
    "-1 day",
    "-1 microsecond",
    "178000000 years",
    "-178000000 years",
    "2147483647 days",
    "100000000 days 2562047788 hours",
    "infinity",
];

const TIMES: [&str; 14] = [
    "2026-03-02 10:00+00",
    "2026-03-02 10:30+00",
    "2026-03-03",
    "2026-03-31 23:59:59.999999",
    "2026-10-25 02:30+02",
    "1900-01-01",
    "0001-01-01",
    "4713-01-02 BC",
    "infinity",
    "-infinity",
    "294276-12-31",
    "5874897-12-31",
    "epoch",
    "now",
];

const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "10",
    "0.5",
    "1.00",
    "-0.0000001",
    "99999999999999999999",
    "1e1000",
    "-1e1000",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e-1000",
];

/// An expression of the type; now and then NULL, or a value that the type refuses.
pub fn of_type(draw: &mut Draw, sql_type: &str) -> String {
    match draw.below(40) {
        0..=2 => return "NULL".into(),
        3 => return text(draw),
        _ => {}
    }
    if let Some(element) = sql_type.strip_suffix("[]") {
        return array(draw, element);
    }
    let base = sql_type.split('(').next().unwrap_or_default().trim();
    let small = |draw: &mut Draw| format!("{}", draw.below(4));
    match base {
        "smallint" | "integer" | "bigint" | "f.posint" | "oid" => match draw.below(12) {
            0 => "-1".into(),
            1 => "0".into(),
            2 => draw
                .pick(&["32767", "-32768", "2147483647", "(-2147483648)", "9223372036854775807"])
                .into(),
            _ => small(draw),
        },
        "numeric" | "real" | "double precision" | "money" => match draw.percent(40) {
            true => small(draw),
            false => format!("{}::numeric", quote(draw.pick(&NUMBERS))),
        },
        "boolean" => draw.pick(&["true", "false"]).into(),
        "interval" => format!("{}::interval", quote(draw.pick(&INTERVALS))),
        "date" | "timestamp without time zone" | "timestamp with time zone" | "timestamp" => {
            quote(draw.pick(&TIMES))
        }
        "jsonb" | "json" => json(draw).replace("::jsonb", &format!("::{base}")),
        "bytea" => {
            draw.pick(&["'\\x'", "'\\xdeadbeef'", "decode(repeat('00', 5000), 'hex')"]).into()
        }
        "f.mood" => draw.pick(&["'sad'", "'glad'", "'bad'"]).into(),
        "f.pair" => {
            draw.pick(&["ROW(1, 'a')", "ROW(NULL, NULL)", "'(1,\"a\"\"b\")'", "'(1)'"]).into()
        }
        "uuid" => {
            draw.pick(&["'00000000-0000-0000-0000-000000000001'", "gen_random_uuid()"]).into()
        }
        "int4range" => draw.pick(&["'[1,5)'", "'empty'", "'(,)'", "'[5,1)'"]).into(),
        "int4multirange" => draw.pick(&["'{[1,2),[4,5)}'", "'{}'"]).into(),
        "inet" => draw.pick(&["'10.0.0.1/8'", "'::1'"]).into(),
        "point" => draw.pick(&["'(1,2)'", "'(NaN,Infinity)'"]).into(),
        "bit" | "bit varying" => draw.pick(&["B'101'", "B''"]).into(),
        "xid" => draw.pick(&["'1'", "'3'", "'4294967295'", "'0'"]).into(),
        "regclass" => format!("{}::regclass", draw.pick(&STRANGE_RELATIONS)),
        "record" => {
            draw.pick(&["ROW()", "ROW(1)", "ROW(1, NULL, 'a', ROW(2))", "ROW(ROW(ROW()))"]).into()
        }
        "name" => format!("({})::name", text(draw)),
        "\"char\"" => quote(draw.pick(&["a", ""])),
        "\"any\"" | "anyelement" => anything(draw),
        _ => text(draw),
    }
}

/// An expression of any type at all.
pub fn anything(draw: &mut Draw) -> String {
    const TYPES: [&str; 22] = [
        "integer",
        "bigint",
        "smallint",
        "text",
        "numeric",
        "boolean",
        "jsonb",
        "date",
        "timestamp with time zone",
        "interval",
        "f.mood",
        "f.pair",
        "uuid",
        "bytea",
        "integer[]",
        "text[]",
        "record",
        "inet",
        "int4range",
        "xid",
        "regclass",
        "f.posint",
    ];
    let sql_type = draw.pick(&TYPES);
    let value = of_type(draw, sql_type);
    match sql_type {
        "record" => value,
        _ if draw.percent(70) => format!("({value})::{sql_type}"),
        _ => value,
    }
}

fn array(draw: &mut Draw, element: &str) -> String {
    match draw.below(12) {
        0 => format!("'{{}}'::{element}[]"),
        1 => format!("ARRAY[NULL, NULL]::{element}[]"),
        2 => format!("ARRAY[ARRAY[NULL, NULL], ARRAY[NULL, NULL]]::{element}[]"),
        3 => format!("'[-1:1]={{NULL,NULL,NULL}}'::{element}[]"),
        4 => format!("array_fill(NULL::{element}, ARRAY[2000])"),
        5 => format!("ARRAY[ARRAY[{}]]::{element}[]", of_type(draw, element)),
        _ => {
            let items: Vec<String> =
                (0..1 + draw.below(3)).map(|_| of_type(draw, element)).collect();
            format!("ARRAY[{}]::{element}[]", items.join(", "))
        }
    }
}
