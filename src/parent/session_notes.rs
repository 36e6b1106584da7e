//! The session's [`Notes`]: filled by triggers, told of the end of each (sub)transaction.
//!
//! A note is bytes and a copy of the foreign key they were read by, and points at no rule: rules may be
//! replaced before the bump. Whether the foreign key still stands is asked at the bump
//! ([`ForeignKey::stands`]); bytes are never read as another type than they were noted as.

use crate::errors;
use crate::guard::child_key::{append_key, key_values, Followed};
use crate::parent::notes::Notes;
use crate::pg::advisory_lock::subtransaction_number;
use crate::pg::alloc::{fallibly, is_exiting};
use crate::pg::error::Report;
use crate::pg::foreign_key::ForeignKey;
use crate::pg::memory::{exhausted, reserve};
use crate::pg::per_backend::PerBackend;
use crate::pg::transaction_end::{self, Listener};
use crate::pg::tuple::Row;
use core::cell::RefCell;
use pgrx::pg_sys::Oid;
use std::collections::TryReserveError;
use std::sync::Arc;

struct Session {
    notes: Notes<Source>,
    /// The foreign keys of the notes, each once.
    sources: Vec<Arc<Followed>>,
    /// The key being noted, kept for its memory.
    key: Vec<u8>,
}

/// A foreign key's number among those of the session's notes.
#[derive(Clone, Copy)]
struct Source(usize);

fn source_of(
    sources: &mut Vec<Arc<Followed>>,
    key: &ForeignKey,
) -> Result<Source, TryReserveError> {
    if let Some(found) = sources.iter().position(|known| known.is(key)) {
        return Ok(Source(found));
    }
    sources.try_reserve(1)?;
    sources.push(Arc::new(Followed::of(key)?));
    Ok(Source(sources.len() - 1))
}

static SESSION: PerBackend<RefCell<Option<Session>>> = PerBackend::new(RefCell::new(None));

static LISTENER: Listener = Listener {
    before_commit: || match with(|session| session.notes.any_left()) {
        true => Err(never_bumped()),
        false => Ok(()),
    },
    ended: || {
        if !is_exiting() {
            with(|session| {
                session.notes = Notes::new();
                session.sources = Vec::new();
            })
        }
    },
    rolled_back: |sub| {
        if !is_exiting() {
            with(|session| session.notes.abort(sub))
        }
    },
    released: |_| {},
};

/// Looks at the session's notes. `body` calls nothing of Postgres: an ERROR would leave them borrowed.
#[inline]
fn with<T>(body: impl FnOnce(&mut Session) -> T) -> T {
    if SESSION.borrow().is_none() {
        transaction_end::listen(&LISTENER);
    }
    let new = || Session { notes: Notes::new(), sources: Vec::new(), key: Vec::new() };
    body(SESSION.borrow_mut().get_or_insert_with(new))
}

/// Notes the parent that a row refers to; none if a column of the key is NULL. Plain frames.
#[inline]
pub fn note(foreign_key: &ForeignKey, row: Row) -> Result<(), Report> {
    let Some(values) = key_values(foreign_key, row) else { return Ok(()) };
    let sub = subtransaction_number();
    let outcome = with(|Session { notes, sources, key }| {
        key.clear();
        let noted = fallibly(|| {
            key.try_reserve(PREFIX)?;
            key.extend_from_slice(&prefix(foreign_key.constraint));
            append_key(key, foreign_key, &values)?;
            notes.note(key, sub, || source_of(sources, foreign_key))
        });
        noted.map_err(|_| key.len())
    });
    outcome.map_err(exhausted)
}

/// Notes a parent by its [`key`].
pub fn note_key(foreign_key: &ForeignKey, key: &[u8]) -> Result<(), Report> {
    let sub = subtransaction_number();
    with(|Session { notes, sources, .. }| {
        fallibly(|| notes.note(key, sub, || source_of(sources, foreign_key))).map_err(|_| key.len())
    })
    .map_err(exhausted)
}

/// Bytes before the key itself: the constraint's OID, which keeps foreign keys apart.
pub const PREFIX: usize = 4;

fn prefix(constraint: Oid) -> [u8; PREFIX] {
    constraint.to_u32().to_le_bytes()
}

/// The key of a parent, given the images of its columns.
pub fn key<'a>(
    constraint: Oid,
    values: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<Vec<u8>, Report> {
    let mut key = Vec::new();
    reserve(&mut key, PREFIX + values.clone().map(<[u8]>::len).sum::<usize>())?;
    key.extend_from_slice(&prefix(constraint));
    for value in values {
        key.extend_from_slice(value);
    }
    Ok(key)
}

/// See [`Notes::schedule`].
pub fn schedule() -> bool {
    let sub = subtransaction_number();
    with(|session| session.notes.schedule(sub))
}

/// See [`Notes::will_be_handled`].
#[inline]
pub fn will_be_handled() -> bool {
    with(|session| session.notes.will_be_handled())
}

/// See [`Notes::any_left`].
pub fn any_left() -> bool {
    with(|session| session.notes.any_left())
}

/// See [`Notes::begin`].
pub fn begin() -> bool {
    let sub = subtransaction_number();
    with(|session| session.notes.begin(sub))
}

/// See [`Notes::end`].
pub fn end() {
    with(|session| session.notes.end())
}

/// A foreign key and the key of a parent.
pub type Noted = (Arc<Followed>, Vec<u8>);

/// See [`Notes::take`].
pub fn take() -> Result<Vec<Noted>, Report> {
    let sub = subtransaction_number();
    let taken = with(|session| fallibly(|| session.notes.take(sub)).map_err(|_| PREFIX))
        .map_err(exhausted)?;
    let mut noted = Vec::new();
    reserve(&mut noted, taken.len())?;
    with(|session| {
        for (Source(i), key) in taken {
            if let Some(followed) = session.sources.get(i) {
                noted.push((followed.clone(), key));
            }
        }
    });
    Ok(noted)
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
