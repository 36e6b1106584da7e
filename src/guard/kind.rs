//! What a kind of guard is to the calls that work on guards of every kind.
//!
//! Each guard's folder describes itself by one [`Kind`]; [`crate::registry`] lists them.

use crate::guard::attachment::Attachment;
use crate::guard::finding::Finding;
use crate::guard::outcome::Mode;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::pg::error::Report;
use pgrx::pg_sys::Oid;
use serde_json::{json, Map, Value};
use std::rc::Rc;

/// A kind of guard.
pub struct Kind {
    /// Its name in the view `raceguard.guards`.
    pub name: &'static str,
    /// The trigger function whose trigger is the guard.
    pub function: &'static str,
    /// The functions of the other triggers that a guard may have.
    pub companions: &'static [&'static str],
    /// How CREATE TRIGGER has to attach it.
    pub attachment: &'static Attachment,
    /// What the trigger's first argument is called in the `add_*` call; the others bear their names.
    pub first_argument: &'static str,
    /// The arguments of the `add_*` call that its definition gives, and `guard` where it takes a name.
    pub takes: &'static [&'static str],
    /// What those are that stand in no argument.
    pub defaults: &'static [(&'static str, &'static str)],
    /// The arguments that are true or false.
    pub flags: &'static [&'static str],
    /// The arguments that may stand several times, one value each.
    pub repeated: &'static [&'static str],
    /// What of its definition does not stand in the trigger's arguments, under the names in the `add_*` call.
    pub elsewhere: fn(table: Oid, arguments: &[String]) -> Result<Vec<Named>, Report>,
    /// What is wrong with it beyond its own trigger: an error for what keeps it from its work. Reads catalogs
    /// only: to build the rule would compile the key, and run functions of the table's owner with the
    /// rights of whoever looks.
    pub check: fn(&Inspected) -> Result<Vec<Finding>, Report>,
    /// What is wrong with the rows that stand in its table, which the caller may read.
    pub check_rows: fn(&Target, &Inspected) -> Result<Vec<Finding>, Report>,
    pub modes: Modes,
    pub bypass: Bypassable,
    /// The arguments of one of its triggers after a column or constraint of the table was renamed.
    pub renamed: Renamed,
    /// The other table that taking the guard off changes, too.
    pub removed_from: fn(&Existing) -> Result<Option<Oid>, Report>,
    /// Takes the guard off; its column too if the last argument says so.
    pub remove: fn(&Target, &Existing, drop_column: bool) -> Result<(), Report>,
    /// Takes off what is left of a guard of that name whose own trigger is gone; false if nothing is.
    pub remove_remains: fn(&Target, guard: &str, drop_column: bool) -> Result<bool, Report>,
    /// The guard, by its name, to which a trigger beside its own belongs, given that trigger's name and function, where
    /// the guard may leave more than the trigger.
    pub owner_of: for<'a> fn(trigger: &'a str, function: &str) -> Option<&'a str>,
    /// Whether its guards count on guards of other tables, so that these have to be taken off after them.
    pub counts_on_others: bool,
    /// The functions of triggers that its guards have on other tables, which go when no guard needs them.
    pub on_others: &'static [&'static str],
    /// The functions of its triggers that leave everything as it is when a guard writes its own column of a row, and
    /// nothing else, as [`crate::guard::settling`] tells them.
    pub quiet: &'static [&'static str],
    /// What is left of guards whose own trigger is gone, on one table or on all.
    pub remains: fn(Option<Oid>) -> Result<Vec<Finding>, Report>,
}

/// Trigger arguments of a table after something of it was renamed.
pub type Renamed = fn(table: Oid, arguments: &[String], &Rename) -> Result<Vec<String>, Report>;

/// What ALTER TABLE ... RENAME has renamed.
pub enum Rename<'a> {
    Column {
        attno: i16,
        old: &'a str,
        new: &'a str,
    },
    Constraint {
        old: &'a str,
        new: &'a str,
    },
    /// A column of a table that one of the guard's triggers was made FROM.
    ParentColumn {
        old: &'a str,
        new: &'a str,
    },
}

/// Of a guard whose first argument is a column of its table: its index and its CHECK follow a rename by themselves.
pub fn first_argument_renamed(
    _table: Oid,
    arguments: &[String],
    rename: &Rename,
) -> Result<Vec<String>, Report> {
    let mut arguments = arguments.to_vec();
    if let (Rename::Column { old, new, .. }, Some(first)) = (rename, arguments.first_mut())
        && first == old
    {
        *first = (*new).to_owned();
    }
    Ok(arguments)
}

/// A guard that is being looked at, with its whole definition.
pub struct Inspected {
    pub kind: &'static Kind,
    pub guard: Existing,
    /// Its whole definition, as the view `raceguard.guards` shows it.
    pub definition: Map<String, Value>,
    /// All triggers of raceguard's on its table.
    pub siblings: Rc<Vec<Existing>>,
}

/// How a guard of a kind comes to enforce or to observe.
pub enum Modes {
    /// Under this table lock, by this call on the guard as it then stands.
    Changed { lock: &'static str, change: fn(&Target, &Existing, Mode) -> Result<(), Report> },
    /// It has one mode only, for this reason.
    Fixed(&'static str),
}

/// Whether a transaction may pass guards of a kind.
pub enum Bypassable {
    /// It passes the guard's own trigger, and all others of the table that execute these functions.
    Past(&'static [&'static str]),
    /// It may not, for this reason.
    Never(&'static str),
}

impl Modes {
    /// That of a guard whose triggers say everything.
    pub const fn in_triggers(change: fn(&Target, &Existing, Mode) -> Result<(), Report>) -> Modes {
        Modes::Changed { lock: "SHARE ROW EXCLUSIVE", change }
    }
}

/// Puts another mode into the arguments of a trigger.
pub fn put_mode(
    target: &Target,
    trigger: &Existing,
    attachment: &Attachment,
    mode: Mode,
) -> Result<(), Report> {
    trigger::replace_arguments(target, trigger, attachment, &mode.in_arguments(&trigger.arguments))
}

/// A part of a definition: the argument's name and its value.
pub type Named = (&'static str, String);

/// For a kind whose trigger's arguments say everything.
pub fn nothing_elsewhere(_table: Oid, _arguments: &[String]) -> Result<Vec<Named>, Report> {
    Ok(Vec::new())
}

/// For a kind that changes no other table.
pub fn own_table_only(_guard: &Existing) -> Result<Option<Oid>, Report> {
    Ok(None)
}

/// For a kind that leaves nothing behind.
pub fn no_remains(_target: &Target, _guard: &str, _drop_column: bool) -> Result<bool, Report> {
    Ok(false)
}

/// For a kind that leaves nothing behind to find.
pub fn none_left(_table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    Ok(Vec::new())
}

/// For a kind whose rows can always be as they are.
pub fn any_rows(_target: &Target, _guard: &Inspected) -> Result<Vec<Finding>, Report> {
    Ok(Vec::new())
}

/// The whole definition of a guard, given its trigger's arguments.
pub fn definition(
    kind: &Kind,
    table: Oid,
    arguments: &[String],
) -> Result<Map<String, Value>, Report> {
    let mut definition = options(kind, arguments);
    for (name, value) in (kind.elsewhere)(table, arguments)? {
        definition.insert(name.to_owned(), json!(value));
    }
    Ok(definition)
}

/// Trigger arguments as an object: the first under the name it has in the `add_*` call, numbers as
/// numbers, what may be repeated as an array.
pub fn options(kind: &Kind, arguments: &[String]) -> Map<String, Value> {
    let mut object = Map::new();
    if let Some(value) = arguments.first() {
        object.insert(kind.first_argument.to_owned(), json!(value));
    }
    for argument in arguments.iter().skip(1) {
        let (name, value) = argument.split_once('=').unwrap_or((argument, "true"));
        let value = match value.parse::<i64>() {
            Ok(number) => json!(number),
            Err(_) if kind.flags.contains(&name) => json!(value == "true"),
            Err(_) => json!(value),
        };
        if !kind.repeated.contains(&name) {
            object.insert(name.to_owned(), value);
        } else if let Some(list) = object.entry(name).or_insert_with(|| json!([])).as_array_mut() {
            list.push(value);
        }
    }
    object
}

/// For a kind that leaves nothing but triggers.
pub fn leaves_no_more<'a>(_trigger: &'a str, _function: &str) -> Option<&'a str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::attachment::Events;
    use crate::pg::trigger::Timing;

    static ATTACHMENT: Attachment =
        Attachment::of_rows("version_guard", Timing::Before, Events::UPDATE);

    /// One that leads to nothing that calls Postgres, which a unit test is not linked with.
    static KIND: Kind = Kind {
        name: "version",
        function: "version_guard",
        companions: &[],
        attachment: &ATTACHMENT,
        first_argument: "version_column",
        takes: &["version_column", "ignore", "mode"],
        defaults: &[],
        flags: &[],
        repeated: &["ignore"],
        elsewhere: nothing_elsewhere,
        check: |_| Ok(Vec::new()),
        check_rows: any_rows,
        modes: Modes::Fixed(""),
        bypass: Bypassable::Never(""),
        renamed: |_, arguments, _| Ok(arguments.to_vec()),
        removed_from: own_table_only,
        remove: |_, _, _| Ok(()),
        remove_remains: no_remains,
        owner_of: leaves_no_more,
        counts_on_others: false,
        on_others: &[],
        quiet: &[],
        remains: none_left,
    };

    #[test]
    fn arguments_become_an_object() {
        let arguments: Vec<String> =
            ["v", "ignore=a", "ignore=b", "mode=observe", "new=1"].map(String::from).to_vec();
        let options = options(&KIND, &arguments);
        assert_eq!(
            Value::Object(options.clone()),
            json!({"version_column": "v", "ignore": ["a", "b"], "mode": "observe", "new": 1})
        );
    }
}
