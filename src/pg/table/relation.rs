//! A table as a guard sees it: names, columns, primary key.

use super::ffi;
use crate::pg::base::error::Report;
use crate::pg::base::memory::{here, Buffer, Memory};
use crate::pg::base::sqlstate;
use crate::pg::base::text::{cstr, display, quote_ident, quote_literal, PgText};
use crate::pg::data::column::{attribute, Column, VIRTUAL};
use crate::pg::data::tuple::Row;
use crate::pg::session::owner::row_security_binds;
use core::fmt::Write;
use core::marker::PhantomData;
use pgrx::pg_sys::{self, Oid};

/// A relation that is open and locked while `'t` lasts. `Copy`: it points at Postgres's relation cache.
#[derive(Clone, Copy)]
pub struct Table<'t>(pg_sys::Relation, PhantomData<&'t ()>);

impl<'t> Table<'t> {
    /// # Safety
    /// `relation` is open and stays so while `'t` lasts.
    #[inline]
    pub unsafe fn from_raw(relation: pg_sys::Relation) -> Table<'t> {
        Table(relation, PhantomData)
    }

    #[inline]
    pub(in crate::pg) fn as_raw(self) -> pg_sys::Relation {
        self.0
    }

    #[inline]
    pub fn oid(self) -> Oid {
        // SAFETY: the relation is open.
        unsafe { (*self.0).rd_id }
    }

    pub fn name(&self) -> &str {
        // SAFETY: the relation is open; its name is NUL-terminated.
        unsafe { cstr((*(*self.0).rd_rel).relname.data.as_ptr()) }
    }

    /// `schema.table`, each quoted where it has to be.
    pub fn qualified_name(self) -> PgText {
        // SAFETY: the namespace of an open relation exists.
        let schema = unsafe { cstr(ffi::get_namespace_name((*(*self.0).rd_rel).relnamespace)) };
        PgText::from_fmt(format_args!("{}.{}", quote_ident(schema), quote_ident(self.name())))
    }

    /// What stands after FROM and UPDATE for the rows that its guards rule: those of its partitions too, but
    /// not those of tables that inherit from it.
    pub fn rows(self) -> PgText {
        PgText::from_fmt(format_args!("{}{}", only(self.is_partitioned()), self.qualified_name()))
    }

    pub fn owner(self) -> Oid {
        // SAFETY: the relation is open.
        unsafe { (*(*self.0).rd_rel).relowner }
    }

    /// The number of columns, dropped ones included.
    pub fn column_count(self) -> i16 {
        // SAFETY: the relation is open.
        unsafe { (*(*self.0).rd_att).natts as i16 }
    }

    /// A column by number; `None` where it was dropped.
    pub fn column(self, attno: i16) -> Option<Column> {
        if attno < 1 || attno > self.column_count() {
            return None;
        }
        // SAFETY: `attno` lies within the descriptor.
        unsafe {
            let attr = &*attribute((*self.0).rd_att, attno);
            (!attr.attisdropped).then_some(Column {
                attno,
                type_oid: attr.atttypid,
                typmod: attr.atttypmod,
                collation: attr.attcollation,
                length: attr.attlen,
                by_value: attr.attbyval,
                generated: attr.attgenerated != 0,
                is_virtual: attr.attgenerated as u8 == VIRTUAL,
            })
        }
    }

    /// Whether an UPDATE may set a column to a value: not one that is generated, always an identity,
    /// or dropped.
    pub fn is_writable(self, attno: i16) -> bool {
        // SAFETY: `column` answers only for a number within the descriptor.
        self.column(attno).is_some_and(|column| unsafe {
            !column.generated && (*attribute((*self.0).rd_att, attno)).attidentity as u8 != b'a'
        })
    }

    /// Length and alignment of a column's values, which a dropped one still takes up in old rows.
    pub fn column_storage(self, attno: i16) -> (i16, usize) {
        // SAFETY: the caller counts up to column_count.
        let attr = unsafe { &*attribute((*self.0).rd_att, attno) };
        let align = match attr.attalign as u8 {
            b'd' => 8,
            b'i' => 4,
            b's' => 2,
            _ => 1,
        };
        (attr.attlen, align)
    }

    /// A column by name.
    pub fn column_named(self, name: &str) -> Option<Column> {
        let text = PgText::from_fmt(format_args!("{name}"));
        // SAFETY: get_attnum answers 0 for a name that is not there.
        let attno = unsafe { ffi::get_attnum(self.oid(), text.into_raw()) };
        self.column(attno)
    }

    /// A column's name; empty for a number out of range.
    pub fn column_name(&self, attno: i16) -> &str {
        if attno < 1 || attno > self.column_count() {
            return "";
        }
        // SAFETY: `attno` lies within the descriptor.
        unsafe { cstr((*attribute((*self.0).rd_att, attno)).attname.data.as_ptr()) }
    }

    /// The row's primary key as Postgres shows it in a unique violation, `(id)=(42)`; `None`
    /// without a primary key, or where the user may not [read](Table::shows) it.
    pub fn describe_key(self, row: Row) -> Option<PgText> {
        here(|memory| {
            let key = self.primary_key_attnos(memory)?;
            self.shows(key).then(|| self.key_text(row, key))
        })
    }

    /// The columns of the primary key, in the order of its key. Plain frames.
    pub fn primary_key<'m>(self, memory: Memory<'m>) -> &'m [Column] {
        let attnos = self.primary_key_attnos(memory).unwrap_or_default();
        let mut columns = Buffer::new(memory, attnos.len());
        for column in attnos.iter().filter_map(|attno| self.column(*attno)) {
            columns.push(column);
        }
        columns.into_slice()
    }

    fn primary_key_attnos<'m>(self, memory: Memory<'m>) -> Option<&'m [i16]> {
        // SAFETY: the index list and index are closed again; the key of a primary key consists of
        // plain columns.
        unsafe {
            ffi::list_free(ffi::RelationGetIndexList(self.0));
            let index_oid = (*self.0).rd_pkindex;
            if index_oid == pg_sys::InvalidOid {
                return None;
            }
            let index = ffi::index_open(index_oid, pg_sys::AccessShareLock as i32);
            let form = &*(*index).rd_index;
            let count = form.indnkeyatts as usize;
            let mut key = Buffer::new(memory, count);
            for i in 0..count {
                key.push(*form.indkey.values.as_ptr().add(i));
            }
            ffi::index_close(index, pg_sys::AccessShareLock as i32);
            Some(key.into_slice())
        }
    }

    /// Whether a foreign key may refer to a column: one of a unique index without expressions and predicate. Plain
    /// frames.
    pub fn is_referable(self, attno: i16) -> bool {
        let kind = pg_sys::IndexAttrBitmapKind::INDEX_ATTR_BITMAP_KEY;
        let member = i32::from(attno) - pg_sys::FirstLowInvalidHeapAttributeNumber;
        // SAFETY: the relation is open; the set is a copy in the current memory context.
        unsafe { ffi::bms_is_member(member, ffi::RelationGetIndexAttrBitmap(self.0, kind)) }
    }

    /// Whether the table lies on another server.
    pub fn is_foreign(self) -> bool {
        // SAFETY: the relation is open.
        unsafe { (*(*self.0).rd_rel).relkind as u8 == pg_sys::RELKIND_FOREIGN_TABLE }
    }

    /// Whether it is a view.
    pub fn is_view(self) -> bool {
        // SAFETY: the relation is open.
        unsafe { (*(*self.0).rd_rel).relkind as u8 == pg_sys::RELKIND_VIEW }
    }

    /// Whether the table itself holds no rows, only its partitions do.
    pub fn is_partitioned(self) -> bool {
        // SAFETY: the relation is open.
        unsafe { (*(*self.0).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE }
    }

    fn key_text(self, row: Row, key: &[i16]) -> PgText {
        let mut text = PgText::new();
        // Writing to a PgText cannot fail (see there).
        for (i, attno) in key.iter().enumerate() {
            let before = if i == 0 { "(" } else { ", " };
            let _ = write!(text, "{before}{}", quote_ident(self.column_name(*attno)));
        }
        for (i, attno) in key.iter().enumerate() {
            let before = if i == 0 { ")=(" } else { ", " };
            let _ = match (row.get(*attno), self.column(*attno)) {
                (Some(value), Some(column)) => {
                    write!(text, "{before}{}", display(value, column.type_oid))
                }
                _ => write!(text, "{before}null"),
            };
        }
        let _ = write!(text, ")");
        text
    }

    /// Whether the current user may see these columns of any row: SELECT on them and no row
    /// security in force, on this table or, for a partition, on the table it belongs to.
    pub fn shows(self, attnos: &[i16]) -> bool {
        let root = self.root();
        readable(self.oid(), attnos.iter().copied())
            || (root != self.oid()
                && readable(
                    root,
                    attnos.iter().map(|attno| {
                        let name = PgText::from_fmt(format_args!("{}", self.column_name(*attno)));
                        // SAFETY: get_attnum answers 0 for a name that is not there.
                        unsafe { ffi::get_attnum(root, name.into_raw()) }
                    }),
                ))
    }

    /// See [`root_of`].
    pub fn root(self) -> Oid {
        root_of(self.oid())
    }
}

/// The table of that name; an OID that names none where there is none.
pub fn named(schema: &str, name: &str) -> Oid {
    let text = |text: &str| PgText::from_fmt(format_args!("{text}")).into_raw();
    // SAFETY: both names end in a zero byte.
    unsafe { ffi::get_relname_relid(text(name), ffi::get_namespace_oid(text(schema), true)) }
}

/// The topmost partitioned table above a table, or the table itself.
pub fn root_of(table: Oid) -> Oid {
    // SAFETY: catalog look-ups; the ancestor list of a partition is never empty and ends with the root.
    unsafe {
        if !ffi::get_rel_relispartition(table) {
            return table;
        }
        let ancestors = ffi::get_partition_ancestors(table);
        if ancestors.is_null() || (*ancestors).length == 0 {
            return table;
        }
        (*(*ancestors).elements.add((*ancestors).length as usize - 1)).oid_value
    }
}

/// `schema.table` of an existing table, each quoted where it has to be.
pub fn qualified(table: Oid) -> PgText {
    // SAFETY: the names are looked up for an existing table.
    let (schema, name) = unsafe {
        let schema = ffi::get_namespace_name(ffi::get_rel_namespace(table));
        (quote_ident(cstr(schema)), quote_ident(cstr(ffi::get_rel_name(table))))
    };
    PgText::from_fmt(format_args!("{schema}.{name}"))
}

/// The same as a SQL literal that a call can be given.
pub fn literal_of(table: Oid) -> PgText {
    quote_literal(qualified(table).as_str())
}

/// A table's name; empty for an OID that names none.
pub fn name_of(table: Oid) -> PgText {
    // SAFETY: the look-up returns text or NULL.
    PgText::from_fmt(format_args!("{}", unsafe { cstr(ffi::get_rel_name(table)) }))
}

fn readable(relid: Oid, mut attnos: impl Iterator<Item = i16>) -> bool {
    let select = pg_sys::ACL_SELECT as pg_sys::AclMode;
    let granted = pg_sys::AclResult::ACLCHECK_OK;
    // SAFETY: reads the catalogs of a table that is open, or the root of one.
    unsafe {
        let user = ffi::GetUserId();
        !row_security_binds(pg_sys::InvalidOid, relid)
            && (ffi::pg_class_aclcheck(relid, user, select) == granted
                || attnos.all(|a| ffi::pg_attribute_aclcheck(relid, a, user, select) == granted))
    }
}

/// What stands before a table's name so that a statement is about the rows that its guards rule.
pub fn only(partitioned: bool) -> &'static str {
    match partitioned {
        true => "",
        false => "ONLY ",
    }
}

/// A column's number; `None` for a name that is not there, or is a system column's. Plain frames.
pub fn attno_of(table: Oid, column: &str) -> Option<i16> {
    let name = PgText::from_fmt(format_args!("{column}"));
    // SAFETY: get_attnum answers 0 for a name that is not there.
    let attno = unsafe { ffi::get_attnum(table, name.into_raw()) };
    (attno > 0).then_some(attno)
}

/// 42703; the caller says where the name stands. Plain frames or outside of them.
pub fn no_column(table: &str, oid: Oid, name: &str) -> Report {
    Report::error(
        sqlstate::UNDEFINED_COLUMN,
        format_args!("column \"{name}\" of table \"{table}\" does not exist"),
    )
    .table(oid)
    .column(name)
}

/// Whether an OID names a relation. A plain frame.
pub fn exists(relid: Oid) -> bool {
    // SAFETY: a syscache look-up that answers NULL for an OID that names none.
    unsafe { !ffi::get_rel_name(relid).is_null() }
}

impl Table<'_> {
    /// The type of the table's rows.
    pub fn row_type(self) -> Oid {
        // SAFETY: the relation is open.
        unsafe { (*(*self.0).rd_rel).reltype }
    }
}

impl Table<'_> {
    /// A number that differs after this session has deleted rows of the table: what Postgres counts for its statistics.
    /// Two may be equal by chance where it has handed the counts on meanwhile, and are where it does not count.
    pub fn deletions_of_session(self) -> i64 {
        // SAFETY: the counts of an open relation, and of the subtransactions that have written to it, innermost first.
        unsafe {
            let info = (*self.0).pgstat_info;
            if info.is_null() {
                return 0;
            }
            #[cfg(not(since_pg16))]
            let mut deleted = (*info).t_counts.t_tuples_deleted;
            #[cfg(since_pg16)]
            let mut deleted = (*info).counts.tuples_deleted;
            let mut level = (*info).trans;
            while !level.is_null() {
                deleted += (*level).tuples_deleted;
                level = (*level).upper;
            }
            deleted
        }
    }
}
