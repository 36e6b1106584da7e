//! The parent version: a write to a child row bumps its parent.

pub mod bump;
pub mod check;
pub mod companions;
pub mod guard;
pub mod install;
pub mod notes;
pub mod protocol;
pub mod rule;
pub mod session_notes;
pub mod table;

use crate::guard::kind::{
    any_rows, leaves_no_more, no_remains, nothing_elsewhere, own_table_only, Bypassable, Kind,
    Modes,
};

const KEEPS_A_VALUE: &str = "It refuses nothing: it only moves the version of the parent.";

pub static KIND: Kind = Kind {
    name: "parent_version",
    function: rule::FUNCTION,
    companions: &[rule::BUMP_FUNCTION, rule::TRUNCATE_FUNCTION],
    attachment: &rule::ATTACHMENT,
    first_argument: "foreign_key",
    takes: &[],
    defaults: &[],
    flags: &[],
    repeated: &[],
    elsewhere: nothing_elsewhere,
    check: check::check,
    check_rows: any_rows,
    modes: Modes::Fixed(KEEPS_A_VALUE),
    bypass: Bypassable::Never(KEEPS_A_VALUE),
    renamed: rule::renamed,
    removed_from: own_table_only,
    remove: install::remove,
    remove_remains: no_remains,
    owner_of: leaves_no_more,
    counts_on_others: true,
    on_others: &[],
    quiet: &[rule::FUNCTION, rule::BUMP_FUNCTION],
    remains: check::remains,
};
