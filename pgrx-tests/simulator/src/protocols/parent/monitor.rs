//! What has to hold of parents and their children.

use super::PARENTS;
use crate::engine::session::Monitor;
use crate::server::Server;

/// What a session's transaction has done that counts, by parent.
#[derive(Clone, Copy, Default, Hash)]
struct Done {
    children: bool,
    /// How often the client itself has moved the version.
    swaps: i64,
}

#[derive(Hash)]
pub struct ParentMonitor {
    /// What the running transactions have done: a list for each part between savepoints.
    running: Vec<Vec<[Done; 3]>>,
    /// By how much the version of each parent has to have moved.
    moves: [i64; 3],
}

impl ParentMonitor {
    pub fn new(sessions: usize) -> ParentMonitor {
        ParentMonitor { running: vec![Vec::new(); sessions], moves: [0; 3] }
    }

    pub fn opens(&mut self, session: usize) {
        self.running[session].push([Done::default(); 3]);
    }

    fn last(&mut self, session: usize, parent: i64) -> Option<&mut Done> {
        self.running[session].last_mut()?.get_mut(parent as usize)
    }

    pub fn writes_child(&mut self, session: usize, parent: i64) {
        if let Some(done) = self.last(session, parent) {
            done.children = true;
        }
    }

    pub fn swaps(&mut self, session: usize, parent: i64) {
        if let Some(done) = self.last(session, parent) {
            done.swaps += 1;
        }
    }

    pub fn undoes(&mut self, session: usize) {
        self.running[session].pop();
    }

    /// The transaction ends with this step.
    pub fn ends(&mut self, session: usize, committed: bool) {
        let mut ended = [Done::default(); 3];
        for part in self.running[session].drain(..).filter(|_| committed) {
            for (all, done) in ended.iter_mut().zip(part) {
                all.children |= done.children;
                all.swaps += done.swaps;
            }
        }
        // Where the client has moved it, its children move it no further.
        for (moves, done) in self.moves.iter_mut().zip(ended) {
            *moves += done.swaps.max(done.children.into());
        }
    }
}

impl Monitor for ParentMonitor {
    fn before_step(&mut self, _: &Server, _: usize) {}

    /// Children and version become visible together, each transaction moves a version once.
    fn after_step(&mut self, server: &Server) -> Result<(), String> {
        for version in server.store.versions.values() {
            if version.table != PARENTS || !server.stands(None, version) {
                continue;
            }
            let [parent, moved, _] = version.values;
            let due = self.moves[parent as usize];
            if moved != due {
                return Err(format!(
                    "the version of parent {parent} has moved by {moved}, not by {due}"
                ));
            }
        }
        Ok(())
    }

    fn at_end(&self, server: &Server) -> Result<(), String> {
        match server.locks.is_empty() {
            true => Ok(()),
            false => Err("a lock was left behind".to_owned()),
        }
    }
}
