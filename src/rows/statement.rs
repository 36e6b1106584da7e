//! The SQL behind the calls, by form: same form, same statement, prepared once per session.
//!
//! Everything is qualified, operators too, because the statements run with the caller's
//! search_path: triggers of the table may count on it. Parameters stand in this order: the key,
//! the new values, the values that must still be there, the token.

use crate::guard::arguments::{identifier, literal};
use crate::pg::error::Report;
use crate::pg::prepared::Prepared;
use crate::rows::form::{Form, Token, Verb};
use crate::rows::table::Described;
use crate::rows::tokens::token_type;
use pgrx::pg_sys::Oid;
use std::rc::Rc;

/// The columns of a look's row.
pub const LOOK_SAME: usize = 1;
pub const LOOK_STORED: usize = 2;
pub const LOOK_STATED: usize = 3;
pub const LOOK_TABLE: usize = 4;
pub const LOOK_WRITER: usize = 5;

impl Described {
    /// The prepared statement of a form.
    pub fn statement(&self, form: &Form) -> Result<Rc<Prepared>, Report> {
        self.plan(form, || build(form, self))
    }

    /// A statement that writes rows of `alias`, returning each whole as jsonb. Citus sends RETURNING to the nodes only with
    /// IMMUTABLE functions, so there the rows come back first.
    pub fn returning_row(&self, write: &str, alias: &str) -> String {
        match self.on_nodes() {
            true => format!(
                "WITH written AS ({write} RETURNING {alias}.*) SELECT pg_catalog.to_jsonb(written.*) FROM written"
            ),
            false => format!("{write} RETURNING pg_catalog.to_jsonb({alias}.*)"),
        }
    }
}

/// The statement of a form and the types of its parameters.
fn build(form: &Form, table: &Described) -> (String, Vec<Oid>) {
    let mut parameters = Parameters::default();
    let key = key_condition(table, &mut parameters);
    let set = set_list(form, table, &mut parameters);
    let compared = compared(form, table, &mut parameters);
    let stored = stored_token(form.token, table);
    let same = condition(form, table, &stored, &compared, &mut parameters);
    let name = &table.reference;
    let origin = if form.verb == Verb::LookAtOrigin { ", t.tableoid, t.xmin" } else { "" };
    let sql = match form.verb {
        // UPDATE ONLY public.orders AS t
        //   SET "address" = $2, "version" = t."version" OPERATOR(pg_catalog.+) 1
        //   WHERE t."id" OPERATOR(pg_catalog.=) $1
        //     AND t."version" OPERATOR(pg_catalog.=) $3
        //   RETURNING pg_catalog.to_jsonb(t.*)
        Verb::Update => table
            .returning_row(&format!("UPDATE {name} AS t SET {set} WHERE {key} AND {same}"), "t"),
        // DELETE FROM ONLY public.orders AS t WHERE (as above) RETURNING pg_catalog.to_jsonb(t.*)
        Verb::Delete => {
            table.returning_row(&format!("DELETE FROM {name} AS t WHERE {key} AND {same}"), "t")
        }
        // SELECT coalesce(to_jsonb(t."address"), 'null') OPERATOR(pg_catalog.=) coalesce(to_jsonb($2), 'null'),
        //     (SELECT jsonb_object_agg(...) of the columns that differ, as stored), (..., as stated)
        //   FROM ONLY public.orders AS t WHERE t."id" OPERATOR(pg_catalog.=) $1
        Verb::Look | Verb::LookAtOrigin if form.token == Token::Columns => format!(
            "SELECT {same}, {}, {}{origin} FROM {name} AS t WHERE {key}",
            differing(&compared, "stored"),
            differing(&compared, "stated")
        ),
        // SELECT coalesce(t."version" OPERATOR(pg_catalog.=) $2, false), t."version", NULL, t.tableoid, t.xmin
        //   FROM ONLY public.orders AS t WHERE t."id" OPERATOR(pg_catalog.=) $1
        Verb::Look | Verb::LookAtOrigin => {
            format!("SELECT {same}, {stored}, NULL{origin} FROM {name} AS t WHERE {key}")
        }
    };
    (sql, parameters.types)
}

/// The parameters of a statement, in the order in which it names them.
#[derive(Default)]
struct Parameters {
    types: Vec<Oid>,
}

impl Parameters {
    /// One more: `$1`, `$2`, and so on.
    fn next(&mut self, type_oid: Oid) -> String {
        self.types.push(type_oid);
        format!("${}", self.types.len())
    }
}

fn key_condition(table: &Described, parameters: &mut Parameters) -> String {
    let tests = table.key.iter().map(|key| {
        let name = identifier(&key.name);
        format!("t.{name} {} {}", key.equals, parameters.next(key.type_oid))
    });
    tests.collect::<Vec<_>>().join(" AND ")
}

/// What is written, and the version as the guard wants it stated.
fn set_list(form: &Form, table: &Described, parameters: &mut Parameters) -> String {
    let fields = form.set.iter().filter_map(|attno| table.field(*attno));
    let mut set: Vec<String> = fields
        .map(|field| format!("{} = {}", identifier(&field.name), parameters.next(field.type_oid)))
        .collect();
    if let (Verb::Update, Some(guard)) = (form.verb, &table.guard) {
        set.push(guard.set_item("t"));
    }
    set.join(", ")
}

fn compared(form: &Form, table: &Described, parameters: &mut Parameters) -> Vec<ComparedColumn> {
    let fields = form.was.iter().filter_map(|attno| table.field(*attno));
    fields
        .map(|field| ComparedColumn {
            label: literal(&field.name),
            column: format!("t.{}", identifier(&field.name)),
            value: parameters.next(field.type_oid),
        })
        .collect()
}

/// The row's present token; empty where its columns are the token.
fn stored_token(token: Token, table: &Described) -> String {
    match (token, &table.guard) {
        (Token::Version, Some(guard)) => format!("t.{}", identifier(&guard.column)),
        (Token::Xmin, _) => "raceguard.row_version(t.xmin)".to_owned(),
        (Token::Hash, _) => "raceguard.row_hash(t.*)".to_owned(),
        (Token::Version, None) | (Token::Columns, _) => String::new(),
    }
}

/// Whether the row is still the one that was read.
fn condition(
    form: &Form,
    table: &Described,
    stored: &str,
    compared: &[ComparedColumn],
    parameters: &mut Parameters,
) -> String {
    let token = form.token;
    let columns = compared
        .iter()
        .map(|c| match (form.verb, table.on_nodes()) {
            // What Citus sends to the nodes to write has to be IMMUTABLE there.
            (Verb::Update | Verb::Delete, true) => {
                format!("{} IS NOT DISTINCT FROM {}", c.column, c.value)
            }
            _ => format!("{} OPERATOR(pg_catalog.=) {}", c.stored(), c.stated()),
        })
        .collect::<Vec<_>>()
        .join(" AND ");
    if token == Token::Columns {
        return columns;
    }
    let stated = parameters.next(token_type(token, table.guard.as_ref()));
    let and = if columns.is_empty() { "" } else { " AND " };
    let same = format!("{stored} OPERATOR(pg_catalog.=) {stated}");
    // A version column that was made nullable may hold NULL, which is no version: WHERE takes that as it should be.
    match form.verb {
        Verb::Update | Verb::Delete => format!("{same}{and}{columns}"),
        Verb::Look | Verb::LookAtOrigin => format!("coalesce({same}, false){and}{columns}"),
    }
}

/// A column that must not have changed, in SQL.
struct ComparedColumn {
    label: String,
    column: String,
    value: String,
}

impl ComparedColumn {
    fn stored(&self) -> String {
        as_json(&self.column)
    }

    fn stated(&self) -> String {
        as_json(&self.value)
    }
}

/// A value as the client sees it. NULL counts as JSON null, from which the client cannot tell it.
fn as_json(value: &str) -> String {
    format!("coalesce(pg_catalog.to_jsonb({value}), 'null'::pg_catalog.jsonb)")
}

/// A JSON object of the columns that differ, with their `stored` or their `stated` values.
fn differing(compared: &[ComparedColumn], which: &str) -> String {
    let rows: Vec<String> =
        compared.iter().map(|c| format!("({}, {}, {})", c.label, c.stored(), c.stated())).collect();
    format!(
        "(SELECT pg_catalog.jsonb_object_agg(c.label, c.{which}) FROM (VALUES {}) AS c(label, stored, stated) \
         WHERE c.stored OPERATOR(pg_catalog.<>) c.stated)",
        rows.join(", ")
    )
}
