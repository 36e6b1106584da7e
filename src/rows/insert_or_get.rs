//! `insert_or_get`: a row inserted, or the one that stands in its place.

use crate::cap::calls::insert_statement;
use crate::errors;
use crate::guard::arguments::required;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert::input;
use crate::pg::error::{catch, Report};
use crate::pg::jsonb::Json;
use crate::pg::key::{has_unfinished_unique_index, is_twin, is_twin_below};
use crate::pg::open_table::open_table;
use crate::pg::relation::{self, no_column, Table};
use crate::pg::result_row::Rows;
use crate::pg::result_set::Output;
use crate::pg::spi::{connected, in_subtransaction, pinned_search_path, run, Param};
use crate::pg::statement::run_kept;
use crate::pg::xid;
use crate::rows::insert_or_get_reports::{
    ambiguous, is_a_view, no_such_index, not_found, swallowed,
};
use crate::rows::plain_arbiter::{plain_arbiter, Arbiter};
use crate::rows::unique_index::{candidate, rebuilt, unique_indexes, values, UniqueIndex};
use pgrx::pg_sys::{self, Datum, Oid};

function_entry!(raceguard_insert_or_get, crate::rows::insert_or_get::insert_or_get);

/// How often an INSERT may meet a row that is then not to be found. Each time another session must
/// have deleted it in between; so often in a row it is not that.
const ATTEMPTS: usize = 100;

/// `raceguard.insert_or_get(target, new_row, key) -> (row jsonb, inserted boolean)`: inserts a row, or
/// returns the one that is there already, as it is committed. Serves the comment that is sent twice.
///
/// `key`: the columns by which it is the same row; a unique index over these columns, or expressions
/// of them, decides, and a conflict with any other one is 23505 as for a plain INSERT. Without `key` it
/// is the only unique index that could answer for this row; 42P10 where there are several.
///
/// At REPEATABLE READ and SERIALIZABLE a row committed after the transaction's snapshot is 40001, as
/// with ON CONFLICT DO NOTHING. Raises 55000 if the row in the way cannot be found, 27000 if a trigger
/// swallows the new one, 42809 for a view, and the errors of the INSERT itself.
fn insert_or_get(call: Call) -> Result<Value, Report> {
    let output = Output::of(call)?;
    let target = required(call.oid(0), "target")?;
    let row = required(call.json(1)?, "new_row")?;
    let key = call.names(2)?;
    // In use from here on: what reading the row calls, the CHECK of a domain for one, cannot change the
    // table's columns between two looks at it.
    let open = open_table(target)?;
    if open.table().is_view() {
        // As an error: what `connected` returns otherwise must not lie in the memory that it frees.
        return connected(|| pinned_search_path(|| Err(is_a_view(open.table())?)));
    }
    let (found, inserted) = connected(|| {
        let given = Param::Typed(pg_sys::JSONBOID, call.datum(1));
        // What is wrong with the row's columns is said first.
        insert_statement(target, &row, "")?;
        let wanted = key.map(|key| wanted_columns(target, &key)).transpose()?;
        for attempt in 0..ATTEMPTS {
            let (arbiter, on_conflict) = choose(target, &row, given, wanted.as_deref())?;
            let insert = insert_statement(target, &row, &on_conflict)?;
            let Some(inserted) = insert_unless_there(target, &insert, given, arbiter.as_ref())?
            else {
                continue;
            };
            if let Some(row) = inserted.first() {
                return Ok((row.get(0)?, true));
            }
            let Some(index) = &arbiter else { return Err(swallowed(target)?) };
            let found = pinned_search_path(|| match index {
                FoundIndex::Described(index) => standing(target, &row, given, index),
                FoundIndex::Known(oid) => {
                    match unique_indexes(target)?.iter().find(|index| index.oid == *oid) {
                        Some(index) => standing(target, &row, given, index),
                        None => Ok(None),
                    }
                }
            })?;
            if let Some(row) = found {
                return Ok((row, false));
            }
            if attempt == 0
                && let Some(row) = insert_plainly(target, &row, given)?
            {
                return Ok((row, true));
            }
        }
        Err(not_found(target, ATTEMPTS)?)
    })?;
    let row = input(&found, pg_sys::JSONBOID, -1)?;
    output.row([row, Datum::from(inserted)])
}

/// The arbiter: by its number, or with all that the catalog says of it.
enum FoundIndex {
    Known(Oid),
    Described(UniqueIndex),
}

impl FoundIndex {
    fn oid(&self) -> Oid {
        match self {
            FoundIndex::Known(oid) => *oid,
            FoundIndex::Described(index) => index.oid,
        }
    }
}

/// The arbiter, and the clause that makes it one.
fn choose(
    target: Oid,
    row: &Json,
    given: Param,
    wanted: Option<&[i16]>,
) -> Result<(Option<FoundIndex>, String), Report> {
    Ok(match plain_arbiter(target, row, wanted)? {
        Arbiter::None => (None, String::new()),
        Arbiter::Index(index, clause) => (Some(FoundIndex::Known(index)), clause),
        Arbiter::Unknown => match pinned_search_path(|| arbiter(target, row, given, wanted))? {
            None => (None, String::new()),
            Some(index) => {
                let clause = on_conflict(target, &index)?;
                (Some(FoundIndex::Described(index)), clause)
            }
        },
    })
}

/// Runs the INSERT; no row where one is there already. `None`: it has to be run again.
///
/// While REINDEX CONCURRENTLY works on the arbiter, rows go into its twin too, which ON CONFLICT does not
/// know: a conflict there is 23505. Run again the INSERT meets the same row in the arbiter, which knows what
/// that means at each isolation level. It stays one step away from a statement
/// that holds the table's lock, so what the statement may meet stands when it begins. In which partition
/// of a partitioned table the row comes to lie, and what goes on there, only the INSERT finds out.
fn insert_unless_there(
    target: Oid,
    insert: &str,
    given: Param,
    arbiter: Option<&FoundIndex>,
) -> Result<Option<Rows>, Report> {
    let open = open_table(target)?;
    let table = open.table();
    let unfinished = table.is_partitioned() || catch(|| has_unfinished_unique_index(table))?;
    let Some(arbiter) = arbiter.filter(|_| unfinished) else {
        return run(insert, &[given]).map(Some);
    };
    match in_subtransaction(|| run(insert, &[given]))? {
        Err(error)
            if error.is(errors::UNIQUE_VIOLATION)
                && catch(|| met_in_twin(table, arbiter.oid(), error))? =>
        {
            Ok(None)
        }
        Err(error) if error.is(errors::INTERNAL) && error.message_text() == UNMATCHED => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// What Postgres says where a partition's indexes change places just when it looks for the arbiter's.
const UNMATCHED: &str = "invalid arbiter index list";

/// Whether the index that a unique violation names is the arbiter's twin, or that of a partition's index that
/// belongs to it. Inside `catch`.
fn met_in_twin(table: Table, arbiter: Oid, violation: Report) -> bool {
    let name = violation.constraint_text();
    match table.is_partitioned() {
        false => is_twin(table, arbiter, name),
        true => {
            let (schema, partition) = violation.table_text();
            is_twin_below(relation::named(schema, partition), arbiter, name)
        }
    }
}

/// The INSERT once more, where it did nothing and no row is to be seen that was in its way: as one that
/// nothing excuses it tells a trigger that swallows the row from a row that was deleted meanwhile. `None` where a row
/// is in the way after all.
fn insert_plainly(target: Oid, row: &Json, given: Param) -> Result<Option<String>, Report> {
    let insert = insert_statement(target, row, "")?;
    match in_subtransaction(|| run(&insert, &[given]))? {
        Ok(rows) => match rows.first() {
            Some(row) => Ok(Some(row.get(0)?)),
            None => Err(swallowed(target)?),
        },
        Err(error) if error.is(errors::UNIQUE_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The index whose conflict means that the row is there already; none where no index can have one.
fn arbiter(
    target: Oid,
    row: &Json,
    given: Param,
    wanted: Option<&[i16]>,
) -> Result<Option<UniqueIndex>, Report> {
    let candidate = candidate(target, row)?;
    let indexes = unique_indexes(target)?;
    let mut possible: Vec<UniqueIndex> = Vec::new();
    for index in &indexes {
        let eligible = match wanted {
            Some(wanted) => index.key_columns == wanted,
            // An index over a column whose value the INSERT alone makes cannot be the one.
            None => index.columns.iter().all(|c| candidate.columns.contains(c)),
        };
        // One that an index with fewer columns implies has no answer of its own.
        if eligible && !possible.iter().any(|other| other.implies(index)) {
            possible.retain(|other| !index.implies(other));
            possible.push(index.clone());
        }
    }
    if let (Some(wanted), true) = (wanted, possible.is_empty()) {
        return Err(no_such_index(target, wanted, &indexes)?);
    }
    if possible.len() > 1 {
        let mut answering = Vec::new();
        for index in &possible {
            if values(&candidate, given, index)?.is_some() {
                answering.push(index.clone());
            }
        }
        if answering.len() > 1 {
            return Err(ambiguous(target, &answering)?);
        }
        // Where the row has no key in any of them, no conflict of theirs is possible.
        possible = answering;
    }
    Ok(possible.into_iter().next())
}

/// The numbers of the columns in `key`, ascending.
fn wanted_columns(target: Oid, key: &[Option<String>]) -> Result<Vec<i16>, Report> {
    let open = open_table(target)?;
    let table = open.table();
    if key.is_empty() {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("argument \"key\" names no column"),
        )
        .detail(format_args!("It names the columns by which a row is the same."))
        .hint(format_args!("For example key => '{{email}}'; leave it out to have it found."))
        .table(target));
    }
    let mut columns = Vec::with_capacity(key.len());
    for name in key {
        let name = required(name.as_deref(), "key")?;
        let Some(column) = catch(|| table.column_named(name))? else {
            return Err(no_column(table.name(), target, name)
                .detail(format_args!("It stands in argument \"key\"."))
                .hint(format_args!("Upper and lower case are as in the table.")));
        };
        columns.push(column.attno);
    }
    columns.sort_unstable();
    columns.dedup();
    Ok(columns)
}

/// The clause that makes this index the one whose conflicts are no error, in words that the caller's
/// search_path leads to the same operators and functions. Call it outside `pinned_search_path`.
fn on_conflict(target: Oid, index: &UniqueIndex) -> Result<String, Report> {
    let rows = run_kept(
        "SELECT pg_catalog.string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, false), ', ' ORDER BY k), \
                pg_catalog.pg_get_expr(i.indpred, i.indrelid) \
         FROM pg_catalog.pg_index i, pg_catalog.generate_series(1, i.indnkeyatts) k \
         WHERE i.indexrelid OPERATOR(pg_catalog.=) $1 GROUP BY i.indpred, i.indrelid"
            .to_owned(),
        &[Param::Oid(index.oid)],
    )?;
    let Some(row) = rows.first() else { return Err(rebuilt(target)) };
    let (keys, predicate): (Option<&str>, Option<&str>) = (row.get(0)?, row.get(1)?);
    let Some(keys) = keys else { return Err(rebuilt(target)) };
    let predicate = predicate.map(|p| format!(" WHERE {p}")).unwrap_or_default();
    Ok(format!("ON CONFLICT ({keys}){predicate} DO NOTHING"))
}

/// The row that stands where the new one wants to, under the same key of the index.
fn standing(
    target: Oid,
    row: &Json,
    given: Param,
    index: &UniqueIndex,
) -> Result<Option<String>, Report> {
    let candidate = candidate(target, row)?;
    let Some(values) = values(&candidate, given, index)? else { return Ok(None) };
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
    let found = run_kept(
        format!(
            "SELECT to_jsonb(raceguard_row.*), raceguard_row.xmin \
             FROM {} AS raceguard_row WHERE {} AND ({})",
            candidate.table,
            conditions.join(" AND "),
            index.predicate
        ),
        &params,
    )?;
    // At REPEATABLE READ the snapshot may hold a row that has been deleted since, beside the one
    // that this transaction has put in its place.
    let mut own = 0;
    for (i, row) in found.iter().enumerate() {
        if xid::is_current(row.get(1)?) {
            own = i;
            break;
        }
    }
    found.get(own).map(|row| row.get(0)).transpose()
}
