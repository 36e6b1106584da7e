//! Keys: columns and IMMUTABLE expressions of a row, written as in CREATE INDEX.
//!
//! Postgres's own parser reads the text, with `search_path` pinned to pg_catalog, so that a
//! session's settings can't change what a stored key means. `add_*` stores the text in the form
//! that Postgres deparses it to, every name qualified.

use super::ffi;
use super::relation::Table;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::memory::{here, Buffer, Memory};
use crate::pg::base::sqlstate;
use crate::pg::base::text::{display, type_name, PgText};
use crate::pg::data::row_slot::RowSlot;
use crate::pg::data::tuple::Row;
use crate::pg::session::advisory_lock::{subtransaction_number, transaction_number};
use core::ffi::c_int;
use core::fmt::Write;
use hash::{combine, Hash};
use parse::used_columns;
use pgrx::pg_sys::{self, Datum, Oid};

mod canonical;
mod deparse;
mod hash;
mod index;
mod parse;
mod runs;

pub use canonical::{recanonical, with_former_name};
pub use deparse::{bare, deparse_node};
pub use index::{
    columns_of_index, has_unfinished_unique_index, is_twin, is_twin_below, unique_indexes_of,
    PlainIndex,
};
pub use parse::{parse, understand, with_pinned_text};
pub use runs::Runs;

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
    /// What its expression runs.
    runs: Runs,
}

/// A compiled key. All of it lies in the memory context that it was compiled in.
#[derive(Clone, Copy)]
pub struct Key<'k> {
    pub parts: &'k [KeyPart],
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

/// How many columns a key has for [`Key::words`].
pub const FEW: usize = 4;

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

impl<'k> Key<'k> {
    /// # Safety
    /// The context was made in the memory, and what the parts point at lies there.
    unsafe fn new(
        parts: Buffer<'k, KeyPart>,
        context: *mut pg_sys::ExprContext,
        memory: Memory<'k>,
    ) -> Key<'k> {
        let parts = parts.into_slice();
        let mut busy = Buffer::new(memory, 1);
        busy.push((0, 0));
        let busy = busy.as_mut_slice().as_mut_ptr();
        Key { parts, context, busy, plain: parts.iter().all(|part| part.attno != 0) }
    }

    /// What is run to compute and to hash its values.
    pub fn runs(&self) -> Runs {
        let all = self.parts.iter().map(|part| part.runs.max(part.hash.runs()));
        all.max().unwrap_or(Runs::Nothing)
    }

    /// Whether this is a key of one boolean.
    pub fn is_condition(&self) -> bool {
        matches!(self.parts, [part] if part.type_oid == pg_sys::BOOLOID)
    }

    /// The value of a key of one boolean, NULL counted as false.
    #[inline]
    pub fn is_true(&self, row: RowSlot) -> bool {
        let values = self.values(row);
        !values.has_null() && values.as_slice().first().is_some_and(|v| v.value() as u8 != 0)
    }

    /// The value of a key of one boolean, NULL counted as true, as constraints do.
    #[inline]
    pub fn is_not_false(&self, row: RowSlot) -> bool {
        let values = self.values(row);
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
                let entry = ffi::lookup_type_cache(part.type_oid, 0);
                ffi::datum_image_eq(*a, *b, (*entry).typbyval, (*entry).typlen as c_int)
            }
        })
    }

    /// The key's values where they are a few machine words, equal ones of which are equal keys.
    #[inline]
    pub fn words(&self, key: &KeyValues) -> Option<[usize; FEW]> {
        let mut words = [0; FEW];
        if key.count > FEW || key.any_null || !self.parts.iter().all(|part| part.by_value) {
            return None;
        }
        for (word, value) in words.iter_mut().zip(key.as_slice()) {
            *word = value.value();
        }
        Some(words)
    }

    /// The key as an error names it, `("userId")=(42)`; `None` where the caller may not see it:
    /// without SELECT on its columns, or under row security.
    pub fn describe(&self, table: Table, text: &str, key: &KeyValues) -> Option<PgText> {
        if !here(|memory| table.shows(self.columns(memory))) {
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
    pub fn columns<'m>(&self, memory: Memory<'m>) -> &'m [i16] {
        let mut columns = Buffer::new(memory, self.parts.len());
        for part in self.parts {
            if part.attno != 0 {
                columns.push(part.attno);
                continue;
            }
            let mut used: *mut pg_sys::Bitmapset = core::ptr::null_mut();
            // SAFETY: the tree's variables are columns of the key's table.
            unsafe { ffi::pull_varattnos(part.tree, 1, &mut used) };
            // SAFETY: the set was made above.
            for attno in unsafe { used_columns(used) } {
                columns.push(attno);
            }
        }
        columns.into_slice()
    }

    /// Whether a column of that name is, by itself and under its own collation, a part of the key.
    pub fn has_column(&self, table: Table, name: &str) -> bool {
        self.parts.iter().any(|part| {
            table.column(part.attno).is_some_and(|column| column.collation == part.collation)
                && table.column_name(part.attno) == name
        })
    }

    /// The values of a key that is the same for every row: nothing but constants, none of them NULL.
    pub fn constant<'m>(&self, memory: Memory<'m>) -> Option<&'m [Datum]> {
        let mut values = Buffer::new(memory, self.parts.len());
        for part in self.parts {
            // SAFETY: the tag is checked before the node is read as a constant.
            unsafe {
                if part.attno != 0 || (*part.tree).type_ != pg_sys::NodeTag::T_Const {
                    return None;
                }
                let constant = &*(part.tree as *const pg_sys::Const);
                if constant.constisnull {
                    return None;
                }
                values.push(constant.constvalue);
            }
        }
        Some(values.into_slice())
    }

    /// The first part whose type has no hash function.
    pub fn unhashable(&self) -> Option<&KeyPart> {
        self.parts.iter().find(|part| part.hash == Hash::None)
    }

    /// The key's values in a row. Values of expressions live until the next call.
    #[inline]
    pub fn values(&self, row: RowSlot) -> KeyValues {
        self.refuse_reentry();
        // SAFETY: the memory holds values of earlier calls only.
        unsafe { ffi::MemoryContextReset((*self.context).ecxt_per_tuple_memory) };
        self.more_values(row)
    }

    /// Like [`Key::values`], leaving values that were read before in place.
    #[inline]
    pub fn more_values(&self, row: RowSlot) -> KeyValues {
        let mut key = KeyValues {
            values: [Datum::null(); MAX_PARTS],
            count: self.parts.len(),
            any_null: false,
        };
        self.refuse_reentry();
        // SAFETY: the row is one of the table the key was compiled for; the mark is the key's own.
        unsafe {
            if !self.plain {
                *self.busy = (transaction_number(), subtransaction_number());
            }
            for (part, value) in self.parts.iter().zip(key.values.iter_mut()) {
                let found = if part.attno != 0 {
                    row.get(part.attno)
                } else {
                    self.evaluate(part.expression, row)
                };
                match found {
                    Some(found) => *value = found,
                    None => key.any_null = true,
                }
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
                && ffi::SubTransactionIsActive(subtransaction)
        };
        if entered {
            reentered()
        }
    }

    unsafe fn evaluate(&self, expression: *mut pg_sys::ExprState, row: RowSlot) -> Option<Datum> {
        // SAFETY: ExecEvalExprSwitchContext: the expression was made by ExecInitExpr, its scan
        // tuple is the row.
        unsafe {
            (*self.context).ecxt_scantuple = row.as_raw();
            let caller = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = (*self.context).ecxt_per_tuple_memory;
            let mut null = true;
            let value = match (*expression).evalfunc {
                Some(function) => function(expression, self.context, &mut null),
                None => Datum::null(),
            };
            pg_sys::CurrentMemoryContext = caller;
            (!null).then_some(value)
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
    /// without a copy of them. A key of one column is hashed in line.
    #[inline]
    pub fn hash_row(&self, row: Row, in_slot: RowSlot) -> Option<u32> {
        match self.parts {
            // SAFETY: the value is one of the part's type.
            [part] if self.plain => Some(unsafe { part.hash(row.get(part.attno)?) }),
            _ => self.hash_parts(row, in_slot),
        }
    }

    #[inline(never)]
    fn hash_parts(&self, row: Row, in_slot: RowSlot) -> Option<u32> {
        if !self.plain {
            let values = self.values(in_slot);
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
        match self.parts {
            [part] if self.plain => part.is_same_word(old, new),
            _ => self.are_unchanged(old, new),
        }
    }

    #[inline(never)]
    fn are_unchanged(&self, old: Row, new: Row) -> bool {
        self.plain && self.parts.iter().all(|part| part.is_same_word(old, new))
    }

    /// The only part of the key as an integer, `None` if it is NULL or no integer.
    pub fn integer(&self, row: Row, in_slot: RowSlot) -> Option<i64> {
        let part = self.parts.first()?;
        if self.plain {
            return part.integer(row.get(part.attno)?);
        }
        let values = self.values(in_slot);
        part.integer(*values.as_slice().first().filter(|_| !values.has_null())?)
    }
}

#[cold]
fn reentered() -> ! {
    Report::error(
        sqlstate::LIMIT_EXCEEDED,
        format_args!("a function in a guard's key or predicate writes to the guarded table"),
    )
    .detail(format_args!("It is marked IMMUTABLE, and was called again before it had returned."))
    .hint(format_args!("A function in a key must do nothing but compute a value."))
    .throw()
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
        let by_value = unsafe { ffi::get_typbyval(type_oid) };
        let hash = Hash::of_type(type_oid);
        let runs = match attno {
            // SAFETY: a part that is no column has a tree.
            0 => unsafe { Runs::of_expression(tree) },
            _ => Runs::Nothing,
        };
        KeyPart { attno, expression, tree, type_oid, typmod, collation, by_value, hash, runs }
    }

    /// Whether the part is json or jsonb, or a domain over one. Calls Postgres, inside `catch`.
    pub fn is_json(&self) -> Result<bool, Report> {
        let type_oid = self.type_oid;
        // SAFETY: looks into the catalog.
        let base = catch(|| unsafe { ffi::getBaseType(type_oid) })?;
        Ok(matches!(base, pg_sys::JSONOID | pg_sys::JSONBOID))
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

    /// Whether a column's value is the same machine word in two rows.
    #[inline]
    fn is_same_word(&self, old: Row, new: Row) -> bool {
        self.by_value && old.get(self.attno) == new.get(self.attno)
    }

    /// # Safety
    /// `value` is not NULL and of the part's type.
    #[inline]
    unsafe fn hash(&self, value: Datum) -> u32 {
        // SAFETY: promised by the caller.
        unsafe { self.hash.value(value, self.type_oid, self.collation) }
    }

    /// The type as SQL writes it.
    pub fn type_name(&self) -> PgText {
        type_name(self.type_oid)
    }
}

/// 42883: a type without a hash function in a key that has to be hashed.
pub fn no_hash_function(part: &KeyPart) -> Report {
    Report::error(
        sqlstate::UNDEFINED_FUNCTION,
        format_args!("type {} of the key has no hash function", part.type_name()),
    )
    .detail(format_args!("A key lock is identified by the hash of the key."))
    .hint(format_args!("Cast the expression to a hashable type, for example (\"column\"::text)."))
}
