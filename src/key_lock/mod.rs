//! The key lock: the writers of one key take turns.

pub mod calls;
pub mod check;
pub mod guard;
pub mod install;
pub mod locks;
pub mod observe;
pub mod protocol;
pub mod rule;

use crate::guard::kind::{any_rows, nothing_elsewhere, own_table_only, Bypassable, Kind, Modes};

pub static KIND: Kind = Kind {
    name: "key_lock",
    function: rule::FUNCTION,
    companions: &[rule::FIRST_FUNCTION],
    attachment: &rule::ATTACHMENT,
    first_argument: "key",
    takes: &["key", "namespace"],
    defaults: &[],
    flags: &[],
    repeated: &[],
    elsewhere: nothing_elsewhere,
    check: check::check,
    check_rows: any_rows,
    modes: Modes::in_triggers(install::set_mode),
    bypass: Bypassable::Past(&[rule::FIRST_FUNCTION]),
    renamed: rule::renamed,
    removed_from: own_table_only,
    remove: install::remove,
    remove_remains: install::remove_remains,
    owner_of: install::owner_of,
    counts_on_others: false,
    on_others: &[],
    quiet: &[],
    remains: check::remains,
};
