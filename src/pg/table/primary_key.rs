//! A table's primary key as its index defines it, read from the relation cache.

use super::ffi;
use super::relation::Table;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::text::{cstr, quote_ident, PgText};
use core::cmp::Ordering;
use core::ffi::c_char;
use pgrx::pg_sys::{self, Datum, Oid};

/// One column of a primary key.
#[derive(Clone, Debug)]
pub struct PrimaryKeyColumn {
    pub name: String,
    pub type_oid: Oid,
    /// The index's own equality, written so that no search_path can change what it means: under a
    /// pinned path `=` on citext would be that of text.
    pub equals: String,
    compare: Oid,
    collation: Oid,
}

/// The columns of the primary key in key order; `None` without a btree primary key that holds at
/// every moment (a deferrable one does not).
pub fn key_columns(table: Table) -> Result<Option<Vec<PrimaryKeyColumn>>, Report> {
    let relation = table.as_raw();
    // SAFETY: the relation is open; its index list fills in rd_pkindex.
    let index = catch(|| unsafe {
        ffi::RelationGetIndexList(relation);
        let oid = (*relation).rd_pkindex;
        if oid == pg_sys::InvalidOid {
            return None;
        }
        Some(ffi::index_open(oid, pg_sys::AccessShareLock as i32))
    })?;
    let Some(index) = index else {
        return Ok(None);
    };
    // SAFETY: the index is open; its arrays have an entry for each key column.
    let columns = unsafe {
        let form = &*(*index).rd_index;
        let usable = (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID && form.indimmediate;
        let mut columns = Vec::new();
        for i in 0..form.indnkeyatts as usize {
            let attno = *form.indkey.values.as_ptr().add(i);
            let Some(column) = table.column(attno).filter(|_| usable) else {
                continue;
            };
            let family = *(*index).rd_opfamily.add(i);
            let input = *(*index).rd_opcintype.add(i);
            let equals = catch(|| equality(family, input))?;
            let compare = catch(|| ffi::get_opfamily_proc(family, input, input, COMPARE))?;
            columns.push(PrimaryKeyColumn {
                name: table.column_name(attno).to_owned(),
                type_oid: column.type_oid,
                equals: equals.as_str().to_owned(),
                compare,
                collation: *(*index).rd_indcollation.add(i),
            });
        }
        columns
    };
    // SAFETY: opened above.
    catch(|| unsafe { ffi::index_close(index, pg_sys::AccessShareLock as i32) })?;
    Ok((!columns.is_empty()).then_some(columns))
}

const COMPARE: i16 = pg_sys::BTORDER_PROC as i16;
const EQUAL: i16 = pg_sys::BTEqualStrategyNumber as i16;

/// `OPERATOR(schema.=)` for a btree operator family. A plain frame.
fn equality(family: Oid, input: Oid) -> PgText {
    // SAFETY: format_operator_parts gives a list of two C strings, schema and name.
    unsafe {
        let operator = ffi::get_opfamily_member(family, input, input, EQUAL);
        let mut names = core::ptr::null_mut();
        let mut arguments = core::ptr::null_mut();
        ffi::format_operator_parts(operator, &mut names, &mut arguments, false);
        let part = |i: usize| cstr((*(*names).elements.add(i)).ptr_value as *const c_char);
        PgText::from_fmt(format_args!("OPERATOR({}.{})", quote_ident(part(0)), part(1)))
    }
}

impl PrimaryKeyColumn {
    /// The order of two values in the key's index: the same for everyone who asks.
    pub fn order(&self, a: Datum, b: Datum) -> Result<Ordering, Report> {
        let (function, collation) = (self.compare, self.collation);
        // SAFETY: both values are of the column's type, which the operator class accepts.
        let order = catch(|| unsafe { ffi::OidFunctionCall2Coll(function, collation, a, b) })?;
        Ok((order.value() as i32).cmp(&0))
    }
}
