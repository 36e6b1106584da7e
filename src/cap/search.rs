//! The search for a free slot of a cap: looked for under the deciding snapshot, reserved by try-lock,
//! looked at again, waited for only when nothing else is left.

use crate::cap::hints;
use crate::cap::rule::{Fill, Rule};
use crate::cap::spare::{self, Spare};
use crate::guard::locking;
use crate::guard::stats::session;
use crate::pg::advisory_lock::{Family, Tag};
use crate::pg::backoff::allow_cancel;
use crate::pg::error::Report;
use crate::pg::key::KeyValues;
use crate::pg::numbered_scan::{Direction, Pass, Scan};
use crate::pg::relation::Table;
use crate::pg::snapshot::Standstill;
use crate::pg::stop::stop;
use crate::pg::trigger::Definition;
use std::time::Instant;

/// The lock of one slot of a key.
fn slot_tag(table: Table, rule: &Rule, key: &KeyValues, slot: i64) -> Tag {
    let hash = rule.index.key.hash(key.as_slice());
    Tag::slot(table.oid(), mix(hash, rule.column.attno, slot))
}

/// Spreads key, slot column and slot over 32 bits (the finalizer of splitmix64).
fn mix(key: u32, attno: i16, slot: i64) -> u32 {
    let mut x = ((key as u64) << 32) ^ ((attno as u64) << 24) ^ slot as u64;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) as u32
}

/// Waits for the lock of a slot that the writer named, so that it meets no reservation. A cap that only
/// observes takes it if nobody has it.
pub fn claim(guard: Definition, rule: &Rule, key: &KeyValues, slot: i64) -> Result<(), Report> {
    let table = guard.table();
    let tag = slot_tag(table, rule, key, slot);
    if rule.observes() {
        let single = locking::prepare_to_observe(table.oid(), Family::Slots);
        if single == Ok(true) && !tag.is_held(false) && tag.try_quietly(false) {
            locking::taken();
        }
        return Ok(());
    }
    if locking::prepare(table.oid(), Family::Slots, guard)?
        && tag.acquire(false, locking::TOO_MANY, || session::know(guard))?
    {
        locking::taken();
    }
    Ok(())
}

/// What a row that needs a slot is to get.
#[derive(Clone, Copy)]
pub struct Request {
    /// This one, if it is free.
    pub preferred: Option<i64>,
    /// Whether to wait for a slot that may yet become free.
    pub waits: bool,
    pub kept: Kept,
}

/// What rows of one command leave to each other.
#[derive(Clone, Copy)]
pub struct Kept {
    /// Slots that were free for the row before.
    pub spare: Option<Spare>,
    /// Whether to keep them for the next: this row surely comes to stand in its slot.
    pub keeps: bool,
}

/// Chooses a slot and reserves it until the transaction ends; `None` when the cap is full, or,
/// unless it `waits`, may be.
pub fn choose(
    guard: Definition,
    rule: &Rule,
    key: &KeyValues,
    request: Request,
) -> Result<Option<i64>, Report> {
    let table = guard.table();
    let single = if rule.observes() && !request.waits {
        match locking::prepare_to_observe(table.oid(), Family::Slots) {
            Ok(single) => single,
            Err(_) => return Ok(None),
        }
    } else {
        locking::prepare(table.oid(), Family::Slots, guard)?
    };
    let keeps = request.kept.keeps;
    let mut search = Search { table, rule, key, single, keeps, reserved: None, overtaken: false };
    if let (true, None, Some(spare)) = (keeps, request.preferred, request.kept.spare)
        && let Some(slot) = search.take_spare(spare)
    {
        return Ok(Some(slot));
    }
    let scan = rule.index.open(table, key);
    let chosen = search.run(&scan, guard, request);
    scan.close();
    chosen
}

/// The slot a new row of the key would get as of now, without reserving it.
pub fn peek(table: Table, rule: &Rule, key: &KeyValues) -> Option<i64> {
    rule.index.lock();
    let scan = rule.index.open(table, key);
    let slots = rule.options.slots;
    if rule.options.fill == Fill::Append {
        let mut pass = scan.pass(Direction::Highest);
        let highest = pass.next_taken().unwrap_or(0);
        pass.done();
        if highest < slots {
            scan.close();
            return Some(highest + 1);
        }
    }
    let mut pass = scan.pass(Direction::Lowest);
    let mut next = 1;
    while pass.next_taken() == Some(next) {
        next += 1;
    }
    pass.done();
    scan.close();
    (next <= slots).then_some(next)
}

/// One search for a free slot.
struct Search<'a> {
    table: Table<'a>,
    rule: &'a Rule<'a>,
    key: &'a KeyValues,
    /// Whether slots are locked one by one, or the whole table is ours.
    single: bool,
    /// Whether what else is free is kept for the next row.
    keeps: bool,
    /// The lowest slot that is free but reserved by another transaction.
    reserved: Option<i64>,
    /// Whether a slot that a pass has seen free was taken by the time of the second look. Others may have left
    /// meanwhile, so that the cap was never full.
    overtaken: bool,
}

impl Search<'_> {
    /// Searches until there is a slot, or none to be had.
    fn run(
        &mut self,
        scan: &Scan,
        guard: Definition,
        request: Request,
    ) -> Result<Option<i64>, Report> {
        if let Some(slot) = request.preferred
            && self.reserve(slot, || scan.is_taken(slot))
        {
            return Ok(Some(slot));
        }
        if self.rule.options.fill == Fill::Lowest
            && let Some(slot) = self.remembered(scan)
        {
            return Ok(Some(slot));
        }
        loop {
            allow_cancel();
            (self.reserved, self.overtaken) = (None, false);
            if let Some(slot) = self.pass(scan) {
                return Ok(Some(slot));
            }
            if !request.waits {
                return Ok(None);
            }
            if let Some(slot) = self.reserved {
                // Every slot is taken or reserved: wait for one, and decide again.
                let tag = slot_tag(self.table, self.rule, self.key, slot);
                tag.acquire(false, locking::TOO_MANY, || session::know(guard))?;
                if !scan.is_taken(slot) {
                    locking::taken();
                    return Ok(Some(slot));
                }
                tag.release(false);
            } else if self.overtaken {
                // The slots were not all taken at one moment: decide again.
            } else {
                stop(c"raceguard-cap-full");
                if !scan.wait_for_leaver(self.rule.options.slots, || session::know(guard))? {
                    return Ok(None);
                }
            }
        }
    }

    /// Takes one of the slots that were free for the row before, if nothing has happened since.
    fn take_spare(&mut self, spare: Spare) -> Option<i64> {
        if self.rule.index.key.words(self.key) != Some(spare.key) {
            return None;
        }
        let slot = spare.next;
        let free = self.reserve(slot, || Standstill::now() != spare.moment);
        free.then(|| {
            spare::keep(Spare { next: slot + 1, ..spare });
            slot
        })
    }

    /// Keeps the free slots from `next` to `last` for the next row.
    fn keep_spare(&self, moment: Standstill, next: i64, last: i64) {
        if self.keeps
            && next <= last
            && let Some(key) = self.rule.index.key.words(self.key)
        {
            spare::keep(Spare { index: self.rule.index.oid, key, moment, next, last });
        }
    }

    /// Looks once through the slots in the order that `fill` says.
    fn pass(&mut self, scan: &Scan) -> Option<i64> {
        if self.rule.options.fill == Fill::Append {
            let found = self.past_highest(scan).or_else(|| self.remembered(scan));
            if found.is_some() {
                return found;
            }
        }
        self.lowest(scan)
    }

    /// A slot above all taken ones.
    fn past_highest(&mut self, scan: &Scan) -> Option<i64> {
        let mut pass = scan.pass(Direction::Highest);
        let next = pass.next_taken().unwrap_or(0) + 1;
        let found = self.first_free(scan, &pass, next, self.rule.options.slots);
        pass.done();
        found
    }

    /// The lowest free slot. Where many are taken below it, the next search may go on from there.
    fn lowest(&mut self, scan: &Scan) -> Option<i64> {
        let began = self.may_remember().then(Instant::now);
        let found = self.lowest_from(scan, scan.pass(Direction::Lowest), 1);
        if let (Some(slot @ hints::FROM..), Some(began)) = (found, began) {
            hints::looked(self.hint(scan), slot + 1, began.elapsed());
        }
        found
    }

    /// The first free slot from where the last search ended.
    fn remembered(&mut self, scan: &Scan) -> Option<i64> {
        if !self.may_remember() {
            return None;
        }
        let hint = self.hint(scan);
        let next = hints::next(hint)?;
        let found = self.lowest_from(scan, scan.pass_from(next), next);
        if let Some(slot) = found {
            hints::went_on(hint, slot + 1);
        }
        found
    }

    /// Whether a key can have so many rows that it pays.
    fn may_remember(&self) -> bool {
        self.rule.options.slots > hints::FROM
    }

    fn hint(&self, scan: &Scan) -> hints::KeyAsSeen {
        hints::KeyAsSeen {
            index: self.rule.index.oid,
            file: scan.file(),
            hash: self.rule.index.key.hash(self.key.as_slice()),
            deletions: self.table.deletions_of_session(),
        }
    }

    /// The lowest free slot not below `next`, where the pass begins.
    fn lowest_from(&mut self, scan: &Scan, mut pass: Pass, mut next: i64) -> Option<i64> {
        let slots = self.rule.options.slots;
        let mut found = None;
        while next <= slots {
            let taken = pass.next_taken();
            let end = taken.map_or(slots, |t| (t - 1).min(slots));
            found = self.first_free(scan, &pass, next, end);
            match taken {
                Some(t) if found.is_none() => next = next.max(pass.skip(t) + 1),
                _ => break,
            }
        }
        pass.done();
        found
    }

    /// Reserves the first of some slots that the pass has found free.
    fn first_free(&mut self, scan: &Scan, pass: &Pass, next: i64, end: i64) -> Option<i64> {
        // What a pass found free need not be looked at again if nobody has committed since.
        let is_taken = |slot| !pass.is_current() && scan.is_taken(slot);
        let found = (next..=end).find(|slot| self.reserve(*slot, || is_taken(*slot)))?;
        self.keep_spare(pass.moment(), found + 1, end);
        Some(found)
    }

    /// Takes a slot's lock if nobody else has it; whether it is a new one. To a cap that only observes a full lock table
    /// is no error.
    fn take(&self, tag: Tag) -> Option<bool> {
        tag.try_take(self.rule.observes())
    }

    /// Reserves a slot that looked free, if nobody else has it and, once it is locked, it still is.
    fn reserve(&mut self, slot: i64, is_taken: impl FnOnce() -> bool) -> bool {
        if !self.single {
            let taken = is_taken();
            self.overtaken |= taken;
            return !taken;
        }
        let tag = slot_tag(self.table, self.rule, self.key, slot);
        stop(c"raceguard-cap-looked");
        let Some(new) = self.take(tag) else {
            self.reserved = self.reserved.or(Some(slot));
            return false;
        };
        stop(c"raceguard-cap-locked");
        if is_taken() {
            self.overtaken = true;
            // One that was held before stays held.
            tag.release(false);
            stop(c"raceguard-cap-overtaken");
            return false;
        }
        if new {
            locking::taken();
        }
        true
    }
}
