//! Amounts in a column: one atomic UPDATE per row, with a floor.

use super::keyed_table::{Key, KeyedTable};
use super::stated_version;
use crate::errors::{self, Code};
use crate::install::arguments::{identifier, required};
use crate::pg::call::Call;
use crate::pg::error::Report;
use crate::pg::numeric::{self, Scale};
use crate::pg::relation::Table;
use crate::pg::spi::{Prepared, Rows};
use pgrx::pg_sys::{self, Datum};

/// The column amounts are taken from, and the floor below which they may not bring it.
pub struct Stock {
    pub table: KeyedTable,
    column: String,
    scale: Scale,
    version: Option<String>,
    floor: Datum,
}

/// The statements that take from one row, prepared to run for many.
pub struct Taker<'a> {
    stock: &'a Stock,
    update: Prepared,
    look: Prepared,
}

impl Stock {
    /// Reads target, quantity column and floor from the arguments at these places.
    pub fn of_arguments(
        call: Call,
        target: usize,
        column: usize,
        at_least: usize,
    ) -> Result<Stock, Report> {
        let column = required(call.name(column), "quantity_column")?;
        let floor = required(call.datum(at_least), "at_least")?;
        if numeric::show(floor)? == "NaN" {
            return Err(not_a_number("at_least", "NaN"));
        }
        let (table, (scale, version)) = KeyedTable::of_argument(call, target, |table| {
            let scale = quantity(table, &column)?;
            Ok((scale, stated_version::set_item(table, &column)?))
        })?;
        Ok(Stock { table, column, scale, version, floor })
    }

    /// Refuses an amount that the column would round.
    pub fn check_amount(&self, amount: Datum) -> Result<(), Report> {
        let shown = numeric::show(amount)?;
        if matches!(shown.as_str(), "NaN" | "Infinity" | "-Infinity") {
            return Err(not_a_number("amount", &shown));
        }
        if numeric::fits(&shown, self.scale) {
            return Ok(());
        }
        Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!(
                "amount {shown} does not fit column \"{}\" of table \"{}\" exactly",
                self.column, self.table.name
            ),
        )
        .detail(format_args!(
            "The column would round it, and what is taken would not be what was asked."
        ))
        .hint(format_args!("Round the amount to what the column can hold."))
        .table(self.table.oid)
        .column(&self.column))
    }

    /// Prepares the statements; `returning` is what [`Taker::take`] gives back.
    pub fn taker(&self, returning: &str) -> Result<Taker<'_>, Report> {
        let key = self.table.condition(1);
        let mut types = self.table.types();
        let (amount, floor) = (types.len() + 1, types.len() + 2);
        types.extend([pg_sys::NUMERICOID, pg_sys::NUMERICOID]);
        let quantity = format!("{}::pg_catalog.numeric", identifier(&self.column));
        let left = format!("({quantity} OPERATOR(pg_catalog.-) ${amount})");
        // Putting back is never refused: it does not bring the row further below the floor.
        let enough = format!(
            "(${amount} OPERATOR(pg_catalog.<=) 0::pg_catalog.numeric \
             OR {left} OPERATOR(pg_catalog.>=) ${floor})"
        );
        let mut set = format!("{} = {left}", identifier(&self.column));
        if let Some(version) = &self.version {
            set = format!("{set}, {version}");
        }
        let table = &self.table.reference;
        Ok(Taker {
            stock: self,
            update: Prepared::new(
                &format!(
                    "UPDATE {table} AS r SET {set} WHERE {key} AND {enough} RETURNING {returning}"
                ),
                &types,
            )?,
            look: Prepared::new(
                &format!(
                    "SELECT {quantity}, {enough} FROM {table} AS r WHERE {key} FOR NO KEY UPDATE"
                ),
                &types,
            )?,
        })
    }

    /// The expression for what is left in the row.
    pub fn remaining(&self) -> String {
        format!("{}::pg_catalog.numeric", identifier(&self.column))
    }

    fn not_enough(&self, key: &Key, stored: Option<&str>, amount: Datum) -> Report {
        let (asked, floor) = (numeric::show(amount), numeric::show(self.floor));
        let (Ok(asked), Ok(floor)) = (&asked, &floor) else {
            return asked.and(floor).err().unwrap_or_else(|| suppressed(self, key));
        };
        errors::own(
            Code::Rg422,
            self.table.oid,
            format_args!(
                "\"{}\" of a row of \"{}\" would fall below {floor}",
                self.column, self.table.name
            ),
            Some(format_args!(
                "Key {}: stored {}, asked {asked}.",
                key.shown,
                stored.unwrap_or("NULL")
            )),
            format_args!("Ask for less, or put some back first (a negative amount)."),
            None,
        )
        .column(&self.column)
    }
}

impl Taker<'_> {
    /// Takes an amount from the row of a key, or fails with RG404 or RG422.
    pub fn take(&self, key: &Key, amount: Datum) -> Result<Option<String>, Report> {
        if let Some(taken) = self.try_update(key, amount)? {
            return Ok(taken);
        }
        // The UPDATE found no row: none has the key, or it holds too little. The answer is
        // looked up under the row's lock, so that it still holds when the second UPDATE runs.
        let found = self.run(&self.look, key, amount)?;
        let Some(row) = found.first() else {
            return Err(self.stock.table.no_such_row(&[key]));
        };
        if row[1].as_deref() != Some("t") {
            return Err(self.stock.not_enough(key, row[0].as_deref(), amount));
        }
        self.try_update(key, amount)?.ok_or_else(|| suppressed(self.stock, key))
    }

    fn try_update(&self, key: &Key, amount: Datum) -> Result<Option<Option<String>>, Report> {
        let rows = self.run(&self.update, key, amount)?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()))
    }

    fn run(&self, statement: &Prepared, key: &Key, amount: Datum) -> Result<Rows, Report> {
        let amounts = [Some(amount), Some(self.stock.floor)];
        statement.run(key.values().chain(amounts))
    }
}

/// How exactly the quantity column holds amounts; 42703 without it, 42804 where it holds none.
fn quantity(table: Table, name: &str) -> Result<Scale, Report> {
    let column = crate::pg::error::catch(|| table.column_named(name))?;
    let Some(column) = column else {
        return Err(Report::error(
            errors::UNDEFINED_COLUMN,
            format_args!("column \"{name}\" of table \"{}\" does not exist", table.name()),
        )
        .detail(format_args!("quantity_column names the column to take from."))
        .hint(format_args!("Check the spelling; upper-case names keep their case here."))
        .table(table.oid())
        .column(name));
    };
    if let Some(scale) = numeric::scale(column)? {
        return Ok(scale);
    }
    let type_name = crate::pg::error::catch(|| crate::pg::text::type_name(column.type_oid))?;
    Err(Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!(
            "column \"{name}\" of table \"{}\" cannot hold amounts: its type is {type_name}",
            table.name()
        ),
    )
    .detail(format_args!(
        "Amounts are smallint, integer, bigint or numeric; sums of floating-point numbers are not exact."
    ))
    .hint(format_args!("Change the column with ALTER TABLE ... ALTER COLUMN ... TYPE numeric."))
    .table(table.oid())
    .column(name))
}

fn not_a_number(argument: &str, value: &str) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"{argument}\" must be a finite number, not {value}"),
    )
    .detail(format_args!("Nothing can be taken by it."))
    .hint(format_args!("Give a number."))
}

fn suppressed(stock: &Stock, key: &Key) -> Report {
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("row of \"{}\" was not updated", stock.table.name),
    )
    .detail(format_args!(
        "Key {}: a trigger or rule of the table suppressed the UPDATE.",
        key.shown
    ))
    .hint(format_args!("Look for a BEFORE UPDATE trigger that returns NULL."))
    .table(stock.table.oid)
}
