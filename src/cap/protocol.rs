//! How a writer gets a slot of a cap: looked for under the deciding snapshot, reserved by try-lock, looked at again,
//! waited for only when nothing else is left.
//!
//! No Postgres in here: what the protocol asks of it stands in three traits, [`Slots`], [`SlotIndex`] and [`SlotPass`].
//! `search.rs` answers for a server, and `pgrx-tests/simulator` for every order in which sessions can take their steps.

use crate::cap::hints::{self, Hints, KeyAsSeen};
use crate::cap::spare::{Spare, Spares};
use std::time::Instant;

/// Where the next slot is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// The lowest free slot: gaps first.
    Lowest,
    /// Past the highest slot while there is room, gaps only at the end.
    Append,
}

impl Fill {
    pub fn name(self) -> &'static str {
        match self {
            Fill::Lowest => "lowest",
            Fill::Append => "append",
        }
    }
}

/// One key of one cap, as a writer meets it.
///
/// A lock that was taken is held until the (sub)transaction ends, unless it is given back. An answer that is no `Result`
/// may still end the call: by an ERROR, past the protocol.
pub trait Slots {
    /// A key of fewer slots is always read as a whole.
    const REMEMBERED_FROM: i64 = hints::FROM;

    /// An error of Postgres: a cancel, a timeout, a deadlock.
    type Failure;
    /// A time in which nothing changes that others or this command have written.
    type Moment: Copy + PartialEq;
    /// A key of a few machine words.
    type Words: Copy + PartialEq;
    type Index: SlotIndex<Failure = Self::Failure, Moment = Self::Moment>;

    fn slots(&self) -> i64;
    fn fill(&self) -> Fill;
    /// Whether the cap only observes: it waits for nobody.
    fn observes(&self) -> bool;
    /// Takes the table's lock, shared or, past the limit, exclusively: whether slots still have to be locked one by one.
    /// `None` where that would be waited for and must not.
    fn prepare(&self, waits: bool) -> Result<Option<bool>, Self::Failure>;
    /// Takes a slot's lock if nobody else has it: whether it is a new one.
    fn try_lock(&self, slot: i64) -> Option<bool>;
    /// Waits for a slot's lock: whether it is a new one.
    fn lock(&self, slot: i64) -> Result<bool, Self::Failure>;
    /// Gives back a slot's lock that was just taken; one that was held before stays held.
    fn release(&self, slot: i64);
    /// Counts one more single lock.
    fn count_lock(&self);
    fn open(&self) -> Self::Index;
    /// As of when something that is found free now is so.
    fn now(&self) -> Self::Moment;
    fn allow_cancel(&self);
    fn clock(&self) -> Instant;
    /// The index by its number, and the key where it can be compared whole.
    fn index_number(&self) -> u32;
    fn words(&self) -> Option<Self::Words>;
    /// What is remembered of the key, if it still is so, is remembered under this.
    fn as_seen(&self, index: &Self::Index) -> KeyAsSeen;
    /// What this session remembers.
    fn hints(&self) -> &Hints;
    fn spares(&self) -> &Spares<Self::Words, Self::Moment>;
}

/// The rows of the key by their slots, in the index.
pub trait SlotIndex {
    type Failure;
    type Moment: Copy + PartialEq;
    type Pass: SlotPass<Moment = Self::Moment>;
    /// A transaction.
    type Writer: Copy;

    /// Takes a deciding snapshot and reads the taken slots under it, up from the lowest, down from the highest, or up from
    /// this one.
    fn up(&self) -> Self::Pass;
    fn down(&self) -> Self::Pass;
    fn up_from(&self, slot: i64) -> Self::Pass;
    /// Whether a slot is taken, under a deciding snapshot of its own.
    fn is_taken(&self, slot: i64) -> bool;
    /// Reads all versions of rows in the order of their slots, uncommitted ones too. This look does not stop at one moment,
    /// and can miss rows.
    fn look_dirtily(&self, see: impl FnMut(i64, SlotVersion<Self::Writer>));
    /// Waits until a transaction has ended, or the part of it that wrote is undone.
    fn wait_for(&self, writer: Self::Writer) -> Result<(), Self::Failure>;
    fn close(self);
}

/// One pass over the taken slots under one deciding snapshot.
pub trait SlotPass {
    type Moment: Copy + PartialEq;

    fn next_taken(&mut self) -> Option<i64>;
    /// The last of the taken slots that follow `slot`, which was found last, without a gap, as far as that costs nothing.
    fn skip(&mut self, slot: i64) -> i64;
    /// Whether what the pass has found free is still so.
    fn is_current(&self) -> bool;
    /// When its snapshot was taken.
    fn moment(&self) -> Self::Moment;
    fn done(self);
}

/// A version of a row as a dirty look sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotVersion<W> {
    /// Committed, and nobody takes it out.
    Stays,
    /// Not committed yet, and not taken out again.
    Arrives,
    /// Somebody takes it out.
    Leaves(W),
}

/// What a row that needs a slot is to get.
#[derive(Clone, Copy)]
pub struct Request<W, M> {
    /// This one, if it is free.
    pub preferred: Option<i64>,
    /// Whether to wait for a slot that may yet become free.
    pub waits: bool,
    pub kept: Kept<W, M>,
}

/// What rows of one command leave to each other.
#[derive(Clone, Copy)]
pub struct Kept<W, M> {
    /// Slots that were free for the row before.
    pub spare: Option<Spare<W, M>>,
    /// Whether to keep them for the next: this row surely comes to stand in its slot.
    pub keeps: bool,
}

/// Waits for the lock of a slot that the writer named, so that it meets no reservation. A cap that only
/// observes takes it if nobody has it.
pub fn claim<S: Slots>(key: &S, slot: i64) -> Result<(), S::Failure> {
    if key.prepare(!key.observes())? != Some(true) {
        return Ok(());
    }
    let new = match key.observes() {
        true => key.try_lock(slot) == Some(true),
        false => key.lock(slot)?,
    };
    if new {
        key.count_lock();
    }
    Ok(())
}

/// Chooses a slot and reserves it until the transaction ends; `None` when the cap is full, or,
/// unless it `waits`, may be.
pub fn choose<S: Slots>(
    key: &S,
    request: Request<S::Words, S::Moment>,
) -> Result<Option<i64>, S::Failure> {
    let Some(single) = key.prepare(request.waits || !key.observes())? else { return Ok(None) };
    let keeps = request.kept.keeps;
    let mut search =
        Search { key, single, keeps, reserved: None, all_reserved: 0, overtaken: false };
    if let (true, None, Some(spare)) = (keeps, request.preferred, request.kept.spare)
        && let Some(slot) = search.take_spare(spare)
    {
        return Ok(Some(slot));
    }
    let index = key.open();
    let chosen = search.run(&index, request);
    index.close();
    chosen
}

/// The slot a new row would get as of now, without reserving it.
pub fn peek<I: SlotIndex>(index: &I, fill: Fill, slots: i64) -> Option<i64> {
    if fill == Fill::Append {
        let mut pass = index.down();
        let highest = pass.next_taken().unwrap_or(0);
        pass.done();
        if highest < slots {
            return Some(highest + 1);
        }
    }
    let mut pass = index.up();
    let mut next = 1;
    while pass.next_taken() == Some(next) {
        next += 1;
    }
    pass.done();
    (next <= slots).then_some(next)
}

/// One search for a free slot.
struct Search<'a, S> {
    key: &'a S,
    /// Whether slots are locked one by one, or the whole table is ours.
    single: bool,
    /// Whether what else is free is kept for the next row.
    keeps: bool,
    /// The lowest slot that is free but reserved by another transaction.
    reserved: Option<i64>,
    /// All that the last look has found to be so, as a number.
    all_reserved: u64,
    /// Whether a slot that a pass has seen free was taken by the time of the second look, or one that it has seen taken
    /// may have become free by the time that the rest was found reserved. So that the cap was never full.
    overtaken: bool,
}

impl<S: Slots> Search<'_, S> {
    /// Searches until there is a slot, or none to be had.
    fn run(
        &mut self,
        index: &S::Index,
        request: Request<S::Words, S::Moment>,
    ) -> Result<Option<i64>, S::Failure> {
        if let Some(slot) = request.preferred
            && self.reserve(slot, || index.is_taken(slot))
        {
            return Ok(Some(slot));
        }
        if self.key.fill() == Fill::Lowest
            && let Some(slot) = self.remembered(index)
        {
            return Ok(Some(slot));
        }
        let mut reserved_before = 0;
        loop {
            self.key.allow_cancel();
            (self.reserved, self.all_reserved, self.overtaken) = (None, 0, false);
            if let Some(slot) = self.pass(index) {
                return Ok(Some(slot));
            }
            if !request.waits {
                return Ok(None);
            }
            if self.overtaken && self.all_reserved != reserved_before {
                // The slots were not all taken or reserved at one moment: decide again. What has ended since may
                // have nothing to do with the key, so not for ever.
                reserved_before = self.all_reserved;
            } else if let Some(slot) = self.reserved {
                // Every slot is taken or reserved: wait for one, and decide again.
                self.key.lock(slot)?;
                if !index.is_taken(slot) {
                    self.key.count_lock();
                    return Ok(Some(slot));
                }
                self.key.release(slot);
            } else if self.overtaken {
                // Somebody has come, and others may have left meanwhile: decide again.
            } else if !wait_for_leaver(index, self.key.slots())? {
                return Ok(None);
            }
        }
    }

    /// Takes one of the slots that were free for the row before, if nothing has happened since.
    fn take_spare(&mut self, spare: Spare<S::Words, S::Moment>) -> Option<i64> {
        if self.key.words() != Some(spare.key) {
            return None;
        }
        let (key, slot) = (self.key, spare.next);
        let free = self.reserve(slot, || key.now() != spare.moment);
        free.then(|| {
            key.spares().keep(Spare { next: slot + 1, ..spare });
            slot
        })
    }

    /// Keeps the free slots from `next` to `last` for the next row.
    fn keep_spare(&self, moment: S::Moment, next: i64, last: i64) {
        if self.keeps
            && next <= last
            && let Some(key) = self.key.words()
        {
            let index = self.key.index_number();
            self.key.spares().keep(Spare { index, key, moment, next, last });
        }
    }

    /// Looks once through the slots in the order that `fill` says.
    fn pass(&mut self, index: &S::Index) -> Option<i64> {
        if self.key.fill() == Fill::Append {
            let found = self.past_highest(index).or_else(|| self.remembered(index));
            if found.is_some() {
                return found;
            }
        }
        self.lowest(index)
    }

    /// A slot above all taken ones.
    fn past_highest(&mut self, index: &S::Index) -> Option<i64> {
        let mut pass = index.down();
        let next = pass.next_taken().unwrap_or(0) + 1;
        let found = self.first_free(index, &pass, next, self.key.slots());
        pass.done();
        found
    }

    /// The lowest free slot. Where many are taken below it, the next search may go on from there.
    fn lowest(&mut self, index: &S::Index) -> Option<i64> {
        let began = self.may_remember().then(|| self.key.clock());
        let found = self.lowest_from(index, index.up(), 1);
        if let (Some(slot), Some(began)) = (found, began)
            && slot >= S::REMEMBERED_FROM
        {
            let now = self.key.clock();
            let took = now.saturating_duration_since(began);
            self.key.hints().looked(self.key.as_seen(index), slot + 1, took, now);
        }
        found
    }

    /// The first free slot from where the last search ended.
    fn remembered(&mut self, index: &S::Index) -> Option<i64> {
        if !self.may_remember() {
            return None;
        }
        let seen = self.key.as_seen(index);
        let next = self.key.hints().next(seen, || self.key.clock())?;
        let found = self.lowest_from(index, index.up_from(next), next);
        if let Some(slot) = found {
            self.key.hints().went_on(seen, slot + 1);
        }
        found
    }

    /// Whether a key can have so many rows that it pays.
    fn may_remember(&self) -> bool {
        self.key.slots() > S::REMEMBERED_FROM
    }

    /// The lowest free slot not below `next`, where the pass begins.
    fn lowest_from(
        &mut self,
        index: &S::Index,
        mut pass: <S::Index as SlotIndex>::Pass,
        mut next: i64,
    ) -> Option<i64> {
        let slots = self.key.slots();
        let mut found = None;
        while next <= slots {
            let taken = pass.next_taken();
            let end = taken.map_or(slots, |t| (t - 1).min(slots));
            found = self.first_free(index, &pass, next, end);
            match taken {
                Some(t) if found.is_none() => next = next.max(pass.skip(t) + 1),
                _ => break,
            }
        }
        self.overtaken |= found.is_none() && self.reserved.is_some() && !pass.is_current();
        pass.done();
        found
    }

    /// Reserves the first of some slots that the pass has found free.
    fn first_free(
        &mut self,
        index: &S::Index,
        pass: &<S::Index as SlotIndex>::Pass,
        next: i64,
        end: i64,
    ) -> Option<i64> {
        // What a pass found free need not be looked at again if nobody has committed since.
        let is_taken = |slot| !pass.is_current() && index.is_taken(slot);
        let found = (next..=end).find(|slot| self.reserve(*slot, || is_taken(*slot)))?;
        self.keep_spare(pass.moment(), found + 1, end);
        Some(found)
    }

    /// Reserves a slot that looked free, if nobody else has it and, once it is locked, it still is.
    fn reserve(&mut self, slot: i64, is_taken: impl FnOnce() -> bool) -> bool {
        if !self.single {
            let taken = is_taken();
            self.overtaken |= taken;
            return !taken;
        }
        let Some(new) = self.key.try_lock(slot) else {
            self.reserved = self.reserved.or(Some(slot));
            self.all_reserved = self.all_reserved.wrapping_mul(31).wrapping_add(slot as u64);
            return false;
        };
        if is_taken() {
            self.overtaken = true;
            self.key.release(slot);
            return false;
        }
        if new {
            self.key.count_lock();
        }
        true
    }
}

/// The versions of rows in one slot, as a dirty look sees them.
struct Group<W> {
    slot: i64,
    stays: bool,
    arriving: bool,
    /// Who takes a version out.
    leaving: Option<W>,
}

impl<W: Copy> Group<W> {
    fn of(slot: i64) -> Group<W> {
        Group { slot, stays: false, arriving: false, leaving: None }
    }

    fn add(&mut self, version: SlotVersion<W>) {
        match version {
            SlotVersion::Stays => self.stays = true,
            SlotVersion::Arrives => self.arriving = true,
            SlotVersion::Leaves(writer) => self.leaving = Some(writer),
        }
    }

    /// Whether the slot is one of the cap's and stays taken or may: a version that only arrives has
    /// found the slot free.
    fn is_taken(&self, slots: i64) -> bool {
        (1..=slots).contains(&self.slot) && (self.stays || self.leaving.is_some())
    }

    /// Whom to wait for. One that also arrives is an update that keeps the slot.
    fn leaver(&self) -> Option<W> {
        self.leaving.filter(|_| !self.stays && !self.arriving)
    }
}

/// Waits for a transaction that is taking a row out of a slot; `false` if there is none and all
/// `slots` are taken. A row whose new version keeps the slot stays in it, whatever becomes of that
/// transaction. Where fewer are taken, one that was leaving has left since the caller looked, and
/// where a row is just arriving, another has left its slot: the caller decides again.
fn wait_for_leaver<I: SlotIndex>(index: &I, slots: i64) -> Result<bool, I::Failure> {
    let (mut taken, mut leaver) = (0, None);
    let mut group = Group::of(i64::MIN);
    let mut end = |group: &Group<I::Writer>| {
        taken += group.is_taken(slots) as i64;
        leaver = leaver.or(group.leaver());
    };
    index.look_dirtily(|slot, version| {
        if slot != group.slot {
            end(&group);
            group = Group::of(slot);
        }
        group.add(version);
    });
    end(&group);
    match leaver {
        None => Ok(taken < slots),
        Some(writer) => index.wait_for(writer).map(|()| true),
    }
}
