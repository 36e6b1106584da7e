//! Keys: columns and IMMUTABLE expressions of a row, written as in CREATE INDEX.
//!
//! Postgres's own parser reads the text, with `search_path` pinned to pg_catalog, so that a
//! session's settings can't change what a stored key means. `add_*` stores the text in the form
//! that Postgres deparses it to, every name qualified.

use super::error::Report;
use super::lock::{subtransaction_number, transaction_number};
use super::memory::Buffer;
use super::raw;
use super::relation::Table;
use super::text::{display, type_name, PgText};
use super::tuple::Row;
use crate::errors;
use core::ffi::c_int;
use core::fmt::Write;
use pgrx::pg_sys::{self, Datum, Oid};

mod index;
mod parse;

use parse::used_columns;
pub use parse::{bare, canonical, deparse_node, parse, with_pinned_path};

/// One column of a compiled key.
#[derive(Clone, Copy)]
pub struct KeyPart {
    /// The column, or 0 for an expression.
    attno: i16,
    expression: *mut pg_sys::ExprState,
    /// The expression's tree, to compare it with an index's.
    tree: *mut pg_sys::Node,
    pub type_oid: Oid,
    pub typmod: i32,
    collation: Oid,
    /// Values of the type are machine words.
    by_value: bool,
    hash: Hash,
}

/// How a part's values are hashed.
#[derive(Clone, Copy)]
enum Hash {
    /// By the type's own hash function.
    Function(*mut pg_sys::FmgrInfo),
    /// An enum, by its label: its own hash function hashes the label's OID, which is another in
    /// every database.
    Label,
    /// The type has no hash function.
    None,
}

/// A compiled key. It lives in the memory context it was compiled in.
#[derive(Clone, Copy)]
pub struct Key {
    pub parts: &'static [KeyPart],
    context: *mut pg_sys::ExprContext,
    /// Where the expressions are being evaluated: the transaction and subtransaction, or zeros.
    busy: *mut (u32, u32),
    /// All parts are columns: no expression has to be evaluated.
    plain: bool,
}

/// State and tree of a key part that is no plain column.
type Expression = (*mut pg_sys::ExprState, *mut pg_sys::Node);

const NO_EXPRESSION: Expression = (core::ptr::null_mut(), core::ptr::null_mut());

/// How many columns a key may have: as many as an index.
pub const MAX_PARTS: usize = pg_sys::INDEX_MAX_KEYS as usize;

/// The values of a key in one row; `None` is NULL.
#[derive(Clone, Copy)]
pub struct KeyValues {
    values: [Datum; MAX_PARTS],
    count: usize,
    any_null: bool,
}

impl KeyValues {
    pub fn has_null(&self) -> bool {
        self.any_null
    }

    pub fn as_slice(&self) -> &[Datum] {
        &self.values[..self.count]
    }
}

extern "C-unwind" {
    fn FunctionCall1Coll(function: *mut pg_sys::FmgrInfo, collation: Oid, value: Datum) -> Datum;
    fn hash_bytes(bytes: *const u8, length: c_int) -> u32;
    fn getBaseType(type_oid: Oid) -> Oid;
    fn type_is_enum(type_oid: Oid) -> bool;
    fn get_typbyval(type_oid: Oid) -> bool;
    fn SubTransactionIsActive(subtransaction: u32) -> bool;
}

/// The type's hash function, looked up once: the type cache keeps it for the session.
fn hash_function(type_oid: Oid) -> Hash {
    // SAFETY: type cache entries live as long as the session.
    unsafe {
        if type_is_enum(getBaseType(type_oid)) {
            return Hash::Label;
        }
        let entry = raw::lookup_type_cache(type_oid, pg_sys::TYPECACHE_HASH_PROC_FINFO as c_int);
        if (*entry).hash_proc_finfo.fn_oid == pg_sys::InvalidOid {
            Hash::None
        } else {
            Hash::Function(&raw mut (*entry).hash_proc_finfo)
        }
    }
}

impl Key {
    fn new(parts: Buffer<KeyPart>, context: *mut pg_sys::ExprContext) -> Key {
        let parts = parts.into_slice();
        let mut busy = Buffer::new(1);
        busy.push((0, 0));
        let busy = busy.as_mut_slice().as_mut_ptr();
        Key { parts, context, busy, plain: parts.iter().all(|part| part.attno != 0) }
    }

    /// Whether this is a key of one boolean.
    pub fn is_condition(&self) -> bool {
        matches!(self.parts, [part] if part.type_oid == pg_sys::BOOLOID)
    }

    /// The value of a key of one boolean, NULL counted as false.
    #[inline]
    pub fn is_true(&self, slot: *mut pg_sys::TupleTableSlot) -> bool {
        let values = self.values(slot);
        !values.has_null() && values.as_slice().first().is_some_and(|v| v.value() as u8 != 0)
    }

    /// The value of a key of one boolean, NULL counted as true, as constraints do.
    #[inline]
    pub fn is_not_false(&self, slot: *mut pg_sys::TupleTableSlot) -> bool {
        let values = self.values(slot);
        values.has_null() || values.as_slice().first().is_some_and(|v| v.value() as u8 != 0)
    }

    /// A key given as values in key order, none of them NULL.
    pub fn of_values(&self, values: &[Datum]) -> KeyValues {
        let mut key = KeyValues {
            values: [Datum::null(); MAX_PARTS],
            count: self.parts.len(),
            any_null: false,
        };
        for (to, from) in key.values.iter_mut().zip(values) {
            *to = *from;
        }
        key
    }

    /// Whether two keys without NULLs are the same byte by byte.
    pub fn same_image(&self, a: &KeyValues, b: &KeyValues) -> bool {
        self.parts.iter().zip(a.as_slice().iter().zip(b.as_slice())).all(|(part, (a, b))| {
            // SAFETY: both values are of the part's type, whose entry lives for the session.
            unsafe {
                let entry = raw::lookup_type_cache(part.type_oid, 0);
                raw::datum_image_eq(*a, *b, (*entry).typbyval, (*entry).typlen as c_int)
            }
        })
    }

    /// The key as an error names it, `("userId")=(42)`; `None` where the caller may not see it:
    /// without SELECT on its columns, or under row security.
    pub fn describe(&self, table: Table, text: &str, key: &KeyValues) -> Option<PgText> {
        if !table.shows(self.columns()) {
            return None;
        }
        let mut shown = PgText::from_fmt(format_args!("({text})=("));
        for (i, (part, value)) in self.parts.iter().zip(key.as_slice()).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let _ = write!(shown, "{separator}{}", display(*value, part.type_oid));
        }
        let _ = shown.write_char(')');
        Some(shown)
    }

    /// The columns that the key is made of, those in its expressions included.
    fn columns(&self) -> &'static [i16] {
        let mut columns = Buffer::new(self.parts.len());
        for part in self.parts {
            if part.attno != 0 {
                columns.push(part.attno);
                continue;
            }
            let mut used: *mut pg_sys::Bitmapset = core::ptr::null_mut();
            // SAFETY: the tree's variables are columns of the key's table.
            unsafe { raw::pull_varattnos(part.tree, 1, &mut used) };
            for attno in used_columns(used) {
                columns.push(attno);
            }
        }
        columns.into_slice()
    }

    /// Whether a column of that name is, by itself, a part of the key.
    pub fn has_column(&self, table: Table, name: &str) -> bool {
        self.parts.iter().any(|part| part.attno != 0 && table.column_name(part.attno) == name)
    }

    /// The first part whose type has no hash function.
    pub fn unhashable(&self) -> Option<&KeyPart> {
        self.parts.iter().find(|part| matches!(part.hash, Hash::None))
    }

    /// The key's values in the row a slot holds. Values of expressions live until the next call.
    #[inline]
    pub fn values(&self, slot: *mut pg_sys::TupleTableSlot) -> KeyValues {
        self.refuse_reentry();
        // SAFETY: the memory holds values of earlier calls only.
        unsafe { raw::MemoryContextReset((*self.context).ecxt_per_tuple_memory) };
        self.more_values(slot)
    }

    /// Like [`Key::values`], leaving values that were read before in place.
    #[inline]
    pub fn more_values(&self, slot: *mut pg_sys::TupleTableSlot) -> KeyValues {
        let mut key = KeyValues {
            values: [Datum::null(); MAX_PARTS],
            count: self.parts.len(),
            any_null: false,
        };
        self.refuse_reentry();
        // SAFETY: the slot holds a row of the table the key was compiled for; the mark is the
        // key's own.
        unsafe {
            if !self.plain {
                *self.busy = (transaction_number(), subtransaction_number());
            }
            for (part, value) in self.parts.iter().zip(key.values.iter_mut()) {
                let mut null = false;
                *value = if part.attno != 0 {
                    slot_value(slot, part.attno, &mut null)
                } else {
                    self.evaluate(part.expression, slot, &mut null)
                };
                key.any_null |= null;
            }
            if !self.plain {
                *self.busy = (0, 0);
            }
        }
        key
    }

    /// 54000 where a function of the key, while it is evaluated, writes a row that needs the same
    /// key: its values would be freed under the function's hands. An IMMUTABLE function never does
    /// so, but what is declared so may. An evaluation that an ERROR ended has left its mark, in a
    /// subtransaction that is no longer active.
    fn refuse_reentry(&self) {
        // SAFETY: the mark is the key's own; the rest reads the state of the transaction.
        let entered = unsafe {
            let (transaction, subtransaction) = *self.busy;
            subtransaction != 0
                && transaction == transaction_number()
                && SubTransactionIsActive(subtransaction)
        };
        if entered {
            reentered()
        }
    }

    unsafe fn evaluate(
        &self,
        expression: *mut pg_sys::ExprState,
        slot: *mut pg_sys::TupleTableSlot,
        null: &mut bool,
    ) -> Datum {
        // SAFETY: ExecEvalExprSwitchContext: the expression was made by ExecInitExpr, its scan
        // tuple is the slot.
        unsafe {
            (*self.context).ecxt_scantuple = slot;
            let caller = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = (*self.context).ecxt_per_tuple_memory;
            let value = match (*expression).evalfunc {
                Some(function) => function(expression, self.context, null),
                None => Datum::null(),
            };
            pg_sys::CurrentMemoryContext = caller;
            value
        }
    }

    /// 32 bits that equal keys share, by the types' own hash functions; equal across servers.
    /// Parts without a hash function do not tell keys apart.
    #[inline]
    pub fn hash(&self, values: &[Datum]) -> u32 {
        let mut hash = 0u32;
        for (part, value) in self.parts.iter().zip(values) {
            // SAFETY: the value is one of the part's type and not NULL.
            hash = combine(hash, unsafe { part.hash(*value) });
        }
        hash
    }

    /// The hash of the key in a row, `None` if any part is NULL; the same as `hash` of `values`,
    /// without a copy of them.
    #[inline]
    pub fn hash_row(&self, row: Row, slot: *mut pg_sys::TupleTableSlot) -> Option<u32> {
        if !self.plain {
            let values = self.values(slot);
            return (!values.has_null()).then(|| self.hash(values.as_slice()));
        }
        let mut hash = 0u32;
        for part in self.parts {
            // SAFETY: the value is one of the part's type.
            hash = combine(hash, unsafe { part.hash(row.get(part.attno)?) });
        }
        Some(hash)
    }

    /// Whether two rows surely have the same key: both values of every part are the same machine word.
    #[inline]
    pub fn is_unchanged(&self, old: Row, new: Row) -> bool {
        self.plain
            && self
                .parts
                .iter()
                .all(|part| part.by_value && old.get(part.attno) == new.get(part.attno))
    }

    /// The only part of the key as an integer, `None` if it is NULL or no integer.
    pub fn integer(&self, row: Row, slot: *mut pg_sys::TupleTableSlot) -> Option<i64> {
        let part = self.parts.first()?;
        if self.plain {
            return part.integer(row.get(part.attno)?);
        }
        let values = self.values(slot);
        part.integer(*values.as_slice().first().filter(|_| !values.has_null())?)
    }
}

/// Joins the hash of one more part to that of the parts before it.
#[inline]
fn combine(hash: u32, part: u32) -> u32 {
    hash.wrapping_mul(31).wrapping_add(part)
}

#[cold]
fn reentered() -> ! {
    Report::error(
        errors::LIMIT_EXCEEDED,
        format_args!("a function in a guard's key or predicate writes to the guarded table"),
    )
    .detail(format_args!("It is marked IMMUTABLE, and was called again before it had returned."))
    .hint(format_args!("A function in a key must do nothing but compute a value."))
    .throw()
}

/// An integer column of the row a slot holds.
pub fn slot_integer(
    slot: *mut pg_sys::TupleTableSlot,
    column: super::relation::Column,
) -> Option<i64> {
    let mut null = false;
    // SAFETY: the slot holds a row of the table the column belongs to.
    let value = unsafe { slot_value(slot, column.attno, &mut null) };
    (!null).then(|| super::cap_index::read_integer(value, column.type_oid))
}

impl KeyPart {
    fn new(
        attno: i16,
        (expression, tree): Expression,
        type_oid: Oid,
        typmod: i32,
        collation: Oid,
    ) -> KeyPart {
        // SAFETY: looks into the catalog.
        let by_value = unsafe { get_typbyval(type_oid) };
        let hash = hash_function(type_oid);
        KeyPart { attno, expression, tree, type_oid, typmod, collation, by_value, hash }
    }

    /// A value of an integer part as a number; `None` for other types.
    #[inline]
    pub fn integer(&self, value: Datum) -> Option<i64> {
        match self.type_oid {
            pg_sys::INT2OID => Some(value.value() as i16 as i64),
            pg_sys::INT4OID => Some(value.value() as i32 as i64),
            pg_sys::INT8OID => Some(value.value() as i64),
            _ => None,
        }
    }

    /// Whether the part is smallint, integer or bigint.
    pub fn is_integer(&self) -> bool {
        self.integer(Datum::null()).is_some()
    }

    /// # Safety
    /// `value` is not NULL and of the part's type.
    #[inline]
    unsafe fn hash(&self, value: Datum) -> u32 {
        match self.hash {
            // SAFETY: promised by the caller.
            Hash::Function(function) => unsafe {
                FunctionCall1Coll(function, self.collation, value).value() as u32
            },
            Hash::Label => {
                let label = display(value, self.type_oid);
                let bytes = label.as_str().as_bytes();
                // SAFETY: reads the bytes of the label.
                unsafe { hash_bytes(bytes.as_ptr(), bytes.len() as c_int) }
            }
            Hash::None => 0,
        }
    }

    /// The type as SQL writes it.
    pub fn type_name(&self) -> PgText {
        type_name(self.type_oid)
    }
}

/// `slot_getattr`.
///
/// # Safety
/// `slot` holds a row that has column `attno`.
#[inline]
pub unsafe fn slot_value(slot: *mut pg_sys::TupleTableSlot, attno: i16, null: &mut bool) -> Datum {
    // SAFETY: promised by the caller; slot_getsomeattrs_int fills the arrays up to `attno`.
    unsafe {
        if (*slot).tts_nvalid < attno {
            raw::slot_getsomeattrs_int(slot, attno as c_int);
        }
        let i = (attno - 1) as usize;
        *null = *(*slot).tts_isnull.add(i);
        *(*slot).tts_values.add(i)
    }
}

/// 42883: a type without a hash function in a key that has to be hashed.
pub fn no_hash_function(part: &KeyPart) -> Report {
    Report::error(
        errors::UNDEFINED_FUNCTION,
        format_args!("type {} of the key has no hash function", part.type_name()),
    )
    .detail(format_args!("A key lock is identified by the hash of the key."))
    .hint(format_args!("Cast the expression to a hashable type, for example (\"column\"::text)."))
}
