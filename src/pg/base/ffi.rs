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
//!
//! Each layer has such a module, which passes on those of the layers below: a function is declared
//! once, in the lowest layer that calls it.

/// A pointer to what a function only reads, which its declaration says since Postgres 17, or 19.
#[cfg(since_pg17)]
pub type ConstSince17<T> = *const T;
#[cfg(not(since_pg17))]
pub type ConstSince17<T> = *mut T;
#[cfg(since_pg19)]
pub type ConstSince19<T> = *const T;
#[cfg(not(since_pg19))]
pub type ConstSince19<T> = *mut T;

/// Imports functions bare. A declaration must be, type for type, the one that pgrx has read from the
/// headers of the Postgres that is built for: a wrong one does not compile.
macro_rules! import {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($($(#[$gate:meta])* $argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;
    )*) => {
        mod functions {
            #[allow(unused_imports)]
            use $crate::pg::base::ffi::{ConstSince17, ConstSince19};
            use core::ffi::*;
            use pgrx::pg_sys::{self, *};

            unsafe extern "C-unwind" {
                $(
                    $(#[$meta])*
                    pub fn $name($($(#[$gate])* $argument: $type),*) $(-> $result)?;
                )*
            }
            $(
                $(#[$meta])*
                const _: unsafe fn($($(#[$gate])* $type),*) $(-> $result)? = pg_sys::$name;
            )*
        }
        pub use functions::*;
    };
}
pub(in crate::pg) use import;

import! {
    // several modules
    fn palloc(size: usize) -> *mut c_void;
    fn palloc0(size: usize) -> *mut c_void;
    fn get_rel_name(relid: Oid) -> *mut c_char;
    fn get_namespace_name(nspid: Oid) -> *mut c_char;
    fn get_rel_namespace(relid: Oid) -> Oid;
    fn GetCurrentTimestamp() -> TimestampTz;

    // memory
    fn MemoryContextAllocExtended(
        context: MemoryContext,
        size: usize,
        flags: c_int,
    ) -> *mut c_void;
    fn AllocSetContextCreateInternal(
        parent: MemoryContext,
        name: *const c_char,
        min: usize,
        init: usize,
        max: usize,
    ) -> MemoryContext;
    fn MemoryContextDelete(context: MemoryContext);
    fn MemoryContextReset(context: MemoryContext);

    // error
    fn ThrowErrorData(edata: *mut ErrorData);
    #[cfg(not(since_pg18))]
    fn ReThrowError(edata: *mut ErrorData) -> !;
    #[cfg(since_pg18)]
    fn ReThrowError(edata: *mut ErrorData);
    fn CopyErrorData() -> *mut ErrorData;
    fn FlushErrorState();

    // guc
    fn NewGUCNestLevel() -> c_int;
    fn AtEOXact_GUC(is_commit: bool, nest_level: c_int);
    fn set_config_option(
        name: *const c_char,
        value: *const c_char,
        context: GucContext::Type,
        source: GucSource::Type,
        action: GucAction::Type,
        change_value: bool,
        elevel: c_int,
        is_reload: bool,
    ) -> c_int;

    // text
    fn makeStringInfo() -> StringInfo;
    fn appendBinaryStringInfo(
        buf: StringInfo,
        #[cfg(not(since_pg16))] data: *const c_char,
        #[cfg(since_pg16)] data: *const c_void,
        len: c_int,
    );
    fn quote_literal_cstr(text: *const c_char) -> *mut c_char;
    fn quote_identifier(ident: *const c_char) -> *const c_char;
    fn format_type_be(type_oid: Oid) -> *mut c_char;
    fn getTypeOutputInfo(type_: Oid, output: *mut Oid, is_varlena: *mut bool);
    fn OidOutputFunctionCall(function: Oid, value: Datum) -> *mut c_char;
    fn GetDatabaseEncodingName() -> *const c_char;

    // shared memory
    fn LWLockReleaseAll();
    #[cfg(not(since_pg17))]
    fn LWLockAcquire(lock: *mut LWLock, mode: LWLockMode::Type) -> bool;
    #[cfg(not(since_pg17))]
    fn LWLockRelease(lock: *mut LWLock);
    #[cfg(not(since_pg17))]
    fn ShmemInitStruct(name: *const c_char, size: usize, found: *mut bool) -> *mut c_void;
    #[cfg(not(since_pg17))]
    fn RequestAddinShmemSpace(size: usize);
    #[cfg(all(since_pg17, not(since_pg19)))]
    fn GetNamedDSMSegment(
        name: *const c_char,
        size: usize,
        initialize: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
        found: *mut bool,
    ) -> *mut c_void;
    #[cfg(since_pg19)]
    fn GetNamedDSMSegment(
        name: *const c_char,
        size: usize,
        initialize: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut c_void)>,
        found: *mut bool,
        arg: *mut c_void,
    ) -> *mut c_void;
}
