//! Triggers that stand in the way of a foreign key's actions.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::checks::UNEXPECTED;
use crate::workloads::cascade::{owners, NO_ORPHANS};

const COLUMN: &str = "ALTER TABLE posts ADD version bigint NOT NULL DEFAULT 1";
const TRIGGER: &str = "CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON posts \
                       FOR EACH ROW EXECUTE FUNCTION guard()";

/// Demands a version of everybody. A foreign key has none.
const OF_EVERYBODY: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; \
    IF NEW.version = OLD.version THEN RAISE 'no version' USING ERRCODE = 'RG428'; END IF; \
    IF NEW.version <> OLD.version + 1 THEN RAISE 'stale' USING ERRCODE = 'RG409'; END IF; \
    RETURN NEW; END $$";

/// Article D's key lock, which returns NEW on DELETE too: the cascade deletes nothing.
const RETURNS_NEW: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    PERFORM pg_advisory_xact_lock(5000, OLD.owner::int); RETURN NEW; END $$";

pub fn all() -> Vec<SelfTest> {
    let plain = || {
        let mut w = at_read_committed(owners(""));
        // Without a cap there is nothing to exceed.
        w.invariants.remove(0);
        w
    };
    vec![
        instead(
            "cascade_without_version",
            plain(),
            &[COLUMN, OF_EVERYBODY, TRIGGER],
            Verdict::Caught(UNEXPECTED),
        ),
        instead(
            "cascade_cancelled",
            plain(),
            &[COLUMN, RETURNS_NEW, TRIGGER],
            Verdict::Caught(NO_ORPHANS),
        ),
    ]
}
