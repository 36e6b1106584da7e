//! The cooldown: at most so many rows per key within any period.

pub mod ahead;
pub mod calls;
pub mod check;
pub mod decision;
pub mod definition;
pub mod guard;
pub mod index;
pub mod install;
pub mod reports;
pub mod rule;

use crate::guard::kind::{
    leaves_no_more, no_remains, none_left, nothing_elsewhere, own_table_only, Bypassable, Kind,
    Modes,
};

pub static KIND: Kind = Kind {
    name: "cooldown",
    function: rule::FUNCTION,
    companions: &[],
    attachment: &rule::ATTACHMENT,
    first_argument: "key",
    takes: &["key", "at", "period", "max_rows", "predicate", "own_past", "guard"],
    defaults: &[("max_rows", "1"), ("own_past", "false")],
    flags: &["own_past"],
    repeated: &[],
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
    quiet: &[],
    remains: none_left,
};
