//! Reading jsonb arguments where they lie, without a detour through text.

use super::error::{catch, Report};
use super::memory::Buffer;
use super::raw;
use pgrx::pg_sys::{self, Datum};

extern "C-unwind" {
    fn JsonbIteratorInit(container: *mut pg_sys::JsonbContainer) -> *mut pg_sys::JsonbIterator;
    fn JsonbIteratorNext(
        iterator: *mut *mut pg_sys::JsonbIterator,
        value: *mut pg_sys::JsonbValue,
        skip_nested: bool,
    ) -> pg_sys::JsonbIteratorToken::Type;
}

/// The number of pairs stands in the low 28 bits of a container's header (JB_CMASK).
const COUNT_MASK: u32 = 0x0FFF_FFFF;

/// The field names of a jsonb object, in the current memory context; `None` for any other jsonb.
pub fn object_keys(json: Datum) -> Result<Option<&'static [&'static str]>, Report> {
    // SAFETY: the datum is jsonb; the iterator reads the detoasted copy, which lives as long as
    // the current memory context, as do the names that point into it.
    catch(|| unsafe {
        let jsonb = raw::pg_detoast_datum(json.cast_mut_ptr()) as *mut pg_sys::Jsonb;
        let root = core::ptr::addr_of_mut!((*jsonb).root);
        let header = (*root).header;
        if header & pg_sys::JB_FOBJECT == 0 {
            return None;
        }
        let mut keys = Buffer::new((header & COUNT_MASK) as usize);
        let mut iterator = JsonbIteratorInit(root);
        let mut value: pg_sys::JsonbValue = core::mem::zeroed();
        // The first token only says that an object begins.
        let mut token = JsonbIteratorNext(&mut iterator, &mut value, true);
        while token != pg_sys::JsonbIteratorToken::WJB_DONE {
            token = JsonbIteratorNext(&mut iterator, &mut value, true);
            if token == pg_sys::JsonbIteratorToken::WJB_KEY {
                let string = value.val.string;
                let bytes =
                    core::slice::from_raw_parts(string.val as *const u8, string.len as usize);
                // A name that is no UTF-8 (another server encoding) is no column raceguard knows.
                keys.push(core::str::from_utf8(bytes).unwrap_or_default());
            }
        }
        Some(keys.into_slice())
    })
}
