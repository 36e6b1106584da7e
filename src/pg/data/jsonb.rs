//! Reading jsonb arguments where they lie, without a detour through text.
//!
//! How long a list is, and how deeply values nest, the caller decides. So nothing here is copied as a
//! whole, and what is allocated lies in Postgres's memory: where that runs out the error is 53200.

use super::ffi;
use crate::pg::base::encoding::utf8;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::memory::{Buffer, Memory};
use crate::pg::base::text::{cstr, PgText};
use crate::pg::data::convert::{output, text_datum};
use core::ffi::{c_char, c_int};
use core::fmt;
use core::marker::PhantomData;
use pgrx::pg_sys::{self, Datum, Oid};

/// A jsonb value in memory that lasts as long as `'j`. `Copy`: it points there.
#[derive(Clone, Copy)]
pub struct Json<'j>(pg_sys::JsonbValue, PhantomData<&'j ()>);

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JsonKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl fmt::Display for JsonKind {
    /// As messages say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JsonKind::Null => "null",
            JsonKind::Bool => "a boolean",
            JsonKind::Number => "a number",
            JsonKind::String => "a string",
            JsonKind::Array => "an array",
            JsonKind::Object => "an object",
        })
    }
}

impl<'j> Json<'j> {
    /// A jsonb argument, which lasts as long as the memory.
    pub fn of(json: Datum, memory: Memory<'j>) -> Result<Json<'j>, Report> {
        // SAFETY: the datum is jsonb; a detoasted copy lies in the memory.
        catch(|| unsafe {
            let jsonb = memory.within(|| ffi::pg_detoast_datum(json.cast_mut_ptr()));
            let jsonb = jsonb as *mut pg_sys::Jsonb;
            let root = core::ptr::addr_of_mut!((*jsonb).root);
            let mut value: pg_sys::JsonbValue = core::mem::zeroed();
            if (*root).header & pg_sys::JB_FSCALAR == 0
                || !ffi::JsonbExtractScalar(root, &mut value)
            {
                value.type_ = pg_sys::jbvType::jbvBinary;
                value.val.binary.data = root;
                value.val.binary.len =
                    pgrx::varsize_any_exhdr(jsonb as *const pg_sys::varlena) as c_int;
            }
            Json(value, PhantomData)
        })
    }

    pub fn kind(&self) -> JsonKind {
        match self.0.type_ {
            pg_sys::jbvType::jbvNull => JsonKind::Null,
            pg_sys::jbvType::jbvBool => JsonKind::Bool,
            pg_sys::jbvType::jbvNumeric => JsonKind::Number,
            pg_sys::jbvType::jbvBinary if self.header() & pg_sys::JB_FARRAY != 0 => JsonKind::Array,
            pg_sys::jbvType::jbvBinary => JsonKind::Object,
            _ => JsonKind::String,
        }
    }

    /// The container of an array or object; NULL for a scalar.
    fn container(&self) -> *mut pg_sys::JsonbContainer {
        match self.0.type_ {
            // SAFETY: the tag says which field is in use.
            pg_sys::jbvType::jbvBinary => unsafe { self.0.val.binary.data },
            _ => core::ptr::null_mut(),
        }
    }

    fn header(&self) -> u32 {
        let container = self.container();
        match container.is_null() {
            true => 0,
            // SAFETY: a container begins with its header.
            false => unsafe { (*container).header },
        }
    }

    /// How many elements an array or pairs an object has; 0 for a scalar.
    pub fn count(&self) -> usize {
        (self.header() & pg_sys::JB_CMASK) as usize
    }

    /// The elements of an array, one after the other; a value that is none is its own only element.
    pub fn elements<'m>(&self, memory: Memory<'m>) -> Result<Elements<'m>, Report>
    where
        'j: 'm,
    {
        if self.kind() != JsonKind::Array {
            return Ok(Elements { iterator: core::ptr::null_mut(), alone: Some(*self) });
        }
        let container = self.container();
        // SAFETY: the container outlives the iterator; the first token only says that an array begins.
        let iterator = catch(|| unsafe {
            let mut iterator = memory.within(|| ffi::JsonbIteratorInit(container));
            let mut value: pg_sys::JsonbValue = core::mem::zeroed();
            ffi::JsonbIteratorNext(&mut iterator, &mut value, true);
            iterator
        })?;
        Ok(Elements { iterator, alone: None })
    }

    /// The member of an object; `None` for a value that has none of that name.
    pub fn member(&self, name: &str) -> Result<Option<Json<'j>>, Report> {
        if self.kind() != JsonKind::Object {
            return Ok(None);
        }
        let container = self.container();
        // SAFETY: the container is an object; the result is a copy that points into it.
        catch(|| unsafe {
            let mut key: pg_sys::JsonbValue = core::mem::zeroed();
            key.type_ = pg_sys::jbvType::jbvString;
            key.val.string.val = name.as_ptr() as *mut c_char;
            key.val.string.len = name.len() as c_int;
            let found = ffi::findJsonbValueFromContainer(container, pg_sys::JB_FOBJECT, &mut key);
            (!found.is_null()).then(|| Json(*found, PhantomData))
        })
    }

    /// The object without one member, as jsonb.
    pub fn without(&self, name: &str) -> Result<Datum, Report> {
        let (object, name) = (self.datum()?, text_datum(name)?);
        // SAFETY: an object and a text.
        catch(|| unsafe {
            ffi::DirectFunctionCall2Coll(Some(ffi::jsonb_delete), pg_sys::InvalidOid, object, name)
        })
    }

    /// The names of an object's members; `None` for any other value.
    pub fn names<'m>(&self, memory: Memory<'m>) -> Result<Option<&'m [&'j str]>, Report> {
        let Some(members) = self.members(memory)? else { return Ok(None) };
        catch(|| {
            let mut names = Buffer::new(memory, members.len());
            members.iter().for_each(|(name, _)| names.push(*name));
            Some(names.into_slice())
        })
    }

    /// The members of an object; `None` for any other value.
    pub fn members<'m>(&self, memory: Memory<'m>) -> Result<Option<&'m [Member<'j>]>, Report> {
        if self.kind() != JsonKind::Object {
            return Ok(None);
        }
        let (container, count) = (self.container(), self.count());
        // SAFETY: names and values lie in the container.
        catch(|| unsafe {
            let mut members = Buffer::new(memory, count);
            let mut iterator = ffi::JsonbIteratorInit(container);
            let mut value: pg_sys::JsonbValue = core::mem::zeroed();
            let mut name = "";
            loop {
                match ffi::JsonbIteratorNext(&mut iterator, &mut value, true) {
                    // A name that is no UTF-8 (another server encoding) is no column raceguard knows.
                    pg_sys::JsonbIteratorToken::WJB_KEY => {
                        name = core::str::from_utf8(string_bytes(&value)).unwrap_or_default()
                    }
                    pg_sys::JsonbIteratorToken::WJB_VALUE => {
                        members.push((name, Json(value, PhantomData)))
                    }
                    pg_sys::JsonbIteratorToken::WJB_DONE => break,
                    _ => {}
                }
            }
            Some(members.into_slice())
        })
    }

    /// The value as one of a type that takes it as it is written, where that is plain to see: an integer, a boolean, a text
    /// without a length, NULL. `None` where the type's input function has to be asked. Plain frames.
    pub fn as_written(&self, type_oid: Oid, typmod: i32) -> Option<Option<Datum>> {
        let is_text = matches!(type_oid, pg_sys::TEXTOID | pg_sys::VARCHAROID) && typmod < 0;
        match (self.kind(), type_oid) {
            (JsonKind::Null, _) if is_text || is_plain(type_oid) => Some(None),
            (JsonKind::Bool, pg_sys::BOOLOID) => {
                // SAFETY: the tag says that the boolean is in use.
                let value = unsafe { self.0.val.boolean };
                Some(Some(Datum::from(value)))
            }
            (JsonKind::Number, _) if is_plain(type_oid) => {
                let number = self.whole_number()?;
                match type_oid {
                    pg_sys::INT2OID => i16::try_from(number).ok().map(Datum::from),
                    pg_sys::INT4OID => i32::try_from(number).ok().map(Datum::from),
                    pg_sys::INT8OID => Some(Datum::from(number)),
                    _ => None,
                }
                .map(Some)
            }
            // SAFETY: the tag says that the string is in use, which is copied.
            (JsonKind::String, _) if is_text => unsafe {
                let string = self.0.val.string;
                Some(Some(Datum::from(ffi::cstring_to_text_with_len(string.val, string.len))))
            },
            _ => None,
        }
    }

    /// A number that is written without a fraction and fits into 64 bits.
    fn whole_number(&self) -> Option<i64> {
        // SAFETY: the tag says that the number is in use; what is written of it is NUL-terminated.
        unsafe {
            let number = Datum::from(self.0.val.numeric);
            let written =
                ffi::DirectFunctionCall1Coll(Some(ffi::numeric_out), pg_sys::InvalidOid, number);
            cstr(written.cast_mut_ptr()).parse().ok()
        }
    }

    /// A scalar as a type's input function takes it: a string without its quotes. `None` for null, an
    /// array and an object.
    pub fn plain<'m>(&self, memory: Memory<'m>) -> Result<Option<&'m str>, Report>
    where
        'j: 'm,
    {
        match self.kind() {
            JsonKind::Null | JsonKind::Array | JsonKind::Object => Ok(None),
            // SAFETY: the tag says that the boolean is in use.
            JsonKind::Bool if unsafe { self.0.val.boolean } => Ok(Some("true")),
            JsonKind::Bool => Ok(Some("false")),
            // SAFETY: the tag says that the string is in use; it lives as long as its context.
            JsonKind::String => utf8(unsafe { string_bytes(&self.0) }).map(Some),
            JsonKind::Number => {
                // SAFETY: the tag says that the number is in use.
                let number = unsafe { self.0.val.numeric };
                output(Datum::from(number), pg_sys::NUMERICOID, memory).map(Some)
            }
        }
    }

    /// The value as JSON text.
    pub fn text(&self) -> Result<PgText, Report> {
        let json = self.datum()?;
        // SAFETY: a jsonb made in the current memory context; its length is an estimate.
        catch(|| unsafe {
            let jsonb = json.cast_mut_ptr::<pg_sys::Jsonb>();
            let text = PgText::new();
            let root = core::ptr::addr_of_mut!((*jsonb).root);
            ffi::JsonbToCString(text.as_raw(), root, 0);
            text
        })
    }

    /// The value as a jsonb datum of its own.
    pub fn datum(&self) -> Result<Datum, Report> {
        let mut value = self.0;
        let value = &raw mut value;
        // SAFETY: copies the value.
        catch(|| unsafe { Datum::from(ffi::JsonbValueToJsonb(value)) })
    }
}

/// A member of an object: its name and its value.
pub type Member<'j> = (&'j str, Json<'j>);

/// Whether values of a type are machine words that are read here.
fn is_plain(type_oid: Oid) -> bool {
    matches!(type_oid, pg_sys::BOOLOID | pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID)
}

/// # Safety
/// The value is a string, or the name of a member, and lies where it does as long as `'j`.
unsafe fn string_bytes<'j>(value: &pg_sys::JsonbValue) -> &'j [u8] {
    // SAFETY: promised by the caller.
    unsafe {
        let string = value.val.string;
        core::slice::from_raw_parts(string.val as *const u8, string.len.max(0) as usize)
    }
}

/// The elements of an array that have not been read yet.
pub struct Elements<'j> {
    iterator: *mut pg_sys::JsonbIterator,
    alone: Option<Json<'j>>,
}

impl<'j> Elements<'j> {
    /// The next element.
    pub fn next(&mut self) -> Result<Option<Json<'j>>, Report> {
        if let Some(alone) = self.alone.take() {
            return Ok(Some(alone));
        }
        if self.iterator.is_null() {
            return Ok(None);
        }
        let mut iterator = self.iterator;
        let place = &raw mut iterator;
        // SAFETY: the iterator lives in the memory context it was made in; at the end it frees itself
        // and leaves NULL.
        let next = catch(|| unsafe {
            let mut value: pg_sys::JsonbValue = core::mem::zeroed();
            loop {
                match ffi::JsonbIteratorNext(place, &mut value, true) {
                    pg_sys::JsonbIteratorToken::WJB_ELEM => return Some(Json(value, PhantomData)),
                    pg_sys::JsonbIteratorToken::WJB_DONE => return None,
                    _ => {}
                }
            }
        })?;
        self.iterator = iterator;
        Ok(next)
    }
}
