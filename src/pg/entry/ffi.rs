//! What this layer calls of Postgres, besides what the layers below it do.

pub use crate::pg::table::ffi::*;

import! {
    // call
    fn deconstruct_array(
        array: ConstSince19<ArrayType>,
        element_type: Oid,
        length: c_int,
        by_value: bool,
        align: c_char,
        elements: *mut *mut Datum,
        nulls: *mut *mut bool,
        count: *mut c_int,
    );
    fn get_typlenbyvalalign(
        type_oid: Oid,
        length: *mut i16,
        by_value: *mut bool,
        align: *mut c_char,
    );
    fn get_element_type(type_oid: Oid) -> Oid;
    fn ArrayGetNItems(dimensions: c_int, sizes: *const c_int) -> c_int;
    fn get_func_signature(function: Oid, types: *mut *mut Oid, count: *mut c_int) -> Oid;
    fn text_to_cstring(text: *const text) -> *mut c_char;
    fn pg_detoast_datum_copy(datum: *mut varlena) -> *mut varlena;
    fn get_fn_expr_argtype(flinfo: *mut FmgrInfo, argnum: c_int) -> Oid;
    fn get_fn_expr_variadic(flinfo: *mut FmgrInfo) -> bool;

    // trigger
    fn RI_FKey_trigger_type(function: Oid) -> c_int;

    // executor
    fn InNoForceRLSOperation() -> bool;

    // upsert
    fn ExecCheckIndexConstraints(
        relation: *mut ResultRelInfo,
        slot: *mut TupleTableSlot,
        state: *mut EState,
        conflict: ItemPointer,
        #[cfg(since_pg18)] own: ConstSince19<ItemPointerData>,
        arbiters: *mut List,
    ) -> bool;
    fn ExecUpdateLockMode(state: *mut EState, relation: *mut ResultRelInfo)
        -> LockTupleMode::Type;
    fn ExecComputeStoredGenerated(
        relation: *mut ResultRelInfo,
        state: *mut EState,
        slot: *mut TupleTableSlot,
        command: CmdType::Type,
    );
    fn ExecFetchSlotHeapTuple(
        slot: *mut TupleTableSlot,
        materialize: bool,
        should_free: *mut bool,
    ) -> HeapTuple;

    // result set
    fn InitMaterializedSRF(fcinfo: FunctionCallInfo, flags: u32);
    fn tuplestore_putvalues(
        store: *mut Tuplestorestate,
        desc: TupleDesc,
        values: ConstSince17<Datum>,
        nulls: ConstSince17<bool>,
    );
    fn get_call_result_type(
        fcinfo: FunctionCallInfo,
        type_oid: *mut Oid,
        desc: *mut TupleDesc,
    ) -> TypeFuncClass::Type;
    fn BlessTupleDesc(desc: TupleDesc) -> TupleDesc;

    // rule cache
    fn MemoryContextSetParent(context: MemoryContext, parent: MemoryContext);

    // trigger catalog
    fn systable_beginscan(
        catalog: Relation,
        index: Oid,
        index_ok: bool,
        snapshot: Snapshot,
        keys: c_int,
        key: *mut ScanKeyData,
    ) -> SysScanDesc;
    fn systable_getnext(scan: SysScanDesc) -> HeapTuple;
    fn systable_endscan(scan: SysScanDesc);
    fn get_database_name(database: Oid) -> *mut c_char;

    // installed
    fn get_extension_oid(name: *const c_char, missing_ok: bool) -> Oid;

    // distribution
    fn GetConfigOption(
        name: *const c_char,
        missing_ok: bool,
        restrict_privileged: bool,
    ) -> *const c_char;
    fn getExtensionOfObject(class: Oid, object: Oid) -> Oid;
}
