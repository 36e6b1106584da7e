//! `take` and `take_all`: hot counters and baskets without versions (sources.md A10, B3, C4).

use crate::calls::arguments::required;
use crate::calls::keys::kind;
use crate::calls::stock::{Returning, Stock};
use crate::calls::table::{Described, Key};
use crate::errors;
use crate::pg::call::{function_entry, input, Call, Value};
use crate::pg::error::Report;
use crate::pg::numeric;
use crate::pg::rows::return_set;
use crate::pg::spi::connected;
use pgrx::pg_sys::{self, Datum};
use serde_json::Value as Json;

function_entry!(raceguard_take, crate::calls::take::take);
function_entry!(raceguard_take_all, crate::calls::take::take_all);

/// `take(target, pk, quantity_column, amount, at_least) -> numeric`.
///
/// Takes `amount` from `quantity_column` of the row with primary key `pk` by one UPDATE whose
/// condition is the floor, and returns what is left; a negative amount puts back. Raises RG422
/// (with stored and asked amount) if less than `at_least` would be left, RG404 if there is no such
/// row, 42703 and 42804 for a column that is not there or holds no amounts, 22023 for an amount
/// that the column would round. States the version where a version guard demands it. Serves A10
/// (hot counter), B3 (an error of its own for insufficient funds) and C4 (the last item is sold
/// once).
fn take(call: Call) -> Result<Value, Report> {
    connected(|| {
        let stock = Stock::of_arguments(call, 0, 2, 4)?;
        let key = stock.table.key("pk", required(call.datum(1), "pk")?)?;
        let amount = required(call.datum(3), "amount")?;
        stock.check_amount(amount)?;
        let left = stock.taker(Returning::Remaining)?.take(&key, amount)?;
        Ok(left.map_or(Value::Null, Value::Raw))
    })
}

/// `take_all(target, quantity_column, items, at_least) -> setof jsonb`.
///
/// Takes from many rows, all or none: `items` is an array of objects with the primary key's
/// columns and `amount`, such as `[{"id": 1, "amount": 2}, ...]`; amounts for one key add up. Rows
/// are written in key order, so two baskets in opposite order do not deadlock. Returns the new rows
/// in that order. Errors as in [`take`]. Serves A10, C4 and C5 (several changes, all or none).
fn take_all(call: Call) -> Result<Value, Report> {
    let rows = connected(|| {
        let stock = Stock::of_arguments(call, 0, 1, 3)?;
        let items = required(call.json(2)?, "items")?;
        let basket = basket(&stock, items)?;
        let taker = stock.taker(Returning::Row)?;
        let mut rows = Vec::with_capacity(basket.len());
        for (key, amount) in &basket {
            rows.extend(taker.take(key, *amount)?);
        }
        Ok(rows)
    })?;
    return_set(call, &rows)
}

/// The items in key order, one per key.
fn basket(stock: &Stock, items: Json) -> Result<Vec<(Key, Datum)>, Report> {
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
    let Json::Array(items) = items else {
        return Err(not_items(table, format_args!("It is {}.", kind(&items))));
    };
    let mut basket: Vec<(Key, Datum)> = Vec::with_capacity(items.len());
    for (i, mut item) in items.into_iter().enumerate() {
        let amount = match item.as_object_mut().and_then(|members| members.remove(AMOUNT)) {
            Some(Json::Number(number)) => number.to_string(),
            Some(Json::String(text)) => text,
            Some(other) => {
                let kind = kind(&other);
                return Err(not_items(table, format_args!("The amount in items[{i}] is {kind}.")));
            }
            None => {
                return Err(not_items(table, format_args!("There is no amount in items[{i}].")))
            }
        };
        let key = table.key_in_list(&format!("items[{i}]"), &item)?;
        let amount = input(&amount, pg_sys::NUMERICOID, -1)?;
        stock.check_amount(amount)?;
        match table.find(&basket, &key, |(key, _)| key)? {
            Ok(at) => basket[at].1 = numeric::add(basket[at].1, amount)?,
            Err(at) => basket.insert(at, (key, amount)),
        }
    }
    Ok(basket)
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
