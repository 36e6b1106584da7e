//! The SQL behind the calls, by shape: same shape, same statement, prepared once per session.
//!
//! Everything is qualified, operators too, because the statements run with the caller's
//! search_path: triggers of the table may count on it. Parameters stand in this order: the key,
//! the new values, the values that must still be there, the token.

use crate::calls::table::Described;
use crate::calls::tokens::{token_type, Token};
use crate::guards::version::ClientSends;
use crate::install::arguments::{identifier, literal};
use pgrx::pg_sys::Oid;

/// What a statement does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verb {
    /// Writes the row if the token is still the stated one.
    Update,
    /// Deletes it, likewise.
    Delete,
    /// Reads what is stored where the two found nothing to write.
    Look,
}

/// A statement's shape.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Shape {
    pub verb: Verb,
    pub token: Token,
    /// The columns written.
    pub set: Vec<i16>,
    /// The columns compared, for [`Token::Columns`].
    pub was: Vec<i16>,
}

/// The columns of a look's row.
pub const LOOK_SAME: usize = 1;
pub const LOOK_STORED: usize = 2;
pub const LOOK_STATED: usize = 3;

impl Shape {
    /// The statement and the types of its parameters.
    pub fn statement(&self, table: &Described) -> (String, Vec<Oid>) {
        let mut types = Vec::new();
        let mut parameter = |type_oid: Oid| {
            types.push(type_oid);
            format!("${}", types.len())
        };
        let column = |attno: i16| {
            let field = table.field(attno);
            let (name, type_oid) =
                field.map_or(("", pgrx::pg_sys::InvalidOid), |f| (f.name.as_str(), f.type_oid));
            (identifier(name), type_oid)
        };
        let mut conditions = Vec::new();
        for key in &table.key {
            let name = identifier(&key.name);
            conditions.push(format!("t.{name} {} {}", key.equals, parameter(key.type_oid)));
        }
        let mut set = Vec::new();
        for attno in &self.set {
            let (name, type_oid) = column(*attno);
            set.push(format!("{name} = {}", parameter(type_oid)));
        }
        if let (Verb::Update, Some(guard)) = (self.verb, &table.guard) {
            let name = identifier(&guard.column);
            set.push(match guard.sends {
                ClientSends::Current => format!("{name} = t.{name}"),
                ClientSends::Next => format!("{name} = t.{name} OPERATOR(pg_catalog.+) 1"),
            });
        }
        let compared: Vec<Compared> = self
            .was
            .iter()
            .map(|attno| {
                let field = table.field(*attno);
                let (name, type_oid) = column(*attno);
                Compared {
                    label: literal(field.map_or("", |f| f.name.as_str())),
                    stored: as_json(&format!("t.{name}")),
                    stated: as_json(&parameter(type_oid)),
                }
            })
            .collect();
        let version = match &table.guard {
            Some(guard) => format!("t.{}", identifier(&guard.column)),
            None => String::new(),
        };
        let stored = match self.token {
            Token::Version => version,
            Token::Xmin => "raceguard.row_version(t.xmin)".to_owned(),
            Token::Hash => "raceguard.row_hash(t.*)".to_owned(),
            Token::Columns => String::new(),
        };
        let same = match self.token {
            Token::Columns => compared
                .iter()
                .map(|c| format!("{} OPERATOR(pg_catalog.=) {}", c.stored, c.stated))
                .collect::<Vec<_>>()
                .join(" AND "),
            token => {
                let stated = parameter(token_type(token, table.guard.as_ref()));
                // A version column that was made nullable may hold NULL, which is no version.
                format!("coalesce({stored} OPERATOR(pg_catalog.=) {stated}, false)")
            }
        };
        let name = &table.reference;
        let key = conditions.join(" AND ");
        let sql = match self.verb {
            Verb::Update => format!(
                "UPDATE {name} AS t SET {} WHERE {key} AND {same} RETURNING pg_catalog.to_jsonb(t.*)",
                set.join(", ")
            ),
            Verb::Delete => format!(
                "DELETE FROM {name} AS t WHERE {key} AND {same} RETURNING pg_catalog.to_jsonb(t.*)"
            ),
            Verb::Look if self.token == Token::Columns => format!(
                "SELECT {same}, {}, {} FROM {name} AS t WHERE {key}",
                differing(&compared, "stored"),
                differing(&compared, "stated")
            ),
            Verb::Look => format!("SELECT {same}, {stored} FROM {name} AS t WHERE {key}"),
        };
        (sql, types)
    }
}

/// A column that must not have changed, in SQL.
struct Compared {
    label: String,
    stored: String,
    stated: String,
}

/// A value as the client sees it. NULL counts as JSON null, from which the client cannot tell it.
fn as_json(value: &str) -> String {
    format!("coalesce(pg_catalog.to_jsonb({value}), 'null'::pg_catalog.jsonb)")
}

/// A JSON object of the columns that differ, with their `stored` or their `stated` values.
fn differing(compared: &[Compared], which: &str) -> String {
    let rows: Vec<String> =
        compared.iter().map(|c| format!("({}, {}, {})", c.label, c.stored, c.stated)).collect();
    format!(
        "(SELECT pg_catalog.jsonb_object_agg(c.label, c.{which}) FROM (VALUES {}) AS c(label, stored, stated) \
         WHERE c.stored OPERATOR(pg_catalog.<>) c.stated)",
        rows.join(", ")
    )
}
