//! Slots of a cap in a server: the protocol's answers from its index and the lock manager.

use crate::cap::hints::{Hints, KeyAsSeen};
use crate::cap::protocol::{self, Fill, Request, SlotIndex, SlotPass, SlotVersion, Slots};
use crate::cap::rule::Rule;
use crate::cap::session::{self as memory, ShortKey};
use crate::cap::spare::Spares;
use crate::guard::locking;
use crate::guard::stats::session;
use crate::pg::advisory_lock::{Family, Tag};
use crate::pg::backoff::allow_cancel;
use crate::pg::error::Report;
use crate::pg::key::KeyValues;
use crate::pg::numbered_scan::{wait_for_transaction, Direction, Pass, Scan, Version};
use crate::pg::relation::Table;
use crate::pg::snapshot::Standstill;
use crate::pg::stop::stop;
use crate::pg::trigger::Definition;
use pgrx::pg_sys::TransactionId;
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

/// See [`protocol::claim`].
pub fn claim(guard: Definition, rule: &Rule, key: &KeyValues, slot: i64) -> Result<(), Report> {
    protocol::claim(&Writer { guard, table: guard.table(), rule, key }, slot)
}

/// See [`protocol::choose`].
pub fn choose(
    guard: Definition,
    rule: &Rule,
    key: &KeyValues,
    request: Request<ShortKey, Standstill>,
) -> Result<Option<i64>, Report> {
    protocol::choose(&Writer { guard, table: guard.table(), rule, key }, request)
}

/// The slot a new row of the key would get as of now, without reserving it.
pub fn peek(table: Table, rule: &Rule, key: &KeyValues) -> Option<i64> {
    rule.index.lock();
    let scan = KeyScan { scan: rule.index.open(table, key), guard: None };
    let slot = protocol::peek(&scan, rule.options.fill, rule.options.slots);
    scan.close();
    slot
}

/// Who needs a slot of a key.
struct Writer<'a> {
    guard: Definition<'a>,
    table: Table<'a>,
    rule: &'a Rule<'a>,
    key: &'a KeyValues,
}

impl Writer<'_> {
    fn tag(&self, slot: i64) -> Tag {
        slot_tag(self.table, self.rule, self.key, slot)
    }
}

impl<'a> Slots for Writer<'a> {
    type Failure = Report;
    type Moment = Standstill;
    type Words = ShortKey;
    type Index = KeyScan<'a>;

    #[inline]
    fn slots(&self) -> i64 {
        self.rule.options.slots
    }

    #[inline]
    fn fill(&self) -> Fill {
        self.rule.options.fill
    }

    #[inline]
    fn observes(&self) -> bool {
        self.rule.observes()
    }

    #[inline]
    fn prepare(&self, waits: bool) -> Result<Option<bool>, Report> {
        match waits {
            true => locking::prepare(self.table.oid(), Family::Slots, self.guard).map(Some),
            false => Ok(locking::prepare_to_observe(self.table.oid(), Family::Slots).ok()),
        }
    }

    /// To a cap that only observes a full lock table is no error.
    #[inline]
    fn try_lock(&self, slot: i64) -> Option<bool> {
        stop(c"raceguard-cap-looked");
        let new = self.tag(slot).try_take(self.rule.observes())?;
        stop(c"raceguard-cap-locked");
        Some(new)
    }

    #[inline]
    fn lock(&self, slot: i64) -> Result<bool, Report> {
        self.tag(slot).acquire(false, locking::TOO_MANY, || session::know(self.guard))
    }

    #[inline]
    fn release(&self, slot: i64) {
        self.tag(slot).release(false);
        stop(c"raceguard-cap-overtaken");
    }

    #[inline]
    fn count_lock(&self) {
        locking::taken();
    }

    #[inline]
    fn open(&self) -> KeyScan<'a> {
        KeyScan { scan: self.rule.index.open(self.table, self.key), guard: Some(self.guard) }
    }

    #[inline]
    fn now(&self) -> Standstill {
        Standstill::now()
    }

    #[inline]
    fn allow_cancel(&self) {
        allow_cancel();
    }

    #[inline]
    fn clock(&self) -> Instant {
        Instant::now()
    }

    #[inline]
    fn index_number(&self) -> u32 {
        self.rule.index.oid.to_u32()
    }

    #[inline]
    fn words(&self) -> Option<ShortKey> {
        self.rule.index.key.words(self.key)
    }

    fn as_seen(&self, index: &KeyScan) -> KeyAsSeen {
        KeyAsSeen {
            index: self.index_number(),
            file: index.scan.file(),
            hash: self.rule.index.key.hash(self.key.as_slice()),
            deletions: self.table.deletions_of_session(),
        }
    }

    fn hints(&self) -> &Hints {
        memory::hints()
    }

    #[inline]
    fn spares(&self) -> &Spares<ShortKey, Standstill> {
        memory::spares()
    }
}

/// A key's rows in its index; without a guard nobody is waited for.
struct KeyScan<'a> {
    scan: Scan<'a>,
    guard: Option<Definition<'a>>,
}

impl<'a> SlotIndex for KeyScan<'a> {
    type Failure = Report;
    type Moment = Standstill;
    type Pass = Pass<'a>;
    type Writer = TransactionId;

    #[inline]
    fn up(&self) -> Pass<'a> {
        self.scan.pass(Direction::Lowest)
    }

    #[inline]
    fn down(&self) -> Pass<'a> {
        self.scan.pass(Direction::Highest)
    }

    #[inline]
    fn up_from(&self, slot: i64) -> Pass<'a> {
        self.scan.pass_from(slot)
    }

    #[inline]
    fn is_taken(&self, slot: i64) -> bool {
        self.scan.is_taken(slot)
    }

    #[inline]
    fn look_dirtily(&self, mut see: impl FnMut(i64, SlotVersion<TransactionId>)) {
        stop(c"raceguard-cap-full");
        self.scan.look_dirtily(|slot, version| {
            see(
                slot,
                match version {
                    Version::Stays => SlotVersion::Stays,
                    Version::Arrives => SlotVersion::Arrives,
                    Version::Leaves(xid) => SlotVersion::Leaves(xid),
                },
            )
        });
    }

    fn wait_for(&self, writer: TransactionId) -> Result<(), Report> {
        if let Some(guard) = self.guard {
            session::know(guard);
        }
        wait_for_transaction(writer)
    }

    #[inline]
    fn close(self) {
        self.scan.close();
    }
}

impl SlotPass for Pass<'_> {
    type Moment = Standstill;

    #[inline]
    fn next_taken(&mut self) -> Option<i64> {
        Pass::next_taken(self)
    }

    #[inline]
    fn skip(&mut self, slot: i64) -> i64 {
        Pass::skip(self, slot)
    }

    #[inline]
    fn is_current(&self) -> bool {
        Pass::is_current(self)
    }

    #[inline]
    fn moment(&self) -> Standstill {
        Pass::moment(self)
    }

    #[inline]
    fn done(self) {
        Pass::done(self);
    }
}
