//! Whether an extension keeps a table's rows in other tables: on other servers (Citus), or in chunks of time
//! (TimescaleDB).
//!
//! A guard fires where the rows are, and what it decides by has to be there too. So each rule is built for the place that
//! its table has, and what would not hold in that place is refused ([`crate::guard::spread`]).
//!
//! **What an answer depends on.** The rows of the extension's catalogs that name the table. Whoever keeps an answer keeps it
//! in a rule or a description of the table, which goes with its relcache entry: both extensions rebuild the table, or
//! invalidate it, when they distribute it. Where neither extension is there, a look is a few look-ups in
//! Postgres's caches of what is not there.

use super::extension_catalog::{CatalogRow, Having, OwnedTable};
use super::ffi;
use super::shard_name;
use crate::pg::base::text::{cstr, PgText};
use crate::pg::table::relation::name_of;
use core::ffi::{c_char, CStr};
use pgrx::pg_sys::Oid;

/// How the rows of a table are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// Each lies in the shard of its value in this column of the logical table.
    By(i16),
    /// Each lies in some shard.
    Anywhere,
    /// All lie on every node.
    Reference,
    /// All lie in one shard.
    Single,
    /// Each lies in the chunk of its time.
    Chunks,
}

/// The place of a table whose rows an extension spreads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location {
    /// The table that clients name.
    pub logical: Oid,
    pub spread: Spread,
    /// Whether it holds rows itself, as one of the pieces of the logical table.
    pub is_piece: bool,
    /// The number of the shard that it is.
    shard: Option<i64>,
}

impl Location {
    /// That of a table whose rows lie in itself.
    pub fn of_itself(table: Oid) -> Location {
        Location { logical: table, spread: Spread::Single, is_piece: true, shard: None }
    }

    /// The table that clients name, whose rows lie elsewhere.
    pub fn is_shell(&self) -> bool {
        !self.is_piece && self.spread != Spread::Chunks
    }

    /// Whether its rows lie in tables that inherit from it.
    pub fn is_divided(&self) -> bool {
        !self.is_piece && self.spread == Spread::Chunks
    }

    /// Whether Citus spreads the rows.
    pub fn is_on_nodes(&self) -> bool {
        self.spread != Spread::Chunks
    }

    /// The name on the table that clients name of what belongs to this one, a trigger for example: without the number
    /// of the shard.
    pub fn logical_name<'n>(&self, name: &'n str) -> &'n str {
        let is_own = |shard: &i64| shard_name::number(name) == Some(*shard);
        let bare = || name.rsplit_once('_').map(|(logical, _)| logical);
        self.shard.filter(is_own).and_then(|_| bare()).unwrap_or(name)
    }

    /// Whether two names, the first on this table and the second on the one that clients name, are of the same.
    pub fn is_same(&self, name: &str, logical: &str) -> bool {
        match self.shard {
            Some(shard) => shard_name::is(name, logical, shard),
            None => name == logical,
        }
    }

    /// The name of the column by which the rows are spread. Plain frames.
    pub fn column(&self) -> Option<PgText> {
        let Spread::By(attno) = self.spread else { return None };
        // SAFETY: a catalog look-up that answers NULL for what is not there.
        let name = unsafe { ffi::get_attname(self.logical, attno, true) };
        // SAFETY: not NULL, so a name.
        (!name.is_null()).then(|| PgText::from_fmt(format_args!("{}", unsafe { cstr(name) })))
    }
}

/// The place of a table; `None` where no extension spreads its rows. Plain frames.
pub fn of(table: Oid) -> Option<Location> {
    let on_nodes = |logical, shard: Option<i64>| {
        let is_piece = shard.is_some();
        spread_on_nodes(logical).map(|spread| Location { logical, spread, is_piece, shard })
    };
    let in_shard = || shard_of(table).and_then(|(logical, shard)| on_nodes(logical, Some(shard)));
    on_nodes(table, None).or_else(in_shard).or_else(|| in_chunks(table))
}

/// The place of a shard or chunk, for what it calls its own; that of a table of which Citus may be making a shard is the same
/// as far as names go. Plain frames.
pub fn piece(table: Oid) -> Option<Location> {
    if let Some(place) = of(table) {
        return Some(place).filter(|place| place.is_piece);
    }
    let shard = shard_name::number(name_of(table).as_str()).filter(|_| may_become_shard(table))?;
    Some(Location { shard: Some(shard), ..Location::of_itself(table) })
}

/// Whether Citus may be making a shard of a table: it has the name of one, and is not known as one. Plain frames.
pub fn may_become_shard(table: Oid) -> bool {
    OwnedTable::find(c"citus", c"pg_catalog", c"pg_dist_shard").is_some()
        && shard_name::number(name_of(table).as_str()).is_some()
        && of(table).is_none()
}

/// The table that clients name: that of a shard or chunk, or else the table itself. Plain frames.
pub fn logical(table: Oid) -> Oid {
    of(table).map_or(table, |place| place.logical)
}

/// Whether an extension that spreads rows is there. Plain frames.
pub fn may_spread() -> bool {
    has_nodes() || hypertables().is_some()
}

/// Whether the database has tables of Citus's. Plain frames.
pub fn has_nodes() -> bool {
    OwnedTable::find(c"citus", c"pg_catalog", c"pg_dist_partition").is_some()
}

/// Whether a setting of another extension is off; false where there is no such setting. Plain frames.
pub fn is_off(setting: &CStr) -> bool {
    // SAFETY: NULL for a setting that is not there, else a text that lasts until the next call.
    let value: *const c_char = unsafe { ffi::GetConfigOption(setting.as_ptr(), true, false) };
    // SAFETY: as above.
    unsafe { cstr(value) == "off" }
}

/// How Citus spreads the rows of a table that clients name.
fn spread_on_nodes(table: Oid) -> Option<Spread> {
    let tables = OwnedTable::find(c"citus", c"pg_catalog", c"pg_dist_partition")?;
    tables.row(
        &[Having::Oid("logicalrelid", table)],
        Some(c"pg_dist_partition_logical_relid_index"),
        spread_of,
    )
}

/// `partmethod` is h (by hash), r (by range), a (append) or n (not by a column); `repmodel` t is a copy on every node.
fn spread_of(row: CatalogRow) -> Spread {
    match (row.sign("partmethod"), row.sign("repmodel")) {
        (Some('n'), Some('t')) => Spread::Reference,
        (Some('n'), _) => Spread::Single,
        (Some('h' | 'r'), _) => {
            let key = row.text("partkey");
            key.and_then(|key| attno_of(key.as_str())).map_or(Spread::Anywhere, Spread::By)
        }
        _ => Spread::Anywhere,
    }
}

/// The number of the column in a node that is a variable: `{VAR :varno 1 :varattno 2 ...}`.
fn attno_of(node: &str) -> Option<i16> {
    let (_, rest) = node.strip_prefix("{VAR ")?.split_once(":varattno ")?;
    rest.split(' ').next()?.parse().ok().filter(|attno| *attno > 0)
}

/// The table of which a table is a shard of Citus's, and the shard's number: its name ends in the number of one of that table's shards.
fn shard_of(table: Oid) -> Option<(Oid, i64)> {
    let shards = OwnedTable::find(c"citus", c"pg_catalog", c"pg_dist_shard")?;
    let name = name_of(table);
    let shard = shard_name::number(name.as_str())?;
    let logical = shards.row(
        &[Having::Bigint("shardid", shard)],
        Some(c"pg_dist_shard_shardid_index"),
        |row| row.oid("logicalrelid"),
    )??;
    // SAFETY: catalog look-ups that answer 0 for what is not there.
    let same_schema = unsafe { ffi::get_rel_namespace(table) == ffi::get_rel_namespace(logical) };
    let is_named_after = shard_name::is(name.as_str(), name_of(logical).as_str(), shard);
    (same_schema && is_named_after).then_some((logical, shard))
}

/// TimescaleDB's own list of them.
fn hypertables() -> Option<OwnedTable> {
    OwnedTable::find(c"timescaledb", c"_timescaledb_catalog", c"hypertable")
}

/// The place of a hypertable, or of a chunk of one.
fn in_chunks(table: Oid) -> Option<Location> {
    let hypertables = hypertables()?;
    let is_hypertable = |table: Oid| {
        // SAFETY: catalog look-ups; the name of an existing table's schema.
        let schema = unsafe { cstr(ffi::get_namespace_name(ffi::get_rel_namespace(table))) };
        let name = name_of(table);
        let wanted =
            [Having::Name("schema_name", schema), Having::Name("table_name", name.as_str())];
        hypertables.row(&wanted, None, |_| ()).is_some()
    };
    let place =
        |logical, is_piece| Location { logical, spread: Spread::Chunks, is_piece, shard: None };
    if is_hypertable(table) {
        return Some(place(table, false));
    }
    parent_of(table).filter(|parent| is_hypertable(*parent)).map(|parent| place(parent, true))
}

/// The table from which a table inherits, if it is one.
fn parent_of(table: Oid) -> Option<Oid> {
    let inherits = OwnedTable::inheritance();
    let index = Some(c"pg_inherits_relid_seqno_index");
    inherits.row(&[Having::Oid("inhrelid", table)], index, |row| row.oid("inhparent"))?
}

#[cfg(test)]
mod tests {
    use super::attno_of;

    #[test]
    fn a_variable_tells_its_column() {
        let node =
            "{VAR :varno 1 :varattno 12 :vartype 20 :vartypmod -1 :varcollid 0 :varlevelsup 0}";
        assert_eq!(attno_of(node), Some(12));
        let newer =
            "{VAR :varno 1 :varattno 3 :vartype 20 :vartypmod -1 :varnullingrels (b) :location -1}";
        assert_eq!(attno_of(newer), Some(3));
        for other in [
            "",
            "{VAR }",
            "{CONST :consttype 23}",
            "{VAR :varno 1 :varattno 0 :vartype 20}",
            "{VAR :varattno x }",
        ] {
            assert_eq!(attno_of(other), None, "{other}");
        }
    }
}
