//! A table as a guard sees it: names, columns, primary key.

use super::error::{catch, Report};
use super::key_bytes::Shape;
use super::raw;
use super::text::{cstr, display, quote_ident, quote_literal, PgText};
use super::tuple::Row;
use core::ffi::c_char;
use core::fmt::Write;
use pgrx::pg_sys::{self, Oid};

/// An open, locked relation. `Copy`: it points at Postgres's relation cache.
#[derive(Clone, Copy)]
pub struct Table(pg_sys::Relation);

/// One column of a table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Column {
    pub attno: i16,
    pub type_oid: Oid,
    pub typmod: i32,
    pub collation: Oid,
    pub length: i16,
    pub by_value: bool,
    pub not_null: bool,
    pub generated: bool,
}

impl Table {
    /// # Safety
    /// `relation` is open and stays so while the value is used.
    #[inline]
    pub unsafe fn from_raw(relation: pg_sys::Relation) -> Table {
        Table(relation)
    }

    #[inline]
    pub fn as_raw(self) -> pg_sys::Relation {
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
        let schema = unsafe { cstr(raw::get_namespace_name((*(*self.0).rd_rel).relnamespace)) };
        PgText::from_fmt(format_args!("{}.{}", quote_ident(schema), quote_ident(self.name())))
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
                not_null: attr.attnotnull,
                generated: attr.attgenerated != 0,
            })
        }
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
        let attno = unsafe { raw::get_attnum(self.oid(), text.into_raw()) };
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
        // SAFETY: the index list and index are closed again; the key of a primary key consists of
        // plain columns, of which there are at most INDEX_MAX_KEYS.
        unsafe {
            raw::list_free(raw::RelationGetIndexList(self.0));
            let index_oid = (*self.0).rd_pkindex;
            if index_oid == pg_sys::InvalidOid {
                return None;
            }
            let index = raw::index_open(index_oid, pg_sys::AccessShareLock as i32);
            let form = &*(*index).rd_index;
            let mut key = [0i16; pg_sys::INDEX_MAX_KEYS as usize];
            let count = form.indnkeyatts as usize;
            for (i, attno) in key.iter_mut().enumerate().take(count) {
                *attno = *form.indkey.values.as_ptr().add(i);
            }
            raw::index_close(index, pg_sys::AccessShareLock as i32);
            let key = &key[..count];
            self.shows(key).then(|| self.key_text(row, key))
        }
    }

    /// Whether the table lies on another server.
    pub fn is_foreign(self) -> bool {
        // SAFETY: the relation is open.
        unsafe { (*(*self.0).rd_rel).relkind as u8 == pg_sys::RELKIND_FOREIGN_TABLE }
    }

    /// Whether the table itself holds no rows, only its partitions do.
    pub fn is_partitioned(self) -> bool {
        // SAFETY: the relation is open.
        unsafe { (*(*self.0).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE }
    }

    /// The name of the topmost partitioned table, or of the table itself, as a SQL literal that a
    /// call can be given.
    pub fn root_literal(self) -> PgText {
        let root = self.root();
        // SAFETY: the names are looked up for an existing table.
        let (schema, name) = unsafe {
            let schema = raw::get_namespace_name(raw::get_rel_namespace(root));
            (quote_ident(cstr(schema)), quote_ident(cstr(raw::get_rel_name(root))))
        };
        quote_literal(PgText::from_fmt(format_args!("{schema}.{name}")).as_str())
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
                        unsafe { raw::get_attnum(root, name.into_raw()) }
                    }),
                ))
    }

    /// The topmost partitioned table above this one, or the table itself.
    pub fn root(self) -> Oid {
        // SAFETY: the ancestor list of a partition is never empty and ends with the root.
        unsafe {
            if !(*(*self.0).rd_rel).relispartition {
                return self.oid();
            }
            let ancestors = raw::get_partition_ancestors(self.oid());
            if ancestors.is_null() || (*ancestors).length == 0 {
                return self.oid();
            }
            (*(*ancestors).elements.add((*ancestors).length as usize - 1)).oid_value
        }
    }
}

fn readable(relid: Oid, mut attnos: impl Iterator<Item = i16>) -> bool {
    let select = pg_sys::ACL_SELECT as pg_sys::AclMode;
    let granted = pg_sys::AclResult::ACLCHECK_OK;
    // SAFETY: reads the catalogs of a table that is open, or the root of one.
    unsafe {
        let user = raw::GetUserId();
        let enabled = pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32;
        raw::check_enable_rls(relid, pg_sys::InvalidOid, true) != enabled
            && (raw::pg_class_aclcheck(relid, user, select) == granted
                || attnos.all(|a| raw::pg_attribute_aclcheck(relid, a, user, select) == granted))
    }
}

/// How the values of a column lie in memory.
///
/// # Safety
/// `attno` lies within the descriptor.
pub unsafe fn shape(desc: pg_sys::TupleDesc, attno: i16) -> Shape {
    // SAFETY: promised by the caller.
    let attr = unsafe { &*attribute(desc, attno) };
    Shape { length: attr.attlen, by_value: attr.attbyval }
}

#[cfg(not(feature = "pg18"))]
pub unsafe fn attribute(
    desc: pg_sys::TupleDesc,
    attno: i16,
) -> *const pg_sys::FormData_pg_attribute {
    // SAFETY: the caller checked the range.
    unsafe { (*desc).attrs.as_ptr().add((attno - 1) as usize) }
}

#[cfg(feature = "pg18")]
pub unsafe fn attribute(
    desc: pg_sys::TupleDesc,
    attno: i16,
) -> *const pg_sys::FormData_pg_attribute {
    // SAFETY: the full attributes follow the `natts` compact ones.
    unsafe {
        let compact = (*desc).compact_attrs.as_ptr().add((*desc).natts as usize);
        (compact as *const pg_sys::FormData_pg_attribute).add((attno - 1) as usize)
    }
}

extern "C-unwind" {
    fn get_func_name(function: Oid) -> *mut c_char;
    fn get_func_namespace(function: Oid) -> Oid;
}

/// Whether an OID names a relation. A plain frame.
pub fn exists(relid: Oid) -> bool {
    // SAFETY: a syscache look-up that answers NULL for an OID that names none.
    unsafe { !raw::get_rel_name(relid).is_null() }
}

impl Table {
    /// The type of the table's rows.
    pub fn row_type(self) -> Oid {
        // SAFETY: the relation is open.
        unsafe { (*(*self.0).rd_rel).reltype }
    }

    /// The arguments of the first trigger that executes `raceguard.function`, and whether it fires in
    /// an ordinary session.
    pub fn guard_trigger(self, function: &str) -> Result<Option<(Vec<String>, bool)>, Report> {
        let relation = self.0;
        // SAFETY: the relation is open and locked; the look-ups below may make Postgres free its
        // own trigger descriptor and read it anew, so they go over a copy.
        unsafe {
            let descriptor = catch(|| raw::CopyTriggerDesc((*relation).trigdesc))?;
            if descriptor.is_null() {
                return Ok(None);
            }
            for i in 0..(*descriptor).numtriggers as usize {
                let trigger = &*(*descriptor).triggers.add(i);
                let id = trigger.tgfoid;
                let ours = catch(|| {
                    cstr(get_func_name(id)) == function
                        && cstr(raw::get_namespace_name(get_func_namespace(id))) == "raceguard"
                })?;
                if ours {
                    let argument = |n: usize| cstr(*trigger.tgargs.add(n)).to_owned();
                    let fires = matches!(trigger.tgenabled as u8, b'O' | b'A');
                    let arguments = (0..trigger.tgnargs as usize).map(argument).collect();
                    return Ok(Some((arguments, fires)));
                }
            }
        }
        Ok(None)
    }
}
