//! Stops the server without letting it write anything down, and starts it again.

use crate::session::Session;
use std::fs::{metadata, read_link};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What it takes to start the server as it was started: found from its running postmaster.
pub struct Server {
    data: PathBuf,
    pg_ctl: PathBuf,
    log: PathBuf,
    owner: (u32, u32),
}

impl Server {
    pub fn find(session: &mut Session) -> Result<Server, String> {
        let rows = session.rows(
            "SELECT current_setting('data_directory'), \
             split_part(pg_read_file('postmaster.pid'), E'\\n', 1)",
        )?;
        let cell = |i: usize| rows.first().and_then(|row| row.get(i)?.clone()).unwrap_or_default();
        let (data, pid) = (PathBuf::from(cell(0)), cell(1));
        let elsewhere = |e: std::io::Error| {
            format!(
                "cannot restart the server of process {pid} ({e}): it has to run on this machine, \
                 under this user unless this one is root"
            )
        };
        let program = read_link(format!("/proc/{pid}/exe")).map_err(elsewhere)?;
        let owner = metadata(&data).map_err(elsewhere)?;
        Ok(Server {
            pg_ctl: program.with_file_name("pg_ctl"),
            log: read_link(format!("/proc/{pid}/fd/2")).map_err(elsewhere)?,
            owner: (owner.uid(), owner.gid()),
            data,
        })
    }

    /// Returns when the server accepts connections again.
    pub fn restart_at_once(&self) -> Result<(), String> {
        let mut command = Command::new(&self.pg_ctl);
        command.args(["restart", "-m", "immediate", "-w", "-t", "60", "-D"]);
        command.arg(&self.data).arg("-l").arg(&self.log);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        // Postgres does not run as root.
        if metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
            command.uid(self.owner.0).gid(self.owner.1);
        }
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!(
                "the server did not come back after an immediate shutdown ({status}); its log is {}",
                self.log.display()
            )),
            Err(error) => Err(format!("cannot run {}: {error}", self.pg_ctl.display())),
        }
    }
}
