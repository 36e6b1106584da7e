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

    // direct plan
    fn GetHeapamTableAmRoutine() -> *const TableAmRoutine;
    fn SysCacheGetAttr(cache: c_int, row: HeapTuple, column: i16, is_null: *mut bool) -> Datum;
    fn op_input_types(operator: Oid, left: *mut Oid, right: *mut Oid);
    fn get_op_opfamily_strategy(operator: Oid, family: Oid) -> c_int;
    fn IsBinaryCoercible(source: Oid, target: Oid) -> bool;
    fn stringToNode(text: *const c_char) -> *mut c_void;

    // direct column
    fn CheckCmdReplicaIdentity(table: Relation, command: CmdType::Type);
    fn CommandCounterIncrement();
    fn GetActiveSnapshot() -> Snapshot;
    fn ExecStoreHeapTuple(
        tuple: HeapTuple,
        slot: *mut TupleTableSlot,
        should_free: bool,
    ) -> *mut TupleTableSlot;
    fn heap_update(
        table: Relation,
        place: ConstSince19<ItemPointerData>,
        new: HeapTuple,
        command: CommandId,
        #[cfg(since_pg19)] options: u32,
        crosscheck: Snapshot,
        wait: bool,
        failure: *mut TM_FailureData,
        mode: *mut LockTupleMode::Type,
        #[cfg(since_pg16)] indexes: *mut TU_UpdateIndexes::Type,
    ) -> TM_Result::Type;
    fn heap_copytuple(tuple: HeapTuple) -> HeapTuple;
    fn heap_lock_tuple(
        table: Relation,
        tuple: HeapTuple,
        command: CommandId,
        mode: LockTupleMode::Type,
        policy: LockWaitPolicy::Type,
        follow_updates: bool,
        page: *mut Buffer,
        failure: *mut TM_FailureData,
    ) -> TM_Result::Type;
    fn CreateExecutorState() -> *mut EState;
    fn FreeExecutorState(state: *mut EState);
    fn InitResultRelInfo(
        info: *mut ResultRelInfo,
        table: Relation,
        number: Index,
        root: *mut ResultRelInfo,
        instrument: c_int,
    );
    fn ExecOpenIndices(info: *mut ResultRelInfo, speculative: bool);
    fn ExecCloseIndices(info: *mut ResultRelInfo);
    #[cfg(not(since_pg16))]
    fn ExecInsertIndexTuples(
        info: *mut ResultRelInfo,
        slot: *mut TupleTableSlot,
        state: *mut EState,
        update: bool,
        no_error: bool,
        conflict: *mut bool,
        arbiters: *mut List,
    ) -> *mut List;
    #[cfg(all(since_pg16, not(since_pg19)))]
    fn ExecInsertIndexTuples(
        info: *mut ResultRelInfo,
        slot: *mut TupleTableSlot,
        state: *mut EState,
        update: bool,
        no_error: bool,
        conflict: *mut bool,
        arbiters: *mut List,
        only_summarizing: bool,
    ) -> *mut List;
    #[cfg(since_pg19)]
    fn ExecInsertIndexTuples(
        info: *mut ResultRelInfo,
        state: *mut EState,
        flags: u32,
        slot: *mut TupleTableSlot,
        arbiters: *mut List,
        conflict: *mut bool,
    ) -> *mut List;

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
