//! Amounts in a column: one atomic UPDATE per row, with a floor.

use crate::calls::arguments::required;
use crate::calls::keys::not_there;
use crate::calls::table::{describe, Described, Field, Key};
use crate::errors::{self, Code};
use crate::install::arguments::identifier;
use crate::pg::call::Call;
use crate::pg::error::{catch, Report};
use crate::pg::numeric::{self, Scale};
use crate::pg::plan::Plan;
use crate::pg::text::type_name;
use pgrx::pg_sys::{self, Datum};
use std::rc::Rc;

/// The column amounts are taken from, and the floor below which they may not bring it.
pub struct Stock {
    pub table: Rc<Described>,
    column: String,
    scale: Scale,
    floor: Datum,
}

/// What an UPDATE returns for each row.
#[derive(Clone, Copy)]
pub enum Returning {
    /// What is left in the column.
    Remaining,
    /// The new row as jsonb.
    Row,
}

/// The statements that take from one row.
pub struct Taker<'a> {
    stock: &'a Stock,
    update: Rc<Plan>,
    look: Rc<Plan>,
}

/// The columns of a look's row.
const LOOK_STORED: usize = 1;
const LOOK_ENOUGH: usize = 2;

impl Stock {
    /// Reads target, quantity column and floor from the arguments at these places.
    pub fn of_arguments(
        call: Call,
        target: usize,
        column: usize,
        at_least: usize,
    ) -> Result<Stock, Report> {
        let table = describe(required(call.oid(target), "target")?)?;
        let column = required(call.name(column)?, "quantity_column")?;
        let floor = required(call.datum(at_least), "at_least")?;
        if numeric::show(floor)? == "NaN" {
            return Err(not_a_number("at_least", "NaN"));
        }
        let scale = scale(&table, table.column(&column)?)?;
        Ok(Stock { table, column, scale, floor })
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

    /// The statements that take from one row after the other.
    pub fn taker(&self, returning: Returning) -> Result<Taker<'_>, Report> {
        let table = &self.table;
        let key = table.condition();
        let mut types = table.key_types();
        let (amount, floor) = (types.len() + 1, types.len() + 2);
        types.extend([pg_sys::NUMERICOID, pg_sys::NUMERICOID]);
        let column = identifier(&self.column);
        let quantity = format!("r.{column}::pg_catalog.numeric");
        let left = format!("({quantity} OPERATOR(pg_catalog.-) ${amount})");
        // Putting back is never refused: it does not bring the row further below the floor.
        let enough = format!(
            "(${amount} OPERATOR(pg_catalog.<=) 0::pg_catalog.numeric \
             OR {left} OPERATOR(pg_catalog.>=) ${floor})"
        );
        let mut set = format!("{column} = {left}");
        if let Some(guard) = table.guard.as_ref().filter(|guard| !guard.ignores(&self.column)) {
            set = format!("{set}, {}", guard.set_item("r"));
        }
        let name = &table.reference;
        let returning = match returning {
            Returning::Remaining => &quantity,
            Returning::Row => "pg_catalog.to_jsonb(r.*)",
        };
        let update =
            format!("UPDATE {name} AS r SET {set} WHERE {key} AND {enough} RETURNING {returning}");
        let look =
            format!("SELECT {quantity}, {enough} FROM {name} AS r WHERE {key} FOR NO KEY UPDATE");
        Ok(Taker {
            stock: self,
            update: table.kept(update, &types)?,
            look: table.kept(look, &types)?,
        })
    }

    fn not_enough(&self, key: &Key, stored: Option<&str>, amount: Datum) -> Result<Report, Report> {
        let (asked, floor) = (numeric::show(amount)?, numeric::show(self.floor)?);
        Ok(errors::own(
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
        .column(&self.column))
    }

    fn suppressed(&self, key: &Key) -> Report {
        Report::error(
            errors::TRIGGERED_DATA_CHANGE,
            format_args!("a trigger on \"{}\" kept the row from being written", self.table.name),
        )
        .detail(format_args!("Key {} is present, and nothing was written.", key.shown))
        .hint(format_args!(
            "A BEFORE ROW trigger returned NULL; it should raise an error or return the row."
        ))
        .table(self.table.oid)
    }
}

impl Taker<'_> {
    /// Takes an amount from the row of a key, or fails with RG404 or RG422.
    pub fn take(&self, key: &Key, amount: Datum) -> Result<Option<Datum>, Report> {
        let values = key.with(&[amount, self.stock.floor]);
        let updated = self.update.execute(&values)?;
        if updated.rows() > 0 {
            return updated.result(1);
        }
        // The UPDATE found no row: none has the key, or it holds too little. The answer is
        // looked up under the row's lock, so that it still holds when the second UPDATE runs.
        let found = self.look.execute(&values)?;
        if found.rows() == 0 {
            return Err(not_there(&self.stock.table, &[key]));
        }
        if found.text(LOOK_ENOUGH)?.as_deref() != Some("t") {
            let stored = found.text(LOOK_STORED)?;
            return Err(self.stock.not_enough(key, stored.as_deref(), amount)?);
        }
        let updated = self.update.execute(&values)?;
        if updated.rows() == 0 {
            return Err(self.stock.suppressed(key));
        }
        updated.result(1)
    }
}

/// How exactly the quantity column holds amounts; 42804 where it holds none.
fn scale(table: &Described, column: &Field) -> Result<Scale, Report> {
    if let Some(scale) = numeric::scale(column.type_oid, column.typmod)? {
        return Ok(scale);
    }
    let type_name = catch(|| type_name(column.type_oid))?;
    Err(Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!(
            "column \"{}\" of table \"{}\" cannot hold amounts: its type is {type_name}",
            column.name, table.name
        ),
    )
    .detail(format_args!(
        "Amounts are smallint, integer, bigint or numeric; sums of floating-point numbers are not exact."
    ))
    .hint(format_args!("Change the column with ALTER TABLE ... ALTER COLUMN ... TYPE numeric."))
    .table(table.oid)
    .column(&column.name))
}

fn not_a_number(argument: &str, value: &str) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"{argument}\" must be a finite number, not {value}"),
    )
    .detail(format_args!("Nothing can be taken by it."))
    .hint(format_args!("Give a number."))
}
