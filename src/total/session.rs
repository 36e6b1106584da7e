//! The session's [`Ledger`]: filled by triggers, told of the end of each (sub)transaction.
//!
//! A note is bytes and a copy of the foreign key they were read by, and points at no rule: rules may be
//! replaced before it is settled. Whether the foreign key still stands is asked then.

use crate::guard::child_key::{append_key, Followed, KeyDatums};
use crate::pg::advisory_lock::subtransaction_number;
use crate::pg::alloc::{fallibly, is_exiting};
use crate::pg::error::Report;
use crate::pg::foreign_key::ForeignKey;
use crate::pg::key_bytes;
use crate::pg::memory::exhausted;
use crate::pg::numeric;
use crate::pg::per_backend::PerBackend;
use crate::pg::transaction_end::{self, Listener};
use crate::total::amount::{Amount, NUMERIC};
use crate::total::faults;
use crate::total::ledger::{DueAccount, Ledger, TryCopy};
use core::cell::RefCell;
use pgrx::pg_sys::{Datum, Oid};
use std::collections::TryReserveError;
use std::sync::Arc;

/// Where a note comes from, and when it is settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceKind {
    /// A child's rows, settled when the statement ends.
    Statement,
    /// The same, settled when the transaction ends.
    Commit,
    /// A parent's own row, looked at when the transaction ends.
    Parent,
}

/// Says where a parent row is found: the number of an [`NoteOrigin`], and what is asked for most.
#[derive(Clone, Copy, Debug)]
pub struct NoteSource {
    pub origin: usize,
    pub kind: SourceKind,
    /// The parent table.
    pub parent: u32,
}

/// The foreign key by which notes name parents, and the parent's column. For [`SourceKind::Parent`] the key has no
/// columns: the note names the row by its primary key.
pub struct NoteOrigin {
    pub key: Arc<Followed>,
    pub column: i16,
    kind: SourceKind,
}

struct TotalsSession {
    ledger: Ledger<NoteSource, Amount>,
    origins: Vec<NoteOrigin>,
    /// The key being noted, kept for its memory.
    key: Vec<u8>,
    /// How many statements of guarded tables have begun and not ended, by subtransaction.
    statements: Vec<(u32, u32)>,
    /// The subtransaction in which a deferred settlement was queued that has not begun.
    scheduled: Option<u32>,
    /// The subtransaction in which a settlement is under way.
    running: Option<u32>,
    /// Parent tables of which rows have gone, or got another key: a row that comes may have what was noted for
    /// another one.
    moved: Vec<u32>,
    /// Whether a parent came that must have a total when the transaction ends.
    newborn: bool,
    /// Whether children may come before their parents, those of another transaction too, of which no trigger tells here.
    late: bool,
    /// What looks once more before the transaction commits: a settlement has missed a parent.
    missed: Option<fn() -> Result<(), Report>>,
}

static SESSION: PerBackend<RefCell<Option<TotalsSession>>> = PerBackend::new(RefCell::new(None));

static LISTENER: Listener = Listener {
    before_commit: || match with(|session| (session.ledger.any_open(|_| true), session.missed)) {
        (true, _) => Err(faults::never_settled()),
        (false, Some(look_again)) => look_again(),
        (false, None) => Ok(()),
    },
    ended: || {
        if !is_exiting() {
            with(|session| *session = TotalsSession::new())
        }
    },
    rolled_back: |sub| {
        if !is_exiting() {
            with(|session| session.abort(sub))
        }
    },
    released: |_| {},
};

impl TotalsSession {
    const fn new() -> TotalsSession {
        TotalsSession {
            ledger: Ledger::new(),
            origins: Vec::new(),
            key: Vec::new(),
            statements: Vec::new(),
            scheduled: None,
            running: None,
            moved: Vec::new(),
            newborn: false,
            late: false,
            missed: None,
        }
    }

    fn abort(&mut self, sub: u32) {
        self.ledger.abort(sub);
        while self.statements.pop_if(|open| open.0 >= sub).is_some() {}
        for state in [&mut self.scheduled, &mut self.running] {
            if state.is_some_and(|s| s >= sub) {
                *state = None;
            }
        }
    }

    /// The account of the key in `self.key`.
    fn account(
        &mut self,
        key: &ForeignKey,
        column: i16,
        kind: SourceKind,
        sub: u32,
    ) -> Result<usize, TryReserveError> {
        let TotalsSession { ledger, origins, key: bytes, .. } = self;
        ledger.account(bytes, sub, || origin_of(origins, key, column, kind))
    }

    /// Writes a key into `self.key`.
    fn write_key(
        &mut self,
        key: &ForeignKey,
        column: i16,
        kind: SourceKind,
        append: impl FnOnce(&mut Vec<u8>) -> Result<(), TryReserveError>,
    ) -> Result<(), TryReserveError> {
        write_prefix(&mut self.key, key.constraint, column, kind)?;
        append(&mut self.key)
    }
}

/// Begins a key.
#[inline]
fn write_prefix(
    key: &mut Vec<u8>,
    constraint: Oid,
    column: i16,
    kind: SourceKind,
) -> Result<(), TryReserveError> {
    key.clear();
    key.try_reserve(PREFIX)?;
    key.extend_from_slice(&constraint.to_u32().to_le_bytes());
    key.extend_from_slice(&column.to_le_bytes());
    key.push(kind as u8);
    Ok(())
}

fn origin_of(
    origins: &mut Vec<NoteOrigin>,
    key: &ForeignKey,
    column: i16,
    kind: SourceKind,
) -> Result<NoteSource, TryReserveError> {
    let is = |known: &NoteOrigin| {
        known.key.is(key)
            && known.key.parent == key.parent
            && (known.column, known.kind) == (column, kind)
    };
    let origin = match origins.iter().position(is) {
        Some(found) => found,
        None => {
            origins.try_reserve(1)?;
            origins.push(NoteOrigin { key: Arc::new(Followed::of(key)?), column, kind });
            origins.len() - 1
        }
    };
    Ok(NoteSource { origin, kind, parent: key.parent.to_u32() })
}

/// Bytes before the key itself, which keep foreign keys, columns and kinds apart.
pub const PREFIX: usize = 7;

/// Looks at the session. `body` calls nothing of Postgres: an ERROR would leave it borrowed.
#[inline]
fn with<T>(body: impl FnOnce(&mut TotalsSession) -> T) -> T {
    if SESSION.borrow().is_none() {
        transaction_end::listen(&LISTENER);
    }
    body(SESSION.borrow_mut().get_or_insert_with(TotalsSession::new))
}

/// The child's side of a total, as notes name it.
#[derive(Clone, Copy)]
pub struct NotedFor<'a> {
    pub foreign_key: &'a ForeignKey<'a>,
    pub column: i16,
    pub kind: SourceKind,
}

/// Adds an integer to what is noted for the parent with these key values. Plain frames.
#[inline]
pub fn note_integer(noted: NotedFor, values: &KeyDatums, n: i128) -> Result<(), Report> {
    let NotedFor { foreign_key, column, kind } = noted;
    let sub = subtransaction_number();
    let outcome = with(|session| {
        let added = fallibly(|| {
            session
                .write_key(foreign_key, column, kind, |key| append_key(key, foreign_key, values))?;
            let account = session.account(foreign_key, column, kind, sub)?;
            let sum = match session.ledger.noted(account, sub) {
                Some(Amount::Int(sum)) => sum.checked_add(n),
                _ => Some(n),
            };
            match sum {
                Some(sum) => session.ledger.note(account, sub, Amount::Int(sum)).map(|()| true),
                None => Ok(false),
            }
        });
        added.map_err(|_| session.key.len())
    });
    match outcome.map_err(exhausted)? {
        true => Ok(()),
        false => Err(faults::out_of_range()),
    }
}

/// The same of a numeric value, which is finite.
pub fn note_numeric(noted: NotedFor, values: &KeyDatums, value: Datum) -> Result<(), Report> {
    let NotedFor { foreign_key, column, kind } = noted;
    let sub = subtransaction_number();
    let found = with(|session| {
        let account = fallibly(|| {
            session
                .write_key(foreign_key, column, kind, |key| append_key(key, foreign_key, values))?;
            session.account(foreign_key, column, kind, sub)
        });
        account.map_err(|_| session.key.len())
    });
    let account = found.map_err(exhausted)?;
    let noted = with(|session| match session.ledger.noted(account, sub) {
        Some(amount @ Amount::Numeric(_)) => fallibly(|| amount.try_copy()).map(Some),
        _ => Ok(None),
    });
    let sum = match noted.map_err(|_| exhausted(PREFIX))? {
        Some(Amount::Numeric(bytes)) => match key_bytes::split(&bytes, NUMERIC) {
            Some((noted, _)) => numeric::add(noted.datum(), value)?,
            None => return Err(exhausted(bytes.len())),
        },
        _ => value,
    };
    let sum = key_bytes::flat(sum, NUMERIC);
    let outcome = with(|session| {
        fallibly(|| {
            let mut bytes = Vec::new();
            key_bytes::append(&mut bytes, sum, NUMERIC)?;
            session.ledger.note(account, sub, Amount::Numeric(bytes))
        })
    });
    outcome.map_err(|_| exhausted(PREFIX))
}

/// Notes something of a parent by its primary key, given as text. Plain frames.
pub fn note_parent(
    parent: Oid,
    column: i16,
    identity: &[u8],
    amount: Amount,
) -> Result<(), Report> {
    let sub = subtransaction_number();
    let key = parents_own(parent);
    let outcome = with(|session| {
        fallibly(|| {
            session.write_key(&key, column, SourceKind::Parent, |bytes| {
                bytes.try_reserve(identity.len() + 4)?;
                bytes.extend_from_slice(&parent.to_u32().to_le_bytes());
                bytes.extend_from_slice(identity);
                Ok(())
            })?;
            let account = session.account(&key, column, SourceKind::Parent, sub)?;
            let counts = matches!(session.ledger.noted(account, sub), Some(Amount::Count));
            let amount = if counts { Amount::Count } else { amount };
            session.ledger.note(account, sub, amount)
        })
    });
    outcome.map_err(|_| exhausted(identity.len()))
}

/// Bytes of a parent's own note before its identity.
pub const PARENT_PREFIX: usize = PREFIX + 4;

/// Stands for no foreign key.
fn parents_own(parent: Oid) -> ForeignKey<'static> {
    let (constraint, child) = (Oid::INVALID, Oid::INVALID);
    ForeignKey { constraint, child, parent, over_periods: false, columns: &[], tables: &[] }
}

/// A statement of a guarded table begins.
pub fn begin_statement() -> Result<(), Report> {
    let sub = subtransaction_number();
    let outcome = with(|session| {
        if let Some(open) = session.statements.last_mut().filter(|open| open.0 == sub) {
            open.1 += 1;
            return Ok(());
        }
        fallibly(|| session.statements.try_reserve(1))?;
        session.statements.push((sub, 1));
        Ok(())
    });
    outcome.map_err(|_: TryReserveError| exhausted(size_of::<(u32, u32)>()))
}

/// A statement of a guarded table ends; whether it is the last one that is open in this subtransaction. A cascade
/// may end more statements than it has begun.
pub fn end_statement() -> bool {
    let sub = subtransaction_number();
    with(|session| {
        match session.statements.last_mut().filter(|open| open.0 == sub) {
            Some(open) if open.1 > 1 => {
                open.1 -= 1;
                return false;
            }
            Some(_) => drop(session.statements.pop()),
            None => {}
        }
        true
    })
}

/// Whether a deferred settlement has to be queued for a row that is being written, `at_commit` or because no
/// statement's end will come to settle it. True once, until that settlement begins.
pub fn schedule(at_commit: bool) -> bool {
    let sub = subtransaction_number();
    with(|session| {
        let comes = session.scheduled.is_some() || session.running.is_some();
        if comes || (!at_commit && !session.late && !session.statements.is_empty()) {
            return false;
        }
        session.scheduled = Some(sub);
        true
    })
}

/// The same for a row of a parent: where something is to be looked at.
pub fn schedule_for_parent() -> bool {
    let has_work = with(|session| {
        session.newborn || !session.moved.is_empty() || session.ledger.any(|_| true)
    });
    has_work && schedule(true)
}

/// A parent came that must have a total when the transaction ends.
pub fn expect_first_child() {
    with(|session| session.newborn = true)
}

/// Children are written whose foreign key may be checked when the transaction ends: their totals are looked at again
/// then.
pub fn expect_late_parents() {
    with(|session| session.late = true)
}

/// Whether some have been.
pub fn is_late() -> bool {
    with(|session| session.late)
}

/// A parent was not there when what was noted for it was to be settled: `look_again` is called when no trigger can fire
/// any more.
pub fn miss_parent(look_again: fn() -> Result<(), Report>) {
    with(|session| session.missed = Some(look_again))
}

/// A row of a parent goes, or gets another key.
pub fn move_parent(parent: Oid) -> Result<(), Report> {
    let parent = parent.to_u32();
    let outcome = with(|session| {
        if !session.moved.contains(&parent) {
            fallibly(|| session.moved.try_reserve(1))?;
            session.moved.push(parent);
        }
        Ok(())
    });
    outcome.map_err(|_: TryReserveError| exhausted(size_of::<u32>()))
}

/// Whether rows of a parent have gone, or got another key, in this transaction.
pub fn has_moved(parent: Oid) -> bool {
    with(|session| session.moved.contains(&parent.to_u32()))
}

/// Whether something was noted for a parent table by its children.
pub fn any_noted(parent: Oid) -> bool {
    let parent = parent.to_u32();
    with(|session| session.ledger.any(|s| s.parent == parent && s.kind != SourceKind::Parent))
}

/// All rows of a parent table are gone, and all its children's: nothing is left to settle.
pub fn forget_parent(parent: Oid) -> Result<(), Report> {
    let (sub, parent) = (subtransaction_number(), parent.to_u32());
    with(|session| fallibly(|| session.ledger.void(sub, |s| s.parent == parent)))
        .map_err(|_| exhausted(size_of::<u32>()))
}

/// Whether something is going to settle what is noted now.
#[inline]
pub fn will_be_settled() -> bool {
    with(|session| {
        !session.statements.is_empty() || session.scheduled.is_some() || session.running.is_some()
    })
}

/// Whether statements of guarded tables are open.
pub fn in_statement() -> bool {
    with(|session| !session.statements.is_empty())
}

/// The queued settlement has come, and leaves its work to the end of the statement.
pub fn unschedule() {
    with(|session| session.scheduled = None)
}

/// A settlement begins, of everything if `all`; false if one is under way, which then does this one's work.
pub fn begin(all: bool) -> bool {
    let sub = subtransaction_number();
    with(|session| {
        if session.running.is_some() {
            return false;
        }
        if all {
            session.scheduled = None;
            session.ledger.reopen();
        }
        session.running = Some(sub);
        true
    })
}

pub fn end() {
    with(|session| session.running = None)
}

/// What is due: of a settlement that is not of `all`, what no deferred one will come for. Parents that have got another
/// key have what was noted for the old one: they are counted first.
pub fn take(all: bool) -> Result<Vec<DueAccount<NoteSource, Amount>>, Report> {
    with(|session| {
        let TotalsSession { ledger, moved, scheduled, .. } = session;
        let deferred = scheduled.is_some() && !all;
        fallibly(|| {
            ledger.take(|source| match source.kind {
                SourceKind::Statement => !deferred || !moved.contains(&source.parent),
                SourceKind::Commit | SourceKind::Parent => !deferred,
            })
        })
    })
    .map_err(|_| exhausted(PREFIX))
}

/// What is to be settled at COMMIT for a parent, named by a foreign key and the [`append_key`] of its values.
pub fn due_at_commit(
    constraint: Oid,
    values: &[u8],
) -> Result<Option<DueAccount<NoteSource, Amount>>, Report> {
    with(|session| {
        let TotalsSession { ledger, origins, key, .. } = session;
        let is_of =
            |o: &&NoteOrigin| o.kind == SourceKind::Commit && o.key.constraint == constraint;
        for NoteOrigin { column, kind, .. } in origins.iter().filter(is_of) {
            let found = fallibly(|| {
                write_prefix(key, constraint, *column, *kind)?;
                key.try_reserve(values.len())?;
                key.extend_from_slice(values);
                ledger.due(key)
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    })
    .map_err(|_: TryReserveError| exhausted(values.len()))
}

/// What was taken of an account is settled.
pub fn settled(account: usize) -> Result<(), Report> {
    let sub = subtransaction_number();
    with(|session| fallibly(|| session.ledger.settle(account, sub)))
        .map_err(|_| exhausted(size_of::<usize>()))
}

/// Looks at an origin.
pub fn origin<T>(number: usize, look: impl FnOnce(&NoteOrigin) -> T) -> Option<T> {
    let session = SESSION.borrow();
    session.as_ref().and_then(|session| session.origins.get(number)).map(look)
}
