//! Many rows named by their primary keys, in an order that is the same for everyone.

use crate::errors::{self, Code};
use crate::guard::arguments::identifier;
use crate::pg::backoff::allow_cancel;
use crate::pg::convert::keep_value;
use crate::pg::error::{catch, Report};
use crate::pg::memory::{self, Buffer, Memory};
use crate::pg::prepared::{Outcome, Prepared};
use crate::pg::privilege::row_security_applies;
use crate::pg::text::PgText;
use crate::rows::refusal::{refuse, Origin};
use crate::rows::table::{Described, RowKey};
use core::cmp::Ordering;
use core::fmt::Write;
use pgrx::pg_sys::{Datum, Oid};

impl Described {
    /// The key in one member of a list; `argument` names it in errors. To read it takes some kilobytes, for
    /// which the list gives a [`memory::Scratch`]: see [`Described::keep`].
    pub fn key_in_list<'m>(
        &self,
        argument: &str,
        member: Datum,
        memory: Memory<'m>,
    ) -> Result<RowKey<'m>, Report> {
        catch(allow_cancel)?;
        self.key(argument, member, memory)
    }

    /// A copy of a key.
    pub fn keep<'m>(&self, key: RowKey, memory: Memory<'m>) -> Result<RowKey<'m>, Report> {
        catch(|| {
            let mut values = Buffer::new(memory, key.values.len());
            for (column, value) in self.key.iter().zip(key.values) {
                values.push(keep_value(column.type_oid, *value, memory));
            }
            RowKey { values: values.into_slice() }
        })
    }

    /// The order of two keys in the primary key's index.
    fn order(&self, a: &RowKey, b: &RowKey) -> Result<Ordering, Report> {
        for (i, column) in self.key.iter().enumerate() {
            let order = column.order(a.values[i], b.values[i])?;
            if order != Ordering::Equal {
                return Ok(order);
            }
        }
        Ok(Ordering::Equal)
    }

    /// Puts a list in key order, and makes one of those that have the same key.
    pub fn put_in_order<'m, T: Copy>(
        &self,
        list: Vec<T>,
        key_of: impl Fn(&T) -> &RowKey<'m>,
        mut join: impl FnMut(&mut T, T) -> Result<(), Report>,
    ) -> Result<Vec<T>, Report> {
        let mut sorted = sort(list, |a, b| self.order(key_of(a), key_of(b)))?;
        let mut kept = 0;
        for i in 1..sorted.len() {
            let next = sorted[i];
            if self.order(key_of(&sorted[kept]), key_of(&next))? == Ordering::Equal {
                join(&mut sorted[kept], next)?;
            } else {
                kept += 1;
                sorted[kept] = next;
            }
        }
        sorted.truncate(kept + 1);
        Ok(sorted)
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

    /// Runs a statement that locks the row of a key. READ COMMITTED follows a row and not a key: where the statement
    /// waited for a transaction that deletes the row and puts another under its key, it finds none, though one is there
    /// all the time. So it is run again as long as one is to be seen.
    pub fn lock_row<'p>(
        &self,
        locking: &'p Prepared,
        key: &RowKey,
        values: &[Option<Datum>],
    ) -> Result<Outcome<'p>, Report> {
        let mut found = locking.execute(values)?;
        if found.rows() > 0 {
            return Ok(found);
        }
        let look = format!("SELECT 1 FROM {} AS r WHERE {}", self.reference, self.condition());
        let look = self.kept(look, &self.key_types())?;
        let attempts = match catch(|| row_security_applies(self.oid))? {
            true => 2,
            false => ATTEMPTS,
        };
        for _ in 0..attempts {
            if look.execute(&key.with(&[]))?.rows() == 0 {
                break;
            }
            found = locking.execute(values)?;
            if found.rows() > 0 {
                break;
            }
        }
        Ok(found)
    }
}

/// How often a row is to be seen and not to be locked before it is clear that no concurrent writer is behind it. Where row
/// security may be, it is most likely that.
const ATTEMPTS: usize = 20;

impl RowKey<'_> {
    /// The parameters of [`Described::condition`], and more that follow them.
    pub fn with(&self, more: &[Option<Datum>]) -> Vec<Option<Datum>> {
        self.values.iter().copied().map(Some).chain(more.iter().copied()).collect()
    }
}

/// Sorts by merging. The standard library's sort cannot hand an error on, and panics where the answers
/// contradict each other, as those of a type's own comparison may.
fn sort<T: Copy>(
    mut list: Vec<T>,
    order: impl Fn(&T, &T) -> Result<Ordering, Report>,
) -> Result<Vec<T>, Report> {
    let mut merged = Vec::new();
    memory::reserve(&mut merged, list.len())?;
    let mut width = 1;
    while width < list.len() {
        merged.clear();
        for run in list.chunks(width * 2) {
            let (mut a, mut b) = run.split_at(width.min(run.len()));
            while let (Some(first), Some(second)) = (a.first(), b.first()) {
                if order(second, first)? == Ordering::Less {
                    merged.push(*second);
                    b = &b[1..];
                } else {
                    merged.push(*first);
                    a = &a[1..];
                }
            }
            merged.extend_from_slice(a);
            merged.extend_from_slice(b);
        }
        core::mem::swap(&mut list, &mut merged);
        width *= 2;
    }
    Ok(list)
}

/// RG404: keys that no row has, or none that the current role may see.
pub fn not_there(table: &Described, missing: &[&RowKey]) -> Result<Report, Report> {
    let (mut shown, name) = (catch(PgText::new)?, &table.name);
    for (i, key) in missing.iter().enumerate() {
        if i > 0 {
            catch(|| {
                let _ = shown.write_str(", ");
            })?;
        }
        table.show(key, shown)?;
    }
    let (key, row, is, hint) = match missing.len() {
        1 => (
            "Key",
            "row",
            "is",
            "It was deleted, its key was changed, or row security hides it from the current role.",
        ),
        _ => (
            "Keys",
            "rows",
            "are",
            "They were deleted, their keys were changed, or row security hides them from the current role.",
        ),
    };
    refuse(table, Code::Rg404, Origin::default(), |style| {
        errors::of_call(
            style,
            Code::Rg404,
            table.oid,
            format_args!("{row} of \"{name}\" {is} not there"),
            format_args!("{key} {shown} {is} not present in table \"{name}\"."),
            format_args!("{hint}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorting_keeps_the_order_of_equals(list in proptest::collection::vec((0u8..20, any::<u8>()), 0..200)) {
            let mut expected = list.clone();
            expected.sort_by_key(|(key, _)| *key);
            let sorted = sort(list, |a, b| Ok(a.0.cmp(&b.0)));
            prop_assert!(sorted.is_ok_and(|sorted| sorted == expected));
        }

        /// Answers that contradict each other lose and double nothing.
        #[test]
        fn sorting_survives_a_lying_order(list in proptest::collection::vec(any::<u16>(), 0..200), seed in any::<u32>()) {
            let mut expected = list.clone();
            expected.sort();
            let sorted = sort(list, |a, b| Ok((*a as u32).wrapping_mul(seed).cmp(&(*b as u32 ^ seed))));
            let Ok(mut sorted) = sorted else { return Err(TestCaseError::fail("sort failed")) };
            sorted.sort();
            prop_assert_eq!(sorted, expected);
        }
    }
}
