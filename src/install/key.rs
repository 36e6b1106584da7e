//! Keys as `add_*` takes them: checked, and written the way a trigger's arguments hold them.

use super::target::Target;
use crate::errors;
use crate::pg::error::{catch, Report};
use crate::pg::key::{self, bare, Key};
use crate::pg::relation::Table;

/// What Postgres's parser says, told of the argument: its position counts in a text that the
/// client has not sent.
fn about_the_argument(report: Report, what: &str, text: &str) -> Report {
    let mut report = report.without_position();
    if report.detail_text().is_empty() {
        report = report.detail(format_args!("The {what} is \"{text}\"."));
    }
    if report.hint_text().is_empty() {
        report = report.hint(format_args!(
            "Write the {what} as in CREATE INDEX: names with upper-case letters in double quotes, an expression that is not a function call in parentheses."
        ));
    }
    report
}

/// The canonical text of a key, every name outside pg_catalog qualified. Call it outside
/// `pinned_search_path`: the names in `text` are the caller's.
pub fn canonical_key(
    target: &Target,
    text: &str,
    accept: impl FnOnce(Table, &Key) -> Result<(), Report>,
) -> Result<String, Report> {
    canonical(target, "key", text, text, accept)
}

/// `shown` is the argument as the caller wrote it.
fn canonical(
    target: &Target,
    what: &str,
    shown: &str,
    text: &str,
    accept: impl FnOnce(Table, &Key) -> Result<(), Report>,
) -> Result<String, Report> {
    let oid = target.oid;
    let canonical = catch(|| key::canonical(oid, text, accept))
        .and_then(|outcome| outcome)
        .map_err(|report| about_the_argument(report, what, shown))?;
    Ok(canonical.as_str().to_owned())
}

/// The predicate in canonical form; it has to be an IMMUTABLE boolean. Call it like
/// [`canonical_key`].
pub fn canonical_predicate(target: &Target, predicate: &str) -> Result<String, Report> {
    let text = format!("({predicate})");
    let text =
        canonical(target, "predicate", predicate, &text, |table, key| match key.is_condition() {
            true => Ok(()),
            false => Err(Report::error(
                errors::DATATYPE_MISMATCH,
                format_args!("argument \"predicate\" must be a boolean expression"),
            )
            .detail(format_args!("It says which rows of \"{}\" the guard counts.", table.name()))
            .hint(format_args!("For example predicate => 'highlighted'."))),
        })?;
    Ok(bare(&text).to_owned())
}
