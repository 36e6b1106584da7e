//! Key locks that come too late for the table's own triggers, or before the row in an upsert.

use super::{instead, SelfTest, Verdict};
use crate::checks::{ALONE, TOO_MANY, UNEXPECTED};
use crate::language::{Effect, Statement, Workload};
use crate::workloads::key_rules::{counts, numbers, owners, upserts, LAST_OWNER, TWICE};

/// The guard alone, without the trigger before it: it locks after the table's own trigger has read.
const LATE: [&str; 3] = [
    "CREATE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON posts \
     FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('\"userId\"')",
    "CREATE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON tickets \
     FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('project')",
    "CREATE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE OR DELETE ON members \
     FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('project')",
];

const TRIGGER: &str = "CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON counters \
                       FOR EACH ROW EXECUTE FUNCTION guard()";

/// The key in BEFORE INSERT, whatever the row.
const KEY_FIRST: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    PERFORM pg_advisory_xact_lock(5000, coalesce(NEW.k, OLD.k)); RETURN coalesce(NEW, OLD); END $$";

/// Nothing in BEFORE INSERT, since an upsert may come to update: rows that go in are not locked.
const ROW_ONLY: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF TG_OP <> 'INSERT' THEN PERFORM pg_advisory_xact_lock(5000, OLD.k); END IF; \
    RETURN coalesce(NEW, OLD); END $$";

/// The upserts, the key locked by hand where nothing is written.
fn by_hand() -> Workload {
    let mut w = upserts();
    w.statements.retain(|s| !s.sql[0].contains("lock_key"));
    w.statements.push(Statement::new(
        "lock, then read",
        4,
        &["SELECT pg_advisory_xact_lock(5000, {key})", "SELECT n FROM counters WHERE k = {key}"],
        &[Effect::EnterFirst],
    ));
    w
}

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    vec![
        instead("key_lock_counts_late", counts(), &LATE[..1], caught(TOO_MANY)),
        instead("key_lock_numbers_late", numbers(), &LATE[1..2], caught(TWICE)),
        instead("key_lock_owners_late", owners(), &LATE[2..], caught(LAST_OWNER)),
        instead("key_lock_upserts_key_first", by_hand(), &[KEY_FIRST, TRIGGER], caught(UNEXPECTED)),
        instead("key_lock_upserts_row_only", by_hand(), &[ROW_ONLY, TRIGGER], caught(ALONE)),
    ]
}
