//! What goes wrong while the clients work: backends end, the server crashes, statements run out of
//! time, the lock table fills up, tables are rebuilt.

mod blows;
mod ddl;
mod restart;
mod starve;

use crate::language::Workload;
use crate::rng::Rng;
use crate::run::Shared;
use crate::session::Session;
use std::sync::atomic::AtomicI32;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What ends backends now and then.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Blow {
    /// `pg_terminate_backend`, as often as the workload says.
    Terminate,
    /// `kill -9`, every so many seconds: the server goes through crash recovery.
    Kill(f64),
    /// `pg_ctl restart -m immediate`, every so many seconds.
    Restart(f64),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Faults {
    pub blow: Blow,
    /// Most transactions have a statement_timeout of some milliseconds.
    pub timeouts: bool,
    /// The tables are rebuilt, widened and vacuumed all the time, and triggers that guards rely on disabled.
    pub ddl: bool,
    /// The server's lock table is full every other moment.
    pub starve_locks: bool,
}

impl Faults {
    pub const NONE: Faults =
        Faults { blow: Blow::Terminate, timeouts: false, ddl: false, starve_locks: false };

    /// The options that ask for the same again.
    pub fn options(&self) -> String {
        let mut text = match self.blow {
            Blow::Terminate => String::new(),
            Blow::Kill(seconds) => format!(" --kill-every {seconds}"),
            Blow::Restart(seconds) => format!(" --restart-every {seconds}"),
        };
        for (asked, name) in
            [(self.timeouts, "timeouts"), (self.ddl, "ddl"), (self.starve_locks, "starve-locks")]
        {
            if asked {
                text += &format!(" --{name}");
            }
        }
        text
    }

    /// The workload with what clients then have to expect.
    pub fn adapt(&self, workload: &Workload) -> Workload {
        let mut w = workload.clone();
        if self.timeouts {
            // Where nobody has a short lock_timeout, waiting is no sign of a fault.
            w.impatient = if w.impatient > 0 { 40 } else { 0 };
            w.hurried = 60;
            w.allowed.extend(["57014", "55P03"]);
        }
        if self.ddl {
            // Whoever waits for DDL waits although there is room.
            w.impatient = 0;
            if w.guard.iter().any(|add| ddl::disable_of(add).is_some()) {
                w.allowed.push(ddl::NOT_WHOLE);
            }
        }
        if self.starve_locks {
            w.allowed.push("53200");
        }
        w
    }

    /// Whether backends end, so that the answer to a COMMIT may be lost.
    pub fn end_backends(&self, workload: &Workload) -> bool {
        self.blow != Blow::Terminate || workload.terminate_per_second > 0.0
    }

    /// The threads' work, each until the clients are done; they say how often they struck.
    pub fn strike(
        &self,
        workload: &Workload,
        rng: Rng,
        session: &mut Session,
        pids: &[AtomicI32],
        shared: &Shared,
    ) -> Result<u64, String> {
        blows::run(self.blow, workload.terminate_per_second, rng, session, pids, shared)
    }

    pub fn rebuild(
        &self,
        workload: &Workload,
        rng: Rng,
        connect: impl Fn(&str) -> Result<Session, String>,
        shared: &Shared,
    ) -> Result<u64, String> {
        if !self.ddl {
            return Ok(0);
        }
        ddl::run(workload, rng, &mut connect(ddl::SETTINGS)?, self.starve_locks, shared)
    }

    pub fn fill_lock_table(
        &self,
        rng: Rng,
        connect: impl Fn(&str) -> Result<Session, String>,
        shared: &Shared,
    ) -> Result<u64, String> {
        if !self.starve_locks {
            return Ok(0);
        }
        starve::run(rng, &mut connect("")?, shared)
    }
}

/// Sleeps, unless the clients are done before; false: they are.
fn pause(time: Duration, shared: &Shared) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until && !shared.over() {
        sleep(Duration::from_millis(2).min(time));
    }
    !shared.over()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_allowed() {
        let plain = Workload::new("plain", "");
        assert_eq!(Faults::NONE.adapt(&plain).allowed, plain.allowed);
        let hurried = Faults { timeouts: true, ..Faults::NONE }.adapt(&plain);
        assert!(hurried.allowed.contains(&"57014") && !hurried.allowed.contains(&"53200"));
        assert_eq!(hurried.impatient, 0);
    }
}
