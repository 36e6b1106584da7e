//! Numbers per key: 1, 2, 3, ..., none given twice and none left out.

pub mod asked_for;
pub mod check;
pub mod counter;
pub mod counter_check;
pub mod counter_definition;
pub mod counter_guard;
pub mod counter_path;
pub mod counter_reports;
pub mod counter_rows;
pub mod counter_rule;
pub mod decision;
pub mod definition;
pub mod guard;
pub mod hints;
pub mod install;
pub mod number_rows;
pub mod plan;
pub mod removal;
pub mod reports;
pub mod rows;
pub mod rule;

use crate::guard::kind::{leaves_no_more, Bypassable, Kind, Modes};
use crate::guard::numbered_index::in_the_index;
use crate::pg::numbered_index::IndexForm;

const KEEPS_A_VALUE: &str = "It lets every row in: it only numbers them.";

pub static KIND: Kind = Kind {
    name: "number",
    function: rule::FUNCTION,
    companions: &[counter_rule::COUNTER_FUNCTION, counter_rule::KEEPER_FUNCTION],
    attachment: &rule::ATTACHMENT,
    first_argument: "number_column",
    takes: &["key", "number_column", "start", "counter", "foreign_key", "guard"],
    defaults: &[("start", "1")],
    flags: &[],
    repeated: &[],
    elsewhere: |table, arguments| in_the_index(table, arguments, IndexForm::Numbers),
    check: check::check,
    check_rows: check::check_rows,
    modes: Modes::Fixed(KEEPS_A_VALUE),
    bypass: Bypassable::Never(KEEPS_A_VALUE),
    renamed: rule::renamed,
    removed_from: removal::removed_from,
    remove: removal::remove_guard,
    remove_remains: removal::remove_remains,
    owner_of: leaves_no_more,
    counts_on_others: false,
    on_others: &[counter_rule::KEEPER_FUNCTION],
    quiet: &[counter_rule::KEEPER_FUNCTION],
    remains: counter_check::remains,
};
