//! `take` and `take_all`: hot counters and baskets without versions (sources.md A10, B3, C4).

use super::keyed_table::{kind, Key, KeyedTable};
use super::stock::Stock;
use crate::errors;
use crate::install::arguments::required;
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
    let left = connected(|| {
        let stock = Stock::of_arguments(call, 0, 2, 4)?;
        let pk = required(call.json(1)?, "pk")?;
        let key = stock.table.key(&pk, None, "pk")?;
        let amount = required(call.datum(3), "amount")?;
        stock.check_amount(amount)?;
        stock.taker(&stock.remaining())?.take(&key, amount)
    })?;
    match left {
        Some(left) => Ok(Value::Raw(input(&left, pg_sys::NUMERICOID, -1)?)),
        None => Ok(Value::Null),
    }
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
        let basket = basket(&stock, &items)?;
        let taker = stock.taker("pg_catalog.to_jsonb(r.*)")?;
        let mut rows = Vec::with_capacity(basket.len());
        for (key, amount) in &basket {
            rows.push(taker.take(key, *amount)?.unwrap_or_default());
        }
        Ok(rows)
    })?;
    let rows: Result<Vec<Datum>, Report> =
        rows.iter().map(|row| input(row, pg_sys::JSONBOID, -1)).collect();
    return_set(call, &rows?)
}

/// The items in key order, one per key.
fn basket(stock: &Stock, items: &Json) -> Result<Vec<(Key, Datum)>, Report> {
    let table = &stock.table;
    if table.has_key_column(AMOUNT) {
        return Err(Report::error(
            errors::UNSUPPORTED,
            format_args!("the primary key of \"{}\" has a column \"{AMOUNT}\"", table.name),
        )
        .detail(format_args!("The member \"{AMOUNT}\" of an item is what to take."))
        .hint(format_args!("Call raceguard.take for each row, in key order."))
        .table(table.oid));
    }
    let Json::Array(items) = items else {
        return Err(not_items(table, format_args!("It is {}.", kind(items))));
    };
    let mut basket: Vec<(Key, Datum)> = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let key = table.key(item, Some(AMOUNT), &format!("items[{i}]"))?;
        let amount = match &item[AMOUNT] {
            Json::Number(number) => number.to_string(),
            Json::String(text) => text.clone(),
            other => {
                return Err(not_items(
                    table,
                    format_args!("The amount for key {} is missing or {}.", key.shown, kind(other)),
                ))
            }
        };
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

fn not_items(table: &KeyedTable, problem: core::fmt::Arguments) -> Report {
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
