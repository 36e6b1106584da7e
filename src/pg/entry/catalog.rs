//! One row of a catalog, found by its OID.

use super::ffi;
use core::ffi::c_int;
use pgrx::pg_sys::{self, Datum, Oid};

/// A catalog, its unique index on the OID, and the number of that column.
pub struct Catalog {
    pub table: Oid,
    pub index: Oid,
    pub column: i16,
}

/// Looks at the row of an OID with what `look` returns; `None` where there is no such row.
///
/// # Safety
/// Plain frames or inside `catch`. The snapshot outlives the call; NULL stands for the catalog's own.
pub unsafe fn with_row<T>(
    catalog: Catalog,
    oid: Oid,
    snapshot: pg_sys::Snapshot,
    look: impl FnOnce(pg_sys::HeapTuple, pg_sys::TupleDesc) -> T,
) -> Option<T> {
    let share = pg_sys::AccessShareLock as c_int;
    // SAFETY: promised by the caller; the row is there until the scan ends.
    unsafe {
        let mut key = pg_sys::ScanKeyData::default();
        ffi::ScanKeyEntryInitialize(
            &mut key,
            0,
            catalog.column,
            pg_sys::BTEqualStrategyNumber as u16,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::F_OIDEQ.into(),
            Datum::from(oid),
        );
        let table = ffi::relation_open(catalog.table, share);
        let scan = ffi::systable_beginscan(table, catalog.index, true, snapshot, 1, &mut key);
        let tuple = ffi::systable_getnext(scan);
        let found = (!tuple.is_null()).then(|| look(tuple, (*table).rd_att));
        ffi::systable_endscan(scan);
        ffi::relation_close(table, share);
        found
    }
}
