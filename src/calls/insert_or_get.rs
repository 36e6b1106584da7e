//! `insert_or_get`: a row inserted, or the one that stands in its place.

use super::arguments::required;
use super::slots::insert_statement;
use crate::errors;
use crate::install::arguments::identifier;
use crate::pg::call::{function_entry, input, Call, Value};
use crate::pg::column_default::{default_of, ColumnDefault};
use crate::pg::error::{catch, Report};
use crate::pg::open::open_table;
use crate::pg::rows::return_record;
use crate::pg::spi::{connected, pinned_search_path, run, Param};
use crate::pg::xid;
use pgrx::pg_sys::{self, Datum, Oid};

function_entry!(raceguard_insert_or_get, crate::calls::insert_or_get::insert_or_get);

/// How often an INSERT may meet a row that is then not to be found. Each time another session must
/// have deleted it in between; so often in a row it is not that.
const ATTEMPTS: usize = 100;

/// `raceguard.insert_or_get(target, new_row) -> (row jsonb, inserted boolean)`: inserts a row, or
/// returns the one that any of the table's unique constraints or indexes says is there already, as it
/// is committed. Case D9.
///
/// At REPEATABLE READ and SERIALIZABLE a row committed after the transaction's snapshot is 40001, as
/// with ON CONFLICT DO NOTHING. Raises 55000 if the row in the way cannot be found, and the errors of
/// the INSERT itself.
fn insert_or_get(call: Call) -> Result<Value, Report> {
    let target = required(call.oid(0), "target")?;
    let row = required(call.json(1)?, "new_row")?;
    let (found, inserted) = connected(|| {
        let insert = insert_statement(target, &row, "ON CONFLICT DO NOTHING")?;
        let text = row.to_string();
        let json = input(&text, pg_sys::JSONBOID, -1)?;
        let given = Param::Typed(pg_sys::JSONBOID, Some(json));
        for _ in 0..ATTEMPTS {
            if let Some(row) = first(run(&insert, &[given])?) {
                return Ok((row, true));
            }
            if let Some(row) = pinned_search_path(|| standing(target, &row, given))? {
                return Ok((row, false));
            }
        }
        Err(not_found(target)?)
    })?;
    let row = input(&found, pg_sys::JSONBOID, -1)?;
    return_record(call, [row, Datum::from(inserted)])
}

fn first(rows: Vec<Vec<Option<String>>>) -> Option<String> {
    rows.into_iter().next()?.into_iter().next()?
}

/// The row that stands where the new one wants to: under the same key of some unique index.
fn standing(target: Oid, row: &serde_json::Value, given: Param) -> Result<Option<String>, Report> {
    let candidate = candidate(target, row)?;
    for index in unique_indexes(target)? {
        // An index over a column whose value the INSERT alone makes cannot be the one.
        if index.columns.iter().any(|c| !candidate.columns.contains(c)) {
            continue;
        }
        let keys: Vec<String> = index.keys.iter().map(|k| format!("({})::text", k.text)).collect();
        let values = run(
            &format!(
                "SELECT {} FROM {} WHERE {}",
                keys.join(", "),
                candidate.source,
                index.predicate
            ),
            &[given],
        )?;
        let Some(values) = values.into_iter().next() else { continue };
        if !index.nulls_equal && values.iter().any(Option::is_none) {
            continue;
        }
        let conditions: Vec<String> = index
            .keys
            .iter()
            .zip(&values)
            .enumerate()
            .map(|(i, (key, value))| match value {
                // A parameter of another statement's shape would be needed for IS NULL.
                None => format!("({}) IS NULL AND ${}::text IS NULL", key.text, i + 1),
                Some(_) => {
                    format!("({}) {} ${}::text::{}", key.text, key.equals, i + 1, key.type_name)
                }
            })
            .collect();
        let params: Vec<Param> = values.iter().map(|v| Param::OptText(v.as_deref())).collect();
        let found = run(
            &format!(
                "SELECT to_jsonb(raceguard_row), raceguard_row.xmin \
                 FROM {} AS raceguard_row WHERE {} AND ({})",
                candidate.table,
                conditions.join(" AND "),
                index.predicate
            ),
            &params,
        )?;
        // At REPEATABLE READ the snapshot may hold a row that has been deleted since, beside the one
        // that this transaction has put in its place.
        let own = found.iter().position(|row| row.get(1).is_some_and(is_own));
        if let Some(row) = found.into_iter().nth(own.unwrap_or(0)) {
            return Ok(row.into_iter().next().flatten());
        }
    }
    Ok(None)
}

/// Whether this transaction has written a row with this xmin.
fn is_own(xmin: &Option<String>) -> bool {
    xmin.as_ref().and_then(|xmin| xmin.parse().ok()).is_some_and(xid::is_current)
}

/// The row as the INSERT makes it, before triggers.
struct Candidate {
    table: String,
    /// A FROM item with one row; $1 is the JSON object.
    source: String,
    /// The columns whose values are known.
    columns: Vec<i16>,
}

fn candidate(target: Oid, row: &serde_json::Value) -> Result<Candidate, Report> {
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
            _ if row.get(name).is_some() => format!("given.{as_name}"),
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
    Ok(Candidate { table: qualified, source, columns })
}

fn type_name(oid: Oid) -> Result<String, Report> {
    Ok(catch(|| crate::pg::text::type_name(oid))?.as_str().to_owned())
}

/// A unique index as SQL.
struct UniqueIndex {
    keys: Vec<IndexKey>,
    /// The table's columns that keys and predicate use.
    columns: Vec<i16>,
    predicate: String,
    nulls_equal: bool,
}

struct IndexKey {
    text: String,
    /// The equality operator of its operator class.
    equals: String,
    type_name: String,
}

fn unique_indexes(table: Oid) -> Result<Vec<UniqueIndex>, Report> {
    // The columns that expressions and predicate use are what the index depends on.
    let rows = run(
        "SELECT i.indexrelid, i.indnullsnotdistinct, coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'), \
                (SELECT string_agg(DISTINCT d.refobjsubid::text, ' ') FROM pg_depend d \
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid \
                   AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0), \
                array_to_string(i.indkey::int2[], ' '), \
                pg_get_indexdef(i.indexrelid, k, false), \
                format('OPERATOR(%I.%s)', n.nspname, o.oprname), \
                format_type(CASE WHEN t.typtype = 'p' THEN a.atttypid ELSE c.opcintype END, NULL) \
         FROM pg_index i, generate_series(1, i.indnkeyatts) k, pg_opclass c, pg_type t, pg_amop p, \
              pg_operator o, pg_namespace n, pg_attribute a \
         WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate \
           AND c.oid = i.indclass[k - 1] AND t.oid = c.opcintype \
           AND p.amopfamily = c.opcfamily AND p.amoplefttype = c.opcintype \
           AND p.amoprighttype = c.opcintype AND p.amopstrategy = 3 \
           AND o.oid = p.amopopr AND n.oid = o.oprnamespace \
           AND a.attrelid = i.indexrelid AND a.attnum = k \
         ORDER BY NOT i.indisprimary, i.indexrelid, k",
        &[Param::Oid(table)],
    )?;
    let mut indexes: Vec<(String, UniqueIndex)> = Vec::new();
    for row in rows {
        let text = |i: usize| row[i].clone().unwrap_or_default();
        let key = IndexKey { text: text(5), equals: text(6), type_name: text(7) };
        match indexes.last_mut() {
            Some((oid, index)) if *oid == text(0) => index.keys.push(key),
            _ => {
                let numbers = format!("{} {}", text(3), text(4));
                let numbers = numbers.split_whitespace().filter_map(|n| n.parse().ok());
                let index = UniqueIndex {
                    keys: vec![key],
                    columns: numbers.filter(|n| *n != 0).collect(),
                    predicate: text(2),
                    nulls_equal: text(1) == "t",
                };
                indexes.push((text(0), index));
            }
        }
    }
    Ok(indexes.into_iter().map(|(_, index)| index).collect())
}

fn not_found(target: Oid) -> Result<Report, Report> {
    let open = open_table(target)?;
    Ok(Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("the row of \"{}\" that is in the way cannot be found", open.table().name()),
    )
    .detail(format_args!(
        "An INSERT did nothing {ATTEMPTS} times because of a row that is there already, but no row with the new row's unique keys is visible."
    ))
    .hint(format_args!(
        "Row security may hide it, an exclusion constraint may rule, or a BEFORE trigger may change the columns of the key: pass the values that it makes."
    ))
    .table(target))
}
