//! What `cargo pgrx test` checks inside a server: errors as a caller in the database sees them.
//! Each test is one transaction that is rolled back, so races are shown elsewhere (pgrx-tests/).

use crate::pg::error::catch;
use crate::pg::key::{self, Runs};
use crate::pg::memory::here;
use crate::pg::open_table::open_table;
use crate::registry::KINDS;
use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::*;

    fn run(sql: &str) {
        Spi::run(sql).expect("the statement succeeds");
    }

    /// The SQLSTATE, message and DETAIL with which a statement fails.
    fn failure(sql: &str) -> (String, String, String) {
        run("CREATE TEMP TABLE IF NOT EXISTS failure (code text, message text, detail text)");
        run(&format!(
            "DO $do$ DECLARE c text; m text; d text; BEGIN {sql}; \
             EXCEPTION WHEN OTHERS THEN \
               GET STACKED DIAGNOSTICS c = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL; \
               INSERT INTO failure VALUES (c, m, d); \
             END $do$"
        ));
        let column = |name: &str| {
            Spi::get_one::<String>(&format!("SELECT {name} FROM failure"))
                .expect("the table can be read")
                .expect("the statement fails")
        };
        (column("code"), column("message"), column("detail"))
    }

    /// In a server, since the kinds lead to everything that calls Postgres.
    #[pg_test]
    fn no_kind_of_guard_hides_another() {
        for (i, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..i].iter().all(|k| k.function != kind.function && k.name != kind.name));
        }
    }

    #[pg_test]
    fn a_stale_version_is_rg409() {
        run("CREATE TABLE orders (id int PRIMARY KEY, address text)");
        run("SELECT raceguard.add_version('orders')");
        run("INSERT INTO orders VALUES (42, 'Old Street')");
        run("UPDATE orders SET address = 'A Street', version = 2");
        let (code, message, detail) =
            failure("UPDATE orders SET address = 'B Street', version = 2");
        assert_eq!(code, "RG409");
        assert_eq!(message, "row of \"orders\" has changed since it was read");
        assert_eq!(detail, "Key (id)=(42): stated version 1, stored version 2.");
    }

    #[pg_test]
    fn a_full_cap_is_rg403_and_an_upsert_of_a_row_in_it_is_not() {
        run("CREATE TABLE seats (id int PRIMARY KEY, room int)");
        run("SELECT raceguard.add_cap('seats', 'room', 2)");
        run("INSERT INTO seats VALUES (1, 7), (2, 7)");
        run("INSERT INTO seats VALUES (1, 7) ON CONFLICT (id) DO NOTHING");
        assert_eq!(failure("INSERT INTO seats VALUES (3, 7)").0, "RG403");
    }

    #[pg_test]
    fn a_running_cooldown_is_rg429() {
        run("CREATE TABLE posts (author int, at timestamp)");
        run("SELECT raceguard.add_cooldown('posts', 'author', 'at', '7 days')");
        run("INSERT INTO posts VALUES (7, '2026-03-02')");
        let (code, _, detail) = failure("INSERT INTO posts VALUES (7, '2026-03-03')");
        assert_eq!(code, "RG429");
        assert!(detail.contains("2026-03-09 00:00:00"), "{detail}");
    }

    #[pg_test]
    fn no_backtrace_reaches_the_client() {
        let (code, _, detail) = failure("PERFORM raceguard.add_version('pg_class')");
        assert_eq!(code, "0A000");
        assert!(!detail.contains("backtrace"), "{detail}");
    }

    #[pg_test(error = "argument \"target\" must not be NULL")]
    fn a_missing_target_is_told() {
        run("SELECT raceguard.add_version(NULL)");
    }

    /// CREATE TEMP TABLE makes types, and must not cost a rule that none of them can concern.
    #[pg_test]
    fn only_a_key_of_somebodys_own_code_runs_anything() {
        run("CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN short AS text CHECK (length(VALUE) < 9)");
        run("CREATE FUNCTION own(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'");
        run("CREATE TABLE t (a int, b text, at timestamptz, m mood, s short)");
        let table = Spi::get_one::<pg_sys::Oid>("SELECT 't'::regclass::oid");
        let table = table.expect("the table can be asked for").expect("the table is there");
        let open = open_table(table).ok().expect("the table can be opened");
        let runs = |text: &str| {
            let table = open.table();
            catch(|| here(|memory| Ok(key::parse(table, text, memory)?.compile(table).runs())))
                .and_then(|outcome| outcome)
                .ok()
        };
        for (text, expected) in [
            ("a, b", Runs::Nothing),
            ("m", Runs::Nothing),
            ("lower(b)", Runs::BuiltIn),
            ("a, date_trunc('day', (at AT TIME ZONE 'UTC'))", Runs::BuiltIn),
            ("(a % 2 = 0 AND b IS NOT NULL)", Runs::BuiltIn),
            ("(a::text || b)", Runs::BuiltIn),
            ("own(a)", Runs::Anything),
            ("(own(1) + a)", Runs::Anything),
            ("(m = 'sad')", Runs::Anything),
            ("('sad'::mood = 'sad'::mood)", Runs::Anything),
            ("(b::short)", Runs::Anything),
            ("lower(s)", Runs::Anything),
            ("(CASE WHEN a > 1 THEN a END)", Runs::Anything),
        ] {
            assert_eq!(runs(text), Some(expected), "{text}");
        }
    }
}
