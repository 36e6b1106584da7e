//! `swap_columns`: compare and swap by column, for people who edit different fields of one row.

use crate::errors;
use crate::guard::arguments::required;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert::output;
use crate::pg::error::Report;
use crate::pg::json_record::Fields;
use crate::pg::memory::here;
use crate::pg::spi::connected;
use crate::rows::attempt::Attempt;
use crate::rows::form::{Form, Token, Verb};
use crate::rows::swap::{check_not_empty, leave_fixed_out, values, version_in_changes};
use crate::rows::table::{describe, Described};

function_entry!(raceguard_swap_columns, crate::rows::swap_columns::swap_columns);

/// `raceguard.swap_columns(target, pk, was, changes) -> jsonb`: updates the row with this primary key
/// if every column in `was` still has the value given there, and returns the whole new row.
///
/// Serves two people who edit one row and change different things: both are kept. Every column in `changes` must be in `was`; `was` may name more columns, which
/// are then conditions. A column that nobody can write, a generated one or an identity, may be among
/// the changes with the value that `was` gives it. Values are compared as their column's type writes them to JSON. A version
/// guard of the table is told the version that the row has. Raises RG409 with the columns that
/// differ and their stored values, RG404, 22004, 22023, 42703 and what the UPDATE itself raises.
fn swap_columns(call: Call) -> Result<Value, Report> {
    connected(|| {
        let table = describe(required(call.oid(0), "target")?)?;
        here(|memory| {
            let key = table.key("pk", required(call.datum(1), "pk")?, memory)?;
            let (was, old) = table.fields("was", required(call.datum(2), "was")?, memory)?;
            let (mut set, new) =
                table.fields("changes", required(call.datum(3), "changes")?, memory)?;
            check_not_empty(&table, &set)?;
            if let Some(guard) = table.guard.as_ref().filter(|g| set.contains(&g.attno)) {
                return Err(version_in_changes(&table, &guard.column));
            }
            check_covered(&table, &was, &set)?;
            let unchanged = unchanged(&table, &set, old, new)?;
            leave_fixed_out(&table, &mut set, |attno| unchanged.contains(&attno));
            let attempt = Attempt {
                table: &table,
                key: &key,
                set: values(new, &set),
                was: values(old, &was),
                token: None,
                form: Form { verb: Verb::Update, token: Token::Columns, set, was },
            };
            Ok(Value::Raw(attempt.run()?))
        })
    })
}

/// The columns that no UPDATE can set and whose new value is the one that was read.
fn unchanged(table: &Described, set: &[i16], old: Fields, new: Fields) -> Result<Vec<i16>, Report> {
    let mut unchanged = Vec::new();
    for field in set.iter().filter_map(|attno| table.field(*attno)).filter(|f| !f.writable) {
        let same = here(|memory| {
            let text = |fields: Fields| {
                let value = fields.get(field.attno);
                value.map(|value| output(value, field.type_oid, memory)).transpose()
            };
            Ok::<_, Report>(text(old)? == text(new)?)
        })?;
        if same {
            unchanged.push(field.attno);
        }
    }
    Ok(unchanged)
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
