//! Postgres functions imported without pgrx's guard.
//!
//! pgrx wraps every call into Postgres in a `sigsetjmp` (about 24 ns) and turns an ERROR into a
//! Rust panic, which loses a custom SQLSTATE such as RG409. raceguard calls Postgres through these
//! bare imports instead, under one of two rules:
//!
//! * **plain frames**: the caller and all frames up to the entry point hold only `Copy` values, so
//!   that an ERROR may jump over them, as it jumps over C frames. Guards run this way.
//! * **caught**: the call runs inside [`super::error::catch`], which turns the ERROR into an `Err`
//!   that keeps every field. Functions called from SQL, which own Rust values, run this way.

use core::ffi::{c_char, c_int, c_void};
use pgrx::pg_sys::{self, *};

extern "C-unwind" {
    // memory
    pub fn palloc(size: usize) -> *mut c_void;
    pub fn palloc0(size: usize) -> *mut c_void;
    pub fn pfree(pointer: *mut c_void);
    pub fn MemoryContextAlloc(context: MemoryContext, size: usize) -> *mut c_void;
    pub fn AllocSetContextCreateInternal(
        parent: MemoryContext,
        name: *const c_char,
        min: usize,
        init: usize,
        max: usize,
    ) -> MemoryContext;
    pub fn MemoryContextSetParent(context: MemoryContext, parent: MemoryContext);
    pub fn MemoryContextDelete(context: MemoryContext);
    pub fn MemoryContextReset(context: MemoryContext);

    // errors
    pub fn ThrowErrorData(edata: *mut ErrorData);
    pub fn ReThrowError(edata: *mut ErrorData);
    pub fn CopyErrorData() -> *mut ErrorData;
    pub fn FlushErrorState();

    // text
    pub fn makeStringInfo() -> StringInfo;
    pub fn appendBinaryStringInfo(buf: StringInfo, data: *const c_char, len: c_int);
    pub fn cstring_to_text_with_len(s: *const c_char, len: c_int) -> *mut text;
    pub fn quote_literal_cstr(text: *const c_char) -> *mut c_char;
    pub fn quote_identifier(ident: *const c_char) -> *const c_char;
    pub fn format_type_be(type_oid: Oid) -> *mut c_char;
    pub fn getTypeOutputInfo(type_: Oid, output: *mut Oid, is_varlena: *mut bool);
    pub fn OidOutputFunctionCall(function: Oid, value: pg_sys::Datum) -> *mut c_char;
    pub fn getTypeInputInfo(type_: Oid, input: *mut Oid, io_param: *mut Oid);
    pub fn OidInputFunctionCall(
        function: Oid,
        text: *mut c_char,
        io_param: Oid,
        typmod: i32,
    ) -> pg_sys::Datum;
    pub fn pg_detoast_datum(datum: *mut varlena) -> *mut varlena;

    // tuples
    pub fn nocachegetattr(tuple: HeapTuple, attnum: c_int, desc: TupleDesc) -> pg_sys::Datum;
    pub fn heap_modify_tuple_by_cols(
        tuple: HeapTuple,
        desc: TupleDesc,
        n: c_int,
        columns: *const c_int,
        values: *const pg_sys::Datum,
        nulls: *const bool,
    ) -> HeapTuple;
    pub fn slot_getsomeattrs_int(slot: *mut TupleTableSlot, attnum: c_int);
    pub fn CreateTupleDescCopyConstr(desc: TupleDesc) -> TupleDesc;
    pub fn MakeSingleTupleTableSlot(
        desc: TupleDesc,
        ops: *const TupleTableSlotOps,
    ) -> *mut TupleTableSlot;
    pub fn table_slot_callbacks(rel: Relation) -> *const TupleTableSlotOps;
    pub fn ExecDropSingleTupleTableSlot(slot: *mut TupleTableSlot);
    pub fn table_slot_create(rel: Relation, registry: *mut *mut List) -> *mut TupleTableSlot;
    pub fn bms_is_member(x: c_int, set: *const Bitmapset) -> bool;
    pub fn datum_image_eq(
        a: pg_sys::Datum,
        b: pg_sys::Datum,
        by_value: bool,
        length: c_int,
    ) -> bool;

    // expressions and lists
    pub fn pull_varattnos(node: *mut Node, varno: u32, set: *mut *mut Bitmapset);
    pub fn bms_membership(set: *const Bitmapset) -> BMS_Membership::Type;
    pub fn lappend(list: *mut List, item: *mut c_void) -> *mut List;
    pub fn make_ands_explicit(conditions: *mut List) -> *mut Expr;

    // catalog
    pub fn get_attname(relid: Oid, attnum: i16, missing_ok: bool) -> *mut c_char;
    pub fn get_rel_name(relid: Oid) -> *mut c_char;
    pub fn get_namespace_name(nspid: Oid) -> *mut c_char;
    pub fn get_rel_namespace(relid: Oid) -> Oid;
    pub fn get_func_name(function: Oid) -> *mut c_char;
    pub fn get_func_namespace(function: Oid) -> Oid;
    pub fn get_attnum(relid: Oid, name: *const c_char) -> i16;
    pub fn relation_open(relid: Oid, mode: LOCKMODE) -> Relation;
    pub fn try_relation_open(relid: Oid, mode: LOCKMODE) -> Relation;
    pub fn relation_close(rel: Relation, mode: LOCKMODE);
    pub fn RelationGetIndexList(rel: Relation) -> *mut List;
    pub fn CopyTriggerDesc(triggers: *mut TriggerDesc) -> *mut TriggerDesc;
    pub fn get_partition_ancestors(relid: Oid) -> *mut List;
    pub fn index_open(relid: Oid, mode: LOCKMODE) -> Relation;
    pub fn index_close(rel: Relation, mode: LOCKMODE);
    pub fn lookup_type_cache(type_id: Oid, flags: c_int) -> *mut TypeCacheEntry;
    pub fn InNoForceRLSOperation() -> bool;
    pub fn BuildIndexValueDescription(
        index: Relation,
        values: *const pg_sys::Datum,
        nulls: *const bool,
    ) -> *mut c_char;
    pub fn check_enable_rls(relid: Oid, role: Oid, no_error: bool) -> c_int;
    pub fn GetUserId() -> Oid;
    pub fn pg_class_aclcheck(relid: Oid, role: Oid, mode: AclMode) -> AclResult::Type;
    pub fn pg_attribute_aclcheck(
        relid: Oid,
        attnum: i16,
        role: Oid,
        mode: AclMode,
    ) -> AclResult::Type;
    pub fn list_free(list: *mut List);

    // indexes
    pub fn RelationGetIndexPredicate(index: Relation) -> *mut List;
    pub fn RelationGetIndexExpressions(index: Relation) -> *mut List;
    pub fn get_opfamily_member(family: Oid, left: Oid, right: Oid, strategy: i16) -> Oid;
    pub fn get_opcode(operator: Oid) -> Oid;
    pub fn ScanKeyEntryInitialize(
        entry: *mut ScanKeyData,
        flags: c_int,
        attno: i16,
        strategy: u16,
        subtype: Oid,
        collation: Oid,
        procedure: Oid,
        argument: pg_sys::Datum,
    );
    pub fn index_beginscan(
        heap: Relation,
        index: Relation,
        snapshot: Snapshot,
        #[cfg(feature = "pg18")] instrument: *mut IndexScanInstrumentation,
        keys: c_int,
        orderbys: c_int,
    ) -> IndexScanDesc;
    pub fn index_rescan(
        scan: IndexScanDesc,
        keys: *const ScanKeyData,
        key_count: c_int,
        orderbys: *const ScanKeyData,
        orderby_count: c_int,
    );
    pub fn index_getnext_tid(scan: IndexScanDesc, direction: ScanDirection::Type) -> ItemPointer;
    pub fn index_fetch_heap(scan: IndexScanDesc, slot: *mut TupleTableSlot) -> bool;
    pub fn index_getnext_slot(
        scan: IndexScanDesc,
        direction: ScanDirection::Type,
        slot: *mut TupleTableSlot,
    ) -> bool;
    pub fn index_endscan(scan: IndexScanDesc);
    pub fn equal(a: *const c_void, b: *const c_void) -> bool;

    // locks
    pub fn LockAcquireExtended(
        tag: *const LOCKTAG,
        mode: LOCKMODE,
        session: bool,
        dont_wait: bool,
        report_memory_error: bool,
        locallock: *mut *mut LOCALLOCK,
        #[cfg(feature = "pg18")] log_failure: bool,
    ) -> LockAcquireResult::Type;
    pub fn LockHeldByMe(
        tag: *const LOCKTAG,
        mode: LOCKMODE,
        #[cfg(any(feature = "pg17", feature = "pg18"))] or_stronger: bool,
    ) -> bool;
    pub fn LockRelease(tag: *const LOCKTAG, mode: LOCKMODE, session: bool) -> bool;

    // callbacks and settings
    pub fn CacheRegisterRelcacheCallback(function: RelcacheCallbackFunction, arg: pg_sys::Datum);
    pub fn CacheRegisterSyscacheCallback(
        cache: c_int,
        function: SyscacheCallbackFunction,
        arg: pg_sys::Datum,
    );
    pub fn RegisterXactCallback(callback: XactCallback, arg: *mut c_void);
    pub fn RegisterSubXactCallback(callback: SubXactCallback, arg: *mut c_void);
    pub fn NewGUCNestLevel() -> c_int;
    pub fn AtEOXact_GUC(is_commit: bool, nest_level: c_int);
    pub fn set_config_option(
        name: *const c_char,
        value: *const c_char,
        context: GucContext::Type,
        source: GucSource::Type,
        action: GucAction::Type,
        change_value: bool,
        elevel: c_int,
        is_reload: bool,
    ) -> c_int;
}
