//! What this layer calls of Postgres, besides what the layers below it do.

pub use crate::pg::session::ffi::*;

import! {
    // several modules
    fn datumCopy(value: Datum, by_value: bool, length: c_int) -> Datum;
    fn get_typlenbyval(type_oid: Oid, length: *mut i16, by_value: *mut bool);
    fn getTypeInputInfo(type_: Oid, input: *mut Oid, io_param: *mut Oid);
    fn OidInputFunctionCall(function: Oid, text: *mut c_char, io_param: Oid, typmod: i32) -> Datum;
    fn pg_detoast_datum(datum: *mut varlena) -> *mut varlena;
    fn lappend(list: *mut List, item: *mut c_void) -> *mut List;
    fn DirectFunctionCall2Coll(
        function: PGFunction, collation: Oid, a: Datum, b: Datum, ) -> Datum;
    fn lookup_rowtype_tupdesc(type_id: Oid, typmod: i32) -> TupleDesc;
    fn DecrTupleDescRefCount(desc: TupleDesc);
    fn heap_form_tuple(desc: TupleDesc, values: ConstSince17<Datum>, nulls: ConstSince17<bool>) -> HeapTuple;
    fn heap_deform_tuple(tuple: HeapTuple, desc: TupleDesc, values: *mut Datum, nulls: *mut bool);
    fn HeapTupleHeaderGetDatum(header: HeapTupleHeader) -> Datum;
    fn FunctionCall2Coll(info: *mut FmgrInfo, collation: Oid, first: Datum, second: Datum) -> Datum;
    fn getBaseType(type_id: Oid) -> Oid;

    // convert
    fn cstring_to_text_with_len(s: *const c_char, len: c_int) -> *mut text;
    fn toast_raw_datum_size(value: Datum) -> usize;

    // instant
    fn DirectFunctionCall1Coll(
        function: PGFunction, collation: Oid, a: Datum, ) -> Datum;
    fn timestamp_pl_interval(fcinfo: FunctionCallInfo) -> Datum;
    fn date_timestamp(fcinfo: FunctionCallInfo) -> Datum;
    fn timestamp_timestamptz(fcinfo: FunctionCallInfo) -> Datum;
    fn timestamptz_timestamp(fcinfo: FunctionCallInfo) -> Datum;
    fn GetCurrentTransactionStartTimestamp() -> TimestampTz;

    // json record
    fn fmgr_info(function: Oid, info: *mut FmgrInfo);
    fn makeFuncExpr(
        function: Oid,
        result: Oid,
        args: *mut List,
        function_collation: Oid,
        input_collation: Oid,
        form: CoercionForm::Type,
    ) -> *mut FuncExpr;
    fn makeNullConst(type_id: Oid, typmod: i32, collation: Oid) -> *mut Const;

    // jsonb
    fn JsonbIteratorInit(container: *mut JsonbContainer) -> *mut JsonbIterator;
    fn JsonbIteratorNext(
        iterator: *mut *mut JsonbIterator,
        value: *mut JsonbValue,
        skip_nested: bool,
    ) -> JsonbIteratorToken::Type;
    fn JsonbExtractScalar(container: *mut JsonbContainer, value: *mut JsonbValue) -> bool;
    fn findJsonbValueFromContainer(
        container: *mut JsonbContainer,
        flags: u32,
        key: *mut JsonbValue,
    ) -> *mut JsonbValue;
    fn JsonbValueToJsonb(value: *mut JsonbValue) -> *mut Jsonb;
    fn JsonbToCString(
        out: StringInfo,
        container: *mut JsonbContainer,
        estimate: c_int,
    ) -> *mut c_char;
    fn jsonb_delete(fcinfo: FunctionCallInfo) -> Datum;

    // numeric
    fn getBaseTypeAndTypmod(type_oid: Oid, typmod: *mut i32) -> Oid;
    fn numeric_out(fcinfo: FunctionCallInfo) -> Datum;
    fn numeric_add(fcinfo: FunctionCallInfo) -> Datum;
    fn numeric_uminus(fcinfo: FunctionCallInfo) -> Datum;
    fn numeric_eq(fcinfo: FunctionCallInfo) -> Datum;
    fn numeric_is_nan(value: Numeric) -> bool;
    fn numeric_is_inf(value: Numeric) -> bool;

    // row image
    fn pfree(pointer: *mut c_void);
    fn pg_detoast_datum_packed(datum: *mut varlena) -> *mut varlena;
    fn get_typtype(type_id: Oid) -> c_char;

    // row slot
    fn slot_getsomeattrs_int(slot: *mut TupleTableSlot, attnum: c_int);

    // tuple
    fn nocachegetattr(tuple: HeapTuple, attnum: c_int, desc: TupleDesc) -> Datum;
    fn heap_modify_tuple_by_cols(
        tuple: HeapTuple,
        desc: TupleDesc,
        n: c_int,
        columns: ConstSince17<c_int>,
        values: ConstSince17<Datum>,
        nulls: ConstSince17<bool>,
    ) -> HeapTuple;
}
