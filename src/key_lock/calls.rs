//! `lock_key`, `try_lock_key`, `lock_keys`, `lock_table_keys`: the locks of a key lock guard,
//! taken before reading. All of them last until the transaction ends, so they work behind a
//! connection pool that hands out connections by the transaction.

use crate::errors;
use crate::guard::arguments::required;
use crate::guard::key_values;
use crate::guard::locking;
use crate::guard::outcome;
use crate::guard::spread;
use crate::key_lock::locks::{self as key_lock, Locking};
use crate::key_lock::protocol::lock_all;
use crate::key_lock::rule::{KeyLockRules, Rule, FUNCTION};
use crate::pg::advisory_lock::Family;
use crate::pg::backoff::allow_cancel;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert;
use crate::pg::distribution::Spread;
use crate::pg::error::{catch, tell, Level, Report};
use crate::pg::jsonb::{Json, JsonKind};
use crate::pg::lock_setting;
use crate::pg::memory::{self, here, Memory, Scratch};
use crate::pg::open_table::{open_table, OpenTable};
use crate::pg::privilege;
use crate::pg::rule_cache;
use crate::pg::trigger::{self, Definition};
use pgrx::pg_sys::{self, Oid};

function_entry!(raceguard_lock_key, crate::key_lock::calls::lock_key);
function_entry!(raceguard_try_lock_key, crate::key_lock::calls::try_lock_key);
function_entry!(raceguard_lock_keys, crate::key_lock::calls::lock_keys);
function_entry!(raceguard_lock_table_keys, crate::key_lock::calls::lock_table_keys);

/// `raceguard.lock_key(target, VARIADIC key)`: waits for the lock of one key, coerced to the key's types, and
/// holds it until the transaction ends, as the table's key lock guard does for writers. A NULL locks nothing,
/// and a NOTICE says so.
/// Serves what is read before it is written: take the lock, then look.
///
/// Raises 22023 for a wrong number of values, 55000 without a key lock, 42501 without the right to write to the
/// table, 25006 on a standby, 55P03, 40P01, 53200, 22004.
fn lock_key(call: Call) -> Result<Value, Report> {
    let table = writable(target(call)?)?;
    let (guard, rule) = rule(&table, "lock_key")?;
    let Some(key) = key_values::of_arguments(call, &rule.key, rule.options.key)? else {
        tell_of_null(&table)?;
        return Ok(Value::Void);
    };
    let what = catch(|| key_lock::identify(rule, &key))??;
    counting_waits(guard, || key_lock::lock(rule, Some(what), guard))?;
    Ok(Value::Void)
}

/// `raceguard.try_lock_key(target, VARIADIC key) -> boolean`: [`lock_key`] without waiting; false where another
/// transaction has the key. Raises the same, but for the waiting.
fn try_lock_key(call: Call) -> Result<Value, Report> {
    let table = writable(target(call)?)?;
    let (_, rule) = rule(&table, "try_lock_key")?;
    let Some(key) = key_values::of_arguments(call, &rule.key, rule.options.key)? else {
        tell_of_null(&table)?;
        return Ok(Value::Bool(true));
    };
    let locked =
        catch(|| key_lock::identify(rule, &key).map(|what| key_lock::try_lock(rule, what)))??;
    Ok(Value::Bool(locked))
}

/// `raceguard.lock_keys(target, keys)`: locks several keys, an array of scalars or of arrays in key order, in
/// the order in which every caller locks them, so that two callers cannot deadlock. Past
/// `raceguard.max_key_locks` the whole table is locked. Raises what [`lock_key`] raises.
fn lock_keys(call: Call) -> Result<Value, Report> {
    let target = target(call)?;
    lock_list(target, &required(call.json(1)?, "keys")?, call.memory())?;
    Ok(Value::Void)
}

/// `SET LOCAL raceguard.lock_keys = target, keys`.
pub fn lock_by_setting(text: &str) -> Result<(), Report> {
    let Some((target, keys)) = lock_setting::split_list(text) else {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("raceguard.lock_keys needs a table and its keys"),
        )
        .detail(format_args!("It was set to: {text}"))
        .hint(format_args!("For example SET LOCAL raceguard.lock_keys = posts, '[42]'.")));
    };
    let target = convert::input(target, pg_sys::REGCLASSOID, -1)?;
    let keys = convert::input(keys, pg_sys::JSONBOID, -1)?;
    here(|memory| lock_list(Oid::from(target.value() as u32), &Json::of(keys, memory)?, memory))
}

/// Locks the keys of a JSON array in the order in which every writer locks.
fn lock_list(target: Oid, keys: &Json, memory: Memory) -> Result<(), Report> {
    let table = writable(target)?;
    let (guard, rule) = rule(&table, "lock_keys")?;
    if keys.kind() != JsonKind::Array {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("keys must be a JSON array"),
        )
        .detail(format_args!("It is: {}", keys.text()?))
        .hint(format_args!(
            "Write [1, 2] for keys of one value, [[1, \"a\"], [2, \"b\"]] for keys of several."
        )));
    }
    let mut locks = Vec::new();
    memory::reserve(&mut locks, keys.count())?;
    let mut elements = keys.elements(memory)?;
    let scratch = Scratch::new()?;
    while let Some(key) = elements.next()? {
        catch(allow_cancel)?;
        // What one key needs is given back before the next.
        let lock = scratch.use_for(|_| {
            match key_values::of_json(&key, &rule.key, Some(rule.options.key))? {
                Some(key) => catch(|| key_lock::identify(rule, &key).map(Some))?,
                None => Ok(None),
            }
        })?;
        locks.extend(lock);
    }
    scratch.done()?;
    if locks.len() < keys.count() {
        tell_of_null(&table)?;
    }
    counting_waits(guard, || lock_all(&Locking { rule, whose: guard }, &mut locks))
}

/// Whoever locks a key and then relies on it should know that there was none to lock.
fn tell_of_null(table: &OpenTable) -> Result<(), Report> {
    let table = table.table();
    catch(|| {
        tell(
            Level::Notice,
            format_args!("a key with a NULL locks nothing of table \"{}\"", table.name()),
            Some(format_args!(
                "Writers of such rows do not wait for each other either. A key lock on coalesce(column, ...) makes them."
            )),
        )
    })
}

/// `raceguard.lock_table_keys(target)`: locks all keys of a table until the transaction ends: no other
/// transaction holds or gets one. Serves a job that rebuilds what the keys guard.
///
/// Raises 42501 unless the caller owns the table, 55000 without a key lock, 0A000 for one with a namespace, 25006,
/// 55P03, 40P01, 22004.
fn lock_table_keys(call: Call) -> Result<Value, Report> {
    let table = open_table(target(call)?)?;
    privilege::require_owner(&table)?;
    require_primary()?;
    let (guard, rule) = rule(&table, "lock_table_keys")?;
    if rule.options.namespace.is_some() {
        return Err(Report::error(
            errors::UNSUPPORTED,
            format_args!(
                "cannot lock all keys of table \"{}\": its key lock has a namespace",
                table.table().name()
            ),
        )
        .detail(format_args!(
            "Code that takes pg_advisory_xact_lock by hand would not see a lock on the whole table."
        ))
        .hint(format_args!("Lock the keys you write: raceguard.lock_keys."))
        .table(table.table().oid()));
    }
    counting_waits(guard, || locking::lock_whole(rule.root, Family::Keys, guard))?;
    Ok(Value::Void)
}

/// Takes locks. Waits in a call count as the guard's, as those of writers do.
fn counting_waits(
    guard: Definition,
    lock: impl FnOnce() -> Result<(), Report>,
) -> Result<(), Report> {
    let result = catch(lock).and_then(|taken| taken);
    catch(|| outcome::settle_locks(guard, &result))?;
    result
}

fn target(call: Call) -> Result<Oid, Report> {
    required(call.oid(0), "target")
}

/// A table that the caller may write: a passer-by must not hold other people's keys.
fn writable(target: Oid) -> Result<OpenTable, Report> {
    let table = open_table(target)?;
    privilege::require_write(&table)?;
    require_primary()?;
    Ok(table)
}

fn require_primary() -> Result<(), Report> {
    if !privilege::is_standby() {
        return Ok(());
    }
    Err(Report::error(errors::READ_ONLY, format_args!("cannot lock keys during recovery"))
        .detail(format_args!(
            "This server is a standby; nobody writes here, so there is nothing to wait for."
        ))
        .hint(format_args!("Lock on the primary.")))
}

/// The table's key lock guard and its rule, for a call that locks where the guard does.
fn rule<'t>(table: &'t OpenTable, call: &str) -> Result<(Definition<'t>, &'t Rule<'t>), Report> {
    let (guard, rule) = standing(table)?;
    if rule.place.is_some_and(|place| place.is_shell()) {
        return Err(no_place_to_lock(table, rule, call)?);
    }
    Ok((guard, rule))
}

/// 0A000: the guard locks on the nodes.
fn no_place_to_lock(table: &OpenTable, rule: &Rule, call: &str) -> Result<Report, Report> {
    let handle = table.table();
    let name = catch(|| handle.qualified_name())?;
    let report = spread::no_place(table, call);
    // Two sessions may read different copies.
    if rule.place.is_some_and(|place| place.spread == Spread::Reference) {
        return Ok(report.hint(format_args!(
            "Lock rows, which locks them in every copy: raceguard.lock_rows, or SELECT ... FROM {name} ... FOR UPDATE."
        )));
    }
    let literal = catch(|| errors::literal_for_calls(handle))?;
    if call == "lock_table_keys" {
        return Ok(report.hint(format_args!(
            "LOCK TABLE {name} IN SHARE MODE; keeps all writers of all shards out."
        )));
    }
    let key = rule.options.key;
    Ok(report.hint(format_args!(
        "Lock in the shard, of a key that has rows: SELECT raceguard.lock_key(tableoid::regclass, {key}) FROM {name} WHERE ({key}) = (...) LIMIT 1; or lock the rows: raceguard.lock_rows({literal}, ...)."
    )))
}

fn standing(table: &OpenTable) -> Result<(Definition<'_>, &Rule<'_>), Report> {
    let handle = table.table();
    catch(|| match trigger::find(handle, FUNCTION) {
        Some(definition) => Ok((definition, rule_cache::rule::<KeyLockRules>(definition)?)),
        None => Err(Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!("table \"{}\" has no key lock guard", handle.name()),
        )
        .detail(format_args!("Without the guard other writers would not respect the lock."))
        .hint(format_args!(
            "Add one first: SELECT raceguard.add_key_lock({}, 'column');",
            errors::literal_for_calls(handle)
        ))
        .table(handle.oid())),
    })?
}
