//! Keys as `add_*` takes them: checked, and written the way a trigger's arguments hold them.

use crate::errors;
use crate::guard::target::Target;
use crate::pg::error::{catch, Report};
use crate::pg::key::{self, bare, with_pinned_text, Key};
use crate::pg::memory::here;
use crate::pg::open_table::{glance, no_table};
use crate::pg::owner::acting_as;
use crate::pg::relation::Table;
use crate::pg::spi::in_subtransaction;
use pgrx::pg_sys::Oid;

/// Whether a text was refused because it asks for the present time.
fn is_about_the_clock(report: &Report) -> bool {
    const CLOCKS: [&str; 7] = [
        "now()",
        "CURRENT_TIMESTAMP",
        "CURRENT_DATE",
        "LOCALTIMESTAMP",
        "clock_timestamp()",
        "statement_timestamp()",
        "transaction_timestamp()",
    ];
    report.is(errors::INVALID_OBJECT_DEFINITION)
        && CLOCKS.iter().any(|clock| report.detail_text().contains(clock))
}

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

/// The canonical text of one expression over a table's columns, given in the argument `what`. As [`canonical_key`].
pub fn canonical_expression(
    target: &Target,
    what: &str,
    text: &str,
    accept: impl FnOnce(Table, &Key) -> Result<(), Report>,
) -> Result<String, Report> {
    let canonical = canonical(target, what, text, &format!("({text})"), accept)?;
    Ok(bare(&canonical).to_owned())
}

/// `shown` is the argument as the caller wrote it. Names mean what they mean to the caller; what is constant is evaluated
/// with the rights of the table's owner, who may have written functions and casts that the caller never named.
fn canonical(
    target: &Target,
    what: &str,
    shown: &str,
    text: &str,
    accept: impl FnOnce(Table, &Key) -> Result<(), Report>,
) -> Result<String, Report> {
    let canonical = glance(target.oid, |table| {
        here(|memory| {
            let parsed =
                catch(|| key::understand(table, text, memory)).and_then(|parsed| parsed)?;
            acting_as(table.owner(), || {
                catch(|| {
                    parsed.check(table)?;
                    accept(table, &parsed.compile(table))
                })
                .and_then(|accepted| accepted)
            })?;
            catch(|| with_pinned_text(|| parsed.canonical(table)))
        })
    })
    .map_err(|report| about_the_argument(report, what, shown))?;
    canonical.map(|text| text.as_str().to_owned()).ok_or_else(|| no_table(target.oid))
}

/// What Postgres makes of a key today that a guard or index has had before: the same form as
/// [`canonical_key`] gives, so that the two can be compared. A text that cannot be read any more, of
/// a renamed column for one, stays as it is. Runs nothing of the table owner's, who may have written it by hand. Call
/// it inside `pinned_search_path`.
pub fn recanonical_key(table: Oid, text: &str) -> Result<String, Report> {
    let canonical = in_subtransaction(|| {
        glance(table, |table| catch(|| key::recanonical(table, text)).and_then(|read| read))
    })?;
    match canonical {
        Ok(Some(canonical)) => Ok(canonical.as_str().to_owned()),
        Ok(None) => Ok(text.to_owned()),
        Err(report) if is_of_names(&report) => Ok(text.to_owned()),
        Err(report) => Err(report),
    }
}

/// Whether something that a text names is not there, or is another thing: its schema may be gone too.
fn is_of_names(report: &Report) -> bool {
    report.is_in_class(b"42") || report.is_in_class(b"3F")
}

/// The same of a predicate.
pub fn recanonical_predicate(table: Oid, text: &str) -> Result<String, Report> {
    Ok(bare(&recanonical_key(table, &format!("({text})"))?).to_owned())
}

/// Why a guard can no longer read the text of its key, or of its predicate in parentheses: a column or function
/// may be gone, or have another type. Runs nothing of the table owner's, and looks names up with his rights, not
/// with those of whoever looks at the guard. Call it inside `pinned_search_path`.
pub fn unreadable(table: Oid, text: &str) -> Result<Option<String>, Report> {
    Ok(type_of(table, text)?.err())
}

/// The type of a key of one part, `None` of one with several; the inner error is why it is [`unreadable`].
pub fn type_of(table: Oid, text: &str) -> Result<Result<Option<Oid>, String>, Report> {
    let outcome = in_subtransaction(|| {
        glance(table, |table| {
            acting_as(table.owner(), || {
                let read = || {
                    here(|memory| {
                        let parsed = || key::understand(table, text, memory);
                        with_pinned_text(|| parsed().map(|parsed| parsed.single_type(table)))
                    })
                };
                catch(read).and_then(|read| read)
            })
        })
    })?;
    match outcome {
        Ok(type_oid) => Ok(Ok(type_oid.flatten())),
        Err(report) if is_of_names(&report) || report.is_in_class(b"22") => {
            Ok(Err(report.message_text().to_owned()))
        }
        Err(report) if report.is(errors::UNSUPPORTED) => Ok(Err(report.message_text().to_owned())),
        Err(report) => Err(report),
    }
}

/// A key, or a predicate in parentheses, after a column was renamed: as Postgres writes it now. One that does not name
/// the column stays as it is, and so does one that cannot be read under either name. Call it like [`unreadable`].
pub fn after_rename(table: Oid, text: &str, attno: i16, old: &str) -> Result<String, Report> {
    if unreadable(table, text)?.is_none() {
        return Ok(text.to_owned());
    }
    let outcome = in_subtransaction(|| {
        glance(table, |table| {
            acting_as(table.owner(), || {
                catch(|| key::with_former_name(table, text, attno, old)).and_then(|read| read)
            })
        })
    })?;
    match outcome {
        Ok(Some(renamed)) => Ok(renamed.as_str().to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// The predicate in canonical form; it has to be an IMMUTABLE boolean. Call it like
/// [`canonical_key`].
pub fn canonical_predicate(target: &Target, predicate: &str) -> Result<String, Report> {
    let text = format!("({predicate})");
    let canonical =
        canonical(target, "predicate", predicate, &text, |table, key| match key.is_condition() {
            true => Ok(()),
            false => Err(Report::error(
                errors::DATATYPE_MISMATCH,
                format_args!("argument \"predicate\" must be a boolean expression"),
            )
            .detail(format_args!("It says which rows of \"{}\" the guard counts.", table.name()))
            .hint(format_args!("For example predicate => 'highlighted'."))),
        });
    let canonical = canonical.map_err(|report| match is_about_the_clock(&report) {
        true => report.hint(format_args!(
            "No row is written when its time has come, so no guard can let it go then. Leave the condition out, and delete or update the ended rows of the key before the INSERT, in the same transaction."
        )),
        false => report,
    })?;
    Ok(bare(&canonical).to_owned())
}
