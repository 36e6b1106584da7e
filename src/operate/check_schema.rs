//! The schema of the extension: it holds nothing but raceguard, and nobody else may put anything there.
//!
//! Calls are resolved by name and argument types, so a function `raceguard.lock_key(regclass, int)` that
//! somebody put into the schema fits `raceguard.lock_key('t', 1)` better than raceguard's own, and runs
//! with the rights of whoever calls. CREATE EXTENSION takes a schema that is there as it is. The script
//! therefore begins with this look at it, and so does that of an update.

use crate::errors;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::spi::{connected, pinned_search_path, run};

function_entry!(raceguard_check_schema, crate::operate::check_schema::check_schema);

/// `check_schema()`, which the scripts create, call and drop: 55000 if the schema holds anything that
/// is not the extension's, 42501 if anybody but the extension's or the database's owner may create
/// something there.
fn check_schema(_call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            refuse_strangers()?;
            refuse_objects()
        })
    })?;
    Ok(Value::Void)
}

/// Who may do as the extension's owner, who gave the order, or the database's does, is no stranger:
/// a trusted extension's schema belongs to the database's owner, also where a superuser restores it.
fn refuse_strangers() -> Result<(), Report> {
    let rows = run(
        "WITH allowed(role, owns) AS ( \
           SELECT n.nspowner, true FROM pg_namespace n WHERE n.nspname = 'raceguard' \
           UNION ALL SELECT a.grantee, false FROM pg_namespace n, aclexplode(n.nspacl) a \
           WHERE n.nspname = 'raceguard' AND a.privilege_type = 'CREATE') \
         SELECT CASE WHEN r.role = 0 THEN 'PUBLIC' ELSE r.role::regrole::text END, r.owns \
         FROM allowed r, pg_extension e, pg_database d \
         WHERE e.extname = 'raceguard' AND d.datname = current_database() \
           AND (r.role = 0 OR NOT (pg_has_role(r.role, e.extowner, 'USAGE') \
                                   OR pg_has_role(r.role, d.datdba, 'USAGE'))) \
         ORDER BY r.owns DESC, 1 LIMIT 1",
        &[],
    )?;
    let Some(row) = rows.first() else { return Ok(()) };
    let role: &str = row.get(0)?;
    let report = match row.get(1)? {
        true => Report::error(
            errors::INSUFFICIENT_PRIVILEGE,
            format_args!("schema \"raceguard\" belongs to somebody else"),
        )
        .detail(format_args!(
            "Its owner, {role}, could put functions there that run in place of raceguard's."
        ))
        .hint(format_args!(
            "Drop the schema, or give it to the role that creates the extension: ALTER SCHEMA raceguard OWNER TO CURRENT_USER."
        )),
        false => Report::error(
            errors::INSUFFICIENT_PRIVILEGE,
            format_args!("{role} may create objects in schema \"raceguard\""),
        )
        .detail(format_args!("Functions put there could run in place of raceguard's."))
        .hint(format_args!("REVOKE CREATE ON SCHEMA raceguard FROM {role}.")),
    };
    Err(report)
}

/// Whatever lies in a schema depends on it. So do extensions, and views that name it, which need not lie there.
/// A function for an event trigger, as `auto_guard` makes, is none that a call could run by mistake.
fn refuse_objects() -> Result<(), Report> {
    let rows = run(
        "SELECT string_agg(o.name, ', ' ORDER BY o.name), max(o.n) - count(*) FROM ( \
           SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS name, count(*) OVER () AS n \
           FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) AS i \
           WHERE i.schema = 'raceguard' AND d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'raceguard'::regnamespace \
             AND d.deptype = 'n' \
             AND NOT EXISTS (SELECT FROM pg_proc p WHERE d.classid = 'pg_proc'::regclass AND p.oid = d.objid \
                               AND p.prorettype = 'event_trigger'::regtype) \
             AND NOT EXISTS (SELECT FROM pg_depend m JOIN pg_extension e ON e.oid = m.refobjid \
                             WHERE m.classid = d.classid AND m.objid = d.objid AND m.deptype = 'e' \
                               AND m.refclassid = 'pg_extension'::regclass AND e.extname = 'raceguard') \
           ORDER BY 1 LIMIT 5) AS o",
        &[],
    )?;
    let Some(row) = rows.first() else { return Ok(()) };
    let Some(objects) = row.get::<Option<&str>>(0)? else { return Ok(()) };
    let more = match row.get::<i64>(1)? {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Err(Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("schema \"raceguard\" holds objects that are not raceguard's"),
    )
    .detail(format_args!(
        "They are: {objects}{more}. Calls could run them in place of raceguard's."
    ))
    .hint(format_args!("Look who made them, and drop them or move them to another schema.")))
}
