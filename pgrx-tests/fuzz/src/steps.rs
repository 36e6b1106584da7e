//! One random step of one of the sessions.

use crate::calls;
use crate::ddl;
use crate::draw::Draw;
use crate::model::Model;
use crate::values::{self, quote};
use crate::writes;

/// A statement for one of the sessions.
#[derive(Clone, Debug)]
pub struct Step {
    pub session: usize,
    pub sql: String,
}

/// A statement for a session whose transaction has failed already, or not.
pub fn any(draw: &mut Draw, model: &Model, aborted: bool) -> String {
    match draw.below(100) {
        0..=69 if aborted => draw.pick(&["ROLLBACK", "ROLLBACK TO s", "COMMIT"]).into(),
        0..=15 => control(draw),
        16..=19 => setting(draw, model),
        20..=26 => ddl::any(draw, model),
        27..=29 => calls::trigger(draw, model),
        _ => {
            let statement = match draw.below(100) {
                0..=44 => writes::any(draw, model),
                45..=58 => calls::install(draw, model),
                _ => calls::any(draw, model),
            };
            wrapped(draw, statement)
        }
    }
}

/// The statement as it is, or inside something that changes how it runs.
fn wrapped(draw: &mut Draw, sql: String) -> String {
    match draw.below(40) {
        0 => format!("SELECT f.guarded({})", quote(&sql)),
        1 => format!("SELECT f.as_owner({})", quote(&sql)),
        2 => format!("SELECT f.loops({})", quote(&sql)),
        3 => format!("PREPARE p AS {sql}"),
        4 => format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}"),
        5 => format!("SAVEPOINT w; {sql}; ROLLBACK TO w; {sql}"),
        6 => format!("SET LOCAL ROLE fuzz_user; {sql}; RESET ROLE"),
        7 => format!("{sql}; SELECT 1/0"),
        8 => format!("{sql}; {sql}"),
        9 => format!("DO {}", quote(&format!("BEGIN {sql}; EXCEPTION WHEN OTHERS THEN RAISE; END"))),
        10 => format!("DECLARE c CURSOR WITH HOLD FOR {sql}"),
        11 => format!("SET CONSTRAINTS ALL IMMEDIATE; {sql}; SET CONSTRAINTS ALL DEFERRED"),
        12 => format!("PREPARE q AS {sql}; EXECUTE q; EXECUTE q; EXECUTE q; EXECUTE q; EXECUTE q; EXECUTE q; DEALLOCATE q"),
        _ => sql,
    }
}

fn control(draw: &mut Draw) -> String {
    draw.pick(&[
        "BEGIN",
        "BEGIN",
        "BEGIN",
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "BEGIN READ ONLY",
        "COMMIT",
        "COMMIT",
        "COMMIT",
        "COMMIT AND CHAIN",
        "ROLLBACK",
        "ROLLBACK",
        "SAVEPOINT s",
        "SAVEPOINT s",
        "ROLLBACK TO s",
        "ROLLBACK TO s",
        "RELEASE s",
        "SELECT 1/0",
        "EXECUTE p",
        "DEALLOCATE ALL",
        "FETCH 2 FROM c",
        "CLOSE ALL",
        "DISCARD ALL",
        "DISCARD PLANS",
        "DISCARD TEMP",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SET CONSTRAINTS ALL DEFERRED",
        "SET ROLE fuzz_user",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION fuzz_user",
        "RESET SESSION AUTHORIZATION",
    ])
    .into()
}

pub fn setting(draw: &mut Draw, model: &Model) -> String {
    const SETTINGS: [&str; 25] = [
        "search_path = ''",
        "search_path = f",
        "search_path = nope, pg_temp, f",
        "search_path = f, pg_catalog",
        "DateStyle = 'SQL, DMY'",
        "DateStyle = 'German'",
        "DateStyle = 'ISO, YMD'",
        "IntervalStyle = 'sql_standard'",
        "IntervalStyle = 'iso_8601'",
        "IntervalStyle = 'postgres_verbose'",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "extra_float_digits = -15",
        "TimeZone = 'America/St_Johns'",
        "TimeZone = 'Europe/Berlin'",
        "quote_all_identifiers = on",
        "plan_cache_mode = 'force_generic_plan'",
        "session_replication_role = 'replica'",
        "row_security = off",
        "transform_null_equals = on",
        "enable_indexscan = off",
        "lc_messages = 'nope'",
        "work_mem = '64kB'",
        "xmlbinary = 'hex'",
        "default_transaction_read_only = on",
    ];
    let local = draw.pick(&["", "LOCAL "]);
    match draw.below(10) {
        0..=2 => "RESET ALL".into(),
        3..=5 => {
            let name = draw.any(&model.settings).map_or("raceguard.none", |s| s);
            let value = match draw.below(3) {
                0 => quote(draw.pick(&[
                    "0",
                    "1",
                    "2",
                    "-1",
                    "native",
                    "integrity",
                    "postgrest",
                    "x",
                    "",
                    "2147483647",
                ])),
                1 => quote(draw.pick(&[
                    "plain, [1]",
                    "f.plain, [1, 2]",
                    "f.plain",
                    "f.plain, {",
                    "nope, []",
                    ",",
                    "f.parts, [[1]]",
                ])),
                // SET takes a constant only.
                _ => match values::text(draw) {
                    text if text.starts_with('\'') => text,
                    _ => "''".into(),
                },
            };
            format!("SET {local}{name} = {value}")
        }
        _ => format!("SET {local}{}", draw.pick(&SETTINGS)),
    }
}
