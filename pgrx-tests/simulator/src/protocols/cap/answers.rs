//! The protocol's questions, answered by the simulated server.

use super::monitor::CapMonitor;
use super::mutants::Mutant;
use super::script::Memory;
use super::{entry, slot_tag, table_tag, Cap, SLOT};
use crate::cap::hints::{Hints, KeyAsSeen};
use crate::cap::protocol::{Fill, SlotIndex, SlotPass, SlotVersion, Slots};
use crate::cap::spare::Spares;
use crate::engine::session::{Failure, Session, World};
use crate::server::locks::{Mode, Taken};
use crate::server::store::{Tid, Writers};
use crate::server::transactions::{Snapshot, Xid};
use crate::server::Wait;
use std::time::{Duration, Instant};

pub type CapSession<'y> = Session<'y, CapMonitor>;

/// A time in which nothing has ended, and the session runs one command in one subtransaction.
pub type Moment = (u32, u32, Option<(Xid, Xid)>);

/// A writer of one key; a key of less than `FROM` slots is always read as a whole.
#[derive(Clone, Copy)]
pub struct Writer<'a, const FROM: i64> {
    pub session: &'a CapSession<'a>,
    pub case: &'a Cap,
    pub key: i64,
    /// The snapshot of the statement, which no guard should decide by.
    pub statement: Snapshot,
    pub memory: &'a Memory,
}

impl<'a, const FROM: i64> Writer<'a, FROM> {
    fn is(&self, mutant: Mutant) -> bool {
        self.case.mutant == Some(mutant)
    }

    fn deciding(&self, world: &World<CapMonitor>) -> Snapshot {
        let mut snapshot = match self.is(Mutant::StatementSnapshot) {
            true => self.statement,
            false => world.server.transactions.latest(self.session.id),
        };
        if !self.is(Mutant::CommandNotRaised) {
            snapshot.command += 1;
        }
        snapshot
    }

    /// The slots that have rows, from this one on.
    fn taken(&self, world: &World<CapMonitor>, from: i64) -> Vec<i64> {
        let (server, id) = (&world.server, self.session.id);
        let snapshot = self.deciding(world);
        let of_key = |v: &_| entry(v).filter(|(key, slot)| *key == self.key && *slot >= from);
        let entries = server.store.index(of_key).into_iter();
        let mut slots: Vec<i64> = entries
            .filter(|(_, tid)| {
                let version = &server.store.versions[tid];
                match self.is(Mutant::SeesArrivals) {
                    true => server.shows_dirtily(id, version).is_some(),
                    false => server.shows(&snapshot, id, version),
                }
            })
            .map(|((_, slot), _)| slot)
            .collect();
        slots.dedup();
        slots
    }

    fn moment(&self, world: &World<CapMonitor>) -> Moment {
        let all = &world.server.transactions;
        let id = self.session.id;
        (all.ended(), all.command(id), all.current(id))
    }

    fn pass(&self, from: i64, down: bool) -> KeyPass<'a, FROM> {
        if self.is(Mutant::DirtyPass) {
            return self.dirty_pass(from, down);
        }
        let (mut taken, moment) =
            self.session.step("looks through the slots", |w| (self.taken(w, from), self.moment(w)));
        if !down {
            taken.reverse();
        }
        KeyPass { writer: *self, taken, moment }
    }

    /// A pass that does not stop at one moment.
    fn dirty_pass(&self, from: i64, down: bool) -> KeyPass<'a, FROM> {
        let mut taken = Vec::new();
        self.look_dirtily(|slot, version| {
            if slot >= from && version != SlotVersion::Arrives && taken.last() != Some(&slot) {
                taken.push(slot);
            }
        });
        if !down {
            taken.reverse();
        }
        let moment = self.session.step("notes the moment", |w| self.moment(w));
        KeyPass { writer: *self, taken, moment }
    }

    /// Judges that it waits for somebody now.
    fn judge_wait(&self) {
        let id = self.session.id;
        let verdict = self.session.aside(|w| w.monitor.waits(id));
        self.session.judge(verdict);
    }
}

impl<'a, const FROM: i64> Slots for Writer<'a, FROM> {
    const REMEMBERED_FROM: i64 = FROM;

    type Failure = Failure;
    type Moment = Moment;
    type Words = i64;
    type Index = Writer<'a, FROM>;

    fn slots(&self) -> i64 {
        self.case.slots
    }

    fn fill(&self) -> Fill {
        self.case.fill
    }

    fn observes(&self) -> bool {
        false
    }

    /// Asks the lock manager each time.
    fn prepare(&self, _: bool) -> Result<Option<bool>, Failure> {
        let Some(limit) = self.case.limit else { return Ok(Some(true)) };
        let id = self.session.id;
        let held = |mode| self.session.aside(|w| w.server.locks.is_held(id, table_tag(), mode));
        if held(Mode::Exclusive) {
            return Ok(Some(false));
        }
        if !held(Mode::Shared) && !self.is(Mutant::NoTableLock) {
            self.session.lock(table_tag(), Mode::Shared)?;
        }
        if self.session.aside(|w| w.server.locks.count(id, SLOT)) < limit {
            return Ok(Some(true));
        }
        if !self.is(Mutant::EscalatesUnlocked) {
            self.session.lock(table_tag(), Mode::Exclusive)?;
        }
        Ok(Some(false))
    }

    fn try_lock(&self, slot: i64) -> Option<bool> {
        if self.is(Mutant::NoReservation) {
            return Some(true);
        }
        match self.session.try_lock(slot_tag(self.key, slot), Mode::Exclusive) {
            Taken::NotAvailable => None,
            taken => Some(taken == Taken::New),
        }
    }

    fn lock(&self, slot: i64) -> Result<bool, Failure> {
        let tag = slot_tag(self.key, slot);
        match self.session.lock_or_ask(tag, Mode::Exclusive) {
            Taken::NotAvailable => {
                self.judge_wait();
                self.session.wait("a slot", Wait::Lock(tag, Mode::Exclusive), |_| ())?;
                Ok(true)
            }
            taken => Ok(taken == Taken::New),
        }
    }

    fn release(&self, slot: i64) {
        if !self.is(Mutant::KeepsUseless) {
            self.session.unlock(slot_tag(self.key, slot), Mode::Exclusive);
        }
    }

    fn count_lock(&self) {}

    fn open(&self) -> Writer<'a, FROM> {
        *self
    }

    fn now(&self) -> Moment {
        match self.is(Mutant::SpareForEver) {
            true => self.memory.spare_moment.get().unwrap_or_default(),
            false => self.session.step("asks for the moment", |w| self.moment(w)),
        }
    }

    fn allow_cancel(&self) {}

    fn clock(&self) -> Instant {
        let time = self.memory.time.get() + 1;
        self.memory.time.set(time);
        self.memory.start + Duration::from_millis(time)
    }

    fn index_number(&self) -> u32 {
        1
    }

    fn words(&self) -> Option<i64> {
        Some(self.key)
    }

    fn as_seen(&self, _: &Writer<'a, FROM>) -> KeyAsSeen {
        let deletions = self.memory.deletions.get();
        KeyAsSeen { index: 1, file: 1, hash: self.key as u32, deletions }
    }

    fn hints(&self) -> &Hints {
        &self.memory.hints
    }

    fn spares(&self) -> &Spares<i64, Moment> {
        &self.memory.spares
    }
}

impl<'a, const FROM: i64> SlotIndex for Writer<'a, FROM> {
    type Failure = Failure;
    type Moment = Moment;
    type Pass = KeyPass<'a, FROM>;
    type Writer = Xid;

    fn up(&self) -> KeyPass<'a, FROM> {
        self.pass(1, false)
    }

    fn down(&self) -> KeyPass<'a, FROM> {
        self.pass(1, true)
    }

    fn up_from(&self, slot: i64) -> KeyPass<'a, FROM> {
        self.pass(slot, false)
    }

    fn is_taken(&self, slot: i64) -> bool {
        if self.is(Mutant::NoSecondLook) {
            return false;
        }
        self.session.step("looks again", |w| self.taken(w, slot).first() == Some(&slot))
    }

    /// The entries are read at one moment, as from a page of the index, and each version is looked at later.
    fn look_dirtily(&self, mut see: impl FnMut(i64, SlotVersion<Xid>)) {
        if self.is(Mutant::NoDirtyLook) {
            (1..=self.case.slots).for_each(|slot| see(slot, SlotVersion::Stays));
            return;
        }
        let of_key = |v: &_| entry(v).filter(|(key, _)| *key == self.key);
        let entries: Vec<(i64, Tid)> = self.session.step("reads the index", |w| {
            w.server.store.index(of_key).into_iter().map(|((_, slot), tid)| (slot, tid)).collect()
        });
        for (slot, tid) in entries {
            let seen = self.session.step("looks at a version", |w| {
                w.server.shows_dirtily(self.session.id, &w.server.store.versions[&tid])
            });
            match seen {
                None => {}
                Some(Writers { going: true, .. }) if !self.is(Mutant::GoingCounts) => {}
                Some(Writers { leaving: Some(xid), .. }) => see(slot, SlotVersion::Leaves(xid)),
                Some(Writers { arriving: Some(_), .. }) => see(slot, SlotVersion::Arrives),
                Some(_) => see(slot, SlotVersion::Stays),
            }
        }
    }

    fn wait_for(&self, writer: Xid) -> Result<(), Failure> {
        if self.is(Mutant::NeverWaits) {
            return Ok(());
        }
        let wait = Wait::End(writer);
        let id = self.session.id;
        if !self.session.step("asks whether it has ended", |w| w.server.is_there(id, wait)) {
            self.judge_wait();
        }
        self.session.wait("who takes a row out", wait, |_| ())
    }

    fn close(self) {}
}

/// What a pass has found, the next one last.
pub struct KeyPass<'a, const FROM: i64> {
    writer: Writer<'a, FROM>,
    taken: Vec<i64>,
    moment: Moment,
}

impl<const FROM: i64> SlotPass for KeyPass<'_, FROM> {
    type Moment = Moment;

    fn next_taken(&mut self) -> Option<i64> {
        self.taken.pop()
    }

    /// As far as it goes.
    fn skip(&mut self, slot: i64) -> i64 {
        let mut last = slot;
        while let Some(next) = self.taken.pop_if(|next| *next == last + 1) {
            last = next;
        }
        last
    }

    fn is_current(&self) -> bool {
        let Writer { session, .. } = self.writer;
        if self.writer.is(Mutant::AlwaysCurrent) {
            return true;
        }
        session.step("asks whether anything has ended", |w| {
            let (ended, command, _) = self.writer.moment(w);
            (ended, command) == (self.moment.0, self.moment.1)
        })
    }

    fn moment(&self) -> Moment {
        self.writer.memory.spare_moment.set(Some(self.moment));
        self.moment
    }

    fn done(self) {}
}
