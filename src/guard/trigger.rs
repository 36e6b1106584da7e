//! Guards as triggers: found and created.

use crate::errors;
use crate::guard::arguments::{identifier, literal, LONGEST_NAME};
use crate::guard::attachment::Attachment;
use crate::guard::target::Target;
use crate::pg::error::{catch, tell, Level, Report};
use crate::pg::memory;
use crate::pg::result_row::{ResultRow, Rows};
use crate::pg::spi::{one, run, Param};
use crate::pg::statement::run_kept;
use crate::pg::text::Abridged;
use crate::pg::trigger::LONGEST_ARGUMENTS;
pub use crate::pg::trigger::PREFIX;
use crate::pg::trigger_shape::Shape;
use pgrx::pg_sys::Oid;

/// A guard's trigger as it stands on the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Existing {
    pub table: Oid,
    /// `schema.table`, quoted where it has to be.
    pub qualified: String,
    pub trigger: String,
    pub function: String,
    pub arguments: Vec<String>,
    pub shape: Shape,
    /// DEFERRABLE INITIALLY DEFERRED.
    pub deferred: bool,
    /// Whether it fires for replicated rows too.
    pub always: bool,
    /// The statements that let it and its clones on partitions fire for those, where they do.
    pub always_on: Vec<String>,
    /// The statements that enable it and its clones on partitions where ordinary sessions pass it.
    pub off: Vec<String>,
}

impl Existing {
    /// A row of what [`select`] selects.
    fn read(row: &ResultRow) -> Result<Existing, Report> {
        let arguments: Option<&str> = row.get(2)?;
        let statements = |column: usize| {
            let list = row.get::<Option<&str>>(column)?;
            Ok(list.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default())
        };
        Ok(Existing {
            table: row.get(9)?,
            qualified: row.get(10)?,
            trigger: row.get(0)?,
            function: row.get(1)?,
            arguments: decode_arguments(arguments.unwrap_or_default())?,
            shape: Shape { kind: row.get(3)?, columns: row.get(4)?, condition: row.get(5)? },
            deferred: row.get(6)?,
            always: row.get(7)?,
            always_on: statements(11)?,
            off: statements(8)?,
        })
    }

    /// The guard's name.
    pub fn guard(&self) -> &str {
        self.trigger.strip_prefix(PREFIX).unwrap_or(&self.trigger)
    }

    /// Whether no write passes it unseen.
    pub fn is_sound(&self, attachment: &Attachment) -> bool {
        attachment.fits(self.shape) && self.off.is_empty()
    }
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
    existing_on(target.oid, function)
}

/// [`existing`] on a table given by its OID.
pub fn existing_on(table: Oid, function: &str) -> Result<Vec<Existing>, Report> {
    let sql = select("t.tgrelid = $1 AND p.proname = $2::name");
    read(&run_kept(sql, &[Param::Oid(table), Param::Text(function)])?)
}

/// Whether a table has a trigger of that function.
pub fn stands(table: Oid, function: &str) -> Result<bool, Report> {
    let rows = run_kept(
        "SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
         JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE t.tgrelid = $1 AND p.proname = $2::name AND n.nspname = 'raceguard' LIMIT 1",
        &[Param::Oid(table), Param::Text(function)],
    )?;
    Ok(!rows.is_empty())
}

/// The trigger of that OID, if it is one of raceguard's.
pub fn of_oid(trigger: Oid) -> Result<Option<Existing>, Report> {
    let found = read(&run_kept(select("t.oid = $1"), &[Param::Oid(trigger)])?)?;
    Ok(found.into_iter().next())
}

/// The triggers of one function on tables where no trigger of another stands; clones are left out.
pub fn without(table: Option<Oid>, function: &str, absent: &str) -> Result<Vec<Existing>, Report> {
    let sql = select(
        "t.tgparentid = 0 AND p.proname = $2::name AND ($1::oid = 0 OR t.tgrelid = $1) \
         AND NOT EXISTS (SELECT FROM pg_trigger o JOIN pg_proc q ON q.oid = o.tgfoid \
                         WHERE o.tgrelid = t.tgrelid AND q.pronamespace = p.pronamespace AND q.proname = $3::name)",
    );
    let table = Param::Oid(table.unwrap_or(Oid::INVALID));
    read(&run_kept(sql, &[table, Param::Text(function), Param::Text(absent)])?)
}

/// The triggers of one function on tables with a foreign key to a parent; clones are left out.
pub fn referring(parent: Oid, function: &str) -> Result<Vec<Existing>, Report> {
    let sql = select(
        "t.tgparentid = 0 AND p.proname = $2::name \
         AND t.tgrelid IN (SELECT conrelid FROM pg_constraint WHERE confrelid = $1 AND contype = 'f')",
    );
    read(&run_kept(sql, &[Param::Oid(parent), Param::Text(function)])?)
}

/// The guards of all tables, or of one, whatever their kind; clones on partitions are left out.
pub fn all(table: Option<Oid>) -> Result<Vec<Existing>, Report> {
    let sql = select("t.tgparentid = 0 AND ($1::oid = 0 OR t.tgrelid = $1)");
    read(&run_kept(sql, &[Param::Oid(table.unwrap_or(Oid::INVALID))])?)
}

/// What [`read`] reads of the triggers for which a condition on trigger `t` and function `p` holds.
fn select(condition: &str) -> String {
    format!(
        "WITH RECURSIVE guard AS ( \
           SELECT t.*, p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
           JOIN pg_namespace n ON n.oid = p.pronamespace \
           WHERE NOT t.tgisinternal AND n.nspname = 'raceguard' AND {condition} \
         ), clone(guard, oid, tgrelid, tgname, tgenabled) AS ( \
           SELECT oid, oid, tgrelid, tgname, tgenabled FROM guard \
           UNION ALL SELECT c.guard, t.oid, t.tgrelid, t.tgname, t.tgenabled \
           FROM clone c JOIN pg_inherits i ON i.inhparent = c.tgrelid \
                JOIN pg_trigger t ON t.tgrelid = i.inhrelid AND t.tgparentid = c.oid) \
         SELECT g.tgname, g.proname, {arguments}, g.tgtype, g.tgattr::text <> '', \
                g.tgqual IS NOT NULL, g.tginitdeferred, g.tgenabled = 'A', \
                o.off, g.tgrelid, g.tgrelid::regclass, o.always \
         FROM guard g LEFT JOIN \
              (SELECT c.guard, {off} AS off, {always} AS always \
               FROM clone c WHERE c.tgenabled <> 'O' GROUP BY c.guard) o ON o.guard = g.oid \
         ORDER BY g.tgname, g.tgrelid::regclass::text",
        arguments = arguments_in_hex(),
        off = enabling("ENABLE", "c.tgenabled <> 'A'"),
        always = enabling("ENABLE ALWAYS", "c.tgenabled = 'A'")
    )
}

/// The statements that enable the clones `c` of a trigger for which a condition holds.
fn enabling(how: &str, condition: &str) -> String {
    format!(
        "json_agg(format('ALTER TABLE ONLY %s {how} TRIGGER %I', c.tgrelid::regclass, c.tgname) \
                  ORDER BY c.tgrelid) FILTER (WHERE {condition})"
    )
}

fn read(rows: &Rows) -> Result<Vec<Existing>, Report> {
    rows.iter().map(Existing::read).collect()
}

/// The triggers of raceguard's functions on a table that have one of two names, on a shard what Citus has made of them there;
/// the second by name order first.
pub fn named(target: &Target, names: [&str; 2]) -> Result<Vec<Existing>, Report> {
    let [first, second] = names;
    let sql = select("t.tgrelid = $1 AND (t.tgname IN ($2::name, $3::name) OR $4 = 1)");
    let all = i64::from(target.place.is_some_and(|place| place.is_piece));
    let params = [Param::Oid(target.oid), Param::Text(first), Param::Text(second), Param::Int(all)];
    let mut named = Vec::new();
    for found in read(&run(&sql, &params)?)? {
        if has_name(target, &found.trigger, first)? || has_name(target, &found.trigger, second)? {
            named.push(found);
        }
    }
    named.reverse();
    Ok(named)
}

/// Whether a trigger of a table has a name, on a shard the one that Citus has made of it there.
pub fn has_name(target: &Target, trigger: &str, name: &str) -> Result<bool, Report> {
    match target.place.filter(|place| place.is_piece && trigger != name) {
        Some(place) => catch(|| place.is_same(trigger, name)),
        None => Ok(trigger == name),
    }
}

/// Whether a table has a trigger of that name.
pub fn exists(target: &Target, name: &str) -> Result<bool, Report> {
    let rows = run(
        "SELECT FROM pg_trigger WHERE tgrelid = $1 AND tgname = $2::name",
        &[Param::Oid(target.oid), Param::Text(name)],
    )?;
    Ok(!rows.is_empty())
}

/// What [`decode_arguments`] takes, of trigger `g`: its arguments in hex, or NULL where they are longer than
/// a guard's may be.
pub fn arguments_in_hex() -> String {
    format!(
        "CASE WHEN octet_length(g.tgargs) <= {LONGEST_ARGUMENTS} THEN encode(g.tgargs, 'hex') END"
    )
}

/// The arguments in `pg_trigger.tgargs`: strings that each end in a zero byte, here in hex.
pub fn decode_arguments(hex: &str) -> Result<Vec<String>, Report> {
    let mut bytes = Vec::new();
    memory::reserve(&mut bytes, hex.len() / 2)?;
    let digits = hex.as_bytes().chunks_exact(2);
    bytes.extend(
        digits.filter_map(|pair| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()),
    );
    let mut arguments = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(end) = rest.iter().position(|b| *b == 0) {
        memory::push(&mut arguments, memory::own(&String::from_utf8_lossy(&rest[..end]))?)?;
        rest = &rest[end + 1..];
    }
    Ok(arguments)
}

fn list(arguments: &[String]) -> String {
    arguments.iter().map(|a| literal(a)).collect::<Vec<_>>().join(", ")
}

/// The statements that make a trigger as `create` writes it, in the place of the one that stands, if any: readers
/// go on meanwhile, unless that one has another name. It fires for replicated rows where that one did, and in
/// ordinary sessions on every partition.
pub fn put_up(
    target: &Target,
    standing: Option<&Existing>,
    name: &str,
    create: impl Fn(Put) -> String,
) -> Result<Vec<String>, Report> {
    if standing.is_none_or(|standing| standing.trigger != name) {
        refuse_taken(target, name)?;
    }
    Ok(match standing {
        None => vec![create(Put::New)],
        Some(standing) if standing.trigger == name => {
            let mut statements = vec![create(Put::OrReplace)];
            statements.extend(standing.always_on.iter().cloned());
            statements
        }
        Some(standing) => vec![drop_statement(target, &standing.trigger), create(Put::New)],
    })
}

/// 42710: a trigger that is not the guard asked for has its name.
fn refuse_taken(target: &Target, name: &str) -> Result<(), Report> {
    let standing = one::<String>(
        "SELECT pg_get_triggerdef(oid, true) FROM pg_trigger WHERE tgrelid = $1 AND tgname = $2::name",
        &[Param::Oid(target.oid), Param::Text(name)],
    )?;
    let Some(standing) = standing else { return Ok(()) };
    Err(Report::error(
        errors::DUPLICATE_OBJECT,
        format_args!("table \"{}\" has another trigger \"{name}\" already", target.name),
    )
    .detail(format_args!(
        "The guard's trigger has to have that name. It is: {}.",
        Abridged(&standing)
    ))
    .hint(format_args!(
        "Rename it with ALTER TRIGGER ... RENAME TO, or drop it: DROP TRIGGER {} ON {};",
        identifier(name),
        target.qualified
    ))
    .table(target.oid)
    .constraint(name))
}

/// Whether a trigger is new, or stands in the place of one that may be there.
#[derive(Clone, Copy)]
pub enum Put {
    New,
    OrReplace,
}

impl Put {
    /// How the statement begins.
    pub fn words(self) -> &'static str {
        match self {
            Put::New => "CREATE",
            Put::OrReplace => "CREATE OR REPLACE",
        }
    }
}

/// The statement that creates a trigger: `events` is the part between the name and ON.
pub fn statement(
    put: Put,
    target: &Target,
    name: &str,
    events: &str,
    function: &str,
    arguments: &[String],
) -> String {
    format!(
        "{} TRIGGER {} {events} ON {} FOR EACH ROW EXECUTE FUNCTION raceguard.{function}({})",
        put.words(),
        identifier(name),
        target.qualified,
        list(arguments)
    )
}

/// A trigger and its clones on partitions, as `clone`; `$1` is the table, `$2` the trigger's name.
const CLONES: &str = "WITH RECURSIVE clone(oid, tgrelid, tgname, tgenabled) AS ( \
       SELECT oid, tgrelid, tgname, tgenabled FROM pg_trigger WHERE tgrelid = $1 AND tgname = $2::name \
       UNION ALL SELECT t.oid, t.tgrelid, t.tgname, t.tgenabled \
       FROM clone c JOIN pg_trigger t ON t.tgparentid = c.oid)";

/// The OIDs of a trigger and of its clones on partitions.
pub fn with_clones(target: &Target, trigger: &str) -> Result<Vec<Oid>, Report> {
    let params = [Param::Oid(target.oid), Param::Text(trigger)];
    let rows = run(&format!("{CLONES} SELECT oid FROM clone"), &params)?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Gives a standing trigger other arguments; 55000 unless it is attached as it has to be. It keeps its events and, on every
/// partition, the sessions it fires in, which CREATE OR REPLACE TRIGGER sets anew.
pub fn replace_arguments(
    target: &Target,
    standing: &Existing,
    attachment: &Attachment,
    arguments: &[String],
) -> Result<(), Report> {
    let name = &standing.trigger;
    if !attachment.fits(standing.shape) {
        return Err(Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!(
                "trigger \"{name}\" on table \"{}\" is not attached {attachment}",
                target.name
            ),
        )
        .detail(format_args!("Writes would pass it unseen."))
        .hint(format_args!(
            "Call raceguard.add_* with the guard's own definition: it puts it up anew."
        ))
        .table(target.oid)
        .constraint(name));
    }
    let states = run(
        &format!(
            "{CLONES} SELECT format('ALTER TABLE ONLY %s %s TRIGGER %I', tgrelid::regclass, \
                    CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' \
                                   ELSE 'DISABLE' END, tgname) \
             FROM clone WHERE tgenabled <> 'O' ORDER BY tgrelid"
        ),
        &[Param::Oid(target.oid), Param::Text(name)],
    )?;
    target.run(&standing.with(&attachment.with_events_of(standing.shape), arguments))?;
    states.iter().try_for_each(|state| target.run(state.get(0)?))
}

pub const MEANWHILE: &str = "Rows written meanwhile may not have been guarded.";

/// Enables a guard's trigger wherever it is off, and says so: what was written meanwhile was not guarded.
pub fn enable(target: &Target, standing: &Existing) -> Result<(), Report> {
    target.run_all(&standing.off)?;
    tell(
        Level::Warning,
        format_args!(
            "trigger \"{}\" on table \"{}\" was disabled and is enabled again",
            standing.trigger, target.name
        ),
        Some(format_args!("{MEANWHILE}")),
    );
    Ok(())
}

/// Drops a trigger.
pub fn drop(target: &Target, name: &str) -> Result<(), Report> {
    target.run(&drop_statement(target, name))
}

/// The statement that drops a trigger: ACCESS EXCLUSIVE.
pub fn drop_statement(target: &Target, name: &str) -> String {
    format!("DROP TRIGGER {} ON {}", identifier(name), target.qualified)
}

/// Warns of triggers that fire after a guard that judges the row, and could change it.
pub fn warn_of_later_triggers(target: &Target, name: &str) -> Result<(), Report> {
    if let Some(later) = before_triggers(target, ">", name)? {
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

/// The table's own BEFORE row triggers whose names sort before (`<`) or after (`>`) a name, as a list.
pub fn before_triggers(target: &Target, side: &str, name: &str) -> Result<Option<String>, Report> {
    one(
        &format!(
            "SELECT string_agg(format('\"%s\"', tgname), ', ' ORDER BY tgname) \
             FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
             JOIN pg_namespace n ON n.oid = p.pronamespace \
             WHERE tgrelid = $1 AND NOT tgisinternal AND tgname {side} $2::name \
             AND (tgtype & 1) <> 0 AND (tgtype & 2) <> 0 AND n.nspname <> 'raceguard'"
        ),
        &[Param::Oid(target.oid), Param::Text(name)],
    )
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
            prop_assert_eq!(decode_arguments(&hex).ok(), Some(arguments));
        }
    }
}
