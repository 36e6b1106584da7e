//! The session's [`Notes`]: filled by triggers, told of the end of each (sub)transaction.

use super::error::Report;
use super::foreign_key::ForeignKey;
use super::key_bytes;
use super::per_backend::PerBackend;
use super::raw;
use super::tuple::Row;
use crate::errors;
use crate::guards::parent_notes::Notes;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use pgrx::pg_sys::{self, Datum};
use std::rc::Rc;

extern "C-unwind" {
    fn GetCurrentSubTransactionId() -> pg_sys::SubTransactionId;
}

struct Session {
    notes: Notes<&'static ForeignKey>,
    /// The key being noted, kept for its memory.
    key: Vec<u8>,
    registered: bool,
}

static SESSION: PerBackend<UnsafeCell<Option<Session>>> = PerBackend::new(UnsafeCell::new(None));

/// No caller below calls Postgres while it holds the reference.
fn session() -> &'static mut Session {
    // SAFETY: a backend has one thread, and no reference outlives the function that asked for it.
    unsafe {
        (*SESSION.get()).get_or_insert_with(|| Session {
            notes: Notes::new(),
            key: Vec::new(),
            registered: false,
        })
    }
}

fn current_subtransaction() -> u32 {
    register_callbacks();
    // SAFETY: reads the transaction state.
    unsafe { GetCurrentSubTransactionId() }
}

/// Notes the parent that a row refers to; none if a column of the key is NULL. Plain frames.
#[inline]
pub fn note(foreign_key: &'static ForeignKey, row: Row) {
    let mut values = [Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
    for (value, column) in values.iter_mut().zip(foreign_key.columns) {
        match row.get(column.attno) {
            Some(found) => *value = key_bytes::flat(found, column.shape),
            None => return,
        }
    }
    let sub = current_subtransaction();
    let session = session();
    session.key.clear();
    session.key.extend_from_slice(&prefix(*foreign_key));
    for (value, column) in values.iter().zip(foreign_key.columns) {
        key_bytes::append(&mut session.key, *value, column.shape);
    }
    session.notes.note(&session.key, foreign_key, sub);
}

/// Notes a parent by its [`key`].
pub fn note_key(foreign_key: &'static ForeignKey, key: &[u8]) {
    let sub = current_subtransaction();
    session().notes.note(key, foreign_key, sub);
}

/// Bytes before the key itself: the constraint's OID, which keeps foreign keys apart.
pub const PREFIX: usize = 4;

fn prefix(foreign_key: ForeignKey) -> [u8; PREFIX] {
    foreign_key.constraint.to_u32().to_le_bytes()
}

/// The key of a parent, given the images of its columns.
pub fn key(foreign_key: ForeignKey, values: &[&Vec<u8>]) -> Rc<[u8]> {
    let mut key = prefix(foreign_key).to_vec();
    for value in values {
        key.extend_from_slice(value);
    }
    key.into()
}

/// See [`Notes::schedule`].
pub fn schedule() -> bool {
    let sub = current_subtransaction();
    session().notes.schedule(sub)
}

/// See [`Notes::will_be_handled`].
#[inline]
pub fn will_be_handled() -> bool {
    session().notes.will_be_handled()
}

/// See [`Notes::any_left`].
pub fn any_left() -> bool {
    session().notes.any_left()
}

/// See [`Notes::begin`].
pub fn begin() -> bool {
    let sub = current_subtransaction();
    session().notes.begin(sub)
}

/// See [`Notes::end`].
pub fn end() {
    session().notes.end();
}

/// See [`Notes::take`].
pub fn take() -> Vec<(&'static ForeignKey, Rc<[u8]>)> {
    let sub = current_subtransaction();
    session().notes.take(sub)
}

fn register_callbacks() {
    if session().registered {
        return;
    }
    // SAFETY: the callbacks are registered once per backend and never unloaded.
    unsafe {
        raw::RegisterXactCallback(Some(transaction_ended), core::ptr::null_mut());
        raw::RegisterSubXactCallback(Some(subtransaction_ended), core::ptr::null_mut());
    }
    session().registered = true;
}

unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE if session().notes.any_left() => {
            never_bumped().throw()
        }
        XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE => {
            session().notes = Notes::new();
        }
        _ => {}
    }
}

/// No trigger came to bump what was noted. That takes a call of the WHEN condition's function by
/// hand, or triggers attached by hand; the transaction must not commit children whose parents were
/// not bumped.
fn never_bumped() -> Report {
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("parents of written rows still have their old versions"),
    )
    .detail(format_args!(
        "Function \"raceguard.parent_version_due\" was called outside the condition of a trigger, or a table has only one of its two TRUNCATE triggers."
    ))
    .hint(format_args!(
        "Let raceguard.add_parent_version create the triggers, leave raceguard.parent_version_due to them, and repeat the transaction."
    ))
}

unsafe extern "C-unwind" fn subtransaction_ended(
    event: pg_sys::SubXactEvent::Type,
    sub: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        session().notes.abort(sub);
    }
}
