//! The unique indexes of a table as SQL, and the new row as they see it.

use crate::errors;
use crate::guard::arguments::identifier;
use crate::pg::column_default::{default_of, ColumnDefault};
use crate::pg::error::{catch, Report};
use crate::pg::jsonb::Json;
use crate::pg::key::columns_of_index;
use crate::pg::memory::here;
use crate::pg::open_table::open_table;
use crate::pg::result_row::ResultRow;
use crate::pg::spi::{one, run, Param};
use crate::pg::statement::run_kept;
use pgrx::pg_sys::Oid;

/// The row as the INSERT makes it, before triggers.
pub struct NewRow {
    pub table: String,
    /// A FROM item with one row; $1 is the JSON object.
    pub source: String,
    /// The columns whose values are known.
    pub columns: Vec<i16>,
}

pub fn candidate(target: Oid, row: &Json) -> Result<NewRow, Report> {
    let open = open_table(target)?;
    let table = open.table();
    let qualified = catch(|| table.qualified_name())?.as_str().to_owned();
    let (mut columns, mut plain, mut generated) = (Vec::new(), Vec::new(), Vec::new());
    for attno in 1..=table.column_count() {
        let Some(column) = table.column(attno) else { continue };
        let name = table.column_name(attno);
        let as_name = identifier(name);
        let value = match catch(|| default_of(table, attno))? {
            ColumnDefault::Generated(text) => {
                columns.push(attno);
                generated.push(format!("({}) AS {as_name}", text.as_str()));
                continue;
            }
            _ if row.member(name)?.is_some() => format!("given.{as_name}"),
            ColumnDefault::Constant(text) => text.as_str().to_owned(),
            ColumnDefault::Volatile => {
                plain.push(format!("NULL::{} AS {as_name}", type_name(column.type_oid)?));
                continue;
            }
            ColumnDefault::None => format!("given.{as_name}"),
        };
        columns.push(attno);
        plain.push(format!("{value} AS {as_name}"));
    }
    let plain = format!(
        "(SELECT {} FROM jsonb_populate_record(NULL::{qualified}, $1) AS given) AS raceguard_row",
        plain.join(", ")
    );
    let source = match generated.is_empty() {
        true => plain,
        false => {
            format!("(SELECT *, {} FROM {plain}) AS raceguard_row", generated.join(", "))
        }
    };
    Ok(NewRow { table: qualified, source, columns })
}

fn type_name(oid: Oid) -> Result<String, Report> {
    Ok(catch(|| crate::pg::text::type_name(oid))?.as_str().to_owned())
}

/// A unique index as SQL.
#[derive(Clone)]
pub struct UniqueIndex {
    pub oid: Oid,
    /// As an error shows it.
    pub name: String,
    pub keys: Vec<IndexKey>,
    /// The table's columns that keys and predicate use.
    pub columns: Vec<i16>,
    /// Those that the keys use, ascending.
    pub key_columns: Vec<i16>,
    pub predicate: String,
    pub nulls_equal: bool,
}

impl UniqueIndex {
    /// Whether a row that this index lets in cannot be in the way in the other one either, unless it is
    /// the same row: it has no other keys, and leaves no row out that the other has.
    pub fn implies(&self, other: &UniqueIndex) -> bool {
        self.keys.iter().all(|key| other.keys.contains(key))
            && (self.predicate == "true" || self.predicate == other.predicate)
            && (self.nulls_equal || !other.nulls_equal)
    }
}

#[derive(Clone, PartialEq)]
pub struct IndexKey {
    pub text: String,
    /// The equality operator of its operator class.
    pub equals: String,
    pub type_name: String,
}

/// 40001: the transaction's snapshot shows an index that is gone.
pub fn rebuilt(table: Oid) -> Report {
    Report::error(
        errors::SERIALIZATION_FAILURE,
        format_args!("could not serialize access due to an index that was rebuilt"),
    )
    .detail(format_args!(
        "The transaction's snapshot is older than the unique indexes of the table."
    ))
    .hint(format_args!("The transaction might succeed if retried."))
    .table(table)
}

pub fn unique_indexes(table: Oid) -> Result<Vec<UniqueIndex>, Report> {
    // The columns that expressions and predicate use are what the index depends on. Subqueries find their few rows by
    // index, where a join of all reads whole catalogs.
    // A key WITHOUT OVERLAPS (Postgres 18) is kept by an index too, but several rows may stand in the way of
    // one.
    let rows = run_kept(
        "SELECT i.indexrelid, i.indnullsnotdistinct, coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'), \
                (SELECT string_agg(DISTINCT d.refobjsubid::text, ' ') FROM pg_depend d \
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid \
                   AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0), \
                array_to_string(i.indkey::int2[], ' '), \
                pg_get_indexdef(i.indexrelid, k.n::int, false), \
                (SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname) \
                 FROM pg_amop p, pg_operator o, pg_namespace n \
                 WHERE p.amopfamily = c.opcfamily AND p.amoplefttype = c.opcintype \
                   AND p.amoprighttype = c.opcintype AND p.amopstrategy = 3 \
                   AND o.oid = p.amopopr AND n.oid = o.oprnamespace), \
                format_type((SELECT CASE WHEN t.typtype = 'p' THEN a.atttypid ELSE t.oid END \
                             FROM pg_type t, pg_attribute a \
                             WHERE t.oid = c.opcintype AND a.attrelid = i.indexrelid AND a.attnum = k.n), NULL), \
                (SELECT relname FROM pg_class WHERE pg_class.oid = i.indexrelid) \
         FROM pg_index i, unnest(i.indclass::oid[]) WITH ORDINALITY AS k(class, n), pg_opclass c \
         WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND NOT i.indisexclusion \
           AND c.oid = k.class \
         ORDER BY NOT i.indisprimary, i.indexrelid, k.n"
            .to_owned(),
        &[Param::Oid(table)],
    )?;
    let mut indexes: Vec<UniqueIndex> = Vec::new();
    for row in rows {
        let Some(text) = row.get(5)? else { return Err(rebuilt(table)) };
        // A superuser may have taken the operator out of its family.
        let equals = row.get::<Option<String>>(6)?.unwrap_or_default();
        let key = IndexKey { text, equals, type_name: row.get(7)? };
        let oid = row.get(0)?;
        match indexes.last_mut() {
            Some(index) if index.oid == oid => index.keys.push(key),
            _ => {
                let (used, keys): (Option<&str>, &str) = (row.get(3)?, row.get(4)?);
                let numbers = used.unwrap_or_default().split(' ').chain(keys.split(' '));
                let numbers = numbers.filter_map(|n| n.parse().ok());
                indexes.push(UniqueIndex {
                    oid,
                    name: row.get(8)?,
                    key_columns: key_columns(oid)?.ok_or_else(|| rebuilt(table))?,
                    keys: vec![key],
                    columns: numbers.filter(|n| *n != 0).collect(),
                    predicate: row.get(2)?,
                    nulls_equal: row.get(1)?,
                });
            }
        }
    }
    Ok(indexes)
}

/// The columns that an index's keys are made of, ascending; `None` if it is gone.
fn key_columns(index: Oid) -> Result<Option<Vec<i16>>, Report> {
    here(|memory| Ok(catch(|| columns_of_index(index, memory))?.map(<[i16]>::to_vec)))
}

/// The columns of an index as `key` takes them: `{email}`.
pub fn as_argument(target: Oid, columns: &[i16]) -> Result<String, Report> {
    let names: Option<String> = one(
        "SELECT array_agg(a.attname ORDER BY a.attnum)::text FROM pg_attribute a \
         WHERE a.attrelid = $1 AND a.attnum = ANY (string_to_array($2, ' ')::int2[])",
        &[
            Param::Oid(target),
            Param::Text(&columns.iter().map(i16::to_string).collect::<Vec<_>>().join(" ")),
        ],
    )?;
    Ok(names.unwrap_or_default())
}

/// The values that the new row has in an index, as text; `None` where it can be in no one's way there.
pub fn values(
    candidate: &NewRow,
    given: Param,
    index: &UniqueIndex,
) -> Result<Option<Vec<Option<String>>>, Report> {
    let keys: Vec<String> = index.keys.iter().map(|k| format!("({})::text", k.text)).collect();
    // Not kept prepared: nothing tells a plan that the row type in it has gone.
    let values = run(
        &format!("SELECT {} FROM {} WHERE {}", keys.join(", "), candidate.source, index.predicate),
        &[given],
    )?;
    let possible =
        |values: &Vec<Option<String>>| index.nulls_equal || values.iter().all(Option::is_some);
    Ok(values.into_iter().next().map(ResultRow::into_texts).filter(possible))
}
