//! Key locks that do not lock.

use super::{instead, SelfTest, Verdict};
use crate::checks::{ALONE, LEAKED, NOBODY_INSIDE, SWALLOWED, UNEXPECTED, WAITED};
use crate::language::{Effect, Statement, Workload};
use crate::workloads::key_lock::{namespace, single_unguarded, snapshot_with, READ, WRITE};
use crate::workloads::version::NO_LOST_UPDATE;

const TRIGGER: &str = "CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON posts \
                       FOR EACH ROW EXECUTE FUNCTION guard()";

/// Article D's trigger, word for word. It returns NEW, which is NULL on DELETE.
const ARTICLE: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF OLD.\"userId\" IS NOT NULL THEN \
        PERFORM pg_advisory_xact_lock(5000, OLD.\"userId\"); END IF; \
    IF NEW.\"userId\" IS NOT NULL THEN \
        PERFORM pg_advisory_xact_lock(5000, NEW.\"userId\"); END IF; \
    RETURN NEW; END $$";

/// The same with its return value mended: sound, if prone to deadlocks.
const MENDED: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF TG_OP <> 'INSERT' THEN PERFORM pg_advisory_xact_lock(5000, OLD.\"userId\"); END IF; \
    IF TG_OP <> 'DELETE' THEN PERFORM pg_advisory_xact_lock(5000, NEW.\"userId\"); END IF; \
    RETURN coalesce(NEW, OLD); END $$";

/// Locks where a row goes and forgets where it comes from.
const NEW_KEY_ONLY: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; \
    PERFORM pg_advisory_xact_lock(5000, NEW.\"userId\"); RETURN NEW; END $$";

/// Tries to lock, and does not look at the answer.
const ANSWER_IGNORED: &str =
    "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    PERFORM pg_try_advisory_xact_lock(5000, coalesce(NEW.\"userId\", OLD.\"userId\")); \
    RETURN coalesce(NEW, OLD); END $$";

/// Locks for the session and not for the transaction.
const SESSION_LEVEL: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    PERFORM pg_advisory_lock_shared(5001, coalesce(NEW.\"userId\", OLD.\"userId\")); \
    PERFORM pg_advisory_xact_lock(5000, coalesce(NEW.\"userId\", OLD.\"userId\")); \
    RETURN coalesce(NEW, OLD); END $$";

/// The workload without moves, for triggers that are at fault elsewhere.
fn without_moves() -> Workload {
    let mut w = namespace();
    w.statements.retain(|s| s.name != "move a row");
    w
}

/// A call that should only try.
fn trying(call: &'static str) -> Workload {
    let mut w = namespace();
    w.impatient = 20;
    let effects = [Effect::EnterFirst, Effect::Add];
    w.statements.push(Statement::new("try to lock", 4, &[call, READ, WRITE], &effects).at_once(0));
    w
}

const WAITS: &str = "SELECT 1 FROM pg_advisory_xact_lock(5000, {key})";

/// Two keys share a lock: who tries is refused because of somebody elsewhere.
const TOO_COARSE: &str = "SELECT 1 WHERE pg_try_advisory_xact_lock(5001, {key} % 2) \
                          AND pg_try_advisory_xact_lock(5000, {key})";

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    vec![
        instead("key_lock_missing", namespace(), &[], caught(ALONE)),
        instead("key_lock_answer_ignored", namespace(), &[ANSWER_IGNORED, TRIGGER], caught(ALONE)),
        instead(
            "key_lock_loses_an_increment",
            without_moves(),
            &[ANSWER_IGNORED, TRIGGER],
            caught(NO_LOST_UPDATE),
        ),
        instead("key_lock_new_key_only", namespace(), &[NEW_KEY_ONLY, TRIGGER], caught(ALONE)),
        instead("key_lock_swallows_delete", namespace(), &[ARTICLE, TRIGGER], caught(SWALLOWED)),
        instead(
            "key_lock_for_the_session",
            without_moves(),
            &[SESSION_LEVEL, TRIGGER],
            caught(LEAKED),
        ),
        instead("key_lock_trying_waits", trying(WAITS), &[MENDED, TRIGGER], caught(WAITED)),
        instead(
            "key_lock_too_coarse",
            trying(TOO_COARSE),
            &[MENDED, TRIGGER],
            caught(NOBODY_INSIDE),
        ),
        instead(
            "key_lock_after_snapshot",
            snapshot_with("", "SELECT pg_advisory_xact_lock(5000, {key})"),
            &[MENDED, TRIGGER],
            caught(UNEXPECTED),
        ),
        instead("key_lock_unsorted", single_unguarded(), &[MENDED, TRIGGER], caught(UNEXPECTED)),
        instead("key_lock_sound", namespace(), &[MENDED, TRIGGER], Verdict::Clean),
    ]
}
