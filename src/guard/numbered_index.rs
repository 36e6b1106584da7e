//! The unique index (key..., number) of a guard as the catalog tells of it: its key and predicate are the
//! guard's.

use crate::errors;
use crate::guard::arguments::quote_if_needed;
use crate::guard::finding::Finding;
use crate::guard::key::{recanonical_key, recanonical_predicate};
use crate::guard::kind::Named;
use crate::guard::target::Target;
use crate::pg::error::{catch, Report};
use crate::pg::key::bare;
use crate::pg::memory::here;
use crate::pg::numbered_index::{self, IndexForm};
use crate::pg::open_table::open_table;
use crate::pg::owner::acting_as;
use crate::pg::relation::Table;
use crate::pg::spi::{one, pinned_text, run, Param};
use crate::pg::statement::run_kept;
use pgrx::pg_sys::Oid;

/// A unique index of one of the forms.
pub struct StandingIndex {
    pub oid: Oid,
    /// `schema.index`, quoted.
    pub qualified: String,
    /// With the collation of a column that has another one here than in the table.
    pub key: String,
    /// How many columns the key has.
    pub parts: usize,
    pub predicate: Option<String>,
    /// Whether it belongs to a constraint, a primary key for one.
    pub of_constraint: bool,
}

impl StandingIndex {
    /// Key and predicate as Postgres writes them today: as a guard that is asked for has them. Call it inside
    /// `pinned_search_path`.
    pub fn canonical(&self, table: Oid) -> Result<(String, Option<String>), Report> {
        let predicate = self.predicate.as_deref().map(|p| recanonical_predicate(table, p));
        Ok((recanonical_key(table, &self.key)?, predicate.transpose()?))
    }
}

/// The valid unique indexes of a form that end with a column.
pub fn indexes(table: Oid, column: &str, form: IndexForm) -> Result<Vec<StandingIndex>, Report> {
    let rows = pinned_text(|| {
        run_kept(
        "SELECT format('%I.%I', n.nspname, c.relname), \
                (SELECT string_agg(CASE WHEN o.oid IS NULL OR o.oid = coalesce(x.attcollation, 'pg_catalog.default'::regcollation) THEN d \
                                   ELSE format('(%s COLLATE %I.%I)', d, s.nspname, o.collname) END, ', ' ORDER BY k) \
                 FROM generate_series(1, i.indnkeyatts - 1) k CROSS JOIN LATERAL pg_get_indexdef(i.indexrelid, k, false) d \
                      LEFT JOIN pg_attribute x ON x.attrelid = i.indrelid AND x.attnum = i.indkey[k - 1] AND x.attnum > 0 \
                      LEFT JOIN pg_collation o ON o.oid = i.indcollation[k - 1] \
                      LEFT JOIN pg_namespace s ON s.oid = o.collnamespace), \
                pg_get_expr(i.indpred, i.indrelid, false), i.indnkeyatts - 1, i.indexrelid, \
                EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u')) \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
              JOIN pg_namespace n ON n.oid = c.relnamespace \
              JOIN pg_attribute a ON a.attrelid = i.indrelid \
                                 AND a.attnum = i.indkey[i.indnkeyatts - 1] \
         WHERE i.indrelid = $1 AND a.attname = $2::name AND i.indnkeyatts > 1 \
               AND i.indisunique AND i.indisvalid AND i.indimmediate AND (i.indpred IS NOT NULL) = ($3 = 1) \
               AND (i.indpred IS NOT NULL OR i.indoption[i.indnkeyatts - 1] & 1 = 0) \
               AND NOT i.indnullsnotdistinct \
         ORDER BY i.indexrelid",
        &[Param::Oid(table), Param::Text(column), Param::Int((form == IndexForm::Slots).into())],
    )
    })?;
    let own = format!("({} > 0)", pinned_text(|| quote_if_needed(column))?);
    let mut indexes = Vec::new();
    for row in rows {
        // One that is just being dropped says nothing any more.
        let Some(key) = row.get(1)? else { continue };
        let predicate = match (form, row.get(2)?) {
            (IndexForm::Numbers, _) => None,
            (IndexForm::Slots, None) => continue,
            (IndexForm::Slots, Some(stored)) => match without_number(stored, &own) {
                Some(predicate) => predicate,
                None => continue,
            },
        };
        let (oid, qualified, parts) = (row.get(4)?, row.get(0)?, row.get(3)?);
        let of_constraint = row.get(5)?;
        indexes.push(StandingIndex { oid, qualified, key, parts, predicate, of_constraint });
    }
    Ok(indexes)
}

/// The predicate of an index without its condition on the number, which stands first or last; `None`
/// where it has no such condition.
fn without_number(stored: &str, condition: &str) -> Option<Option<String>> {
    if stored == condition {
        return Some(None);
    }
    let all = bare(stored);
    let first = || all.strip_prefix(condition)?.strip_prefix(" AND ");
    let last = || all.strip_suffix(condition)?.strip_suffix(" AND ");
    Some(Some(bare(last().or_else(first)?).to_owned()))
}

/// Key and predicate of a guard under their names in its `add_*` call, given its trigger's arguments: they
/// stand in the index that ends with the column that the first one names.
pub fn in_the_index(
    table: Oid,
    arguments: &[String],
    form: IndexForm,
) -> Result<Vec<Named>, Report> {
    let Some(column) = arguments.first() else { return Ok(Vec::new()) };
    let Some(index) = indexes(table, column, form)?.into_iter().next() else {
        return Ok(Vec::new());
    };
    let predicate = index.predicate.map(|predicate| ("predicate", predicate));
    Ok(core::iter::once(("key", index.key)).chain(predicate).collect())
}

/// What an index of a guard that is asked for is.
pub struct WantedIndex<'a> {
    pub form: IndexForm,
    pub column: &'a str,
    pub key: &'a str,
    pub predicate: Option<&'a str>,
}

impl WantedIndex<'_> {
    /// The index that is so already, if the table has one.
    pub fn standing(&self, target: &Target) -> Result<Option<StandingIndex>, Report> {
        Ok(self.indexes(target.oid)?.into_iter().next())
    }

    /// The indexes that are so: one, and for a while its twin of REINDEX CONCURRENTLY.
    fn indexes(&self, table: Oid) -> Result<Vec<StandingIndex>, Report> {
        let mut own = Vec::new();
        for index in indexes(table, self.column, self.form)? {
            let (key, predicate) = index.canonical(table)?;
            if key == self.key && predicate.as_deref() == self.predicate {
                own.push(index);
            }
        }
        Ok(own)
    }

    /// 55000 if an index stands that the guard would take for its own beside the one that is: a copy
    /// made by CREATE TABLE ... LIKE, or an older guard's. On any table that the guard reaches.
    pub fn refuse_others(&self, target: &Target) -> Result<(), Report> {
        let rows = run(
            "SELECT relid::oid FROM pg_partition_tree($1) UNION SELECT $1",
            &[Param::Oid(target.oid)],
        )?;
        for row in rows {
            let table: Oid = row.get(0)?;
            let own = self.indexes(table)?;
            let open = open_table(table)?;
            let handle = open.table();
            // As the owner: to read an index's predicate is to evaluate what is constant in it.
            let rival = acting_as(handle.owner(), || {
                catch(|| {
                    let column = handle.column_named(self.column)?;
                    here(|memory| {
                        let formed =
                            numbered_index::candidates(handle, column.attno, self.form, memory);
                        let own = |oid: &Oid| own.iter().any(|index| index.oid == *oid);
                        formed.iter().copied().find(|oid| !own(oid))
                    })
                })
            })?;
            if let Some(rival) = rival {
                return Err(self.other(handle, rival)?);
            }
        }
        Ok(())
    }

    fn other(&self, table: Table, index: Oid) -> Result<Report, Report> {
        let definition: Option<String> = one("SELECT pg_get_indexdef($1)", &[Param::Oid(index)])?;
        let name: Option<String> = one("SELECT $1::regclass::text", &[Param::Oid(index)])?;
        let (name, guard, called) =
            (name.unwrap_or_default(), self.form.guard(), self.form.column());
        Ok(Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!(
                "index {name} of table \"{}\" could be taken for that of another {guard}",
                table.name()
            ),
        )
        .detail(format_args!(
            "It has the form of a {guard}'s index, with {called} \"{}\" and another key or predicate: {}.",
            self.column,
            definition.unwrap_or_default()
        ))
        .hint(format_args!(
            "Drop it, or give the new {guard} a column of its own with {} => '...'.",
            called.replace(' ', "_")
        ))
        .table(table.oid())
        .column(self.column))
    }
}

/// What is wrong with the index of a guard that names this column.
pub fn index_fault(table: Oid, column: &str, form: IndexForm) -> Result<Option<Finding>, Report> {
    let ended = indexes(table, column, form)?;
    let Some(first) = ended.first() else { return no_index(table, column, form).map(Some) };
    let other =
        |index: &&StandingIndex| index.key != first.key || index.predicate != first.predicate;
    Ok(ended.iter().find(other).map(|other| {
        Finding::error(
            "index_ambiguous",
            format!(
                "Indexes {} and {} both have the form of this {guard}'s, with different keys or predicates, so every row is refused. Drop the one that is not the {guard}'s.",
                first.qualified, other.qualified, guard = form.guard()
            ),
        )
    }))
}

fn no_index(table: Oid, column: &str, form: IndexForm) -> Result<Finding, Report> {
    let (guard, called) = (form.guard(), form.column());
    let rows = run(
        "SELECT i.indexrelid::regclass, \
                CASE c.relkind WHEN 'I' THEN \
                     replace(pg_get_indexdef(i.indexrelid), format(' ON ONLY %s ', i.indrelid::regclass), \
                             format(' ON %s ', i.indrelid::regclass)) END \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.indnkeyatts - 1] \
         WHERE i.indrelid = $1 AND a.attname = $2::name AND i.indisunique AND NOT i.indisvalid \
           AND (i.indpred IS NOT NULL) = ($3 = 1) ORDER BY 1 LIMIT 1",
        &[Param::Oid(table), Param::Text(column), Param::Int((form == IndexForm::Slots).into())],
    )?;
    let Some(row) = rows.first() else {
        let (predicate, call) = match form {
            IndexForm::Slots => (" and has it in its predicate", "add_cap"),
            IndexForm::Numbers => (", without a predicate", "add_number"),
        };
        return Ok(Finding::error(
            "index_missing",
            format!("No unique index ends with {called} \"{column}\"{predicate}, so every row is refused. The {guard}'s key went with its index: call raceguard.drop_guard, and raceguard.{call} with the key."),
        ));
    };
    let index: &str = row.get(0)?;
    if let Some(create) = row.get::<Option<&str>>(1)? {
        let detail = format!(
            "Index {index} of the {guard} is not valid: not every partition has its part. The remedy makes it anew while writers wait; to do it while they write, create it on the partitions that lack it, CONCURRENTLY, and attach it with ALTER INDEX {index} ATTACH PARTITION."
        );
        let anew = format!("DROP INDEX {index}; {create}");
        return Ok(Finding::error("index_invalid", detail).remedy(anew));
    }
    let detail = format!("Index {index} of the {guard} is not valid, so every row is refused.");
    Ok(Finding::error("index_invalid", detail).remedy(format!("REINDEX INDEX {index}")))
}

#[cfg(test)]
mod tests {
    use super::without_number;

    #[test]
    fn the_condition_on_the_number_is_no_part_of_the_predicate() {
        let rest = |stored| without_number(stored, "(slot > 0)");
        assert_eq!(rest("(slot > 0)"), Some(None));
        assert_eq!(rest("(a AND (slot > 0))"), Some(Some("a".to_owned())));
        assert_eq!(rest("((slot > 0) AND (a = 1))"), Some(Some("a = 1".to_owned())));
        assert_eq!(rest("(other > 0)"), None);
    }
}
