//! `add_key_lock`: triggers that make the writers of one key wait for each other.
//!
//! The guard fires last, as every guard does, and locks the key that the row has come to have. A
//! second trigger fires before all others and locks the key that the statement gives, so that the
//! table's own triggers read under the lock.

use crate::guard::arguments::required;
use crate::guard::key::canonical_key;
use crate::guard::kind::put_mode;
use crate::guard::outcome::Mode;
use crate::guard::partitions::tell_of_children;
use crate::guard::spread;
use crate::guard::steps::{of_trigger, of_triggers, return_steps, Step};
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing, Put};
use crate::guard::wanted::{self, Wanted};
use crate::key_lock::rule::{
    check, ATTACHMENT, FIRST_ATTACHMENT, FIRST_FUNCTION, FUNCTION, NAMESPACE,
};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path, run, Param};

function_entry!(raceguard_add_key_lock, crate::key_lock::install::add_key_lock);
function_entry!(raceguard_plan_key_lock, crate::key_lock::install::plan_key_lock);

/// The guard's name: there is one per table.
const GUARD: &str = "key_lock";

/// `raceguard.add_key_lock(target, key, namespace, replace) -> text`: from now on the writers of one key wait for
/// each other. `key` as in CREATE INDEX; with a `namespace` the lock is `pg_advisory_xact_lock(namespace, key)`,
/// for code that takes that by hand. Returns the trigger's name. Serves the check that counts before it inserts.
///
/// Raises 42501 unless the caller owns the table, 42703, 42601, 42804, 42883 and 42P22 for a key that cannot be
/// hashed, 42P17, 0A000, 42710 for another definition without `replace`, 22004, 40001 at REPEATABLE READ and
/// above where the table has changed since the snapshot.
fn add_key_lock(call: Call) -> Result<Value, Report> {
    connected(|| {
        let (target, arguments, replace) = asked_for(call)?;
        pinned_search_path(|| install(&target, &wanted(arguments), replace))
    })
}

/// `raceguard.plan_key_lock(same arguments as add_key_lock) -> table(step, ddl, lock_mode, own_transaction)`: what is
/// left to do of `add_key_lock`, in order, for a table that is in use. Changes nothing.
///
/// Raises what `add_key_lock` raises for the same arguments.
fn plan_key_lock(call: Call) -> Result<Value, Report> {
    let steps = connected(|| {
        let (target, arguments, replace) = asked_for(call)?;
        pinned_search_path(|| steps(&target, &wanted(arguments), replace))
    })?;
    return_steps(call, &steps)
}

/// The table, the triggers' arguments, and `replace`.
fn asked_for(call: Call) -> Result<(Target, Vec<String>, bool), Report> {
    let target = pinned_search_path(|| Target::owned(call, 0))?;
    let key = required(call.text(1)?, "key")?;
    let namespace = call.int(2);
    let replace = required(call.bool(3), "replace")?;
    let key = canonical_key(&target, &key, |table, key| {
        check(key, namespace)?;
        spread::check_key(table, None, spread::KEY_LOCK, key).map(drop)
    })?;
    let mut arguments = vec![key];
    arguments.extend(namespace.map(|n| format!("{NAMESPACE}{n}")));
    Ok((target, arguments, replace))
}

fn wanted(arguments: Vec<String>) -> Wanted<'static> {
    Wanted { guard: GUARD, attachment: &ATTACHMENT, arguments, keyed: true, fault: None }
}

/// The trigger that locks before all others: `!` is the first sign, after the space, that a name
/// can begin with, and Postgres fires triggers in the order of their names' bytes.
const FIRST: &str = "!raceguard_key_lock";

const EVENTS: &str = "BEFORE INSERT OR UPDATE OR DELETE";

fn steps(target: &Target, wanted: &Wanted, replace: bool) -> Result<Vec<Step>, Report> {
    let standing = trigger::existing(target, FUNCTION)?.into_iter().next();
    let plan = wanted::plan(target, standing, wanted, replace)?;
    let name = trigger::trigger_name(GUARD, "")?;
    let mut steps = of_triggers(first_statements(target, &wanted.arguments)?);
    steps.extend(of_trigger(&plan, target, &name, |put| {
        create(put, target, &name, FUNCTION, &wanted.arguments)
    })?);
    Ok(steps)
}

/// The statement that creates either trigger.
fn create(put: Put, target: &Target, name: &str, function: &str, arguments: &[String]) -> String {
    trigger::statement(put, target, name, EVENTS, function, arguments)
}

fn install(target: &Target, wanted: &Wanted, replace: bool) -> Result<Value, Report> {
    target.lock("SHARE ROW EXCLUSIVE")?;
    let standing = trigger::existing(target, FUNCTION)?.into_iter().next();
    let as_it_stands = standing.as_ref().map(|guard| guard.arguments.clone()).unwrap_or_default();
    let plan = wanted::plan(target, standing, wanted, replace)?;
    if let Some(name) = plan.done(target)? {
        complete(target, &as_it_stands, &name)?;
        return Ok(Value::Text(name));
    }
    let name = trigger::trigger_name(GUARD, "")?;
    let create = |put| create(put, target, &name, FUNCTION, &wanted.arguments);
    target.run_all(&trigger::put_up(target, plan.replaced(target).as_ref(), &name, create)?)?;
    lock_first(target, &wanted.arguments)?;
    let key = wanted.arguments.first().map(String::as_str).unwrap_or_default();
    let namespace = wanted.arguments.get(1).map(|n| format!(", {n}")).unwrap_or_default();
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by triggers \"{FIRST}\" and \"{name}\" on key ({key}){namespace}",
            target.name
        ),
        None,
    );
    tell_of_children(target, "add_key_lock")?;
    warn_of_order(target, &name)?;
    Ok(Value::Text(name))
}

/// Puts the first trigger right of a guard that stands otherwise as it is wanted.
fn complete(target: &Target, arguments: &[String], name: &str) -> Result<(), Report> {
    if !lock_first(target, arguments)? {
        return Ok(());
    }
    tell(
        Level::Notice,
        format_args!(
            "trigger \"{FIRST}\" of the guard was missing on table \"{}\", it has been created",
            target.name
        ),
        None,
    );
    warn_of_order(target, name)
}

/// Makes the first trigger stand with the guard's arguments; whether it had to be created.
fn lock_first(target: &Target, arguments: &[String]) -> Result<bool, Report> {
    if let [only] = &trigger::existing(target, FIRST_FUNCTION)?[..]
        && fits(only, arguments)
        && !only.off.is_empty()
    {
        trigger::enable(target, only)?;
        return Ok(false);
    }
    let statements = first_statements(target, arguments)?;
    target.run_all(&statements)?;
    Ok(!statements.is_empty())
}

/// The statements that make the first trigger stand with the guard's arguments.
fn first_statements(target: &Target, arguments: &[String]) -> Result<Vec<String>, Report> {
    // The library may be newer than the SQL of the database, until ALTER EXTENSION raceguard UPDATE.
    let known = run(
        "SELECT 1 FROM pg_proc WHERE proname = $1::name \
         AND pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'raceguard')",
        &[Param::Text(FIRST_FUNCTION)],
    )?;
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let standing = trigger::existing(target, FIRST_FUNCTION)?;
    let create = |put| create(put, target, FIRST, FIRST_FUNCTION, arguments);
    Ok(match &standing[..] {
        [only] if fits(only, arguments) => only.off.clone(),
        [] => trigger::put_up(target, None, FIRST, create)?,
        [only] => trigger::put_up(target, Some(only), FIRST, create)?,
        others => {
            let drop = |other: &Existing| trigger::drop_statement(target, &other.trigger);
            let mut statements: Vec<String> = others.iter().map(drop).collect();
            statements.push(create(Put::New));
            statements
        }
    })
}

/// Whether a first trigger is that of a guard with these arguments.
pub fn fits(first: &Existing, arguments: &[String]) -> bool {
    FIRST_ATTACHMENT.fits(first.shape) && wanted::same_arguments(&first.arguments, arguments)
}

/// Takes a key lock off a table.
pub fn remove(target: &Target, guard: &Existing, drop_column: bool) -> Result<(), Report> {
    remove_remains(target, GUARD, drop_column)?;
    trigger::drop(target, &guard.trigger)
}

/// Takes off the first trigger of a key lock whose guard is gone; false if there is none.
pub fn remove_remains(target: &Target, guard: &str, _drop_column: bool) -> Result<bool, Report> {
    if guard != GUARD {
        return Ok(false);
    }
    let standing = trigger::existing(target, FIRST_FUNCTION)?;
    for first in &standing {
        trigger::drop(target, &first.trigger)?;
    }
    Ok(!standing.is_empty())
}

/// Lets a key lock that stands enforce or observe.
pub fn set_mode(target: &Target, guard: &Existing, mode: Mode) -> Result<(), Report> {
    put_mode(target, guard, &ATTACHMENT, mode)?;
    for first in trigger::existing(target, FIRST_FUNCTION)? {
        put_mode(target, &first, &FIRST_ATTACHMENT, mode)?;
    }
    Ok(())
}

/// Warns of triggers on the wrong side of the guard's two.
fn warn_of_order(target: &Target, name: &str) -> Result<(), Report> {
    if let Some(earlier) = trigger::before_triggers(target, "<", FIRST)? {
        tell(
            Level::Notice,
            format_args!(
                "triggers {earlier} on table \"{}\" fire before the key is locked by \"{FIRST}\"",
                target.name
            ),
            Some(format_args!(
                "Postgres fires triggers in name order; what these read may change before the key is locked. Rename them to sort after it."
            )),
        );
    }
    if let Some(later) = trigger::before_triggers(target, ">", name)? {
        tell(
            Level::Notice,
            format_args!("triggers {later} on table \"{}\" fire after guard \"{name}\"", target.name),
            Some(format_args!(
                "Postgres fires triggers in name order; a key that these give the row is not locked. Rename them to sort between \"{FIRST}\" and \"{name}\"."
            )),
        );
    }
    Ok(())
}

/// The key lock, of which a table has one, that leaves a trigger which locks first.
pub fn owner_of<'a>(_trigger: &'a str, function: &str) -> Option<&'a str> {
    (function == FIRST_FUNCTION).then_some(GUARD)
}
