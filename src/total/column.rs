//! The parent's side of a total: its column belongs to the guard.

use crate::errors;
use crate::guard::attachment;
use crate::guard::settling;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::changed_columns::Watched;
use crate::pg::column::Column;
use crate::pg::convert::input;
use crate::pg::error::Report;
use crate::pg::key::Runs;
use crate::pg::memory::Memory;
use crate::pg::numeric;
use crate::pg::relation::{attno_of, root_of};
use crate::pg::rule_cache::{self, Cached, Last};
use crate::pg::spi::pinned_text;
use crate::pg::text::{display, PgText};
use crate::pg::trigger::{find_named, guard_entry, Definition, Event, Firing, Timing};
use crate::pg::tuple::Row;
use crate::total::amount::Amount;
use crate::total::bounds::{parse, Bounds};
use crate::total::faults;
use crate::total::parent::is_styled;
use crate::total::rule::{
    COLUMN_ATTACHMENT, COLUMN_FUNCTION, PARENT_ATTACHMENT, PARENT_FUNCTION, ROWS,
};
use crate::total::session;
use crate::total::settle::settle;
use core::fmt::Write;
use pgrx::pg_sys::{self, Datum, Oid};

guard_entry!(raceguard_total_column, "total_column", crate::total::column::keep);

guard_entry!(raceguard_total_parent, "total_parent", crate::total::column::look);

function_entry!(raceguard_total_parent_due, crate::total::column::due);

/// What the trigger's arguments mean in one (leaf) table.
#[derive(Clone, Copy)]
struct ColumnRule<'r> {
    bounds: Bounds<'r>,
    column: Column,
    zero: Datum,
    /// The table in whose name parents are noted, and the column's number there.
    root: Oid,
    root_attno: i16,
    /// The columns of the primary key.
    identity: &'r [Column],
    /// Whether their text depends on settings.
    styled: bool,
    /// The columns to which foreign keys may refer.
    keys: Watched<'r>,
}

/// The rules of the parent's triggers.
struct ColumnRules;

impl Cached for ColumnRules {
    type Rule<'r> = ColumnRule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<ColumnRule<'r>, Report> {
        let table = trigger.table();
        // What the trigger that keeps the column says goes for the other one too.
        let name = trigger.logical_name();
        let own = name.as_str().strip_suffix(ROWS).unwrap_or(name.as_str());
        let keeper = find_named(table, COLUMN_FUNCTION, own).unwrap_or(trigger);
        let arguments = keeper.keep_arguments(memory);
        let bounds = parse(arguments.iter().copied()).map_err(|bad| {
            let problem = format_args!("\"{bad}\" is missing or is no bound of a total.");
            errors::wrong_argument(trigger.name(), table, problem)
        })?;
        let remedy = "Call raceguard.drop_guard on the child, and raceguard.add_total with the column's present name.";
        let column = table.column_named(bounds.column).ok_or_else(|| {
            errors::guard_column_missing(trigger.name(), table, bounds.column, remedy)
        })?;
        let zero = match column.type_oid {
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Datum::from(0i64),
            pg_sys::NUMERICOID => input("0", pg_sys::NUMERICOID, column.typmod)?,
            _ => {
                let problem = format_args!(
                    "Column \"{}\" is not smallint, integer, bigint or numeric.",
                    bounds.column
                );
                return Err(errors::wrong_argument(trigger.name(), table, problem));
            }
        };
        let root = root_of(table.oid());
        let root_attno = attno_of(root, bounds.column).unwrap_or(column.attno);
        let identity = table.primary_key(memory);
        let styled = identity.iter().any(|column| is_styled(column.type_oid));
        let keys = Watched::of(table, memory, |column| table.is_referable(column.attno));
        Ok(ColumnRule { bounds, column, zero, root, root_attno, identity, styled, keys })
    }

    fn last() -> &'static Last<ColumnRules> {
        static LAST: Last<ColumnRules> = Last::new();
        &LAST
    }

    fn runs(_: &ColumnRule) -> Runs {
        Runs::Nothing
    }
}

impl ColumnRule<'_> {
    fn is_same(&self, old: Row, new: Row) -> bool {
        match (old.get(self.column.attno), new.get(self.column.attno)) {
            (None, None) => true,
            (Some(a), Some(b)) if self.column.by_value => a == b,
            (Some(a), Some(b)) => numeric::is_equal(a, b),
            _ => false,
        }
    }

    /// The total as a number that tells values apart.
    fn value(&self, row: Row) -> u64 {
        match row.get(self.column.attno) {
            None => 0,
            Some(value) if self.column.by_value => value.value() as u64,
            Some(value) => {
                let shown =
                    PgText::from_fmt(format_args!("{}", display(value, self.column.type_oid)));
                // 1 and 1.00 are one value.
                let digits = shown.as_str();
                settling::name_hash(match digits.contains('.') {
                    true => digits.trim_end_matches('0').trim_end_matches('.'),
                    false => digits,
                })
            }
        }
    }

    /// Refuses what a trigger of the parent that fires behind [`keep`] has made of the total.
    #[inline]
    fn check_kept(&self, firing: Firing) -> Result<(), Report> {
        let (new, column) = (firing.new_row(), self.bounds.column);
        if firing.event() == Event::Insert {
            let start = (!self.bounds.starts_null()).then_some(self.zero);
            return match (new.get(self.column.attno), start) {
                (None, None) => Ok(()),
                (Some(a), Some(b)) if self.column.by_value && a == b => Ok(()),
                (Some(a), Some(b)) if !self.column.by_value && numeric::is_equal(a, b) => Ok(()),
                _ => Err(faults::not_yours(firing, column)),
            };
        }
        match settling::claimed(firing, column) {
            // A key that its own write changes would be counted, and written, again and again.
            Some(value) if value != self.value(new) || self.keys.differ(firing.old(), new) => {
                Err(faults::suppressed(self.root, column))
            }
            None if !self.is_same(firing.old(), new) => Err(faults::not_yours(firing, column)),
            _ => Ok(()),
        }
    }

    /// Its primary key as text, in the order of the key; two rows of one table never have the same.
    fn identity(&self, row: Row) -> PgText {
        let mut text = PgText::new();
        for column in self.identity {
            if let Some(value) = row.get(column.attno) {
                let value = PgText::from_fmt(format_args!("{}", display(value, column.type_oid)));
                // Writing to a PgText cannot fail (see there).
                let _ = write!(text, "{}:{}", value.as_str().len(), value);
            }
        }
        text
    }

    fn note(&self, row: Row, amount: Amount) -> Result<(), Report> {
        let identity = match self.styled {
            true => pinned_text(|| Ok(self.identity(row)))?,
            false => self.identity(row),
        };
        session::note_parent(self.root, self.root_attno, identity.as_str().as_bytes(), amount)
    }
}

/// The trigger function `raceguard.total_column`, BEFORE INSERT OR UPDATE OR DELETE row trigger of the parent.
pub fn keep<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    if !firing.is_row(Timing::Before) {
        return Err(attachment::otherwise(&COLUMN_ATTACHMENT, firing.table()));
    }
    if firing.event() == Event::Delete {
        session::move_parent(root_of(firing.table().oid()))?;
        return Ok(firing.old());
    }
    let rule = rule_cache::rule::<ColumnRules>(firing.definition())?;
    let new = firing.new_row();
    if firing.event() == Event::Insert {
        if rule.bounds.starts_null() {
            session::expect_first_child();
        }
        let start = (!rule.bounds.starts_null()).then_some(rule.zero);
        return Ok(match (new.get(rule.column.attno), start) {
            (None, None) => new,
            (Some(given), Some(zero)) if rule.column.by_value && given == zero => new,
            _ => new.with(rule.column.attno, start),
        });
    }
    let old = firing.old();
    if rule.is_same(old, new) {
        settling::see_unchanged(firing, rule.bounds.column);
    } else if !settling::claim(firing, rule.bounds.column, rule.value(new)) {
        return Err(faults::not_yours(firing, rule.bounds.column));
    }
    if rule.keys.differ(old, new) {
        session::move_parent(rule.root)?;
    }
    Ok(new)
}

/// The trigger function `raceguard.total_parent`: AFTER INSERT OR UPDATE row trigger of the parent, and AFTER
/// TRUNCATE.
pub fn look<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    if firing.is_truncate(Timing::After) {
        session::forget_parent(root_of(firing.table().oid()))?;
        return Ok(firing.pass());
    }
    if !firing.is_row(Timing::After) || firing.event() == Event::Delete {
        return Err(match firing.is_row(Timing::After) {
            true => attachment::otherwise(&PARENT_ATTACHMENT, firing.table()),
            false => errors::wrong_timing(
                PARENT_FUNCTION,
                firing.table(),
                "AFTER INSERT OR UPDATE, FOR EACH ROW, or AFTER TRUNCATE",
            ),
        });
    }
    let rule = rule_cache::rule::<ColumnRules>(firing.definition())?;
    let new = firing.new_row();
    rule.check_kept(firing)?;
    let moves = firing.event() == Event::Update && rule.keys.differ(firing.old(), new);
    if moves {
        // By a trigger that fires behind `keep`.
        session::move_parent(rule.root)?;
    }
    let counts = moves || (firing.event() == Event::Insert && session::has_moved(rule.root));
    match firing.event() {
        _ if counts => rule.note(new, Amount::Count)?,
        Event::Insert if rule.bounds.starts_null() => rule.note(new, Amount::New)?,
        Event::Insert if session::any_noted(rule.root) => {}
        _ => return Ok(new),
    }
    if !session::will_be_settled() {
        settle(true)?;
    }
    Ok(new)
}

/// `raceguard.total_parent_due() -> boolean`: whether the deferred trigger of a parent has to be queued for the row
/// being written. For the condition of that trigger alone.
fn due(_call: Call) -> Result<Value, Report> {
    Ok(Value::Bool(session::schedule_for_parent()))
}
