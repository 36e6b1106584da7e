//! The cap: at most so many rows per key, each in a slot.

pub mod calls;
pub mod check;
pub mod decision;
pub mod definition;
pub mod guard;
pub mod hints;
pub mod install;
pub mod left_over;
pub mod number_slots;
pub mod plan;
pub mod protocol;
pub mod removal;
pub mod reports;
pub mod rows;
pub mod rule;
pub mod search;
pub mod session;
pub mod set_cap;
pub mod set_mode;
pub mod spare;
pub mod standing;
pub mod statement;

use crate::guard::kind::{first_argument_renamed, own_table_only, Bypassable, Kind, Modes};
use crate::guard::numbered_index::in_the_index;
use crate::pg::numbered_index::IndexForm;

pub static KIND: Kind = Kind {
    name: "cap",
    function: rule::FUNCTION,
    companions: &[rule::FULL_FUNCTION],
    attachment: &rule::ATTACHMENT,
    first_argument: "slot_column",
    takes: &["key", "slots", "slot_column", "predicate", "fill", "guard"],
    defaults: &[("fill", "lowest")],
    flags: &[],
    repeated: &[],
    elsewhere: |table, arguments| in_the_index(table, arguments, IndexForm::Slots),
    check: check::check,
    check_rows: check::check_rows,
    modes: Modes::Changed { lock: "ACCESS EXCLUSIVE", change: set_mode::set_mode },
    bypass: Bypassable::Never(
        "Its rule is a CHECK and a unique index, which hold for every writer.",
    ),
    renamed: first_argument_renamed,
    removed_from: own_table_only,
    remove: removal::remove_guard,
    remove_remains: removal::remove_remains,
    owner_of: removal::owner_of,
    counts_on_others: false,
    remains: left_over::remains,
    on_others: &[],
    quiet: &[],
};
