//! Who this session is.

use super::ffi;
use crate::pg::base::text::{cstr, PgText};
use core::ffi::CStr;
use pgrx::pg_sys::{self, Oid};

/// The process that serves it, as `pg_stat_activity` has it.
pub fn pid() -> u32 {
    // SAFETY: a variable of the process.
    unsafe { pg_sys::MyProcPid as u32 }
}

/// The role it acts as.
pub fn role() -> Oid {
    // SAFETY: reads a variable of the session.
    unsafe { ffi::GetUserId() }
}

/// The name of a role; `None` where it has been dropped. Plain frames.
pub fn role_name(role: Oid) -> Option<PgText> {
    // SAFETY: the look-up returns text or NULL.
    unsafe {
        let name = ffi::GetUserNameFromId(role, true);
        (!name.is_null()).then(|| PgText::from_fmt(format_args!("{}", cstr(name))))
    }
}

/// The name of the application, ended by a zero byte.
pub fn application_name() -> [u8; pg_sys::NAMEDATALEN as usize] {
    let mut name = [0; pg_sys::NAMEDATALEN as usize];
    let last = name.len() - 1;
    // SAFETY: the setting's variable is NULL or ends in a zero byte.
    unsafe {
        if !pg_sys::application_name.is_null() {
            let bytes = CStr::from_ptr(pg_sys::application_name).to_bytes();
            name[..last].iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
    }
    name
}
