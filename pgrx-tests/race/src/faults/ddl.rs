//! What a DBA does to tables in use that no client may notice but by waiting, or by a refusal while a
//! trigger that a guard relies on is disabled.

use super::pause;
use crate::history::Reply;
use crate::language::Workload;
use crate::rng::Rng;
use crate::run::Shared;
use crate::session::Session;
use std::time::Duration;

/// `{t}` is a table, `{p}` its primary key's index, `{i}` an index of it.
///
/// Nothing here hides committed rows from an older snapshot, as an ALTER TABLE that rewrites the
/// table or TRUNCATE would: at REPEATABLE READ a client would then find its rows gone, guard or not.
const EACH: &[&str] = &[
    "VACUUM FULL {t}",
    "CLUSTER {t} USING {p}",
    "REINDEX TABLE CONCURRENTLY {t}",
    "REINDEX INDEX CONCURRENTLY {i}",
    "ANALYZE {t}",
    "VACUUM {t}",
];

/// For tables that are no partitions: those take their columns from the root.
const COLUMNS: &[&str] = &[
    "ALTER TABLE {t} ADD COLUMN IF NOT EXISTS raceguard_extra varchar(10) DEFAULT 'x'",
    "ALTER TABLE {t} ADD COLUMN IF NOT EXISTS raceguard_extra varchar(10) DEFAULT 'x'; \
     ALTER TABLE {t} ALTER COLUMN raceguard_extra TYPE text",
    "ALTER TABLE {t} DROP COLUMN IF EXISTS raceguard_extra",
];

/// So that a queue of clients behind DDL that waits for somebody dissolves.
pub const SETTINGS: &str = "SET lock_timeout = '500ms'";

/// Codes with which the DDL itself may give up, to be tried again.
const GIVES_UP: &[&str] = &["55P03", "40P01"];

/// What a write may fail with while a guard is not whole.
pub const NOT_WHOLE: &str = "55000";

/// Returns how many statements were carried out.
pub fn run(
    workload: &Workload,
    mut rng: Rng,
    session: &mut Session,
    starved: bool,
    shared: &Shared,
) -> Result<u64, String> {
    let statements = statements(workload, session)?;
    let mut done = 0;
    while pause(Duration::from_millis(rng.below(25)), shared) {
        let sql = &statements[rng.below(statements.len() as u64) as usize];
        match session.send(sql) {
            Reply::Rows(_) => done += 1,
            Reply::Lost(_) => session.reconnect()?,
            Reply::Error { code, .. } if GIVES_UP.contains(&code.as_str()) => {}
            Reply::Error { code, .. } if starved && code == "53200" => {}
            Reply::Error { code, message } => {
                return Err(format!("{code}: {message}\n  in: {sql}"));
            }
        }
    }
    Ok(done)
}

fn statements(workload: &Workload, session: &mut Session) -> Result<Vec<String>, String> {
    let indexes = session.until_done(
        "SELECT i.indrelid::regclass, p.indexrelid::regclass, i.indexrelid::regclass, \
         pg_partition_root(i.indrelid)::regclass \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_index p ON p.indrelid = i.indrelid AND p.indisprimary \
         WHERE c.relnamespace = current_schema::regnamespace AND c.relkind = 'r' ORDER BY 3::text",
    )?;
    let mut statements = Vec::new();
    for row in &indexes {
        let cell = |i: usize| row.get(i).cloned().flatten().unwrap_or_default();
        for template in EACH {
            let sql = template.replace("{t}", &cell(0)).replace("{p}", &cell(1));
            statements.push(sql.replace("{i}", &cell(2)));
        }
        let root = if cell(3).is_empty() { cell(0) } else { cell(3) };
        statements.extend(COLUMNS.iter().map(|template| template.replace("{t}", &root)));
    }
    statements.sort();
    statements.dedup();
    statements.extend(of_guards(workload));
    Ok(statements)
}

/// What is done to the guards. One that was changed since, by clients or before they came, is no longer the one that
/// the migration asks for; where clients replace it, the migration is refused in its turn, and only what takes the
/// guard away first goes through.
fn of_guards(workload: &Workload) -> Vec<String> {
    let calls = |part: &str| {
        workload.statements.iter().flat_map(|s| &s.sql).any(|sql| sql.contains(part))
            || workload.guard.iter().any(|sql| sql.contains(part))
    };
    if calls("raceguard.set_") {
        return Vec::new();
    }
    let mut statements = Vec::new();
    for add in &workload.guard {
        statements.extend(disable_of(add));
        if let Some(drop) = drop_of(add) {
            // An old migration that is run again, and one that changes its mind.
            if !calls("replace => true") {
                statements.push(add.to_string());
            }
            statements.push(format!("{drop}; {add}"));
        }
    }
    statements
}

/// What takes away the guard that a call of `add_*` puts up.
fn drop_of(add: &str) -> Option<String> {
    let (kind, arguments) = add.strip_prefix("SELECT raceguard.add_")?.split_once('(')?;
    let table = arguments.split('\'').nth(1)?;
    Some(format!("SELECT raceguard.drop_guard('{table}', '{kind}')"))
}

/// What leaves a guard without the trigger that it relies on, until its `add_*` is called again. Its writers
/// may then be refused with [`NOT_WHOLE`].
pub fn disable_of(add: &str) -> Option<String> {
    let table = add.strip_prefix("SELECT raceguard.add_cap('")?.split('\'').next()?;
    Some(format!("ALTER TABLE {table} DISABLE TRIGGER zz_raceguard_cap_full"))
}

#[cfg(test)]
mod tests {
    use super::{disable_of, drop_of, of_guards};
    use crate::workloads;

    #[test]
    fn only_caps_rely_on_another_trigger() {
        let disabled = disable_of("SELECT raceguard.add_cap('posts', 'user_id', 3)");
        let expected = "ALTER TABLE posts DISABLE TRIGGER zz_raceguard_cap_full";
        assert_eq!(disabled.as_deref(), Some(expected));
        assert_eq!(disable_of("SELECT raceguard.add_version('posts')"), None);
    }

    #[test]
    fn what_clients_replace_is_not_asked_for_again_as_it_was() {
        for workload in workloads::all().iter().filter(|w| w.name.starts_with("replaced_")) {
            let again = of_guards(workload)
                .into_iter()
                .find(|sql| sql.starts_with("SELECT raceguard.add_"));
            assert_eq!(again, None, "{}", workload.name);
        }
    }

    #[test]
    fn only_guards_are_taken_away() {
        let dropped = drop_of("SELECT raceguard.add_cap('posts', 'user_id', 3)");
        assert_eq!(dropped.as_deref(), Some("SELECT raceguard.drop_guard('posts', 'cap')"));
        assert_eq!(drop_of("ALTER TABLE posts ADD slot int"), None);
    }
}
