//! `auto_guard`: tables get a guard when they are created.
//!
//! As a guard is a trigger, this is an event trigger. An event trigger takes no arguments, so each has a
//! function of its own, whose body holds nothing but a call with them: pg_dump carries both.

use crate::errors;
use crate::guard::arguments::{identifier, literal, required, LONGEST_NAME};
use crate::operate::rollout::options::Wish;
use crate::operate::rollout::tables::refuse_unknown;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::jsonb::Json;
use crate::pg::memory::here;
use crate::pg::spi::{connected, one, pinned_search_path, run, Param};
use crate::pg::text::Abridged;

function_entry!(raceguard_auto_guard, crate::operate::rollout::auto_guard::auto_guard);
function_entry!(raceguard_drop_auto_guard, crate::operate::rollout::auto_guard::drop_auto_guard);

/// An event trigger that adds guards.
pub struct AutoGuard {
    kind: String,
    pub schema: Option<String>,
    pub column: Option<String>,
}

/// `raceguard.auto_guard(kind, options, schema, where_column) -> text`: from now on every table that is created in
/// `schema`, in any schema if NULL, and has the column, if one is named, gets a guard by an event trigger, whose name
/// is returned. Serves the schema whose next table would be forgotten.
///
/// Raises 22023 for an unknown kind or option or a value of the wrong type, 42501 unless the caller may create event
/// triggers, 42710 where one stands with other options, 3F000, 22004.
fn auto_guard(call: Call) -> Result<Value, Report> {
    connected(|| {
        let options = call.plain(1)?;
        Wish::read(call.text(0)?, options)?;
        let auto = AutoGuard {
            kind: required(call.text(0)?, "kind")?,
            ..AutoGuard::read_places(call, 2)?
        };
        if let Some(schema) = &auto.schema {
            pinned_search_path(|| refuse_unknown(schema))?;
        }
        let options = required(options, "options")?;
        let options = here(|memory| Json::of(options, memory)?.text())?;
        let (name, body) = (auto.name()?, auto.body(options.as_str()));
        if !pinned_search_path(|| stands(&name, &body))? {
            // With the caller's search_path, which the names in the options count on.
            create(&name, &body).map_err(explained)?;
            tell(
                Level::Notice,
                format_args!(
                    "event trigger \"{name}\" adds a guard of kind \"{}\" to new tables",
                    auto.kind
                ),
                None,
            );
        }
        Ok(Value::Text(name))
    })
}

/// `raceguard.drop_auto_guard(kind, schema, where_column)`: takes the event trigger away again. Guards that it has
/// added stay.
///
/// Raises 42704 with the event triggers there are, 42501 unless the caller owns it, 22004.
fn drop_auto_guard(call: Call) -> Result<Value, Report> {
    connected(|| {
        let kind = required(call.text(0)?, "kind")?;
        let auto = AutoGuard { kind, ..AutoGuard::read_places(call, 1)? };
        let name = auto.name()?;
        pinned_search_path(|| {
            // A name that was cut short may be that of another.
            if !source(&name)?.is_some_and(|standing| auto.is_for_same(&standing)) {
                return Err(none_of(&name)?);
            }
            run(&format!("DROP EVENT TRIGGER {}", identifier(&name)), &[])?;
            run(&format!("DROP FUNCTION raceguard.{}()", identifier(&name)), &[])?;
            Ok(Value::Void)
        })
    })
}

impl AutoGuard {
    /// What the function of an event trigger passes.
    pub fn read(call: Call) -> Result<AutoGuard, Report> {
        Ok(AutoGuard { kind: required(call.text(0)?, "kind")?, ..AutoGuard::read_places(call, 2)? })
    }

    /// Schema and column, in arguments `n` and `n + 1`.
    fn read_places(call: Call, n: usize) -> Result<AutoGuard, Report> {
        Ok(AutoGuard { kind: String::new(), schema: call.name(n)?, column: call.name(n + 1)? })
    }

    /// The name of the event trigger and of its function: `raceguard_auto_kind_schema.column`.
    pub fn name(&self) -> Result<String, Report> {
        let quoted = |name: &String| match name.contains(['.', '"']) {
            true => identifier(name),
            false => name.clone(),
        };
        let schema = self.schema.as_ref().map(|name| format!("_{}", quoted(name)));
        let column = self.column.as_ref().map(|name| format!(".{}", quoted(name)));
        let (schema, column) = (schema.unwrap_or_default(), column.unwrap_or_default());
        let name = format!("raceguard_auto_{}{schema}{column}", self.kind);
        if name.len() <= LONGEST_NAME {
            return Ok(name);
        }
        let digest: String =
            one("SELECT pg_catalog.md5($1)", &[Param::Text(&name)])?.unwrap_or_default();
        let mut end = LONGEST_NAME - 9;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        Ok(format!("{}_{}", &name[..end], digest.get(..8).unwrap_or_default()))
    }

    /// What the function does. With the types of the arguments no other function of that name is meant.
    fn body(&self, options: &str) -> String {
        let (of_kind, for_places) = self.ends_of_body();
        format!("{of_kind}{}::pg_catalog.jsonb{for_places}", literal(options))
    }

    /// What stands before and after the options.
    fn ends_of_body(&self) -> (String, String) {
        let or_null = |name: &Option<String>| name.as_deref().map_or("NULL".to_owned(), literal);
        let kind = literal(&self.kind);
        let (schema, column) = (or_null(&self.schema), or_null(&self.column));
        (
            format!("BEGIN PERFORM raceguard.guard_new_tables({kind}::pg_catalog.text, "),
            format!(", {schema}::pg_catalog.name, {column}::pg_catalog.name); END"),
        )
    }

    /// Whether a function's body is that of the same kind, schema and column, whatever the options.
    fn is_for_same(&self, body: &str) -> bool {
        let (of_kind, for_places) = self.ends_of_body();
        body.starts_with(&of_kind) && body.ends_with(&for_places)
    }
}

/// The body of an event trigger's function; `None` if there is no event trigger of that name.
fn source(name: &str) -> Result<Option<String>, Report> {
    one(
        "SELECT p.prosrc FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid WHERE e.evtname = $1::name",
        &[Param::Text(name)],
    )
}

/// Whether the event trigger stands as it is wanted; one that is switched off is switched on. 42710 for another.
fn stands(name: &str, body: &str) -> Result<bool, Report> {
    let Some(standing) = source(name)? else { return Ok(false) };
    if standing != body {
        return Err(Report::error(
            errors::DUPLICATE_OBJECT,
            format_args!("event trigger \"{name}\" already exists with other options"),
        )
        .detail(format_args!(
            "Its function is {}; asked for was {}.",
            Abridged(&standing),
            Abridged(body)
        ))
        .hint(format_args!("Take it away first with raceguard.drop_auto_guard.")));
    }
    let off: Option<bool> = one(
        "SELECT evtenabled NOT IN ('O', 'A') FROM pg_event_trigger WHERE evtname = $1::name",
        &[Param::Text(name)],
    )?;
    if off == Some(true) {
        run(&format!("ALTER EVENT TRIGGER {} ENABLE", identifier(name)), &[])?;
        let hint = Some(format_args!(
            "Tables created meanwhile have no guard: CALL raceguard.add_guards."
        ));
        tell(
            Level::Warning,
            format_args!("event trigger \"{name}\" was disabled and is enabled again"),
            hint,
        );
    } else {
        tell(
            Level::Notice,
            format_args!(
                "event trigger \"{name}\" already exists with the same options, nothing to do"
            ),
            None,
        );
    }
    Ok(true)
}

fn create(name: &str, body: &str) -> Result<(), Report> {
    let quoted = identifier(name);
    run(
        &format!(
            "CREATE FUNCTION raceguard.{quoted}() RETURNS pg_catalog.event_trigger \
             LANGUAGE plpgsql SET search_path FROM CURRENT AS {}",
            literal(body)
        ),
        &[],
    )?;
    // DROP EXTENSION takes the function along, and is refused while the event trigger stands.
    run(&format!("ALTER FUNCTION raceguard.{quoted}() DEPENDS ON EXTENSION raceguard"), &[])?;
    run(
        &format!(
            "CREATE EVENT TRIGGER {quoted} ON ddl_command_end \
             WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA') \
             EXECUTE FUNCTION raceguard.{quoted}()"
        ),
        &[],
    )?;
    Ok(())
}

/// The first statement that is refused need not be the one that the caller lacks the right for.
fn explained(cause: Report) -> Report {
    if !cause.is(errors::INSUFFICIENT_PRIVILEGE) {
        return cause;
    }
    Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!("permission denied to add guards to new tables"),
    )
    .detail(format_args!("It takes an event trigger: {}.", cause.message_text()))
    .hint(format_args!("Call raceguard.auto_guard as a superuser."))
}

fn none_of(name: &str) -> Result<Report, Report> {
    let standing: Option<String> = one(
        "SELECT string_agg(quote_ident(e.evtname), ', ' ORDER BY e.evtname) \
         FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid \
         WHERE p.pronamespace = 'raceguard'::regnamespace AND starts_with(p.prosrc, 'BEGIN PERFORM')",
        &[],
    )?;
    let report = Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("event trigger \"{name}\" does not exist"),
    );
    Ok(match standing {
        Some(names) => report.detail(format_args!("Those of raceguard.auto_guard are {names}.")),
        None => report.detail(format_args!("No event trigger of raceguard.auto_guard stands.")),
    }
    .hint(format_args!("Pass kind, schema and where_column as raceguard.auto_guard was called.")))
}
