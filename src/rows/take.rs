//! `take` and `take_all`: hot counters and baskets without versions.

use crate::errors;
use crate::guard::arguments::required;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert::{input, keep_value};
use crate::pg::error::{catch, Report};
use crate::pg::jsonb::{Json, JsonKind};
use crate::pg::memory::{self, here, Memory, Scratch};
use crate::pg::numeric;
use crate::pg::result_set::return_set;
use crate::pg::spi::connected;
use crate::rows::amounts::{Places, Returning, Stock};
use crate::rows::table::{Described, RowKey};
use pgrx::pg_sys::{self, Datum};

function_entry!(raceguard_take, crate::rows::take::take);
function_entry!(raceguard_take_all, crate::rows::take::take_all);

/// `take(target, pk, quantity_column, amount, at_least, at_most) -> numeric`.
///
/// Takes `amount` from `quantity_column` of the row with primary key `pk` by one UPDATE whose
/// condition is the bounds, and returns what is left; a negative amount puts back. `at_most` is a
/// number or a column of the row, whose NULL is no bound. Raises RG422 (with stored and asked
/// amount) if taking would leave less than `at_least`, or adding more than `at_most`; RG404 if there
/// is no such row, 42703 and 42804 for a column that is not there or holds no amounts, 22023 for an
/// amount that the column would round, 22004 and 22023 where something is put back into a column
/// that holds NULL or NaN. States the version where a version guard demands it. Serves the
/// hot counter, the account that must not be overdrawn, and the last item in stock.
fn take(call: Call) -> Result<Value, Report> {
    connected(|| {
        let stock = Stock::of_arguments(
            call,
            Places { target: 0, column: 2, at_least: 4, at_most: Some(5) },
        )?;
        here(|memory| {
            let key = stock.table.key("pk", required(call.datum(1), "pk")?, memory)?;
            let amount = required(call.datum(3), "amount")?;
            stock.check_amount(amount)?;
            let left = stock.taker(Returning::Remaining)?.take(&key, amount)?;
            Ok(left.map_or(Value::Null, Value::Raw))
        })
    })
}

/// `take_all(target, quantity_column, items, at_least) -> setof jsonb`.
///
/// Takes from many rows, all or none: `items` is an array of objects with the primary key's
/// columns and `amount`, such as `[{"id": 1, "amount": 2}, ...]`; amounts for one key add up. Rows
/// are written in key order, so two baskets in opposite order do not deadlock. Returns the new rows
/// in that order. Errors as in [`take`]. Serves the basket.
fn take_all(call: Call) -> Result<Value, Report> {
    connected(|| {
        let stock =
            Stock::of_arguments(call, Places { target: 0, column: 1, at_least: 3, at_most: None })?;
        let items = required(call.json(2)?, "items")?;
        here(|memory| {
            let basket = basket(&stock, &items, memory)?;
            let taker = stock.taker(Returning::Row)?;
            let mut rows = Vec::new();
            memory::reserve(&mut rows, basket.len())?;
            for (key, amount) in &basket {
                rows.extend(taker.take(key, *amount)?);
            }
            return_set(call, &rows)
        })
    })
}

/// The items in key order, one per key.
fn basket<'m>(
    stock: &Stock,
    items: &Json,
    memory: Memory<'m>,
) -> Result<Vec<(RowKey<'m>, Datum)>, Report> {
    let table = &stock.table;
    if table.key.iter().any(|column| column.name == AMOUNT) {
        return Err(Report::error(
            errors::UNSUPPORTED,
            format_args!("the primary key of \"{}\" has a column \"{AMOUNT}\"", table.name),
        )
        .detail(format_args!("The member \"{AMOUNT}\" of an item is what to take."))
        .hint(format_args!("Call raceguard.take for each row, in key order."))
        .table(table.oid));
    }
    if items.kind() != JsonKind::Array {
        return Err(not_items(table, format_args!("It is {}.", items.kind())));
    }
    let mut basket = Vec::new();
    memory::reserve(&mut basket, items.count())?;
    let mut elements = items.elements(memory)?;
    let scratch = Scratch::new()?;
    while let Some(item) = elements.next()? {
        let i = basket.len();
        basket.push(scratch.distil(memory, |scratch, memory| {
            let (key, amount) = item_of(stock, &item, i, scratch)?;
            let amount = catch(|| keep_value(pg_sys::NUMERICOID, amount, memory))?;
            Ok((table.keep(key, memory)?, amount))
        })?);
    }
    scratch.done()?;
    table.put_in_order(
        basket,
        |(key, _)| key,
        |one, (_, more)| {
            one.1 = numeric::add(one.1, more)?;
            Ok(())
        },
    )
}

/// The key and the amount of one item.
fn item_of<'m>(
    stock: &Stock,
    item: &Json,
    i: usize,
    memory: Memory<'m>,
) -> Result<(RowKey<'m>, Datum), Report> {
    let table = &stock.table;
    let Some(amount) = item.member(AMOUNT)? else {
        return Err(not_items(table, format_args!("There is no amount in items[{i}].")));
    };
    if !matches!(amount.kind(), JsonKind::Number | JsonKind::String) {
        let kind = amount.kind();
        return Err(not_items(table, format_args!("The amount in items[{i}] is {kind}.")));
    }
    let key = table.key_in_list(&format!("items[{i}]"), item.without(AMOUNT)?, memory)?;
    let text = here(|memory| memory::own(amount.plain(memory)?.unwrap_or_default()))?;
    let amount = input(&text, pg_sys::NUMERICOID, -1)?;
    stock.check_amount(amount)?;
    Ok((key, amount))
}

/// The member of an item that says how much to take.
const AMOUNT: &str = "amount";

fn not_items(table: &Described, problem: core::fmt::Arguments) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"items\" is no list of amounts to take"),
    )
    .detail(problem)
    .hint(format_args!(
        "Write an array of objects with the primary key's columns and \"{AMOUNT}\"."
    ))
    .table(table.oid)
}
