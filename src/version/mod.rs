//! The version guard: a stale write is refused, and what stands in its column.

pub mod backfill;
pub mod backfill_position;
pub mod backfill_step;
pub mod check;
pub mod column;
pub mod decision;
pub mod guard;
pub mod install;
pub mod reports;
pub mod rule;
pub mod standing;

use crate::guard::kind::{
    leaves_no_more, no_remains, none_left, nothing_elsewhere, own_table_only, Bypassable, Kind,
    Modes,
};

pub static KIND: Kind = Kind {
    name: "version",
    function: rule::FUNCTION,
    companions: &[],
    attachment: &rule::ATTACHMENT,
    first_argument: "version_column",
    takes: &["version_column", "unstated", "client_sends", "ignore", "mode"],
    defaults: &[("unstated", "allow"), ("client_sends", "next")],
    flags: &[],
    repeated: &["ignore"],
    elsewhere: nothing_elsewhere,
    check: check::check,
    check_rows: check::check_rows,
    modes: Modes::in_triggers(install::set_mode),
    bypass: Bypassable::Past(&[]),
    renamed: rule::renamed,
    removed_from: own_table_only,
    remove: install::remove,
    remove_remains: no_remains,
    owner_of: leaves_no_more,
    counts_on_others: false,
    on_others: &[],
    quiet: &[rule::FUNCTION],
    remains: none_left,
};
