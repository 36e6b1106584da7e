//! `CALL number_rows`: numbers for the rows that stood in a table before its number guard.

use crate::errors;
use crate::guard::arguments::{identifier, required};
use crate::guard::own_writes;
use crate::guard::shells;
use crate::guard::standing_rows::primary_key;
use crate::guard::target::Target;
use crate::guard::trigger::replace_arguments;
use crate::number::counter_rows::StandingCounters;
use crate::number::definition::{NumberGuard, StandingNumbers};
use crate::number::rule::{ATTACHMENT, FUNCTION};
use crate::pg::backoff::allow_cancel;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::guc::max_key_locks;
use crate::pg::memory;
use crate::pg::own_transaction::{hindrance, Transactions};
use crate::pg::prepared::Prepared;
use crate::pg::result_row::Rows;
use crate::pg::spi::{
    in_subtransaction, pinned_search_path, run, with_lock_timeout, without_row_security, Param,
};
use core::ffi::CStr;
use pgrx::pg_sys;

function_entry!(raceguard_number_rows, crate::number::number_rows::number_rows);

/// Rows that one transaction numbers, some 20 ms of work.
const ROWS: i64 = 500;

/// Rows that the last step numbers while writers wait for it.
const LAST_ROWS: i64 = 4 * ROWS;

/// What a statement sees has to be no older than the lock before it.
const READ_COMMITTED: &CStr = c"SET TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// How long the last step may wait for writers, who then wait for it; it is tried again.
const PATIENCE: i64 = 200;

/// How often a row may come to be locked, and no more, before it counts as kept from being numbered.
const ATTEMPTS: usize = 3;

/// The guard whose rows are numbered.
struct OpenRows {
    target: Target,
    numbers: NumberGuard,
    standing: StandingNumbers,
}

/// `CALL raceguard.number_rows(target, guard)`: gives every row of a number guard that has no number yet, and no
/// NULL in its key, one, in the order of the primary key, up to 500 to a transaction, and has the guard number
/// all rows from then on. Bumps no version. Serves numbers on a big table that is written meanwhile.
///
/// Killed, it is simply called again. Raises 25001 inside a transaction block or function, 42704 without such a guard,
/// 55000 where that has lost its index, 22003 past the last number of the column's type, 27000 where a trigger keeps a
/// row from being numbered, 42501 unless the caller owns the table.
fn number_rows(call: Call) -> Result<Value, Report> {
    if hindrance(call, c"CALL raceguard.number_rows")?.is_some() {
        return Err(Report::error(
            errors::ACTIVE_TRANSACTION,
            format_args!("CALL raceguard.number_rows cannot run inside a transaction"),
        )
        .detail(format_args!("It commits after each batch, and with it whatever was done before."))
        .hint(format_args!("Run it by itself, outside BEGIN, functions and pipelines.")));
    }
    let transactions = Transactions::connect()?;
    let mut done = 0;
    loop {
        transactions.commit()?;
        transactions.forget()?;
        transactions.command(READ_COMMITTED)?;
        allow_cancel();
        let numbered = looked_up(call)?;
        let batch = step(&numbered)?;
        done += batch.count;
        if batch.more {
            continue;
        }
        transactions.commit()?;
        transactions.command(READ_COMMITTED)?;
        if let Some(last) = finish(&looked_up(call)?)? {
            transactions.commit()?;
            done += last;
            let name = &numbered.target.name;
            tell(Level::Notice, format_args!("{done} rows of \"{name}\" numbered"), None);
            break;
        }
    }
    raise_counters(call, &transactions)?;
    transactions.finish()?;
    Ok(Value::Void)
}

/// Writes the counters that are below a number that stood before the guard, up to 500 to a transaction, which waits for nobody
/// while it holds another; for a row that somebody else has it waits by itself.
fn raise_counters(call: Call, transactions: &Transactions) -> Result<(), Report> {
    let with_counters = |work: &mut dyn FnMut(&StandingCounters) -> Result<(), Report>| {
        transactions.command(READ_COMMITTED)?;
        allow_cancel();
        let OpenRows { target, numbers, .. } = looked_up(call)?;
        if let Some(counters) = pinned_search_path(|| numbers.counters(&target))? {
            work(&counters)?;
        }
        transactions.commit()?;
        transactions.forget()
    };
    let (mut keys, mut busy) = (Vec::new(), Vec::new());
    with_counters(&mut |counters| {
        counters.counter.parent.require_one_owner()?;
        keys = counters.keys()?;
        Ok(())
    })?;
    for some in keys.chunks(ROWS as usize) {
        with_counters(&mut |counters| {
            for key in some {
                if counters.raise(key, false)?.is_none() {
                    memory::push(&mut busy, key)?;
                }
            }
            Ok(())
        })?;
    }
    for key in busy {
        with_counters(&mut |counters| counters.raise(key, true).map(drop))?;
    }
    Ok(())
}

/// 0A000 where Citus spreads the rows: the trigger may number rows only when all shards are done.
pub fn refuse_on_nodes(target: &Target, call: &str) -> Result<(), Report> {
    shells::refuse_on_nodes(
        target,
        call,
        "Shards that are done would have to wait for the others.",
        |table| {
            format!(
                "Call raceguard.add_number({table}, ...): it numbers all rows while writers wait."
            )
        },
    )
}

fn looked_up(call: Call) -> Result<OpenRows, Report> {
    pinned_search_path(|| {
        let target = Target::owned(call, 0)?;
        let guard = required(call.name(1)?, "guard")?;
        refuse_on_nodes(&target, "number_rows")?;
        // Each table that holds rows is written as its owner.
        target.require_one_owner()?;
        let standing = StandingNumbers::find(&target, &guard)?;
        let standing = standing.ok_or_else(|| no_guard(&target, &guard))?;
        let numbers = standing.definition(&target)?.ok_or_else(|| no_index(&target, &guard))?;
        Ok(OpenRows { target, numbers, standing })
    })
}

/// What one transaction did.
struct NumberedRows {
    count: i64,
    /// Whether it has left many rows without a number.
    more: bool,
}

/// Numbers the next rows of one table.
fn step(numbered: &OpenRows) -> Result<NumberedRows, Report> {
    let limit = limit();
    let leaves = numbered.leaves()?;
    for (i, leaf) in leaves.iter().enumerate() {
        let rows = numbered.open(leaf, limit)?;
        if rows.is_empty() {
            continue;
        }
        let free = numbered.lock_free(leaf, &rows)?;
        let done = match numbered.number_many(leaf, &free)? {
            None | Some(0) => numbered.number_one(leaf)?,
            Some(done) => done,
        };
        return Ok(NumberedRows {
            count: done,
            more: rows.len() as i64 == limit || i + 1 < leaves.len(),
        });
    }
    Ok(NumberedRows { count: 0, more: false })
}

/// Numbers the last rows under a lock that keeps others from coming, has the guard number rows from then on, and returns
/// how many there were; `None` where somebody else has the lock, or there are too many.
fn finish(numbered: &OpenRows) -> Result<Option<i64>, Report> {
    let OpenRows { target, standing, .. } = numbered;
    if !standing.is_pending() {
        let mut open = numbered.leaves()?.into_iter();
        let left =
            open.try_fold(false, |left, leaf| Ok(left || !numbered.open(&leaf, 1)?.is_empty()))?;
        return Ok((!left).then_some(0));
    }
    let locked = in_subtransaction(|| {
        with_lock_timeout(PATIENCE, || pinned_search_path(|| target.lock("SHARE ROW EXCLUSIVE")))
    })?;
    match locked {
        Err(report) if report.is(errors::LOCK_NOT_AVAILABLE) => return Ok(None),
        locked => locked?,
    }
    let mut done = 0;
    for leaf in numbered.leaves()? {
        let rows = numbered.open(&leaf, LAST_ROWS)?;
        let count = rows.len() as i64;
        if count == LAST_ROWS || numbered.number_many(&leaf, &rows)? != Some(count) {
            return Ok(None);
        }
        done += count;
    }
    pinned_search_path(|| {
        replace_arguments(target, &standing.trigger, &ATTACHMENT, &numbered.numbers.arguments())
    })?;
    Ok(Some(done))
}

/// Past `raceguard.max_key_locks` a transaction would wait for everybody else's numbers while it holds these rows.
fn limit() -> i64 {
    i64::from(max_key_locks()).clamp(1, ROWS)
}

impl OpenRows {
    fn leaves(&self) -> Result<Vec<Target>, Report> {
        pinned_search_path(|| self.target.leaves())
    }

    /// The places of the next rows without a number, in the order in which they get one.
    fn open(&self, leaf: &Target, limit: i64) -> Result<Vec<String>, Report> {
        let order = pinned_search_path(|| primary_key(leaf))?;
        let sql = format!(
            "SELECT x.ctid FROM ONLY {} AS x WHERE {} ORDER BY {order} LIMIT {limit}",
            leaf.qualified,
            self.numbers.is_open(),
        );
        places(&in_name(leaf, || run(&sql, &[]))?)
    }

    /// Locks rows, as far as none of them is locked by somebody else: those that come after one are not numbered
    /// before it.
    fn lock_free(&self, leaf: &Target, rows: &[String]) -> Result<Vec<String>, Report> {
        let sql = format!(
            "SELECT ctid FROM ONLY {} WHERE ctid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.tid[]) \
             FOR NO KEY UPDATE SKIP LOCKED",
            leaf.qualified
        );
        let list = format!("{{\"{}\"}}", rows.join("\",\""));
        let locked = places(&in_name(leaf, || run(&sql, &[Param::Text(&list)]))?)?;
        Ok(rows.iter().take_while(|place| locked.contains(place)).cloned().collect())
    }

    /// Numbers rows one after the other, and returns how many; `None` where somebody else has the row with a counter, for which
    /// nobody waits who holds many rows.
    fn number_many(&self, leaf: &Target, rows: &[String]) -> Result<Option<i64>, Report> {
        if self.numbers.counter.is_none() {
            return self.number(leaf, rows, true).map(Some);
        }
        match in_subtransaction(|| self.number(leaf, rows, false))? {
            Err(report) if report.is(errors::LOCK_NOT_AVAILABLE) => Ok(None),
            done => done.map(Some),
        }
    }

    /// Numbers rows one after the other, and returns how many.
    ///
    /// Triggers of the table fire, and its key is evaluated, with its owner's rights and the caller's search_path, which
    /// they may count on.
    fn number(&self, leaf: &Target, rows: &[String], waits: bool) -> Result<i64, Report> {
        let _silent = own_writes::begin_rows(leaf.oid, waits);
        let column = identifier(&self.numbers.column);
        let update = format!(
            "UPDATE ONLY {} SET {column} = NULL \
             WHERE ctid OPERATOR(pg_catalog.=) $1::pg_catalog.tid AND {} RETURNING {column}",
            leaf.qualified,
            self.numbers.is_open()
        );
        in_name(leaf, || {
            let update = Prepared::new(&update, &[pg_sys::TEXTOID])?;
            let mut done = 0;
            for place in rows {
                let place = crate::pg::convert::text_datum(place)?;
                done += i64::from(update.execute(&[Some(place)])?.only_text(1)?.is_some());
            }
            Ok(done)
        })
    }

    /// Numbers the next row, for which it waits, holding no other meanwhile.
    fn number_one(&self, leaf: &Target) -> Result<i64, Report> {
        // The first attempt may find that the row was locked, and nothing else, while it waited.
        for _ in 0..ATTEMPTS {
            let rows = self.open(leaf, 1)?;
            let Some(first) = rows.first() else { return Ok(0) };
            let sql = format!(
                "SELECT ctid FROM ONLY {} WHERE ctid OPERATOR(pg_catalog.=) $1::pg_catalog.tid \
                 FOR NO KEY UPDATE",
                leaf.qualified
            );
            let locked = places(&in_name(leaf, || run(&sql, &[Param::Text(first)]))?)?;
            if self.number(leaf, &locked, true)? > 0 {
                return Ok(1);
            }
        }
        let name = &self.target.name;
        Err(Report::error(
            errors::TRIGGERED_DATA_CHANGE,
            format_args!("a trigger on \"{name}\" kept a row from being numbered"),
        )
        .detail(format_args!("A BEFORE ROW trigger returned NULL for it, or took its number away."))
        .hint(format_args!("Disable that trigger until the rows are numbered."))
        .table(self.target.oid))
    }
}

/// Runs what has to see every row of a table, with its owner's rights.
fn in_name<T>(leaf: &Target, body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    without_row_security(|| leaf.in_owners_name(body))
}

fn places(rows: &Rows) -> Result<Vec<String>, Report> {
    rows.iter().map(|row| row.get(0)).collect()
}

/// 42704: a call that works on a number guard, without one.
fn no_guard(target: &Target, guard: &str) -> Report {
    Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("table \"{}\" has no number guard named \"{guard}\"", target.name),
    )
    .detail(format_args!("A number guard is a trigger of raceguard.{FUNCTION}."))
    .hint(format_args!(
        "Add one first with raceguard.add_number; raceguard.guards lists what there is."
    ))
    .table(target.oid)
}

/// 55000: a number guard of which only the trigger is left.
fn no_index(target: &Target, guard: &str) -> Report {
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("number guard \"{guard}\" on table \"{}\" has lost its index", target.name),
    )
    .detail(format_args!(
        "There is no unique index that ends with its number column, or its trigger's arguments are no rule."
    ))
    .hint(format_args!("Call raceguard.drop_guard and raceguard.add_number again."))
    .table(target.oid)
}
