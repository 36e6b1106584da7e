//! What concerns every guard of the database: sessions that skip them, versions, the extension's owner.

use crate::guard::arguments::literal;
use crate::guard::finding::Finding;
use crate::guard::kind::Inspected;
use crate::pg::error::Report;
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use serde_json::json;

pub fn findings(guards: &[Inspected]) -> Result<Vec<Finding>, Report> {
    let mut findings = versions()?;
    if !guards.is_empty() {
        findings.extend(replica_roles()?);
        findings.extend(extension_owner(guards)?);
    }
    Ok(findings)
}

/// Roles and databases whose sessions run as a replica's, in which ordinary triggers do not fire.
fn replica_roles() -> Result<Vec<Finding>, Report> {
    let rows = run_kept(
        "SELECT CASE WHEN s.setrole = 0 THEN 'every session of this database' \
                     WHEN s.setdatabase = 0 THEN format('sessions of role %s', s.setrole::regrole) \
                     ELSE format('sessions of role %s in this database', s.setrole::regrole) END, \
                CASE WHEN s.setrole = 0 AND s.setdatabase = 0 THEN 'ALTER ROLE ALL RESET session_replication_role' \
                     WHEN s.setrole = 0 THEN format('ALTER DATABASE %I RESET session_replication_role', d.datname) \
                     WHEN s.setdatabase = 0 THEN format('ALTER ROLE %s RESET session_replication_role', s.setrole::regrole) \
                     ELSE format('ALTER ROLE %s IN DATABASE %I RESET session_replication_role', s.setrole::regrole, d.datname) END \
         FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase \
         WHERE (s.setdatabase = 0 OR d.datname = current_database()) \
           AND EXISTS (SELECT FROM unnest(s.setconfig) AS c WHERE lower(c) = 'session_replication_role=replica') \
         UNION ALL \
         SELECT 'every session of this server', \
                CASE WHEN sourcefile LIKE '%postgresql.auto.conf' THEN 'ALTER SYSTEM RESET session_replication_role' END \
         FROM pg_settings \
         WHERE name = 'session_replication_role' AND boot_val <> 'replica' AND reset_val = 'replica' \
           AND source IN ('configuration file', 'command line') \
         ORDER BY 1",
        &[],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let (who, reset): (&str, Option<String>) = (row.get(0)?, row.get(1)?);
        let rest = match reset.as_deref() {
            Some(reset) if reset.starts_with("ALTER SYSTEM") => {
                " After the remedy, have the server read its files again: SELECT pg_reload_conf()."
            }
            Some(_) => "",
            None => {
                " The configuration file or command line sets it: take it out there, and reload."
            }
        };
        let detail = format!(
            "session_replication_role is replica for {who}: ordinary triggers do not fire there, so their writes pass every guard but the CHECK and index of a cap.{rest}"
        );
        findings.push(Finding::error("replica_role", detail).remedy(reset));
    }
    Ok(findings)
}

/// Library and SQL of different versions.
fn versions() -> Result<Vec<Finding>, Report> {
    let library = env!("CARGO_PKG_VERSION");
    let rows = run_kept(
        "SELECT e.extversion, EXISTS (SELECT FROM pg_extension_update_paths('raceguard') u \
                                      WHERE u.source = e.extversion AND u.target = $1 AND u.path IS NOT NULL) \
         FROM pg_extension e WHERE e.extname = 'raceguard' AND e.extversion <> $1",
        &[Param::Text(library)],
    )?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let (installed, path): (&str, bool) = (row.get(0)?, row.get(1)?);
    let detail = format!(
        "The library is version {library}, the SQL of this database {installed}: what is new in one is not there in the other."
    );
    let update = path.then(|| format!("ALTER EXTENSION raceguard UPDATE TO {}", literal(library)));
    Ok(vec![match update {
        Some(update) => Finding::warning("version_mismatch", detail).remedy(update),
        None => Finding::warning(
            "version_mismatch",
            format!("{detail} Install the library of the SQL's version, and reconnect."),
        ),
    }])
}

/// DROP OWNED BY the extension's owner takes the extension, and with it the guards of all other roles.
fn extension_owner(guards: &[Inspected]) -> Result<Option<Finding>, Report> {
    let tables: Vec<u32> = guards.iter().map(|guard| guard.guard.table.to_u32()).collect();
    let rows = run_kept(
        "SELECT r.rolname, o.n FROM pg_extension e JOIN pg_roles r ON r.oid = e.extowner \
              JOIN pg_database d ON d.datname = current_database(), \
              LATERAL (SELECT count(*) FROM pg_class c WHERE c.relowner <> e.extowner \
                       AND c.oid IN (SELECT value::oid FROM jsonb_array_elements_text($1::jsonb))) AS o(n) \
         WHERE e.extname = 'raceguard' AND NOT r.rolsuper AND d.datdba <> r.oid AND o.n > 0",
        &[Param::Text(&json!(tables).to_string())],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (owner, count): (&str, i64) = (row.get(0)?, row.get(1)?);
    let detail = format!(
        "The extension belongs to role \"{owner}\", which is neither a superuser nor the owner of the database. DROP OWNED BY that role would take the guards of other roles' tables along: {count}. Give the role's objects to the database's owner with REASSIGN OWNED, or keep the role."
    );
    Ok(Some(Finding::warning("extension_owner", detail)))
}
