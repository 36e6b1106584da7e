//! `compare_and_swap` and `compare_and_delete`: write a row only if it is still the one read.

use crate::errors;
use crate::guard::arguments::required;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::json_record::Fields;
use crate::pg::memory::here;
use crate::pg::spi::connected;
use crate::rows::attempt::Attempt;
use crate::rows::form::{Form, Token, Verb};
use crate::rows::table::{describe, Described};
use crate::rows::tokens::{self, Expected, StatedVersion};
use pgrx::pg_sys::Datum;

function_entry!(raceguard_compare_and_swap, crate::rows::swap::compare_and_swap);
function_entry!(raceguard_compare_and_swap_number, crate::rows::swap::compare_and_swap_number);
function_entry!(raceguard_compare_and_delete, crate::rows::swap::compare_and_delete);
function_entry!(raceguard_compare_and_delete_number, crate::rows::swap::compare_and_delete_number);

/// `raceguard.compare_and_swap(target, pk, expected, changes, token) -> jsonb`: updates the row with
/// this primary key if it is still the version `expected`, and returns the whole new row.
///
/// Serves the save button: who read an older version is told so, with the present one. `changes` is a JSON object of columns; JSON null sets NULL, a column
/// not named stays. The whole row may be sent back: its version counts if it is the expected one, and
/// columns that nobody can write, generated ones and identities, if they say what is stored. Raises RG409 with the stored version, RG404, 22004, 22023, 42703, 55000, and
/// what the UPDATE itself raises.
fn compare_and_swap(call: Call) -> Result<Value, Report> {
    swap(call, call.text(2)?.map(Expected::Text))
}

/// `raceguard.compare_and_swap(target, pk, expected bigint, changes, token) -> jsonb`: [`compare_and_swap`] for versions
/// that arrive as numbers; a version that is a timestamp is 22023 here.
fn compare_and_swap_number(call: Call) -> Result<Value, Report> {
    swap(call, call.bigint(2).map(Expected::Number))
}

/// `raceguard.compare_and_delete(target, pk, expected, token) -> jsonb`: deletes the row with this
/// primary key if it is still the version `expected`, and returns it.
///
/// Serves the delete button, likewise; raises what `compare_and_swap` raises.
fn compare_and_delete(call: Call) -> Result<Value, Report> {
    delete(call, call.text(2)?.map(Expected::Text))
}

/// `raceguard.compare_and_delete(target, pk, expected bigint, token) -> jsonb`: [`compare_and_delete`] for versions that
/// arrive as numbers; a version that is a timestamp is 22023 here.
fn compare_and_delete_number(call: Call) -> Result<Value, Report> {
    delete(call, call.bigint(2).map(Expected::Number))
}

fn swap(call: Call, expected: Option<Expected>) -> Result<Value, Report> {
    connected(|| {
        let table = describe(required(call.oid(0), "target")?)?;
        here(|memory| {
            let key = table.key("pk", required(call.datum(1), "pk")?, memory)?;
            let (token, stated) = token(call.text(4)?, expected, &table)?;
            let changes = required(call.datum(3), "changes")?;
            let (mut set, fields) = table.fields("changes", changes, memory)?;
            leave_version_out(&table, &mut set, fields, &stated)?;
            check_not_empty(&table, &set)?;
            let fixed = leave_fixed_out(&table, &mut set, |_| true);
            let attempt = Attempt {
                table: &table,
                key: &key,
                set: values(fields, &set),
                was: values(fields, &fixed),
                token: Some((stated.value, stated.shown)),
                form: Form { verb: Verb::Update, token, set, was: fixed },
            };
            Ok(Value::Raw(attempt.run()?))
        })
    })
}

fn delete(call: Call, expected: Option<Expected>) -> Result<Value, Report> {
    connected(|| {
        let table = describe(required(call.oid(0), "target")?)?;
        here(|memory| {
            let key = table.key("pk", required(call.datum(1), "pk")?, memory)?;
            let (token, stated) = token(call.text(3)?, expected, &table)?;
            let attempt = Attempt {
                table: &table,
                key: &key,
                set: Vec::new(),
                was: Vec::new(),
                token: Some((stated.value, stated.shown)),
                form: Form { verb: Verb::Delete, token, set: Vec::new(), was: Vec::new() },
            };
            Ok(Value::Raw(attempt.run()?))
        })
    })
}

fn token(
    name: Option<String>,
    expected: Option<Expected>,
    table: &Described,
) -> Result<(Token, StatedVersion), Report> {
    let token = Token::choose(&required(name, "token")?, table)?;
    let expected = expected.ok_or_else(|| nothing_expected(table))?;
    let stated = tokens::read(expected, token, table)?;
    Ok((token, stated))
}

/// 22004: a client that does not say what it has read is refused, not let win.
fn nothing_expected(table: &Described) -> Report {
    Report::error(errors::NULL_NOT_ALLOWED, format_args!("argument \"expected\" must not be NULL"))
        .detail(format_args!(
            "Without the version that was read, a change of \"{}\" could undo another.",
            table.name
        ))
        .hint(format_args!("Send back the version that came with the row when it was read."))
        .table(table.oid)
}

/// A client that sends the whole row back sends its version too: that is fine as long as it is the
/// stated one. The version itself is the guard's to write.
fn leave_version_out(
    table: &Described,
    set: &mut Vec<i16>,
    fields: Fields,
    stated: &StatedVersion,
) -> Result<(), Report> {
    let Some(guard) = &table.guard else {
        return Ok(());
    };
    let Some(at) = set.iter().position(|attno| *attno == guard.attno) else {
        return Ok(());
    };
    let sent = fields.get(guard.attno).map(|value| guard.kind.read(value));
    if sent.is_none() || sent != stated.number {
        return Err(version_in_changes(table, &guard.column));
    }
    set.remove(at);
    Ok(())
}

/// Takes the columns that no UPDATE can set, and of which `is_unchanged` says so, out of the changes,
/// unless nothing else is left of them. What stays is Postgres's to refuse, with 428C9.
pub fn leave_fixed_out(
    table: &Described,
    set: &mut Vec<i16>,
    is_unchanged: impl Fn(i16) -> bool,
) -> Vec<i16> {
    let (fixed, rest): (Vec<i16>, Vec<i16>) =
        set.iter().partition(|attno| !table.is_writable(**attno) && is_unchanged(**attno));
    if rest.is_empty() {
        return Vec::new();
    }
    *set = rest;
    fixed
}

/// 22023: the version column is not the client's to write.
pub fn version_in_changes(table: &Described, column: &str) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("version column \"{column}\" cannot be among the changes"),
    )
    .detail(format_args!(
        "The guard of table \"{}\" moves it on by itself.",
        table.name
    ))
    .hint(format_args!(
        "Leave it out; state the version that was read in argument \"expected\" of raceguard.compare_and_swap."
    ))
    .table(table.oid)
    .column(column)
}

/// 22023: nothing to write.
pub fn check_not_empty(table: &Described, set: &[i16]) -> Result<(), Report> {
    if !set.is_empty() {
        return Ok(());
    }
    Err(Report::error(errors::INVALID_PARAMETER, format_args!("argument \"changes\" is empty"))
        .detail(format_args!("It must name at least one column to write."))
        .hint(format_args!("To check a version without writing, read the row and compare."))
        .table(table.oid))
}

/// Values of the columns `attnos`, in their order.
pub fn values(fields: Fields, attnos: &[i16]) -> Vec<Option<Datum>> {
    attnos.iter().map(|attno| fields.get(*attno)).collect()
}
