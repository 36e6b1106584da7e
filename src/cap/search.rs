//! The search for a free slot of a cap: looked for under the deciding snapshot, reserved by try-lock,
//! looked at again, waited for only when nothing else is left.

use crate::cap::rule::{Fill, Rule};
use crate::guard::locking;
use crate::guard::stats::session;
use crate::pg::advisory_lock::{Family, Tag};
use crate::pg::backoff::allow_cancel;
use crate::pg::error::Report;
use crate::pg::key::KeyValues;
use crate::pg::numbered_scan::{Direction, Pass, Scan};
use crate::pg::relation::Table;
use crate::pg::trigger::Definition;

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

/// Chooses a slot and reserves it until the transaction ends; `None` when the cap is full, or,
/// unless it `waits`, may be.
pub fn choose(
    guard: Definition,
    rule: &Rule,
    key: &KeyValues,
    preferred: Option<i64>,
    waits: bool,
) -> Result<Option<i64>, Report> {
    let table = guard.table();
    let single = if rule.observes() && !waits {
        match locking::prepare_to_observe(table.oid(), Family::Slots) {
            Ok(single) => single,
            Err(_) => return Ok(None),
        }
    } else {
        locking::prepare(table.oid(), Family::Slots, guard)?
    };
    let scan = rule.index.open(table, key);
    let mut search = Search { table, rule, key, single, reserved: None, overtaken: false };
    if let Some(slot) = preferred
        && search.reserve(&scan, slot, None)?
    {
        scan.close();
        return Ok(Some(slot));
    }
    loop {
        allow_cancel();
        (search.reserved, search.overtaken) = (None, false);
        if let Some(slot) = search.pass(&scan)? {
            scan.close();
            return Ok(Some(slot));
        }
        if !waits {
            scan.close();
            return Ok(None);
        }
        if let Some(slot) = search.reserved {
            // Every slot is taken or reserved: wait for one, and decide again.
            let tag = slot_tag(table, rule, key, slot);
            tag.acquire(false, locking::TOO_MANY, || session::know(guard))?;
            if !scan.is_taken(slot) {
                locking::taken();
                scan.close();
                return Ok(Some(slot));
            }
            tag.release(false);
        } else if search.overtaken {
            // The slots were not all taken at one moment: decide again.
        } else if !scan.wait_for_leaver(rule.options.slots, || session::know(guard))? {
            scan.close();
            return Ok(None);
        }
    }
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
    /// The lowest slot that is free but reserved by another transaction.
    reserved: Option<i64>,
    /// Whether a slot that a pass has seen free was taken by the time of the second look. Others may have left
    /// meanwhile, so that the cap was never full.
    overtaken: bool,
}

impl Search<'_> {
    /// Looks once through the slots in the order that `fill` says.
    fn pass(&mut self, scan: &Scan) -> Result<Option<i64>, Report> {
        if self.rule.options.fill == Fill::Append
            && let Some(slot) = self.past_highest(scan)?
        {
            return Ok(Some(slot));
        }
        self.lowest(scan)
    }

    /// A slot above all taken ones.
    fn past_highest(&mut self, scan: &Scan) -> Result<Option<i64>, Report> {
        let mut pass = scan.pass(Direction::Highest);
        let highest = pass.next_taken().unwrap_or(0);
        let mut chosen = None;
        for slot in highest + 1..=self.rule.options.slots {
            if self.reserve(scan, slot, Some(&pass))? {
                chosen = Some(slot);
                break;
            }
        }
        pass.done();
        Ok(chosen)
    }

    /// The lowest free slot.
    fn lowest(&mut self, scan: &Scan) -> Result<Option<i64>, Report> {
        let slots = self.rule.options.slots;
        let mut pass = scan.pass(Direction::Lowest);
        let mut next = 1;
        while next <= slots {
            let taken = pass.next_taken();
            let end = taken.map_or(slots, |t| (t - 1).min(slots));
            while next <= end {
                if self.reserve(scan, next, Some(&pass))? {
                    pass.done();
                    return Ok(Some(next));
                }
                next += 1;
            }
            match taken {
                Some(t) => next = next.max(t + 1),
                None => break,
            }
        }
        pass.done();
        Ok(None)
    }

    /// Takes a slot's lock if nobody else has it. To a cap that only observes a full lock table is no error.
    fn take(&self, tag: Tag) -> bool {
        match self.rule.observes() {
            true => tag.try_quietly(false),
            false => tag.try_acquire(false),
        }
    }

    /// Reserves a slot that looked free, if it still is and nobody else has it. The pass that found
    /// it free need not be repeated if nobody has committed since.
    fn reserve(&mut self, scan: &Scan, slot: i64, pass: Option<&Pass>) -> Result<bool, Report> {
        let is_taken = || !pass.is_some_and(Pass::is_current) && scan.is_taken(slot);
        if !self.single {
            let taken = is_taken();
            self.overtaken |= taken;
            return Ok(!taken);
        }
        let tag = slot_tag(self.table, self.rule, self.key, slot);
        let held = tag.is_held(false);
        if !held && !self.take(tag) {
            self.reserved = self.reserved.or(Some(slot));
            return Ok(false);
        }
        if is_taken() {
            self.overtaken = true;
            if !held {
                tag.release(false);
            }
            return Ok(false);
        }
        if !held {
            locking::taken();
        }
        Ok(true)
    }
}
