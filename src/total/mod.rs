//! Totals: a column of the parent that always equals the count or the sum of its children.

pub mod amount;
pub mod bounds;
pub mod carried;
pub mod check;
pub mod column;
pub mod definition;
pub mod faults;
pub mod fill;
pub mod guard;
pub mod install;
pub mod known;
pub mod ledger;
pub mod parent;
pub mod plan;
pub mod recount;
pub mod removal;
pub mod reports;
pub mod rule;
pub mod session;
pub mod settle;
pub mod standing;
pub mod sums;

use crate::guard::kind::{leaves_no_more, Bypassable, Kind, Modes};

const KEEPS_A_VALUE: &str =
    "It only keeps the total of the parent; the CHECK there is the rule, which holds for every writer.";

pub static KIND: Kind = Kind {
    name: "total",
    function: rule::FUNCTION,
    companions: &[
        rule::STATEMENT_FUNCTION,
        rule::SETTLE_FUNCTION,
        rule::COLUMN_FUNCTION,
        rule::PARENT_FUNCTION,
    ],
    attachment: &rule::ATTACHMENT,
    first_argument: "total_column",
    takes: &[
        "parent",
        "total_column",
        "amount",
        "predicate",
        "at_most",
        "at_least",
        "settle",
        "foreign_key",
        "guard",
    ],
    defaults: &[("amount", "1"), ("settle", "statement")],
    flags: &[],
    repeated: &[],
    elsewhere: standing::elsewhere,
    check: check::check,
    check_rows: check::check_rows,
    modes: Modes::Fixed(KEEPS_A_VALUE),
    bypass: Bypassable::Never(KEEPS_A_VALUE),
    renamed: rule::renamed,
    removed_from: removal::removed_from,
    remove: removal::remove,
    remove_remains: removal::remove_remains,
    remains: check::remains,
    owner_of: leaves_no_more,
    counts_on_others: false,
    on_others: &[rule::COLUMN_FUNCTION, rule::PARENT_FUNCTION, rule::SETTLE_FUNCTION],
    quiet: &[rule::COLUMN_FUNCTION, rule::PARENT_FUNCTION, rule::SETTLE_FUNCTION],
};
