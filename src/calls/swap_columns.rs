//! `swap_columns`: compare and swap by column, for people who edit different fields of one row.

use crate::calls::attempt::Attempt;
use crate::calls::statement::{Shape, Verb};
use crate::calls::swap::{check_not_empty, values, version_in_changes};
use crate::calls::table::{describe, Described};
use crate::calls::tokens::Token;
use crate::errors;
use crate::install::arguments::required;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::spi::connected;

function_entry!(raceguard_swap_columns, crate::calls::swap_columns::swap_columns);

/// `raceguard.swap_columns(target, pk, was, changes) -> jsonb`: updates the row with this primary key
/// if every column in `was` still has the value given there, and returns the whole new row.
///
/// Cases A1 and C2. Every column in `changes` must be in `was`; `was` may name more columns, which
/// are then conditions. Values are compared as their column's type writes them to JSON. A version
/// guard of the table is told the version that the row has. Raises RG409 with the columns that
/// differ and their stored values, RG404, 22004, 22023, 42703 and what the UPDATE itself raises.
fn swap_columns(call: Call) -> Result<Value, Report> {
    connected(|| {
        let table = describe(required(call.oid(0), "target")?)?;
        let key = table.key(required(call.datum(1), "pk")?)?;
        let (was, old) = table.fields("was", required(call.datum(2), "was")?)?;
        let (set, new) = table.fields("changes", required(call.datum(3), "changes")?)?;
        check_not_empty(&table, &set)?;
        if let Some(guard) = table.guard.as_ref().filter(|g| set.contains(&g.attno)) {
            return Err(version_in_changes(&table, &guard.column));
        }
        check_covered(&table, &was, &set)?;
        let attempt = Attempt {
            table: &table,
            key: &key,
            set: values(new, &set),
            was: values(old, &was),
            token: None,
            shape: Shape { verb: Verb::Update, token: Token::Columns, set, was },
        };
        Ok(Value::Raw(attempt.run()?))
    })
}

/// A column written without its old value would be written blindly.
fn check_covered(table: &Described, was: &[i16], set: &[i16]) -> Result<(), Report> {
    let blind: Vec<String> = set
        .iter()
        .filter(|attno| !was.contains(attno))
        .filter_map(|attno| table.field(*attno))
        .map(|field| format!("\"{}\"", field.name))
        .collect();
    if blind.is_empty() {
        return Ok(());
    }
    Err(Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"was\" does not have every column in \"changes\""),
    )
    .detail(format_args!("It lacks {}.", blind.join(", ")))
    .hint(format_args!("Give the value that was read of each column that is to be written."))
    .table(table.oid))
}
