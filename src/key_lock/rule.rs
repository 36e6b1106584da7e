//! The rule of a key lock: what its trigger's arguments mean in its table.

use crate::errors;
use crate::guard::attachment::{self, Attachment, Events, EVERY_ROW};
use crate::guard::key::after_rename;
use crate::guard::kind::Rename;
use crate::guard::outcome::Mode;
use crate::guard::spread;
use crate::pg::distribution::Location;
use crate::pg::error::{catch, Report};
use crate::pg::key::{self, Key, Runs};
use crate::pg::lock_setting;
use crate::pg::memory::Memory;
use crate::pg::rule_cache::{Cached, Last};
use crate::pg::trigger::{self, Definition, Event, Timing};
use crate::pg::trigger_order::follows_directly;
use pgrx::pg_sys::Oid;

/// The trigger functions' names in SQL.
pub const FUNCTION: &str = "key_lock_guard";

pub const FIRST_FUNCTION: &str = "key_lock_first_guard";

/// How the triggers are attached.
pub const ATTACHMENT: Attachment = Attachment::of_rows(FUNCTION, Timing::Before, EVERY_ROW);

pub const FIRST_ATTACHMENT: Attachment =
    Attachment::of_rows(FIRST_FUNCTION, Timing::Before, EVERY_ROW);

pub const NAMESPACE: &str = "namespace=";

/// The options as they stand in the trigger's arguments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options<'a> {
    pub key: &'a str,
    pub namespace: Option<i32>,
    pub mode: Mode,
}

/// Reads the options; the error is the argument that is none.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Options<'a>, &'a str> {
    let key = arguments.next().unwrap_or_default();
    let mut options = Options { key, namespace: None, mode: Mode::Enforce };
    for argument in arguments {
        if let Some(mode) = Mode::of_argument(argument) {
            options.mode = mode;
            continue;
        }
        match argument.strip_prefix(NAMESPACE).map(str::parse) {
            Some(Ok(number)) => options.namespace = Some(number),
            _ => return Err(argument),
        }
    }
    if key.is_empty() {
        return Err(key);
    }
    Ok(options)
}

/// The rule of one key lock.
#[derive(Clone, Copy)]
pub struct Rule<'r> {
    pub options: Options<'r>,
    pub key: Key<'r>,
    /// The topmost partitioned table, or the table itself: all partitions share its locks.
    pub root: Oid,
    /// Where its rows lie, if not in it.
    pub place: Option<Location>,
    /// Of the guard: the events, as bits by [`Event`], for which it meets rows as the first trigger has left them.
    pub done: u8,
    /// Of the first trigger: the guard, where that holds for every event.
    pub follower: Option<Oid>,
}

/// The rules of [`FUNCTION`].
pub struct KeyLockRules;

impl Cached for KeyLockRules {
    type Rule<'r> = Rule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
        build(trigger, memory)
    }

    fn last() -> &'static Last<KeyLockRules> {
        static LAST: Last<KeyLockRules> = Last::new();
        &LAST
    }

    fn runs(rule: &Rule) -> Runs {
        rule.key.runs()
    }
}

/// The rules of [`FIRST_FUNCTION`].
pub struct FirstKeyLockRules;

impl Cached for FirstKeyLockRules {
    type Rule<'r> = Rule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
        attachment::check(trigger, &FIRST_ATTACHMENT)?;
        let mut rule = build_from(trigger, memory)?;
        let guard = trigger::find(trigger.table(), FUNCTION);
        rule.follower = guard.filter(|g| done(*g, trigger) == EVERY_EVENT).map(|g| g.id());
        Ok(rule)
    }

    fn last() -> &'static Last<FirstKeyLockRules> {
        static LAST: Last<FirstKeyLockRules> = Last::new();
        &LAST
    }

    fn runs(rule: &Rule) -> Runs {
        rule.key.runs()
    }
}

const EVERY_EVENT: u8 = 0b111;

/// The events for which the guard meets rows as the first trigger has left them.
fn done(guard: Definition, first: Definition) -> u8 {
    [
        (Event::Insert, Events::INSERT),
        (Event::Update, Events::UPDATE),
        (Event::Delete, Events::DELETE),
    ]
    .into_iter()
    .filter(|(_, bits)| follows_directly(guard, first, bits.bits()))
    .fold(0, |done, (event, _)| done | 1 << event as u8)
}

/// Builds the rule of the guard.
fn build<'r>(guard: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
    attachment::check(guard, &ATTACHMENT)?;
    let mut rule = build_from(guard, memory)?;
    if let Some(first) = trigger::find(guard.table(), FIRST_FUNCTION) {
        rule.done = done(guard, first);
    }
    Ok(rule)
}

fn build_from<'r>(definition: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
    let table = definition.table();
    let arguments = definition.keep_arguments(memory);
    // What drop_guard knows is the guard, not the trigger before it.
    let guard = trigger::find(table, FUNCTION).unwrap_or(definition);
    let name = guard.name();
    let options = parse(arguments.iter().copied()).map_err(|bad| {
        errors::wrong_argument(
            name,
            table,
            format_args!("\"{bad}\" is not a key or an option of key_lock_guard."),
        )
    })?;
    lock_setting::refuse_missed()?;
    // Postgres's parser raises its errors, a renamed column for one, by itself.
    let key = catch(|| {
        let key = key::with_pinned_text(|| key::parse(table, options.key, memory))?.compile(table);
        check(&key, options.namespace)?;
        Ok(key)
    })
    .and_then(|outcome| outcome)
    .map_err(|cause| errors::guard_text_broken(name, table, "key", options.key, cause))?;
    let place = spread::check_key(table, Some(guard), spread::KEY_LOCK, &key)?;
    Ok(Rule { options, key, root: table.root(), place, done: 0, follower: None })
}

/// Whether a key can be locked the way the options say.
pub fn check(key: &Key, namespace: Option<i32>) -> Result<(), Report> {
    if namespace.is_some() {
        if !matches!(key.parts, [part] if part.is_integer()) {
            return Err(Report::error(
                errors::DATATYPE_MISMATCH,
                format_args!("a key lock with a namespace needs one integer key"),
            )
            .detail(format_args!(
                "It takes the lock of pg_advisory_xact_lock(namespace, key), which has room for one integer."
            ))
            .hint(format_args!("Leave namespace out: raceguard's own locks take any key.")));
        }
        return Ok(());
    }
    match key.unhashable() {
        Some(part) => Err(key::no_hash_function(part)),
        None => Ok(()),
    }
}

/// The arguments after a rename. Call it inside `pinned_search_path`.
pub fn renamed(table: Oid, arguments: &[String], rename: &Rename) -> Result<Vec<String>, Report> {
    let mut arguments = arguments.to_vec();
    if let (Rename::Column { attno, old, .. }, Some(key)) = (rename, arguments.first_mut()) {
        *key = after_rename(table, key, *attno, old)?;
    }
    Ok(arguments)
}
