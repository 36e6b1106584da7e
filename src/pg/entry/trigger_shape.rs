//! How a trigger is attached to its table, and in which sessions it fires.

use pgrx::pg_sys;

/// How CREATE TRIGGER attached a trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Timing, level and events: `pg_trigger.tgtype`.
    pub kind: u16,
    /// UPDATE OF some columns.
    pub columns: bool,
    /// WHEN a condition holds.
    pub condition: bool,
}

/// In which sessions a trigger fires: those of `session_replication_role` origin and local, and those
/// of replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fires {
    pub origin: bool,
    pub replica: bool,
}

impl Fires {
    pub const NEVER: Fires = Fires { origin: false, replica: false };

    /// What `pg_trigger.tgenabled` says.
    pub fn of(enabled: u8) -> Fires {
        let always = enabled == pg_sys::TRIGGER_FIRES_ALWAYS;
        Fires {
            origin: always || enabled == pg_sys::TRIGGER_FIRES_ON_ORIGIN,
            replica: always || enabled == pg_sys::TRIGGER_FIRES_ON_REPLICA,
        }
    }

    /// Where at least one of two triggers fires.
    pub fn or(self, other: Fires) -> Fires {
        Fires { origin: self.origin || other.origin, replica: self.replica || other.replica }
    }

    /// Whether it would fire in this session now.
    #[inline]
    pub fn now(self) -> bool {
        // SAFETY: a variable of the backend.
        let role = unsafe { pg_sys::SessionReplicationRole } as u32;
        match role == pg_sys::SESSION_REPLICATION_ROLE_REPLICA {
            true => self.replica,
            false => self.origin,
        }
    }
}
