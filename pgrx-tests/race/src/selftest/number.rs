//! Numbers that are not locked, or locked too late.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::language::{Statement, Workload};
use crate::workloads::number::{unguarded, unguarded_counters, NO_GAP};

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

/// A counter that is read, and locked only when it is written.
const READ_FIRST: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    SELECT last + 1 INTO NEW.number FROM orgs WHERE org = NEW.org; \
    UPDATE orgs SET last = NEW.number WHERE org = NEW.org; RETURN NEW; END $$";

/// One statement that locks it and moves it on.
const COUNTED: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    UPDATE orgs SET last = last + 1 WHERE org = NEW.org RETURNING last INTO NEW.number; \
    RETURN NEW; END $$";

/// An upsert of a row that mostly stands already.
fn upsert() -> Statement {
    Statement::new(
        "upsert, nothing",
        4,
        &[
            "SELECT id FROM invoices WHERE org = {key} ORDER BY id LIMIT 1",
            "INSERT INTO invoices (id, org) VALUES ({0}, {key}) ON CONFLICT DO NOTHING RETURNING id",
        ],
        &[],
    )
    .returning(0)
}

/// Without what only a guard of raceguard's refuses.
fn written() -> Workload {
    without_refusals(unguarded())
}

fn counted() -> Workload {
    without_refusals(unguarded_counters())
}

fn without_refusals(mut w: Workload) -> Workload {
    w.statements.retain(|s| s.name != "change the number");
    w
}

/// With upserts, for which the trigger moves the counter on whether they insert or not.
fn counted_upserts() -> Workload {
    let mut w = at_read_committed(counted());
    w.statements.push(upsert());
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
        instead("number_counter_read_first", counted(), &[READ_FIRST, TRIGGER], caught(NO_GAP)),
        instead("number_counter_upsert", counted_upserts(), &[COUNTED, TRIGGER], caught(NO_GAP)),
        instead(
            "number_counter_locked",
            at_read_committed(counted()),
            &[COUNTED, TRIGGER],
            Verdict::Clean,
        ),
        instead("number_locked", at_read_committed(written()), &[LOCKED, TRIGGER], Verdict::Clean),
    ]
}
