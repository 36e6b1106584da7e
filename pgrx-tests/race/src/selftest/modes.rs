//! An observer that waits, and a cap that enforces what it has not completed.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::checks::WAITED;
use crate::workloads::modes::{observed_unguarded, toggling, WITHOUT_SLOT};

const COLUMN: &str = "ALTER TABLE posts ADD slot int";
const INDEX: &str = "CREATE UNIQUE INDEX posts_cap ON posts (user_id, slot) WHERE highlighted";
const TRIGGER: &str = "CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON posts \
                       FOR EACH ROW EXECUTE FUNCTION guard()";

/// Tells of a writer that would have waited, and takes the key all the same.
const TELLS_AND_WAITS: &str =
    "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NOT pg_try_advisory_xact_lock(5000, NEW.user_id::int) THEN \
        RAISE DEBUG 'would have waited for %', NEW.user_id; \
        PERFORM pg_advisory_xact_lock(5000, NEW.user_id::int); END IF; \
    RETURN NEW; END $$";

/// Gives a slot where one is free, and lets the row pass without one otherwise.
const SLOT_IF_FREE: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NOT NEW.highlighted THEN NEW.slot := NULL; RETURN NEW; END IF; \
    IF TG_OP = 'UPDATE' AND OLD.highlighted AND OLD.user_id = NEW.user_id THEN RETURN NEW; END IF; \
    PERFORM pg_advisory_xact_lock(5000, NEW.user_id::int); \
    NEW.slot := (SELECT min(g) FROM generate_series(1, 2) g WHERE NOT EXISTS (SELECT FROM posts p \
        WHERE p.user_id = NEW.user_id AND p.highlighted AND p.slot = g)); \
    RETURN NEW; END $$";

/// Rows without a slot stay as they are: NULL passes a CHECK.
const ENFORCE: &str = "ALTER TABLE posts DROP CONSTRAINT IF EXISTS enforced, \
                       ADD CONSTRAINT enforced CHECK (slot BETWEEN 1 AND 2)";
const OBSERVE: &str = "ALTER TABLE posts DROP CONSTRAINT IF EXISTS enforced";

pub fn all() -> Vec<SelfTest> {
    vec![
        instead(
            "modes_observer_waits",
            observed_unguarded(),
            &[COLUMN, TELLS_AND_WAITS, TRIGGER],
            Verdict::Caught(WAITED),
        ),
        instead(
            "modes_enforced_incomplete",
            at_read_committed(toggling("", ENFORCE, OBSERVE)),
            &[COLUMN, INDEX, SLOT_IF_FREE, TRIGGER],
            Verdict::Caught(WITHOUT_SLOT),
        ),
    ]
}
