//! Catalogs that another extension keeps: rows of its tables, found by the values of columns.

use super::ffi;
use crate::pg::base::text::{display, PgText};
use crate::pg::data::tuple::Row;
use core::ffi::{c_int, CStr};
use core::ptr::null_mut;
use pgrx::pg_sys::{self, Datum, Oid};

/// A table of an extension's.
#[derive(Clone, Copy)]
pub(super) struct OwnedTable(Oid);

/// A column, and the value that it has to have.
pub(super) enum Having<'a> {
    Oid(&'a str, Oid),
    Bigint(&'a str, i64),
    Name(&'a str, &'a str),
}

/// A row of such a table.
#[derive(Clone, Copy)]
pub(super) struct CatalogRow<'a> {
    row: Row<'a>,
    table: Oid,
}

impl OwnedTable {
    /// The extension's table of that name, if it is there. One that a stranger has made under its name does not belong to
    /// the extension. Where there is none this is two look-ups in Postgres's caches, which keep what is not there as well.
    /// Plain frames.
    pub fn find(extension: &CStr, schema: &CStr, name: &CStr) -> Option<OwnedTable> {
        // SAFETY: catalog look-ups that answer 0 for what is not there.
        unsafe {
            let schema = ffi::get_namespace_oid(schema.as_ptr(), true);
            if schema == pg_sys::InvalidOid {
                return None;
            }
            let table = ffi::get_relname_relid(name.as_ptr(), schema);
            if table == pg_sys::InvalidOid {
                return None;
            }
            let owner = ffi::getExtensionOfObject(pg_sys::RelationRelationId, table);
            let is_own = owner != pg_sys::InvalidOid
                && owner == ffi::get_extension_oid(extension.as_ptr(), true);
            is_own.then_some(OwnedTable(table))
        }
    }

    /// Postgres's own catalog of what inherits from what.
    pub fn inheritance() -> OwnedTable {
        OwnedTable(pg_sys::InheritsRelationId)
    }

    /// What `look` returns of the first row that has all of the values; `None` where there is none, or a column is
    /// missing. `index` is the name of an index that begins with the first column; without it the whole table is read.
    /// Plain frames.
    pub fn row<T>(
        self,
        wanted: &[Having],
        index: Option<&CStr>,
        look: impl FnOnce(CatalogRow) -> T,
    ) -> Option<T> {
        let share = pg_sys::AccessShareLock as c_int;
        let mut keys = [pg_sys::ScanKeyData::default(), pg_sys::ScanKeyData::default()];
        for (key, wanted) in keys.iter_mut().zip(wanted) {
            self.condition(wanted, key)?;
        }
        // SAFETY: the catalog's own snapshot; as many keys are filled in as are counted; the row is there until the
        // scan ends.
        unsafe {
            let index = index.map_or(pg_sys::InvalidOid, |index| self.index(index));
            let table = ffi::relation_open(self.0, share);
            let count = wanted.len().min(keys.len()) as c_int;
            let by_index = index != pg_sys::InvalidOid;
            let scan = ffi::systable_beginscan(
                table,
                index,
                by_index,
                null_mut(),
                count,
                keys.as_mut_ptr(),
            );
            let tuple = ffi::systable_getnext(scan);
            let found = (!tuple.is_null()).then(|| {
                look(CatalogRow { row: Row::from_raw(tuple, (*table).rd_att), table: self.0 })
            });
            ffi::systable_endscan(scan);
            ffi::relation_close(table, share);
            found
        }
    }

    /// Fills in the condition that a column has a value.
    fn condition(self, wanted: &Having, key: &mut pg_sys::ScanKeyData) -> Option<()> {
        let (column, operator, value) = match *wanted {
            Having::Oid(column, value) => (column, pg_sys::F_OIDEQ, Datum::from(value)),
            Having::Bigint(column, value) => (column, pg_sys::F_INT8EQ, Datum::from(value)),
            Having::Name(column, value) => (column, pg_sys::F_NAMEEQ, name_datum(value)),
        };
        let attno = attno(self.0, column)?;
        // SAFETY: the operator's function compares values of the column's type, which the extension has chosen.
        unsafe {
            ffi::ScanKeyEntryInitialize(
                key,
                0,
                attno,
                pg_sys::BTEqualStrategyNumber as u16,
                pg_sys::InvalidOid,
                pg_sys::C_COLLATION_OID,
                operator.into(),
                value,
            )
        };
        Some(())
    }

    /// An index of the table by its name.
    fn index(self, name: &CStr) -> Oid {
        // SAFETY: catalog look-ups that answer 0 for what is not there.
        unsafe {
            let index = ffi::get_relname_relid(name.as_ptr(), ffi::get_rel_namespace(self.0));
            match index != pg_sys::InvalidOid && ffi::IndexGetRelation(index, true) == self.0 {
                true => index,
                false => pg_sys::InvalidOid,
            }
        }
    }
}

impl CatalogRow<'_> {
    /// The value of a column; `None` for NULL, or where the table has no such column.
    pub fn get(self, column: &str) -> Option<Datum> {
        self.row.get(attno(self.table, column)?)
    }

    /// The OID in a column.
    pub fn oid(self, column: &str) -> Option<Oid> {
        self.get(column).map(|value| Oid::from(value.value() as u32))
    }

    /// The sign in a column of type "char".
    pub fn sign(self, column: &str) -> Option<char> {
        self.get(column).map(|value| char::from(value.value() as u8))
    }

    /// The text in a column of type text, or of one that is stored as text is.
    pub fn text(self, column: &str) -> Option<PgText> {
        self.get(column).map(|value| display(value, pg_sys::TEXTOID))
    }
}

fn attno(table: Oid, column: &str) -> Option<i16> {
    let column = PgText::from_fmt(format_args!("{column}")).into_raw();
    // SAFETY: get_attnum answers 0 for a name that is not there.
    let attno = unsafe { ffi::get_attnum(table, column) };
    (attno > 0).then_some(attno)
}

/// A value of type name, in the current memory context.
fn name_datum(name: &str) -> Datum {
    let bytes = pg_sys::NAMEDATALEN as usize;
    // SAFETY: zeros as many as a name has bytes, all but the last of which may be overwritten.
    unsafe {
        let value = ffi::palloc0(bytes).cast::<u8>();
        let length = name.len().min(bytes - 1);
        core::ptr::copy_nonoverlapping(name.as_ptr(), value, length);
        Datum::from(value)
    }
}
