//! `add_parent_version`: the triggers by which a child moves its parent's version.

use crate::errors;
use crate::guard::arguments::{identifier, literal, required, LONGEST_NAME};
use crate::guard::foreign_keys::{choose, foreign_keys, ChildKey};
use crate::guard::partitions::{
    refuse_guarded_partitions, refuse_inherited_guard, tell_of_children,
};
use crate::guard::spread;
use crate::guard::steps::{of_trigger, of_triggers, return_steps, Step};
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing, Put, PREFIX};
use crate::guard::wanted::{self, Plan, Wanted};
use crate::parent::companions::{companion_fault, companion_statements, drop_all, EVENTS};
use crate::parent::rule::{named_key, ATTACHMENT, FUNCTION, TRUNCATED, WORDS};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{catch, tell, Level, Report};
use crate::pg::memory::here;
use crate::pg::open_table::glance;
use crate::pg::owner::may_update;
use crate::pg::spi::{connected, one, pinned_search_path, Param};
use crate::pg::trigger::find_named;
use crate::version::rule as version;
use pgrx::pg_sys::Oid;

function_entry!(raceguard_add_parent_version, crate::parent::install::add_parent_version);
function_entry!(raceguard_plan_parent_version, crate::parent::install::plan_parent_version);

const GUARD: &str = "parent_version";

/// `raceguard.add_parent_version(child, parent, foreign_key, replace) -> text`: from now on a write to a row
/// of `child` moves the version of its parent, once per transaction and parent. `foreign_key` names the
/// constraint where there are several to the same parent. Returns the trigger's name. Serves aggregates: two
/// people who change different lines of one order conflict.
///
/// Raises 42704 without such a foreign key, 22023 where several could be meant, 55000 where the parent has no
/// version guard, 42501 unless the caller owns the child and the child's owner may update the parent's version,
/// 42710 for another definition without `replace`, 0A000 and 42710 around partitions, 22004, 40001 at
/// REPEATABLE READ and above where the table has changed since the snapshot.
fn add_parent_version(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let request = ParentArguments::read(call)?;
            request.child.lock("SHARE ROW EXCLUSIVE")?;
            request.parent.refuse_old_view()?;
            request.child.with_shards_in_turn(|| install(&request)).map(Value::Text)
        })
    })
}

/// `raceguard.plan_parent_version(same arguments as add_parent_version) -> table(step, ddl, lock_mode, own_transaction)`: what is
/// left to do of `add_parent_version`, in order, for a table that is in use. Changes nothing.
///
/// Raises what `add_parent_version` raises for the same arguments.
fn plan_parent_version(call: Call) -> Result<Value, Report> {
    let steps = connected(|| pinned_search_path(|| steps(&ParentArguments::read(call)?)))?;
    return_steps(call, &steps)
}

/// The arguments, checked.
struct ParentArguments {
    child: Target,
    parent: Target,
    keys: Vec<ChildKey>,
    /// The name of the foreign key.
    key: String,
    /// The parent's version.
    column: String,
    replace: bool,
}

impl ParentArguments {
    fn read(call: Call) -> Result<ParentArguments, Report> {
        required(call.oid(0), "child")?;
        required(call.oid(1), "parent")?;
        let replace = required(call.bool(3), "replace")?;
        let child = Target::owned(call, 0)?;
        let parent = Target::any(call, 1)?;
        spread::refuse_parent(child.oid, spread::PARENT_VERSION, parent.oid)?;
        let keys = foreign_keys(&child, &parent)?;
        let key = choose(&child, &parent, &keys, call.name(2)?, &WORDS)?;
        let column = version_column(&child, &parent)?;
        check_owner(&child, &parent, &column)?;
        Ok(ParentArguments { child, parent, keys, key, column, replace })
    }

    /// What to do about the guard that stands, if any. `fault` finds what is wrong with the rest of it.
    fn plan(
        &self,
        fault: fn(Oid, &Existing) -> Result<Option<String>, Report>,
    ) -> Result<PlannedGuard, Report> {
        let child = &self.child;
        refuse_inherited_guard(child, FUNCTION)?;
        refuse_guarded_partitions(child, FUNCTION)?;
        let guards = trigger::existing(child, FUNCTION)?;
        let standing = rival(child, &guards, &self.keys, &self.key)?;
        let (guard, fault) = match &standing {
            // By that name it finds no parent: the one that it remembers is another.
            Some((standing, None)) if standing.arguments.first() == Some(&self.key) => {
                (standing.guard().to_owned(), Some("its foreign key led elsewhere".to_owned()))
            }
            Some((standing, _)) => (standing.guard().to_owned(), fault(child.oid, standing)?),
            None => (free_name(&guards, &self.parent.name), None),
        };
        // Under whatever name it was added: a foreign key may be renamed.
        let arguments = match &standing {
            Some((standing, used)) if *used == Some(self.key.clone()) => standing.arguments.clone(),
            _ => vec![self.key.clone()],
        };
        let wanted =
            Wanted { guard: &guard, attachment: &ATTACHMENT, arguments, keyed: false, fault };
        let standing = standing.map(|(standing, _)| standing);
        let plan = wanted::plan(child, standing, &wanted, self.replace)?;
        let key = match &plan {
            Plan::Keep(standing) | Plan::Enable(standing) => standing.arguments.first(),
            Plan::Create | Plan::Mend(..) | Plan::Replace(_) => None,
        };
        let key = key.unwrap_or(&self.key).clone();
        Ok(PlannedGuard { plan, name: trigger::trigger_name(&guard, "")?, key })
    }
}

/// What to do about a guard, the name of its trigger, and the foreign key by the name that it has there.
struct PlannedGuard {
    plan: Plan,
    name: String,
    key: String,
}

/// The statement that creates the guard's own trigger.
fn create(put: Put, child: &Target, name: &str, key: &str) -> String {
    trigger::statement(put, child, name, EVENTS, FUNCTION, &[key.to_owned()])
}

/// The column of the parent's version guard.
fn version_column(child: &Target, parent: &Target) -> Result<String, Report> {
    let guard = trigger::existing(parent, version::FUNCTION)?;
    let column = guard.first().and_then(|g| g.arguments.first());
    column.cloned().ok_or_else(|| {
        Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!(
                "parent \"{}\" of table \"{}\" has no version guard",
                parent.name, child.name
            ),
        )
        .detail(format_args!(
            "A write to the child moves its parent's version, which the parent's guard has to know."
        ))
        .hint(format_args!(
            "Add it first: SELECT raceguard.add_version({});",
            literal(&parent.qualified)
        ))
        .table(parent.oid)
    })
}

/// The triggers write the parent on behalf of the child's owner: he must be allowed to.
fn check_owner(child: &Target, parent: &Target, column: &str) -> Result<(), Report> {
    let attno = parent.existing_column(column)?.attno;
    if may_update(child.owner, parent.oid, parent.owner, attno)? {
        return Ok(());
    }
    let owner: Option<String> = one("SELECT $1::regrole::text", &[Param::Oid(child.owner)])?;
    let owner = owner.unwrap_or_default();
    let column_name = identifier(column);
    Err(Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!(
            "the owner of table \"{}\" may not update the version of \"{}\"",
            child.name, parent.name
        ),
    )
    .detail(format_args!(
        "A write to the child bumps its parent on behalf of the child's owner, {owner}, who needs UPDATE on column {column_name}, and to whom no row security of the parent applies."
    ))
    .hint(format_args!(
        "GRANT UPDATE ({column_name}) ON {} TO {owner}; under row security, let both tables have one owner.",
        parent.qualified
    ))
    .table(parent.oid)
    .column(column))
}

fn install(request: &ParentArguments) -> Result<String, Report> {
    let child = &request.child;
    let planned = request.plan(companion_fault)?;
    if let Some(name) = planned.plan.done(child)? {
        return Ok(name);
    }
    let PlannedGuard { plan, name, key } = planned;
    let replaced = match plan.replaced(child) {
        // Under a name of the owner's: what goes with it has others than those that follow.
        Some(other) if other.trigger != name => {
            drop_all(child, &other.trigger)?;
            None
        }
        replaced => replaced,
    };
    child.run_all(&companion_statements(child, &request.parent, &name, &key)?)?;
    let create = |put| create(put, child, &name, &key);
    child.run_all(&trigger::put_up(child, replaced.as_ref(), &name, create)?)?;
    tell(
        Level::Notice,
        format_args!(
            "a write to table \"{}\" moves column \"{}\" of its parent in \"{}\", by trigger \"{name}\" through foreign key \"{key}\"",
            child.name, request.column, request.parent.name
        ),
        None,
    );
    tell_of_children(child, "add_parent_version")?;
    Ok(name)
}

fn steps(request: &ParentArguments) -> Result<Vec<Step>, Report> {
    let child = &request.child;
    let PlannedGuard { plan, name, key } = request.plan(|_, _| Ok(None))?;
    let mut steps = of_triggers(companion_statements(child, &request.parent, &name, &key)?);
    steps.extend(of_trigger(&plan, child, &name, |put| create(put, child, &name, &key))?);
    Ok(steps)
}

/// The standing guard that is the one asked for, or one to be replaced by it, and the foreign key it uses:
/// the same, another to the same parent, or none any more.
fn rival(
    child: &Target,
    guards: &[Existing],
    keys: &[ChildKey],
    key: &str,
) -> Result<Option<(Existing, Option<String>)>, Report> {
    for guard in guards {
        let used = used_key(child.oid, guard)?;
        let used_name = match used {
            Some(oid) => {
                one("SELECT conname FROM pg_constraint WHERE oid = $1", &[Param::Oid(oid)])?
            }
            None => None,
        };
        let named = keys.iter().find(|k| Some(&k.name) == used_name.as_ref());
        if used_name.as_deref() == Some(key) || named.is_none_or(|k| k.to_parent) {
            return Ok(Some((guard.clone(), used_name)));
        }
    }
    Ok(None)
}

/// The foreign key by which a standing guard finds its parents; `None` where it refuses writes for want of one.
pub fn used_key(child: Oid, guard: &Existing) -> Result<Option<Oid>, Report> {
    let found = glance(child, |table| {
        catch(|| {
            let definition = find_named(table, FUNCTION, &guard.trigger)?;
            here(|memory| named_key(definition, memory).ok().map(|key| key.constraint))
        })
    })?;
    Ok(found.flatten())
}

/// The guard's name: plain for the first parent of a table, with the parent's name for others.
fn free_name(guards: &[Existing], parent: &str) -> String {
    let taken = |name: &str| guards.iter().any(|g| g.guard() == name);
    if !taken(GUARD) {
        return GUARD.to_owned();
    }
    // The longest companion and a number have to fit behind it.
    let mut end =
        parent.len().min(LONGEST_NAME - PREFIX.len() - GUARD.len() - 1 - TRUNCATED.len() - 3);
    while !parent.is_char_boundary(end) {
        end -= 1;
    }
    let base = format!("{GUARD}_{}", &parent[..end]);
    let numbered = (2..100).map(|n| format!("{base}_{n}"));
    core::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(base)
}

/// Takes a parent version off a table.
pub fn remove(child: &Target, guard: &Existing, _drop_column: bool) -> Result<(), Report> {
    drop_all(child, &guard.trigger)
}
