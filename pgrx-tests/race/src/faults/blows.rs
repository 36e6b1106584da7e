//! Ends clients' backends while they work: in order, as the kernel's OOM killer would, or all at
//! once with the server.

use super::restart::Server;
use super::{pause, Blow};
use crate::rng::Rng;
use crate::run::Shared;
use crate::session::Session;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// Returns how often it struck.
pub fn run(
    blow: Blow,
    terminate_per_second: f64,
    mut rng: Rng,
    session: &mut Session,
    pids: &[AtomicI32],
    shared: &Shared,
) -> Result<u64, String> {
    let mean = match blow {
        Blow::Kill(seconds) | Blow::Restart(seconds) => seconds,
        Blow::Terminate if terminate_per_second > 0.0 => 1.0 / terminate_per_second,
        Blow::Terminate => return Ok(0),
    };
    let server = match blow {
        Blow::Restart(_) => Some(Server::find(session)?),
        _ => None,
    };
    let mut struck = 0;
    while pause(Duration::from_secs_f64(mean * rng.below(2000) as f64 / 1000.0), shared) {
        let pid = pids[rng.below(pids.len() as u64) as usize].load(Ordering::Relaxed);
        match (blow, &server) {
            (_, Some(server)) => {
                server.restart_at_once()?;
                session.reconnect()?;
            }
            (Blow::Kill(_), _) => {
                kill(pid)?;
                // The postmaster needs a moment to notice and to end everyone else.
                sleep(Duration::from_millis(300));
                session.reconnect()?;
            }
            _ => end(session, pid)?,
        }
        struck += 1;
    }
    Ok(struck)
}

fn end(session: &mut Session, pid: i32) -> Result<(), String> {
    session.until_done(&format!("SELECT pg_terminate_backend({pid})"))?;
    Ok(())
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
