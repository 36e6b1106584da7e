//! What this layer calls of Postgres, besides what the layers below it do.

pub use crate::pg::data::ffi::*;

import! {
    // several modules
    fn bms_add_member(set: *mut Bitmapset, x: c_int) -> *mut Bitmapset;
    fn bms_is_member(x: c_int, set: *const Bitmapset) -> bool;
    fn datum_image_eq(a: Datum, b: Datum, by_value: bool, length: c_int) -> bool;
    fn pull_varattnos(node: *mut Node, varno: u32, set: *mut *mut Bitmapset);
    fn get_func_name(function: Oid) -> *mut c_char;
    fn get_func_namespace(function: Oid) -> Oid;
    fn relation_open(relid: Oid, mode: LOCKMODE) -> Relation;
    fn IndexGetRelation(index: Oid, missing_ok: bool) -> Oid;
    fn check_functions_in_node(
        node: *mut Node,
        checker: check_function_callback,
        context: *mut c_void,
    ) -> bool;
    #[cfg(not(since_pg16))]
    fn expression_tree_walker(
        node: *mut Node,
        walker: Option<unsafe extern "C-unwind" fn(*mut Node, *mut c_void) -> bool>,
        context: *mut c_void,
    ) -> bool;
    #[cfg(since_pg16)]
    fn expression_tree_walker_impl(
        node: *mut Node,
        walker: tree_walker_callback,
        context: *mut c_void,
    ) -> bool;
    fn relation_close(rel: Relation, mode: LOCKMODE);
    fn RelationGetIndexList(rel: Relation) -> *mut List;
    fn RelationGetIndexAttrBitmap(
        relation: Relation,
        kind: IndexAttrBitmapKind::Type,
    ) -> *mut Bitmapset;
    fn CopyTriggerDesc(triggers: *mut TriggerDesc) -> *mut TriggerDesc;
    fn get_partition_ancestors(relid: Oid) -> *mut List;
    fn get_rel_relispartition(relid: Oid) -> bool;
    fn get_relname_relid(name: *const c_char, schema: Oid) -> Oid;
    fn get_namespace_oid(name: *const c_char, missing_ok: bool) -> Oid;
    fn index_open(relid: Oid, mode: LOCKMODE) -> Relation;
    fn index_close(rel: Relation, mode: LOCKMODE);
    fn RelationGetIndexPredicate(index: Relation) -> *mut List;
    fn RelationGetIndexExpressions(index: Relation) -> *mut List;
    fn get_opfamily_member(family: Oid, left: Oid, right: Oid, strategy: i16) -> Oid;
    fn get_opcode(operator: Oid) -> Oid;
    fn ScanKeyEntryInitialize(
        entry: *mut ScanKeyData,
        flags: c_int,
        attno: i16,
        strategy: u16,
        subtype: Oid,
        collation: Oid,
        procedure: Oid,
        argument: Datum,
    );
    fn index_beginscan(
        heap: Relation,
        index: Relation,
        snapshot: Snapshot,
        #[cfg(since_pg18)] instrument: *mut IndexScanInstrumentation,
        keys: c_int,
        orderbys: c_int,
        #[cfg(since_pg19)] flags: u32,
    ) -> IndexScanDesc;
    fn index_rescan(
        scan: IndexScanDesc,
        keys: *mut ScanKeyData,
        key_count: c_int,
        orderbys: *mut ScanKeyData,
        orderby_count: c_int,
    );
    fn index_getnext_slot(
        scan: IndexScanDesc,
        direction: ScanDirection::Type,
        slot: *mut TupleTableSlot,
    ) -> bool;
    fn index_endscan(scan: IndexScanDesc);
    fn equal(a: *const c_void, b: *const c_void) -> bool;
    fn CacheRegisterRelcacheCallback(function: RelcacheCallbackFunction, arg: Datum);
    fn CacheRegisterSyscacheCallback(cache: c_int, function: SyscacheCallbackFunction, arg: Datum);
    fn LockRelationOid(relation: Oid, mode: LOCKMODE);
    fn contain_volatile_functions(clause: *mut Node) -> bool;
    fn exprType(expression: *const Node) -> Oid;
    fn exprTypmod(expression: *const Node) -> i32;
    fn ExecInitExpr(node: *mut Expr, parent: *mut PlanState) -> *mut ExprState;
    fn CreateStandaloneExprContext() -> *mut ExprContext;
    fn find_all_inheritors(parent: Oid, mode: LOCKMODE, counts: *mut *mut List) -> *mut List;

    // cap index
    fn CreateTupleDescCopyConstr(desc: TupleDesc) -> TupleDesc;
    fn MakeSingleTupleTableSlot(
        desc: TupleDesc,
        ops: *const TupleTableSlotOps,
    ) -> *mut TupleTableSlot;
    fn table_slot_callbacks(rel: Relation) -> *const TupleTableSlotOps;
    fn bms_membership(set: *const Bitmapset) -> BMS_Membership::Type;
    fn get_attname(relid: Oid, attnum: i16, missing_ok: bool) -> *mut c_char;
    fn BuildIndexValueDescription(
        index: Relation,
        values: ConstSince17<Datum>,
        nulls: ConstSince17<bool>,
    ) -> *mut c_char;
    fn fix_opfuncids(node: *mut Node);
    fn pg_get_indexdef_columns(index: Oid, pretty: bool) -> *mut c_char;

    // cap scan
    fn index_getnext_tid(scan: IndexScanDesc, direction: ScanDirection::Type) -> ItemPointer;
    fn index_fetch_heap(scan: IndexScanDesc, slot: *mut TupleTableSlot) -> bool;
    fn nocache_index_getattr(entry: IndexTuple, attnum: c_int, desc: TupleDesc) -> Datum;
    fn visibilitymap_get_status(table: Relation, block: BlockNumber, map: *mut Buffer) -> u8;
    fn ReleaseBuffer(buffer: Buffer);
    fn TransactionIdDidAbort(xid: TransactionId) -> bool;
    fn PredicateLockPage(table: Relation, block: BlockNumber, snapshot: Snapshot);
    fn XactLockTableWait(
        xid: TransactionId,
        relation: Relation,
        ctid: ConstSince19<ItemPointerData>,
        operation: XLTW_Oper::Type,
    );

    // column default
    fn build_column_default(relation: Relation, attno: c_int) -> *mut Node;

    // foreign key
    fn SearchSysCache1(cache: c_int, key: Datum) -> HeapTuple;
    fn ReleaseSysCache(row: HeapTuple);
    fn get_constraint_name(constraint: Oid) -> *mut c_char;
    fn get_relation_constraint_oid(table: Oid, name: *const c_char, missing_ok: bool) -> Oid;
    fn RelationGetFKeyList(relation: Relation) -> *mut List;
    fn generate_operator_clause(
        buffer: StringInfo,
        left: *const c_char,
        left_type: Oid,
        operator: Oid,
        right: *const c_char,
        right_type: Oid,
    );

    // key
    fn lookup_type_cache(type_id: Oid, flags: c_int) -> *mut TypeCacheEntry;
    fn FunctionCall1Coll(function: *mut FmgrInfo, collation: Oid, value: Datum) -> Datum;
    fn hash_bytes(bytes: *const u8, length: c_int) -> u32;
    fn hash_bytes_uint32(word: u32) -> u32;
    fn type_is_enum(type_oid: Oid) -> bool;
    fn get_typbyval(type_oid: Oid) -> bool;
    fn SubTransactionIsActive(subtransaction: u32) -> bool;

    // index
    fn make_ands_explicit(conditions: *mut List) -> *mut Expr;
    fn canonicalize_qual(qual: *mut Expr, is_check: bool) -> *mut Expr;
    fn make_ands_implicit(clause: *mut Expr) -> *mut List;
    fn makeVar(
        varno: c_int,
        attno: AttrNumber,
        type_oid: Oid,
        typmod: i32,
        collation: Oid,
        levels_up: Index,
    ) -> *mut Var;

    // parse
    fn raw_parser(text: *const c_char, mode: RawParseMode::Type) -> *mut List;
    fn make_parsestate(parent: *mut ParseState) -> *mut ParseState;
    fn free_parsestate(state: *mut ParseState);
    fn addRangeTableEntryForRelation(
        state: *mut ParseState,
        relation: Relation,
        lockmode: c_int,
        alias: *mut Alias,
        inherit: bool,
        in_from: bool,
    ) -> *mut ParseNamespaceItem;
    fn addNSItemToQuery(
        state: *mut ParseState,
        item: *mut ParseNamespaceItem,
        to_join_list: bool,
        to_rel_name_space: bool,
        to_var_name_space: bool,
    );
    fn transformExpr(
        state: *mut ParseState,
        expression: *mut Node,
        kind: ParseExprKind::Type,
    ) -> *mut Node;
    fn assign_expr_collations(state: *mut ParseState, expression: *mut Node);
    fn expression_planner(expression: *mut Expr) -> *mut Expr;
    fn contain_mutable_functions(clause: *mut Node) -> bool;
    fn bms_next_member(set: *const Bitmapset, previous: c_int) -> c_int;
    fn exprCollation(expression: *const Node) -> Oid;
    fn deparse_expression(
        expression: *mut Node,
        context: *mut List,
        force_prefix: bool,
        show_implicit: bool,
    ) -> *mut c_char;
    fn deparse_context_for(alias: *const c_char, relid: Oid) -> *mut List;
    fn type_is_collatable(type_oid: Oid) -> bool;
    fn generate_collation_name(collation: Oid) -> *mut c_char;

    // open table
    fn try_relation_open(relid: Oid, mode: LOCKMODE) -> Relation;

    // primary key
    fn get_opfamily_proc(family: Oid, left: Oid, right: Oid, number: i16) -> Oid;
    fn format_operator_parts(
        operator: Oid,
        names: *mut *mut List,
        arguments: *mut *mut List,
        missing_ok: bool,
    );
    fn OidFunctionCall2Coll(function: Oid, collation: Oid, a: Datum, b: Datum) -> Datum;

    // privilege
    fn pg_class_aclmask(table: Oid, role: Oid, mask: AclMode, how: AclMaskHow::Type) -> AclMode;
    fn pg_attribute_aclcheck_all(
        table: Oid,
        role: Oid,
        mode: AclMode,
        how: AclMaskHow::Type,
    ) -> AclResult::Type;
    #[cfg(not(since_pg16))]
    fn pg_class_ownercheck(table: Oid, role: Oid) -> bool;
    #[cfg(since_pg16)]
    fn object_ownercheck(class: Oid, object: Oid, role: Oid) -> bool;
    fn RecoveryInProgress() -> bool;

    // relation
    fn get_attnum(relid: Oid, name: *const c_char) -> i16;
    fn list_free(list: *mut List);

    // time index
    fn ExecDropSingleTupleTableSlot(slot: *mut TupleTableSlot);
    fn table_slot_create(rel: Relation, registry: *mut *mut List) -> *mut TupleTableSlot;
    fn has_partition_attrs(
        relation: Relation,
        columns: *mut Bitmapset,
        used_in_expression: *mut bool,
    ) -> bool;
}

unsafe extern "C-unwind" {
    /// partcache.h is not among the headers that pgrx reads: there is nothing to compare this with. The
    /// declaration is the same from Postgres 15 to 19.
    pub fn RelationGetPartitionQual(relation: pgrx::pg_sys::Relation) -> *mut pgrx::pg_sys::List;
}
