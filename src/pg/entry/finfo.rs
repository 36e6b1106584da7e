//! C entries as Postgres's function manager expects them.

/// Declares the `pg_finfo_` record that marks a symbol as a version-1 function.
macro_rules! finfo {
    ($symbol:ident) => {
        #[unsafe(export_name = concat!("pg_finfo_", stringify!($symbol)))]
        extern "C" fn finfo() -> &'static ::pgrx::pg_sys::Pg_finfo_record {
            const RECORD: ::pgrx::pg_sys::Pg_finfo_record =
                ::pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }
    };
}
pub(crate) use finfo;
