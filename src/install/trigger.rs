//! Guards as triggers: found, compared with what is asked for, created.

use super::arguments::{identifier, literal, LONGEST_NAME};
use super::target::Target;
use crate::errors;
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{run, Param};
pub use crate::pg::trigger::PREFIX;

/// A guard's trigger as it stands on the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Existing {
    pub trigger: String,
    pub function: String,
    pub arguments: Vec<String>,
}

/// What the owner asked for.
pub struct Wanted<'a> {
    /// The guard's name: the trigger is named after it.
    pub guard: &'a str,
    /// The trigger function, without schema.
    pub function: &'a str,
    pub arguments: Vec<String>,
}

/// What to do about a guard that may already stand.
#[derive(Debug, PartialEq)]
pub enum Plan {
    Create,
    /// The same guard stands already: nothing to do.
    Keep(String),
    /// Another one stands and may be replaced.
    Replace(Existing),
}

/// The trigger's name for a guard's name, or 42622 if it does not fit.
pub fn trigger_name(guard: &str, suffix: &str) -> Result<String, Report> {
    let name = format!("{PREFIX}{guard}{suffix}");
    if guard.is_empty() || name.len() > LONGEST_NAME {
        return Err(Report::error(
            errors::NAME_TOO_LONG,
            format_args!("guard name \"{guard}\" is empty or too long"),
        )
        .detail(format_args!(
            "The trigger would be named \"{name}\"; Postgres keeps {LONGEST_NAME} bytes."
        ))
        .hint(format_args!("Choose another name with guard => '...'.")));
    }
    Ok(name)
}

/// The guards of a function on a table, by trigger name; clones on partitions are left out.
pub fn existing(target: &Target, function: &str) -> Result<Vec<Existing>, Report> {
    let rows = run(
        "SELECT t.tgname, p.proname, encode(t.tgargs, 'hex') \
         FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
         JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND n.nspname = 'raceguard' AND p.proname = $2::name \
         ORDER BY t.tgname",
        &[Param::Oid(target.oid), Param::Text(function)],
    )?;
    Ok(rows
        .into_iter()
        .map(|row| Existing {
            trigger: row[0].clone().unwrap_or_default(),
            function: row[1].clone().unwrap_or_default(),
            arguments: decode_arguments(row[2].as_deref().unwrap_or_default()),
        })
        .collect())
}

/// The arguments in `pg_trigger.tgargs`: strings that each end in a zero byte, here in hex.
pub fn decode_arguments(hex: &str) -> Vec<String> {
    let digits = hex.as_bytes().chunks_exact(2);
    let bytes: Vec<u8> = digits
        .filter_map(|pair| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let mut arguments: Vec<String> =
        bytes.split(|b| *b == 0).map(|a| String::from_utf8_lossy(a).into_owned()).collect();
    arguments.pop();
    arguments
}

/// Compares the guard that stands, if any, with the wanted one.
///
/// Re-running a migration must never loosen a guard: a difference is 42710 unless `replace`.
pub fn plan(
    target: &Target,
    standing: Option<Existing>,
    wanted: &Wanted,
    replace: bool,
) -> Result<Plan, Report> {
    let Some(standing) = standing else {
        return Ok(Plan::Create);
    };
    if same_arguments(&standing.arguments, &wanted.arguments) {
        tell(
            Level::Notice,
            format_args!(
                "guard \"{}\" on table \"{}\" already exists with the same definition, nothing to do",
                wanted.guard, target.name
            ),
            None,
        );
        return Ok(Plan::Keep(standing.trigger));
    }
    if replace {
        return Ok(Plan::Replace(standing));
    }
    Err(Report::error(
        errors::DUPLICATE_OBJECT,
        format_args!(
            "guard \"{}\" on table \"{}\" already exists with another definition",
            wanted.guard, target.name
        ),
    )
    .detail(format_args!(
        "It is {}({}); asked for was {}({}).",
        standing.function,
        list(&standing.arguments),
        wanted.function,
        list(&wanted.arguments)
    ))
    .hint(format_args!("Pass replace => true to change it."))
    .table(target.oid)
    .constraint(&standing.trigger))
}

/// The first argument counts by position, options in any order.
pub fn same_arguments(a: &[String], b: &[String]) -> bool {
    let sorted = |arguments: &[String]| {
        let mut options: Vec<String> = arguments.iter().skip(1).cloned().collect();
        options.sort();
        options
    };
    a.first() == b.first() && sorted(a) == sorted(b)
}

fn list(arguments: &[String]) -> String {
    arguments.iter().map(|a| literal(a)).collect::<Vec<_>>().join(", ")
}

/// Creates a trigger: `events` is the part between the name and ON, `when` an optional condition.
pub fn create(
    target: &Target,
    name: &str,
    events: &str,
    when: Option<&str>,
    function: &str,
    arguments: &[String],
) -> Result<(), Report> {
    run(&statement(target, name, events, when, function, arguments), &[])?;
    Ok(())
}

/// The statement that creates a trigger, with arguments as in [`create`].
pub fn statement(
    target: &Target,
    name: &str,
    events: &str,
    when: Option<&str>,
    function: &str,
    arguments: &[String],
) -> String {
    let when = when.map(|w| format!(" WHEN ({w})")).unwrap_or_default();
    format!(
        "CREATE TRIGGER {} {events} ON {} FOR EACH ROW{when} EXECUTE FUNCTION raceguard.{function}({})",
        identifier(name),
        target.qualified,
        list(arguments)
    )
}

/// Drops a trigger.
pub fn drop(target: &Target, name: &str) -> Result<(), Report> {
    run(&format!("DROP TRIGGER {} ON {}", identifier(name), target.qualified), &[])?;
    Ok(())
}

/// Warns of triggers that fire after the guard and could change the row it has judged.
pub fn warn_of_later_triggers(target: &Target, name: &str) -> Result<(), Report> {
    let rows = run(
        "SELECT string_agg(quote_ident(tgname), ', ' ORDER BY tgname) FROM pg_trigger \
         WHERE tgrelid = $1 AND NOT tgisinternal AND tgname > $2::name \
         AND (tgtype & 1) <> 0 AND (tgtype & 2) <> 0 AND tgname NOT LIKE 'zz\\_raceguard\\_%'",
        &[Param::Oid(target.oid), Param::Text(name)],
    )?;
    if let Some(later) = rows.first().and_then(|r| r[0].clone()) {
        tell(
            Level::Notice,
            format_args!("triggers {later} on table \"{}\" fire after guard \"{name}\"", target.name),
            Some(format_args!(
                "Postgres fires triggers in name order; what these change, the guard does not see. Rename them to sort before it."
            )),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arguments_survive_the_catalog(arguments in proptest::collection::vec("[^\\x00]*", 0..5)) {
            let bytes: String =
                arguments.iter().map(|a| format!("{a}\0")).collect();
            let hex: String = bytes.bytes().map(|b| format!("{b:02x}")).collect();
            prop_assert_eq!(decode_arguments(&hex), arguments);
        }
    }

    #[test]
    fn options_compare_in_any_order() {
        let of = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        assert!(same_arguments(&of(&["v", "a=1", "b=2"]), &of(&["v", "b=2", "a=1"])));
        assert!(!same_arguments(&of(&["v", "a=1"]), &of(&["w", "a=1"])));
        assert!(!same_arguments(&of(&["v"]), &of(&["v", "a=1"])));
    }
}
