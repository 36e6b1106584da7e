//! What a row trigger is told: the table, the event, OLD and NEW, its arguments.

use super::distribution::{self, Location};
use super::ffi;
use super::shard_name;
use super::trigger_shape::{Fires, Shape};
use crate::pg::base::error::Report;
use crate::pg::base::frames;
use crate::pg::base::memory::{Buffer, Memory};
use crate::pg::base::sqlstate;
use crate::pg::base::text::{cstr, PgText};
use crate::pg::data::row_slot::RowSlot;
use crate::pg::data::tuple::Row;
use crate::pg::table::open_table::glance;
use crate::pg::table::relation::Table;
use core::ffi::CStr;
use core::marker::PhantomData;
use pgrx::pg_sys;

/// The write that fired the trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Insert,
    Update,
    Delete,
}

/// When a guard has to be attached, for the protocol check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timing {
    Before,
    After,
}

/// How many bytes of arguments a guard may have. A key has at most a megabyte as it is given, and no guard
/// comes near this; but anyone may put a trigger on a table of his own, and what he writes there is read by
/// whoever looks at the guards of all tables.
pub const LONGEST_ARGUMENTS: usize = 4 << 20;

/// A trigger as CREATE TRIGGER defined it. `Copy`: it points into the executor's copy of the table's
/// triggers, or into one in the memory context of [`find_all`]'s caller.
#[derive(Clone, Copy)]
pub struct Definition<'t> {
    trigger: *const pg_sys::Trigger,
    table: Table<'t>,
}

impl<'t> Definition<'t> {
    /// # Safety
    /// The trigger is one of the table's, or a copy of one, and lasts as long as `'t`.
    pub(super) unsafe fn of_raw(
        trigger: *const pg_sys::Trigger,
        table: Table<'t>,
    ) -> Definition<'t> {
        Definition { trigger, table }
    }

    /// The trigger's OID: the identity under which its parsed rule is cached.
    #[inline]
    pub fn id(&self) -> pg_sys::Oid {
        // SAFETY: the trigger belongs to an open relation.
        unsafe { (*self.trigger).tgoid }
    }

    pub fn name(&self) -> &str {
        // SAFETY: as in `id`; the name is NUL-terminated.
        unsafe { cstr((*self.trigger).tgname) }
    }

    /// Its name on the table that clients name. Plain frames.
    pub fn logical_name(&self) -> PgText {
        logical_name(self.table, self.name())
    }

    /// Whether a partition has it from its parent.
    pub fn is_clone(&self) -> bool {
        // SAFETY: as in `id`.
        unsafe { (*self.trigger).tgisclone }
    }

    /// The name of its function, without schema.
    pub fn function(&self) -> &str {
        // SAFETY: the look-up returns text or NULL.
        unsafe { cstr(ffi::get_func_name((*self.trigger).tgfoid)) }
    }

    /// The schema of its function.
    pub(in crate::pg) fn namespace(&self) -> &str {
        // SAFETY: as in `function`.
        unsafe { cstr(ffi::get_namespace_name(ffi::get_func_namespace((*self.trigger).tgfoid))) }
    }

    #[inline]
    pub fn table(&self) -> Table<'t> {
        self.table
    }

    /// How many arguments CREATE TRIGGER gave.
    pub fn argument_count(&self) -> usize {
        // SAFETY: as in `id`.
        unsafe { (*self.trigger).tgnargs as usize }
    }

    /// One argument as CREATE TRIGGER gave it; empty past the last.
    pub fn argument(&self, n: usize) -> &str {
        if n >= self.argument_count() {
            return "";
        }
        // SAFETY: tgargs holds `tgnargs` NUL-terminated strings.
        unsafe { cstr(*(*self.trigger).tgargs.add(n)) }
    }

    /// 39P01 for more arguments than [`LONGEST_ARGUMENTS`]: calls do not read them, so they are no rule.
    pub fn refuse_long_arguments(&self) -> Result<(), Report> {
        let bytes: usize = (0..self.argument_count()).map(|n| self.argument(n).len() + 1).sum();
        if bytes <= LONGEST_ARGUMENTS {
            return Ok(());
        }
        let (name, table) = (self.name(), self.table);
        Err(Report::error(
            sqlstate::TRIGGER_PROTOCOL,
            format_args!("trigger \"{name}\" on table \"{}\" has too long arguments", table.name()),
        )
        .detail(format_args!(
            "They have {bytes} bytes; a guard's have at most {LONGEST_ARGUMENTS}."
        ))
        .hint(format_args!("Drop the trigger and let raceguard.add_* create it."))
        .table(table.oid())
        .constraint(name))
    }

    /// The table that a constraint trigger was made FROM; none mostly.
    pub fn referenced(&self) -> Option<pg_sys::Oid> {
        // SAFETY: as in `id`.
        let referenced = unsafe { (*self.trigger).tgconstrrelid };
        (referenced != pg_sys::InvalidOid).then_some(referenced)
    }

    /// A copy of the arguments.
    pub fn keep_arguments<'m>(&self, memory: Memory<'m>) -> &'m [&'m str] {
        let mut arguments = Buffer::new(memory, self.argument_count());
        for i in 0..self.argument_count() {
            arguments.push(memory.keep_text(self.argument(i)));
        }
        arguments.into_slice()
    }

    /// How CREATE TRIGGER attached it.
    pub fn shape(&self) -> Shape {
        // SAFETY: as in `id`.
        let trigger = unsafe { &*self.trigger };
        Shape {
            kind: trigger.tgtype as u16,
            columns: trigger.tgnattr > 0,
            condition: !trigger.tgqual.is_null(),
        }
    }

    /// Whether it fires for an UPDATE that sets a column.
    pub(in crate::pg) fn is_of_updated(&self, attno: i16) -> bool {
        // SAFETY: as in `id`; tgattr holds `tgnattr` numbers.
        unsafe {
            let trigger = &*self.trigger;
            trigger.tgnattr == 0
                || (0..trigger.tgnattr as usize).any(|i| *trigger.tgattr.add(i) == attno)
        }
    }

    /// Whether it is one by which Postgres itself keeps a foreign key.
    pub(in crate::pg) fn is_foreign_keys(&self) -> bool {
        // SAFETY: as in `id`; compares the function with those that are known.
        let kind = unsafe { ffi::RI_FKey_trigger_type((*self.trigger).tgfoid) };
        kind as u32 != pg_sys::RI_TRIGGER_NONE
    }

    /// In which sessions it fires.
    pub fn fires(&self) -> Fires {
        // SAFETY: as in `id`.
        Fires::of(unsafe { (*self.trigger).tgenabled } as u8)
    }

    /// Whether the table still has this trigger, with this function and these arguments: a statement
    /// goes on with the triggers that there were when it began.
    pub fn is_current(&self) -> bool {
        // SAFETY: the relation is open; its own triggers are only read, which lets nothing free them.
        unsafe {
            let triggers = (*self.table.as_raw()).trigdesc;
            if triggers.is_null() {
                return false;
            }
            (0..(*triggers).numtriggers as usize)
                .map(|i| (*triggers).triggers.add(i))
                .find(|now| (**now).tgoid == self.id())
                .is_some_and(|now| self.is_same(now))
        }
    }

    /// # Safety
    /// `other` is a trigger of an open relation.
    pub(super) unsafe fn is_same(&self, other: *const pg_sys::Trigger) -> bool {
        // SAFETY: promised by the caller; both have `tgnargs` NUL-terminated arguments.
        unsafe {
            let (own, other) = (&*self.trigger, &*other);
            own.tgfoid == other.tgfoid
                && own.tgtype == other.tgtype
                && own.tgnattr == other.tgnattr
                && own.tgqual.is_null() == other.tgqual.is_null()
                && own.tgnargs == other.tgnargs
                && (0..own.tgnargs as usize).all(|n| {
                    CStr::from_ptr(*own.tgargs.add(n)) == CStr::from_ptr(*other.tgargs.add(n))
                })
        }
    }

    /// Whether it fires for each row, and for ordinary sessions.
    pub fn is_live_row_trigger(&self) -> bool {
        // SAFETY: as in `id`.
        let (kind, enabled) = unsafe { ((*self.trigger).tgtype, (*self.trigger).tgenabled as u8) };
        kind as u32 & pg_sys::TRIGGER_TYPE_ROW != 0
            && matches!(enabled, pg_sys::TRIGGER_FIRES_ON_ORIGIN | pg_sys::TRIGGER_FIRES_ALWAYS)
    }
}

/// The prefix of guards' trigger names. It makes a guard fire after other triggers of the same
/// timing: it judges the row as it will be stored.
pub const PREFIX: &str = "zz_raceguard_";

/// The first trigger on an open table that runs the function `raceguard.<function>`.
pub fn find<'t>(table: Table<'t>, function: &str) -> Option<Definition<'t>> {
    find_all(table, function).next()
}

/// The trigger of that name, if it runs the function `raceguard.<function>`; on a shard that of the name which Citus
/// has made of it there.
pub fn find_named<'t>(table: Table<'t>, function: &str, name: &str) -> Option<Definition<'t>> {
    if let Some(found) = find_all(table, function).find(|definition| definition.name() == name) {
        return Some(found);
    }
    let place = distribution::piece(table.oid())?;
    find_all(table, function).find(|definition| place.is_same(definition.name(), name))
}

/// The name on the table that clients name of a trigger of a table, which may be a shard. Plain frames.
pub fn logical_name(table: Table, name: &str) -> PgText {
    let Some(place) = distribution::piece(table.oid()) else {
        return PgText::from_fmt(format_args!("{name}"));
    };
    whole_name(place, name)
        .unwrap_or_else(|| PgText::from_fmt(format_args!("{}", place.logical_name(name))))
}

/// The same where Citus has kept only the beginning of the name: that of the logical table's trigger.
fn whole_name(place: Location, name: &str) -> Option<PgText> {
    if !shard_name::may_be_hashed(place.logical_name(name)) {
        return None;
    }
    let find = |logical: Table| {
        let mut found = triggers(logical).filter(|it| place.is_same(name, it.name()));
        Ok(found.next().map(|it| PgText::from_fmt(format_args!("{}", it.name()))))
    };
    glance(place.logical, find).ok()??
}

/// All triggers on an open table that run the function `raceguard.<function>`, by name.
pub fn find_all<'t>(table: Table<'t>, function: &str) -> impl Iterator<Item = Definition<'t>> {
    triggers(table).filter(move |definition| {
        definition.function() == function && definition.namespace() == "raceguard"
    })
}

/// All triggers on an open table, by name.
pub(in crate::pg) fn triggers(table: Table<'_>) -> impl Iterator<Item = Definition<'_>> {
    // SAFETY: the relation is open. Its own array is freed when an invalidation arrives, that of a
    // concurrent ANALYZE for one, and any look-up receives them: so a copy, as the executor's.
    let (triggers, count) = unsafe {
        let triggers = ffi::CopyTriggerDesc((*table.as_raw()).trigdesc);
        if triggers.is_null() {
            (core::ptr::null_mut(), 0)
        } else {
            ((*triggers).triggers, (*triggers).numtriggers as usize)
        }
    };
    // SAFETY: `i` lies within the array.
    (0..count).map(move |i| Definition { trigger: unsafe { triggers.add(i) }, table })
}

/// One firing of a row trigger. `Copy`: it only points at what Postgres passed.
#[derive(Clone, Copy)]
pub struct Firing<'f> {
    data: *mut pg_sys::TriggerData,
    function: *mut pg_sys::FmgrInfo,
    lasts: PhantomData<&'f ()>,
}

impl<'f> Firing<'f> {
    /// The firing behind a call of the trigger function, or an error if it was called otherwise.
    ///
    /// # Safety
    /// `fcinfo` is the call information Postgres passed to a function; the call lasts as long as `'f`.
    #[inline]
    pub unsafe fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Option<Firing<'f>> {
        // SAFETY: the context node, where there is one, starts with its tag.
        unsafe {
            let context = (*fcinfo).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
                return None;
            }
            let data = context as *mut pg_sys::TriggerData;
            Some(Firing { data, function: (*fcinfo).flinfo, lasts: PhantomData })
        }
    }

    /// Postgres's own record, for wrappers in this module tree.
    pub(in crate::pg) fn as_raw(&self) -> *const pg_sys::TriggerData {
        self.data
    }

    /// The trigger's function as the statement calls it for this relation.
    #[inline]
    pub(super) fn function(&self) -> *mut pg_sys::FmgrInfo {
        self.function
    }

    #[inline]
    fn data(&self) -> &pg_sys::TriggerData {
        // SAFETY: Postgres keeps TriggerData alive for the whole call.
        unsafe { &*self.data }
    }

    #[inline]
    pub fn event(&self) -> Event {
        match self.data().tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_UPDATE => Event::Update,
            pg_sys::TRIGGER_EVENT_DELETE => Event::Delete,
            _ => Event::Insert,
        }
    }

    /// Whether the trigger is a row trigger with the given timing.
    #[inline]
    pub fn is_row(&self, timing: Timing) -> bool {
        let event = self.data().tg_event;
        let wanted = match timing {
            Timing::Before => pg_sys::TRIGGER_EVENT_BEFORE,
            Timing::After => pg_sys::TRIGGER_EVENT_AFTER,
        };
        event & pg_sys::TRIGGER_EVENT_ROW != 0 && event & pg_sys::TRIGGER_EVENT_TIMINGMASK == wanted
    }

    /// Whether the trigger is a statement trigger with the given timing.
    pub fn is_statement(&self, timing: Timing) -> bool {
        let event = self.data().tg_event;
        let wanted = match timing {
            Timing::Before => pg_sys::TRIGGER_EVENT_BEFORE,
            Timing::After => pg_sys::TRIGGER_EVENT_AFTER,
        };
        event & pg_sys::TRIGGER_EVENT_ROW == 0 && event & pg_sys::TRIGGER_EVENT_TIMINGMASK == wanted
    }

    /// Whether the trigger is a TRUNCATE trigger with the given timing.
    pub fn is_truncate(&self, timing: Timing) -> bool {
        self.is_statement(timing)
            && self.data().tg_event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_TRUNCATE
    }

    /// The trigger that fires.
    #[inline]
    pub fn definition(&self) -> Definition<'f> {
        Definition { trigger: self.data().tg_trigger, table: self.table() }
    }

    pub fn trigger_name(&self) -> &str {
        // SAFETY: tg_trigger is set for every firing; the name is NUL-terminated.
        unsafe { cstr((*self.data().tg_trigger).tgname) }
    }

    #[inline]
    pub fn table(&self) -> Table<'f> {
        // SAFETY: tg_relation is open and locked for the whole call.
        unsafe { Table::from_raw(self.data().tg_relation) }
    }

    /// OLD of an UPDATE or DELETE.
    #[inline]
    pub fn old(&self) -> Row<'f> {
        // SAFETY: tg_trigtuple is OLD for these events and matches the relation's descriptor.
        unsafe { Row::from_raw(self.data().tg_trigtuple, (*self.data().tg_relation).rd_att) }
    }

    /// NEW of an INSERT or UPDATE.
    #[inline]
    pub fn new_row(&self) -> Row<'f> {
        let data = self.data();
        let tuple = match self.event() {
            Event::Update => data.tg_newtuple,
            _ => data.tg_trigtuple,
        };
        // SAFETY: the tuple matches the relation's descriptor.
        unsafe { Row::from_raw(tuple, (*data.tg_relation).rd_att) }
    }

    /// Whether the UPDATE's SET list names the column.
    #[inline]
    pub fn sets_column(&self, attno: i16) -> bool {
        let member = attno as i32 - pg_sys::FirstLowInvalidHeapAttributeNumber;
        // SAFETY: tg_updatedcols is NULL or a valid set.
        unsafe { ffi::bms_is_member(member, self.data().tg_updatedcols) }
    }

    /// OLD of an UPDATE or DELETE, for expressions.
    #[inline]
    pub fn old_in_slot(&self) -> RowSlot<'f> {
        // SAFETY: the slot holds OLD for the whole call.
        unsafe { RowSlot::from_raw(self.data().tg_trigslot) }
    }

    /// NEW of an INSERT or UPDATE, for expressions.
    #[inline]
    pub fn new_in_slot(&self) -> RowSlot<'f> {
        let slot = match self.event() {
            Event::Update => self.data().tg_newslot,
            _ => self.data().tg_trigslot,
        };
        // SAFETY: the slot holds NEW for the whole call.
        unsafe { RowSlot::from_raw(slot) }
    }

    /// OLD for a DELETE, NEW otherwise: what a BEFORE trigger returns to let the row through.
    #[inline]
    pub fn pass(&self) -> Row<'f> {
        match self.event() {
            Event::Delete => self.old(),
            _ => self.new_row(),
        }
    }
}

/// Runs a guard as the body of its C entry.
///
/// # Safety
/// `fcinfo` is the call information Postgres passed; `fire` keeps to plain frames.
#[inline]
pub unsafe fn enter(
    fcinfo: pg_sys::FunctionCallInfo,
    function: &'static str,
    fire: impl Fn(Firing) -> Result<Row, Report>,
) -> pg_sys::Datum {
    frames::enter();
    // SAFETY: promised by the caller.
    let outcome = match unsafe { Firing::of_call(fcinfo) } {
        Some(firing) => fire(firing),
        None => Err(not_a_trigger_call(function)),
    };
    frames::leave();
    match outcome {
        Ok(row) => row.into_datum(),
        Err(report) => report.throw(),
    }
}

/// 39P01: a trigger function called as an ordinary function.
fn not_a_trigger_call(function: &str) -> Report {
    Report::error(
        sqlstate::TRIGGER_PROTOCOL,
        format_args!("function \"raceguard.{function}\" was not called by the trigger manager"),
    )
    .detail(format_args!("It is a trigger function and takes effect only as part of a trigger."))
    .hint(format_args!("Let raceguard.add_* create the trigger."))
}

/// Declares the C entry of a trigger function: `guard_entry!(raceguard_version_guard, fire)`.
macro_rules! guard_entry {
    ($symbol:ident, $sql_name:literal, $fire:path) => {
        #[allow(unsafe_code)]
        const _: () = {
            $crate::pg::finfo::finfo!($symbol);

            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $symbol(
                fcinfo: ::pgrx::pg_sys::FunctionCallInfo,
            ) -> ::pgrx::pg_sys::Datum {
                // SAFETY: Postgres calls the symbol with its call information; the guard keeps to
                // plain frames, so an ERROR may jump over it.
                unsafe { $crate::pg::trigger::enter(fcinfo, $sql_name, $fire) }
            }
        };
    };
}
pub(crate) use guard_entry;
