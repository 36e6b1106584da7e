//! Terminates clients' backends while they work, or kills them as the kernel's OOM killer would.

use crate::rng::Rng;
use crate::session::Session;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
pub struct Faults {
    /// Seconds between two `kill -9`, each of which sends the server through crash recovery.
    pub kill_every: Option<f64>,
    terminate_per_second: f64,
}

impl Faults {
    pub fn new(kill_every: Option<f64>) -> Faults {
        Faults { kill_every, terminate_per_second: 0.0 }
    }

    pub fn at_rate(self, terminate_per_second: f64) -> Faults {
        Faults { terminate_per_second, ..self }
    }

    pub fn any(&self) -> bool {
        self.kill_every.is_some() || self.terminate_per_second > 0.0
    }

    /// Returns how many backends it ended.
    pub fn run(
        &self,
        mut rng: Rng,
        session: &mut Session,
        pids: &[AtomicI32],
        done: &AtomicBool,
    ) -> Result<u64, String> {
        let mut ended = 0;
        let mean = match (self.kill_every, self.terminate_per_second) {
            (Some(seconds), _) => seconds,
            (None, rate) if rate > 0.0 => 1.0 / rate,
            _ => return Ok(0),
        };
        while !done.load(Ordering::Relaxed) {
            let pause = Duration::from_secs_f64(mean * rng.below(2000) as f64 / 1000.0);
            let until = Instant::now() + pause;
            while Instant::now() < until && !done.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(5));
            }
            if done.load(Ordering::Relaxed) {
                break;
            }
            let pid = pids[rng.below(pids.len() as u64) as usize].load(Ordering::Relaxed);
            if self.kill_every.is_some() {
                kill(pid)?;
                // The postmaster needs a moment to notice and to end everyone else.
                sleep(Duration::from_millis(300));
                session.reconnect()?;
            } else {
                session.rows(&format!("SELECT pg_terminate_backend({pid})"))?;
            }
            ended += 1;
        }
        Ok(ended)
    }
}

/// `kill -9`, only of what is certainly a Postgres backend: the pid came from `pg_backend_pid()`
/// of a session on this machine, but that session may have ended since.
fn kill(pid: i32) -> Result<(), String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim() != "postgres" {
        return Ok(());
    }
    let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("may not kill process {pid}: run as root or as the server's user")),
        Err(error) => Err(format!("cannot run kill: {error}")),
    }
}
