//! A table's primary key as its index defines it, read from the relation cache.

use super::error::{catch, Report};
use super::raw;
use super::relation::Table;
use super::text::{cstr, quote_ident, PgText};
use core::cmp::Ordering;
use core::ffi::c_char;
use pgrx::pg_sys::{self, Datum, Oid};

extern "C-unwind" {
    fn get_opfamily_member(family: Oid, left: Oid, right: Oid, strategy: i16) -> Oid;
    fn get_opfamily_proc(family: Oid, left: Oid, right: Oid, number: i16) -> Oid;
    fn format_operator_parts(
        operator: Oid,
        names: *mut *mut pg_sys::List,
        arguments: *mut *mut pg_sys::List,
        missing_ok: bool,
    );
    fn OidFunctionCall2Coll(function: Oid, collation: Oid, a: Datum, b: Datum) -> Datum;
}

/// One column of a primary key.
#[derive(Clone, Debug)]
pub struct KeyColumn {
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
pub fn key_columns(table: Table) -> Result<Option<Vec<KeyColumn>>, Report> {
    let relation = table.as_raw();
    // SAFETY: the relation is open; its index list fills in rd_pkindex.
    let index = catch(|| unsafe {
        raw::RelationGetIndexList(relation);
        let oid = (*relation).rd_pkindex;
        if oid == pg_sys::InvalidOid {
            return None;
        }
        Some(raw::index_open(oid, pg_sys::AccessShareLock as i32))
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
            let compare = catch(|| get_opfamily_proc(family, input, input, COMPARE))?;
            columns.push(KeyColumn {
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
    catch(|| unsafe { raw::index_close(index, pg_sys::AccessShareLock as i32) })?;
    Ok((!columns.is_empty()).then_some(columns))
}

/// The btree's comparison function is its support function 1.
const COMPARE: i16 = 1;
/// Equality is strategy 3 of a btree.
const EQUAL: i16 = 3;

/// `OPERATOR(schema.=)` for a btree operator family. A plain frame.
fn equality(family: Oid, input: Oid) -> PgText {
    // SAFETY: format_operator_parts gives a list of two C strings, schema and name.
    unsafe {
        let operator = get_opfamily_member(family, input, input, EQUAL);
        let mut names = core::ptr::null_mut();
        let mut arguments = core::ptr::null_mut();
        format_operator_parts(operator, &mut names, &mut arguments, false);
        let part = |i: usize| cstr((*(*names).elements.add(i)).ptr_value as *const c_char);
        PgText::from_fmt(format_args!("OPERATOR({}.{})", quote_ident(part(0)), part(1)))
    }
}

impl KeyColumn {
    /// The order of two values in the key's index: the same for everyone who asks.
    pub fn order(&self, a: Datum, b: Datum) -> Result<Ordering, Report> {
        let (function, collation) = (self.compare, self.collation);
        // SAFETY: both values are of the column's type, which the operator class accepts.
        let order = catch(|| unsafe { OidFunctionCall2Coll(function, collation, a, b) })?;
        Ok((order.value() as i32).cmp(&0))
    }
}
