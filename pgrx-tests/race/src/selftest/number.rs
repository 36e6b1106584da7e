//! Numbers that are not locked, or locked too late.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::language::Workload;
use crate::workloads::number::{unguarded, NO_GAP};

const TRIGGER: &str = "CREATE TRIGGER guard BEFORE INSERT ON invoices \
                       FOR EACH ROW EXECUTE FUNCTION guard()";

/// What everybody writes first.
const MAX_PLUS_ONE: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    SELECT coalesce(max(number), 0) + 1 INTO NEW.number FROM invoices WHERE org = NEW.org; \
    RETURN NEW; END $$";

/// Under a lock of the key, and with a snapshot of its own: sound at READ COMMITTED.
const LOCKED: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    PERFORM pg_advisory_xact_lock(7000, NEW.org); \
    SELECT coalesce(max(number), 0) + 1 INTO NEW.number FROM invoices WHERE org = NEW.org; \
    RETURN NEW; END $$";

/// A sequence to each key: every rollback leaves a gap.
const SEQUENCE: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    NEW.number := nextval('numbers_' || NEW.org); RETURN NEW; END $$";

/// Without what only a guard of raceguard's refuses.
fn written() -> Workload {
    let mut w = unguarded();
    w.statements.retain(|s| s.name != "change the number");
    w
}

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    vec![
        instead("number_max_plus_one", written(), &[MAX_PLUS_ONE, TRIGGER], caught(NO_GAP)),
        instead("number_locked_old_snapshot", written(), &[LOCKED, TRIGGER], caught(NO_GAP)),
        instead(
            "number_sequence",
            written(),
            &[
                "CREATE SEQUENCE numbers_1",
                "CREATE SEQUENCE numbers_2",
                "CREATE SEQUENCE numbers_3",
                SEQUENCE,
                TRIGGER,
            ],
            caught(NO_GAP),
        ),
        instead("number_locked", at_read_committed(written()), &[LOCKED, TRIGGER], Verdict::Clean),
    ]
}
