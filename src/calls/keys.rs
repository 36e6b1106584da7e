//! Many rows named by their primary keys, in an order that is the same for everyone.

use crate::calls::table::{Described, Key};
use crate::errors::{self, Code};
use crate::install::arguments::identifier;
use crate::pg::call::input;
use crate::pg::error::Report;
use core::cmp::Ordering;
use pgrx::pg_sys::{self, Datum, Oid};
use serde_json::Value as Json;

impl Described {
    /// The key in one member of a list; `argument` names it in errors.
    pub fn key_in_list(&self, argument: &str, member: &Json) -> Result<Key, Report> {
        self.key(argument, input(&member.to_string(), pg_sys::JSONBOID, -1)?)
    }

    /// The order of two keys in the primary key's index.
    fn order(&self, a: &Key, b: &Key) -> Result<Ordering, Report> {
        for (i, column) in self.key.iter().enumerate() {
            let order = column.order(a.values[i], b.values[i])?;
            if order != Ordering::Equal {
                return Ok(order);
            }
        }
        Ok(Ordering::Equal)
    }

    /// Where a key stands, or belongs, in a list in key order.
    pub fn find<T>(
        &self,
        sorted: &[T],
        key: &Key,
        key_of: impl Fn(&T) -> &Key,
    ) -> Result<Result<usize, usize>, Report> {
        let (mut low, mut high) = (0, sorted.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.order(key_of(&sorted[middle]), key)? {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Ok(middle)),
            }
        }
        Ok(Err(low))
    }

    /// The condition that finds the row `r` of a key, whose values are the first parameters.
    pub fn condition(&self) -> String {
        let tests = self.key.iter().enumerate().map(|(i, column)| {
            format!("r.{} {} ${}", identifier(&column.name), column.equals, i + 1)
        });
        tests.collect::<Vec<_>>().join(" AND ")
    }

    /// The types of the parameters of [`Described::condition`].
    pub fn key_types(&self) -> Vec<Oid> {
        self.key.iter().map(|column| column.type_oid).collect()
    }
}

impl Key {
    /// The parameters of [`Described::condition`], and more that follow them.
    pub fn with(&self, more: &[Datum]) -> Vec<Option<Datum>> {
        self.values.iter().chain(more).copied().map(Some).collect()
    }
}

/// RG404: keys that no row has, or none that the current role may see.
pub fn not_there(table: &Described, missing: &[&Key]) -> Report {
    let shown: Vec<&str> = missing.iter().map(|key| key.shown.as_str()).collect();
    let shown = shown.join(", ");
    let name = &table.name;
    let one = missing.len() == 1;
    let message = match one {
        true => format!("row of \"{name}\" is not there"),
        false => format!("rows of \"{name}\" are not there"),
    };
    let detail = match one {
        true => format!("Key {shown} is not present in table \"{name}\"."),
        false => format!("Keys {shown} are not present in table \"{name}\"."),
    };
    let hint = match one {
        true => "It was deleted, its key was changed, or row security hides it from the current role.",
        false => "They were deleted, their keys were changed, or row security hides them from the current role.",
    };
    errors::own(
        Code::Rg404,
        table.oid,
        format_args!("{message}"),
        Some(format_args!("{detail}")),
        format_args!("{hint}"),
        None,
    )
}

/// What a JSON value is, for messages.
pub fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}
