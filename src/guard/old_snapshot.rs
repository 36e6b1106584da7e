//! A transaction that keeps its first snapshot, and what has changed since. Calls that change guards read catalogs
//! and rows by ordinary statements, to which such a transaction shows the table as it was; Postgres's own DDL,
//! which does the rest, acts on what there is now.

use crate::errors;
use crate::pg::error::Report;
use crate::pg::result_row::ResultRow;
use crate::pg::snapshot;
use crate::pg::spi::{run, run_now, Param};
use pgrx::pg_sys::Oid;

/// 40001 if the table or one below it has other columns, triggers, constraints or indexes now than the transaction
/// sees.
pub fn refuse_old_table(table: Oid, name: &str) -> Result<(), Report> {
    const NOW: &str = "WITH RECURSIVE tree(oid) AS ( \
           SELECT $1 UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid) \
         SELECT string_agg(concat_ws(' ', x.kind, x.oid, x.n, x.version), ',' ORDER BY x.kind, x.oid, x.n) FROM ( \
           SELECT 'c', c.oid, 0, c.xmin FROM pg_class c JOIN tree ON c.oid = tree.oid \
           UNION ALL SELECT 'a', attrelid, attnum, a.xmin FROM pg_attribute a JOIN tree ON attrelid = tree.oid \
           UNION ALL SELECT 'd', adrelid, adnum, d.xmin FROM pg_attrdef d JOIN tree ON adrelid = tree.oid \
           UNION ALL SELECT 't', t.oid, 0, t.xmin FROM pg_trigger t JOIN tree ON tgrelid = tree.oid \
           UNION ALL SELECT 'k', k.oid, 0, k.xmin FROM pg_constraint k JOIN tree ON conrelid = tree.oid \
           UNION ALL SELECT 'i', indexrelid, 0, i.xmin FROM pg_index i JOIN tree ON indrelid = tree.oid) \
         AS x(kind, oid, n, version)";
    refuse_changed(NOW, &[Param::Oid(table)], || of_table(table, name))
}

/// 40001 if the table has other rows now than the transaction sees, all of which the current role has to see. `rows`
/// stands after FROM.
pub fn refuse_old_rows(table: Oid, name: &str, rows: &str) -> Result<(), Report> {
    let sql = format!(
        "SELECT concat_ws(' ', count(*), sum(hashtextextended(concat_ws(' ', tableoid, ctid, xmin), 0))) FROM {rows}"
    );
    refuse_changed(&sql, &[], || of_table(table, name))
}

/// 40001 if other tables have guards now than the transaction sees.
pub fn refuse_old_guards() -> Result<(), Report> {
    refuse_changed(
        "SELECT string_agg(concat_ws(' ', t.oid, t.xmin), ',' ORDER BY t.oid) FROM pg_trigger t \
         JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE n.nspname = 'raceguard'",
        &[],
        || {
            Report::error(
                errors::SERIALIZATION_FAILURE,
                format_args!("could not serialize access due to a concurrent change of guards"),
            )
        },
    )
}

fn of_table(table: Oid, name: &str) -> Report {
    Report::error(
        errors::SERIALIZATION_FAILURE,
        format_args!("could not serialize access due to a concurrent change of table \"{name}\""),
    )
    .table(table)
}

/// Compares what a query finds under the transaction's snapshot with what it finds now.
fn refuse_changed(
    sql: &str,
    params: &[Param],
    report: impl FnOnce() -> Report,
) -> Result<(), Report> {
    if !snapshot::is_kept() {
        return Ok(());
    }
    let (seen, now) = (run(sql, params)?, run_now(sql, params)?);
    let text = |row: &ResultRow| row.get::<Option<String>>(0);
    if seen.first().map(text).transpose()? == now.first().map(text).transpose()? {
        return Ok(());
    }
    Err(report()
        .detail(format_args!("The transaction's snapshot is older than the change."))
        .hint(format_args!("The transaction might succeed if retried.")))
}
