//! What this layer calls of Postgres, besides what the layers below it do.

pub use crate::pg::entry::ffi::*;

import! {
    // several modules
    fn SPI_finish() -> c_int;
    fn BeginInternalSubTransaction(name: *const c_char);
    fn ReleaseCurrentSubTransaction();
    fn RollbackAndReleaseCurrentSubTransaction();
    fn SPI_getbinval(tuple: HeapTuple, desc: TupleDesc, column: c_int, is_null: *mut bool) -> Datum;
    fn SPI_getvalue(tuple: HeapTuple, desc: TupleDesc, column: c_int) -> *mut c_char;
    fn SPI_freetuptable(table: *mut SPITupleTable);

    // own transaction
    fn SPI_connect_ext(options: c_int) -> c_int;
    fn SPI_commit();
    fn SPI_rollback();
    fn SPI_execute(sql: *const c_char, read_only: bool, limit: core::ffi::c_long) -> c_int;
    fn SPI_execute_extended(sql: *const c_char, options: *const SPIExecuteOptions) -> c_int;
    fn PreventInTransactionBlock(top_level: bool, statement: *const c_char);
    fn IsSubTransaction() -> bool;
    fn IsTransactionBlock() -> bool;
    fn GetTopTransactionIdIfAny() -> TransactionId;
    fn makeParamList(count: c_int) -> ParamListInfo;
    #[cfg(not(since_pg16))]
    fn get_guc_variables() -> *mut *mut config_generic;
    #[cfg(not(since_pg16))]
    fn GetNumConfigOptions() -> c_int;
    #[cfg(since_pg16)]
    fn get_guc_variables(count: *mut c_int) -> *mut *mut config_generic;

    // prepared
    fn SPI_prepare(sql: *const c_char, count: c_int, types: *mut Oid) -> SPIPlanPtr;
    fn SPI_keepplan(plan: SPIPlanPtr) -> c_int;
    fn SPI_freeplan(plan: SPIPlanPtr) -> c_int;
    fn SPI_execute_plan(
        plan: SPIPlanPtr,
        values: ConstSince19<Datum>,
        nulls: *const c_char,
        read_only: bool,
        limit: c_long,
    ) -> c_int;
    fn SPI_datumTransfer(value: Datum, by_value: bool, length: c_int) -> Datum;

    // spi
    fn SPI_connect() -> c_int;
    fn SPI_execute_with_args(
        sql: *const c_char,
        count: c_int,
        types: *mut Oid,
        values: ConstSince19<Datum>,
        nulls: *const c_char,
        read_only: bool,
        limit: c_long,
    ) -> c_int;
    fn SPI_result_code_string(code: c_int) -> *const c_char;

    // statement
    fn SPI_execute_snapshot(
        plan: SPIPlanPtr,
        values: ConstSince19<Datum>,
        nulls: *const c_char,
        snapshot: Snapshot,
        crosscheck: Snapshot,
        read_only: bool,
        fire_triggers: bool,
        limit: c_long,
    ) -> c_int;
    fn GetTransactionSnapshot() -> Snapshot;
}
