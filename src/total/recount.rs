//! `CALL recount`: the totals of all parents counted again, on tables that are written meanwhile.

use crate::errors;
use crate::guard::arguments::{at_least_one, required};
use crate::guard::shells;
use crate::guard::target::Target;
use crate::guard::trigger;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::memory;
use crate::pg::own_transaction::{hindrance, Transactions};
use crate::pg::owner::acting_as;
use crate::pg::relation::attno_of;
use crate::pg::spi::{pinned_search_path, without_row_security};
use crate::pg::statement::{self, Moment, Sight};
use crate::total::parent::TotalParent;
use crate::total::plan::no_total;
use crate::total::removal::parent_of;
use crate::total::rule::FUNCTION;
use crate::total::sums::count_row;

function_entry!(raceguard_recount, crate::total::recount::recount);

/// `CALL raceguard.recount(child, guard, batch)`: writes what stands under each parent into its total, `batch` parents
/// to a transaction, each under its own lock. Serves a total that is put on a live table, or that is wrong because
/// rows were written where no trigger fires.
///
/// Raises 25001 inside a transaction block or function, 42704 without such a total, 42501 unless the caller owns both
/// tables, RG403 and RG422 for what stands beyond a bound, 22023 and 22004.
fn recount(call: Call) -> Result<Value, Report> {
    if hindrance(call, c"CALL raceguard.recount")?.is_some() {
        return Err(in_transaction());
    }
    let transactions = Transactions::connect()?;
    let batch = required(call.int(2), "batch")?;
    let because = ("Each transaction counts for so many parents.", "Leave it out for 1000.");
    let batch = at_least_one(batch, "batch", because)? as usize;
    let (name, identities) = {
        let parent = parent(call)?;
        (parent.1, identities(&parent.0)?)
    };
    for some in identities.chunks(batch) {
        transactions.commit()?;
        transactions.forget()?;
        let (parent, _) = parent(call)?;
        for identity in some {
            count_row(&parent, identity)?;
        }
    }
    transactions.commit()?;
    tell(
        Level::Notice,
        format_args!("totals of {} rows of \"{name}\" are counted", identities.len()),
        None,
    );
    transactions.finish()?;
    Ok(Value::Void)
}

/// The parent of the total that the arguments name, and the table's name.
fn parent(call: Call) -> Result<(TotalParent, String), Report> {
    pinned_search_path(|| {
        let child = Target::owned(call, 0)?;
        let guard = required(call.name(1)?, "guard")?;
        shells::refuse_on_nodes(
            &child,
            "recount",
            "Parents and children are locked and counted row by row, where they lie.",
            |_| {
                "Drop the guard, take both tables back with undistribute_table and cascade_via_foreign_keys, call raceguard.add_total, which counts, and distribute them again.".to_owned()
            },
        )?;
        let missing = || no_total(&child.name, child.oid, &guard);
        let trigger = trigger::trigger_name(&guard, "")?;
        let mut standing = trigger::existing(&child, FUNCTION)?.into_iter();
        let standing = standing.find(|t| t.trigger == trigger).ok_or_else(missing)?;
        let parent = parent_of(&standing)?.ok_or_else(missing)?;
        let target = Target::of(parent)?;
        target.require_owner()?;
        let column = standing.arguments.first().map_or("", String::as_str);
        let attno = crate::pg::error::catch(|| attno_of(parent, column))?.ok_or_else(missing)?;
        let parent = TotalParent::open(parent, attno)?.ok_or_else(missing)?;
        Ok((parent, target.name))
    })
}

/// The primary keys of all parents, in their order. Those that come later have the guard's own totals.
fn identities(parent: &TotalParent) -> Result<Vec<String>, Report> {
    let columns: Vec<&str> = parent.identity.iter().map(|c| c.name.as_str()).collect();
    let list = columns.join(", ");
    let sql = format!("SELECT {list} FROM {} ORDER BY {list}", parent.from);
    let mut identities = Vec::new();
    without_row_security(|| {
        acting_as(parent.owner, || {
            let moment = Moment::take()?;
            statement::prepare(sql, &[])?.select(&[], moment, Sight::Now, |row| {
                memory::push(&mut identities, parent.identity_of(row)?)
            })?;
            moment.done()
        })
    })?;
    Ok(identities)
}

/// 25001.
fn in_transaction() -> Report {
    Report::error(
        errors::ACTIVE_TRANSACTION,
        format_args!("CALL raceguard.recount cannot run inside a transaction block or function"),
    )
    .detail(format_args!("It commits after each batch, so that nobody waits for long."))
    .hint(format_args!("Send the CALL by itself, as one statement."))
}
