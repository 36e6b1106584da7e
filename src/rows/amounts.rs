//! Amounts in a column: one atomic UPDATE per row, between a floor and a ceiling.

use crate::errors::{self, Code};
use crate::guard::arguments::identifier;
use crate::guard::arguments::required;
use crate::pg::call::Call;
use crate::pg::convert::input;
use crate::pg::error::{catch, Report};
use crate::pg::numeric::{self, Scale};
use crate::pg::prepared::Prepared;
use crate::pg::text::type_name;
use crate::rows::keys::not_there;
use crate::rows::refusal::{refuse, Origin};
use crate::rows::table::{describe, Described, Field, RowKey};
use core::fmt::Arguments;
use pgrx::pg_sys::{self, Datum};
use std::rc::Rc;

/// The column amounts are taken from, and the bounds beyond which they may not bring it.
pub struct Stock {
    pub table: Rc<Described>,
    column: String,
    scale: Scale,
    floor: Datum,
    ceiling: Ceiling,
}

/// What putting back may not bring the column above.
enum Ceiling {
    None,
    Number(Datum),
    /// A column of the same row.
    Column(String),
}

/// The arguments, by their places, that say what is taken from.
pub struct Places {
    pub target: usize,
    pub column: usize,
    pub at_least: usize,
    pub at_most: Option<usize>,
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
    update: Rc<Prepared>,
    look: Rc<Prepared>,
}

/// The columns of a look's row.
const LOOK_STORED: usize = 1;
const LOOK_COUNTABLE: usize = 2;
const LOOK_ENOUGH: usize = 3;
const LOOK_ROOM: usize = 4;
const LOOK_CEILING: usize = 5;

impl Stock {
    /// Reads target, quantity column and bounds from the arguments.
    pub fn of_arguments(call: Call, places: Places) -> Result<Stock, Report> {
        let table = describe(required(call.oid(places.target), "target")?)?;
        let column = required(call.name(places.column)?, "quantity_column")?;
        let floor = required(call.datum(places.at_least), "at_least")?;
        if numeric::is_nan(floor)? {
            return Err(not_a_number("at_least", "NaN"));
        }
        let scale = scale(&table, table.column(&column)?)?;
        let ceiling = match places.at_most {
            Some(place) => ceiling(&table, call.text(place)?)?,
            None => Ceiling::None,
        };
        Ok(Stock { table, column, scale, floor, ceiling })
    }

    /// Refuses an amount that the column would round.
    pub fn check_amount(&self, amount: Datum) -> Result<(), Report> {
        let shown = numeric::shown(amount)?;
        let shown = shown.as_str();
        if matches!(shown, "NaN" | "Infinity" | "-Infinity") {
            return Err(not_a_number("amount", shown));
        }
        if numeric::fits(shown, self.scale) {
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
        let (amount, floor, ceiling) = (types.len() + 1, types.len() + 2, types.len() + 3);
        types.extend([pg_sys::NUMERICOID; 3]);
        let column = identifier(&self.column);
        let quantity = format!("r.{column}::pg_catalog.numeric");
        let left = format!("({quantity} OPERATOR(pg_catalog.-) ${amount})");
        // NaN is above every number to Postgres, and what is put into it or NULL is lost.
        let countable = format!(
            "coalesce({quantity} OPERATOR(pg_catalog.<>) 'NaN'::pg_catalog.numeric, false)"
        );
        // Putting back is never refused for the floor, nor taking for the ceiling: neither brings
        // the row further out.
        let enough = format!(
            "(${amount} OPERATOR(pg_catalog.<=) 0::pg_catalog.numeric \
             OR {left} OPERATOR(pg_catalog.>=) ${floor})"
        );
        let most = match &self.ceiling {
            Ceiling::None => "NULL".to_owned(),
            Ceiling::Number(_) => format!("${ceiling}"),
            Ceiling::Column(name) => format!("r.{}::pg_catalog.numeric", identifier(name)),
        };
        let room = match &self.ceiling {
            Ceiling::None => "true".to_owned(),
            _ => format!(
                "(${amount} OPERATOR(pg_catalog.>=) 0::pg_catalog.numeric OR {most} IS NULL \
                 OR ({left} OPERATOR(pg_catalog.<=) {most} \
                     AND {most} OPERATOR(pg_catalog.<>) 'NaN'::pg_catalog.numeric))"
            ),
        };
        let mut set = format!("{column} = {left}");
        if let Some(guard) = table.guard.as_ref().filter(|guard| !guard.ignores(&self.column)) {
            set = format!("{set}, {}", guard.set_item("r"));
        }
        let name = &table.reference;
        let update = format!(
            "UPDATE {name} AS r SET {set} WHERE {key} AND {countable} AND {enough} AND {room}"
        );
        let update = match returning {
            Returning::Remaining => format!("{update} RETURNING {quantity}"),
            Returning::Row => table.returning_row(&update, "r"),
        };
        let look = format!(
            "SELECT {quantity}, {countable}, {enough}, {room}, {most} FROM {name} AS r \
             WHERE {key} FOR NO KEY UPDATE"
        );
        Ok(Taker {
            stock: self,
            update: table.kept(update, &types)?,
            look: table.kept(look, &types)?,
        })
    }

    fn not_enough(
        &self,
        key: &RowKey,
        stored: Option<&str>,
        amount: Datum,
    ) -> Result<Report, Report> {
        let (asked, floor) = (numeric::shown(amount)?, numeric::shown(self.floor)?);
        let (stored, key) = (stored.unwrap_or("NULL"), self.table.shown(key)?);
        self.out_of_bounds(
            format_args!("fall below {floor}"),
            format_args!("Key {key}: stored {stored}, asked {asked}."),
            format_args!("Ask for less, or put some back first (a negative amount)."),
        )
    }

    /// RG422.
    fn out_of_bounds(
        &self,
        what: Arguments,
        detail: Arguments,
        hint: Arguments,
    ) -> Result<Report, Report> {
        let (table, column) = (&self.table, &self.column);
        refuse(table, Code::Rg422, Origin::default(), |style| {
            let message = format_args!("\"{column}\" of a row of \"{}\" would {what}", table.name);
            errors::of_call(style, Code::Rg422, table.oid, message, detail, hint).column(column)
        })
    }

    fn too_much(
        &self,
        key: &RowKey,
        stored: Option<&str>,
        most: Option<&str>,
        amount: Datum,
    ) -> Result<Report, Report> {
        let (back, most) = (numeric::shown(numeric::negated(amount)?)?, most.unwrap_or("NULL"));
        let (bound, hint) = match &self.ceiling {
            Ceiling::Column(name) => (format!("\"{name}\""), format!("raise \"{name}\"")),
            _ => (most.to_owned(), "raise at_most".to_owned()),
        };
        let (stored, key) = (stored.unwrap_or("NULL"), self.table.shown(key)?);
        self.out_of_bounds(
            format_args!("rise above {bound}"),
            format_args!("Key {key}: stored {stored}, at most {most}, {back} asked to be added."),
            format_args!("Add less, take some first (a positive amount), or {hint}."),
        )
    }

    /// What the column holds is no amount, so nothing can be put back into it: 22004 for NULL,
    /// 22023 for NaN.
    fn nothing_to_add_to(&self, key: &RowKey, stored: Option<&str>) -> Result<Report, Report> {
        let key = self.table.shown(key)?;
        let (code, stored) = match stored {
            None => (errors::NULL_NOT_ALLOWED, "NULL"),
            Some(stored) => (errors::INVALID_PARAMETER, stored),
        };
        Ok(Report::error(
            code,
            format_args!("\"{}\" of a row of \"{}\" is {stored}", self.column, self.table.name),
        )
        .detail(format_args!(
            "Key {key}: {stored} stays {stored} whatever is added, and the amount would be lost."
        ))
        .hint(format_args!(
            "Give the row a number first; NOT NULL and a CHECK keep the column countable."
        ))
        .table(self.table.oid)
        .column(&self.column))
    }

    fn suppressed(&self, key: &RowKey) -> Result<Report, Report> {
        let key = self.table.shown(key)?;
        Ok(Report::error(
            errors::TRIGGERED_DATA_CHANGE,
            format_args!("a trigger on \"{}\" kept the row from being written", self.table.name),
        )
        .detail(format_args!("Key {key} is present, and nothing was written."))
        .hint(format_args!(
            "A BEFORE ROW trigger returned NULL; it should raise an error or return the row."
        ))
        .table(self.table.oid))
    }
}

impl Taker<'_> {
    /// Takes an amount from the row of a key, or fails with RG404 or RG422.
    pub fn take(&self, key: &RowKey, amount: Datum) -> Result<Option<Datum>, Report> {
        let (floor, ceiling) = (Some(self.stock.floor), self.stock.ceiling.number());
        let values = key.with(&[Some(amount), floor, ceiling]);
        let updated = self.update.execute(&values)?;
        if updated.rows() > 0 {
            return updated.only_result(1);
        }
        // The UPDATE found no row: none has the key, or it holds too little or too much. The answer
        // is looked up under the row's lock, so that it still holds when the second UPDATE runs.
        let found = self.stock.table.lock_row(&self.look, key, &values)?;
        if found.rows() == 0 {
            return Err(not_there(&self.stock.table, &[key])?);
        }
        let says = |column| Ok::<_, Report>(found.text(column)?.as_deref() == Some("t"));
        let stored = found.text(LOOK_STORED)?;
        let stored = stored.as_deref();
        if !says(LOOK_COUNTABLE)? {
            return Err(match numeric::is_negative(amount)? {
                true => self.stock.nothing_to_add_to(key, stored)?,
                false => self.stock.not_enough(key, stored, amount)?,
            });
        }
        if !says(LOOK_ENOUGH)? {
            return Err(self.stock.not_enough(key, stored, amount)?);
        }
        if !says(LOOK_ROOM)? {
            let most = found.text(LOOK_CEILING)?;
            return Err(self.stock.too_much(key, stored, most.as_deref(), amount)?);
        }
        let updated = self.update.execute(&values)?;
        if updated.rows() == 0 {
            return Err(self.stock.suppressed(key)?);
        }
        updated.only_result(1)
    }
}

impl Ceiling {
    /// The ceiling as a parameter.
    fn number(&self) -> Option<Datum> {
        match self {
            Ceiling::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// Reads `at_most`: the column of that name where the table has one, else a number. A number that is
/// the name of a column as well can be written another way, 100.0 for 100.
fn ceiling(table: &Described, given: Option<String>) -> Result<Ceiling, Report> {
    let Some(given) = given else { return Ok(Ceiling::None) };
    if let Some(column) = table.columns.iter().find(|c| c.name == given) {
        scale(table, column)?;
        return Ok(Ceiling::Column(given));
    }
    // Whatever looks like no number is taken for a column that is not there, and told as one.
    let is_number =
        given.trim_start().starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            || ["infinity", "inf", "nan"].contains(&given.trim().to_ascii_lowercase().as_str());
    if !is_number {
        table.column(&given)?;
    }
    let number = input(&given, pg_sys::NUMERICOID, -1)?;
    if numeric::is_nan(number)? {
        return Err(not_a_number("at_most", "NaN"));
    }
    Ok(Ceiling::Number(number))
}

/// How exactly a column holds amounts; 42804 where it holds none.
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
        format_args!("argument \"{argument}\" must not be {value}"),
    )
    .detail(format_args!("An amount is a finite number, and a bound is not NaN."))
    .hint(format_args!("Give a number."))
}
