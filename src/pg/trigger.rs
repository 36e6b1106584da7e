//! What a row trigger is told: the table, the event, OLD and NEW, its arguments.

use super::error::Report;
use super::raw;
use super::relation::Table;
use super::text::cstr;
use super::tuple::Row;
use crate::errors;
use pgrx::pg_sys;

/// The write that fired the trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Insert,
    Update,
    Delete,
}

/// When a guard has to be attached, for the protocol check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    Before,
    After,
}

/// A trigger as CREATE TRIGGER defined it. `Copy`: it points into the executor's copy of the table's
/// triggers, or into one in the memory context of [`find_all`]'s caller.
#[derive(Clone, Copy)]
pub struct Definition {
    trigger: *const pg_sys::Trigger,
    table: Table,
}

impl Definition {
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

    #[inline]
    pub fn table(&self) -> Table {
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
pub fn find(table: Table, function: &str) -> Option<Definition> {
    find_all(table, function).next()
}

/// The trigger of that name, if it runs the function `raceguard.<function>`.
pub fn find_named(table: Table, function: &str, name: &str) -> Option<Definition> {
    find_all(table, function).find(|definition| definition.name() == name)
}

/// All triggers on an open table that run the function `raceguard.<function>`, by name.
pub fn find_all(table: Table, function: &str) -> impl Iterator<Item = Definition> + use<'_> {
    // SAFETY: the relation is open. Its own array is freed when an invalidation arrives, that of a
    // concurrent ANALYZE for one, and any look-up receives them: so a copy, as the executor's.
    let (triggers, count) = unsafe {
        let triggers = raw::CopyTriggerDesc((*table.as_raw()).trigdesc);
        if triggers.is_null() {
            (core::ptr::null_mut(), 0)
        } else {
            ((*triggers).triggers, (*triggers).numtriggers as usize)
        }
    };
    (0..count).filter_map(move |i| {
        // SAFETY: as above; the look-ups return text or NULL.
        unsafe {
            let trigger = triggers.add(i);
            let namespace = raw::get_func_namespace((*trigger).tgfoid);
            let matches = cstr(raw::get_func_name((*trigger).tgfoid)) == function
                && cstr(raw::get_namespace_name(namespace)) == "raceguard";
            matches.then_some(Definition { trigger, table })
        }
    })
}

/// One firing of a row trigger. `Copy`: it only points at Postgres's `TriggerData`.
#[derive(Clone, Copy)]
pub struct Firing {
    data: *mut pg_sys::TriggerData,
}

const EVENT_MASK: u32 = 0x03;
const EVENT_DELETE: u32 = 0x01;
const EVENT_UPDATE: u32 = 0x02;
const EVENT_TRUNCATE: u32 = 0x03;
const EVENT_ROW: u32 = 0x04;
const EVENT_BEFORE: u32 = 0x08;
const EVENT_TIMING_MASK: u32 = 0x18;

impl Firing {
    /// The firing behind a call of the trigger function, or an error if it was called otherwise.
    ///
    /// # Safety
    /// `fcinfo` is the call information Postgres passed to a function.
    #[inline]
    pub unsafe fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Option<Firing> {
        // SAFETY: the context node, where there is one, starts with its tag.
        unsafe {
            let context = (*fcinfo).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
                return None;
            }
            Some(Firing { data: context as *mut pg_sys::TriggerData })
        }
    }

    /// Postgres's own record, for wrappers in this module tree.
    pub fn as_raw(&self) -> *const pg_sys::TriggerData {
        self.data
    }

    #[inline]
    fn data(&self) -> &pg_sys::TriggerData {
        // SAFETY: Postgres keeps TriggerData alive for the whole call.
        unsafe { &*self.data }
    }

    #[inline]
    pub fn event(&self) -> Event {
        match self.data().tg_event & EVENT_MASK {
            EVENT_UPDATE => Event::Update,
            EVENT_DELETE => Event::Delete,
            _ => Event::Insert,
        }
    }

    /// Whether the trigger is a row trigger with the given timing.
    #[inline]
    pub fn is_row(&self, timing: Timing) -> bool {
        let event = self.data().tg_event;
        let wanted = match timing {
            Timing::Before => EVENT_BEFORE,
            Timing::After => 0,
        };
        event & EVENT_ROW != 0 && event & EVENT_TIMING_MASK == wanted
    }

    /// Whether the trigger is a TRUNCATE trigger with the given timing.
    pub fn is_truncate(&self, timing: Timing) -> bool {
        let event = self.data().tg_event;
        let wanted = match timing {
            Timing::Before => EVENT_BEFORE,
            Timing::After => 0,
        };
        event & EVENT_MASK == EVENT_TRUNCATE
            && event & EVENT_ROW == 0
            && event & EVENT_TIMING_MASK == wanted
    }

    /// The trigger that fires.
    #[inline]
    pub fn definition(&self) -> Definition {
        Definition { trigger: self.data().tg_trigger, table: self.table() }
    }

    pub fn trigger_name(&self) -> &str {
        // SAFETY: tg_trigger is set for every firing; the name is NUL-terminated.
        unsafe { cstr((*self.data().tg_trigger).tgname) }
    }

    #[inline]
    pub fn table(&self) -> Table {
        // SAFETY: tg_relation is open and locked for the whole call.
        unsafe { Table::from_raw(self.data().tg_relation) }
    }

    /// OLD of an UPDATE or DELETE.
    #[inline]
    pub fn old(&self) -> Row {
        // SAFETY: tg_trigtuple is OLD for these events and matches the relation's descriptor.
        unsafe { Row::from_raw(self.data().tg_trigtuple, (*self.data().tg_relation).rd_att) }
    }

    /// NEW of an INSERT or UPDATE.
    #[inline]
    pub fn new_row(&self) -> Row {
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
        unsafe { raw::bms_is_member(member, self.data().tg_updatedcols) }
    }

    /// OLD of an UPDATE or DELETE, for expressions.
    #[inline]
    pub fn old_slot(&self) -> *mut pg_sys::TupleTableSlot {
        self.data().tg_trigslot
    }

    /// NEW of an INSERT or UPDATE, for expressions.
    #[inline]
    pub fn new_slot(&self) -> *mut pg_sys::TupleTableSlot {
        match self.event() {
            Event::Update => self.data().tg_newslot,
            _ => self.data().tg_trigslot,
        }
    }

    /// OLD for a DELETE, NEW otherwise: what a BEFORE trigger returns to let the row through.
    #[inline]
    pub fn pass(&self) -> Row {
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
    // SAFETY: promised by the caller.
    let outcome = match unsafe { Firing::of_call(fcinfo) } {
        Some(firing) => fire(firing),
        None => Err(errors::not_a_trigger_call(function)),
    };
    match outcome {
        Ok(row) => row.into_datum(),
        Err(report) => report.throw(),
    }
}

/// Declares the C entry of a trigger function: `guard_entry!(raceguard_version_guard, fire)`.
macro_rules! guard_entry {
    ($symbol:ident, $sql_name:literal, $fire:path) => {
        #[allow(unsafe_code)]
        const _: () = {
            $crate::pg::entry::finfo!($symbol);

            #[no_mangle]
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
