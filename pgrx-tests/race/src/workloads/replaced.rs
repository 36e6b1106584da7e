//! Guards that are replaced (`replace => true`) all the time by some, while the others write: none of their guarantees
//! has a gap.

use crate::language::{Statement, Workload};
use crate::workloads::{cap, key_lock, parent, version};

pub fn all() -> Vec<Workload> {
    vec![replaced_version(), replaced_cap(), replaced_key_lock(), replaced_parent()]
}

/// `workload` with clients among its own who put up the guard the one way and the other.
pub fn replacing(
    mut w: Workload,
    name: &'static str,
    story: &'static str,
    ways: [&'static str; 2],
) -> Workload {
    (w.name, w.story) = (name, story);
    // Whoever replaces a guard keeps writers waiting, as any DDL does.
    w.impatient = 0;
    w.allowed.push("40P01");
    w.statements.iter_mut().for_each(|statement| statement.weight *= 4);
    w.statements.extend(ways.map(|way| Statement::new("replace the guard", 1, &[way], &[])));
    w
}

fn replaced_version() -> Workload {
    replacing(
        version::next(),
        "replaced_version",
        "as version_next, the guard replaced meanwhile",
        [
            "SELECT raceguard.add_version('counters', ignore => ARRAY['id']::name[], replace => true)",
            "SELECT raceguard.add_version('counters', replace => true)",
        ],
    )
}

/// Filled the one way and the other, which its triggers say, and with its CHECK put up anew.
fn replaced_cap() -> Workload {
    let mut w = replacing(
        cap::three(),
        "replaced_cap",
        "as cap_3, the cap replaced meanwhile",
        [
            "SELECT raceguard.add_cap('posts', 'user_id', 3, predicate => 'highlighted', \
             fill => 'append', replace => true)",
            "SELECT raceguard.add_cap('posts', 'user_id', 3, predicate => 'highlighted', replace => true)",
        ],
    );
    w.statements.push(Statement::new(
        "the same number again",
        1,
        &["SELECT raceguard.set_cap('posts', 4); SELECT raceguard.set_cap('posts', 3)"],
        &[],
    ));
    w
}

/// The same keys, written in another way: whoever has locked one under the one has it under the other.
fn replaced_key_lock() -> Workload {
    replacing(
        key_lock::calls(),
        "replaced_key_lock",
        "as key_lock_calls, the guard replaced meanwhile",
        [
            "SELECT raceguard.add_key_lock('posts', '(\"userId\" + 0)', replace => true)",
            "SELECT raceguard.add_key_lock('posts', '\"userId\"', replace => true)",
        ],
    )
}

/// Two foreign keys that lead to the same parent.
fn replaced_parent() -> Workload {
    let mut w = replacing(
        parent::changes(),
        "replaced_parent",
        "as parent_changes, by the one foreign key and the other",
        [
            "SELECT raceguard.add_parent_version('lines', 'orders', 'lines_same', replace => true)",
            "SELECT raceguard.add_parent_version('lines', 'orders', 'lines_order_id_fkey', replace => true)",
        ],
    );
    w.setup.push(
        "ALTER TABLE lines ADD same_order bigint GENERATED ALWAYS AS (order_id) STORED, \
         ADD CONSTRAINT lines_same FOREIGN KEY (same_order) REFERENCES orders",
    );
    w.guard[1] = "SELECT raceguard.add_parent_version('lines', 'orders', 'lines_order_id_fkey')";
    w
}
