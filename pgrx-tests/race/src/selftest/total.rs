//! Counters that people write by hand.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::checks::UNEXPECTED;
use crate::workloads::parent::counted_crosswise;
use crate::workloads::total::{settled_at_commit, unguarded, EQUAL, WITHIN};

const TRIGGER: &str = "CREATE TRIGGER guard AFTER INSERT OR UPDATE OR DELETE ON bookings \
                       FOR EACH ROW EXECUTE FUNCTION guard()";

/// When the transaction ends.
const DEFERRED: &str =
    "CREATE CONSTRAINT TRIGGER guard AFTER INSERT OR UPDATE OR DELETE ON bookings \
                        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION guard()";

/// In the order of the rows.
const ROW_BY_ROW: [&str; 3] = [
    "ALTER TABLE orders ADD version bigint NOT NULL DEFAULT 1, ADD lines bigint NOT NULL DEFAULT 0",
    "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
     UPDATE orders SET lines = lines + 1 WHERE id = NEW.order_id; RETURN NULL; END $$",
    "CREATE TRIGGER guard AFTER INSERT ON lines FOR EACH ROW EXECUTE FUNCTION guard()",
];

const BEFORE: &str = "CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON bookings \
                     FOR EACH ROW EXECUTE FUNCTION guard()";

/// Reads the counter, and writes what it has read.
const READ_AND_WRITE: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ \
    DECLARE b bigint; BEGIN \
    IF TG_OP <> 'INSERT' THEN SELECT booked INTO b FROM events WHERE id = OLD.event; \
        UPDATE events SET booked = b - OLD.n WHERE id = OLD.event; END IF; \
    IF TG_OP <> 'DELETE' THEN SELECT booked INTO b FROM events WHERE id = NEW.event; \
        IF b + NEW.n > 4 THEN RAISE EXCEPTION USING ERRCODE = 'RG403'; END IF; \
        UPDATE events SET booked = b + NEW.n WHERE id = NEW.event; END IF; \
    RETURN NULL; END $$";

/// Counts the rows, and refuses one too many.
const COUNT: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF (SELECT count(*) FROM bookings WHERE event = NEW.event AND id <> NEW.id) >= 4 \
    THEN RAISE EXCEPTION USING ERRCODE = 'RG403'; END IF; \
    RETURN NEW; END $$";

/// One UPDATE for each row, under a CHECK: sound, and slow.
const ADD: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF TG_OP <> 'INSERT' THEN UPDATE events SET booked = booked - OLD.n WHERE id = OLD.event; END IF; \
    IF TG_OP <> 'DELETE' THEN UPDATE events SET booked = booked + NEW.n WHERE id = NEW.event; END IF; \
    RETURN NULL; END $$";

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    let mut counted = unguarded();
    counted.invariants.remove(0);
    let mut added = unguarded();
    added.allowed.push("23514");
    vec![
        instead(
            "total_read_and_write",
            at_read_committed(unguarded()),
            &[READ_AND_WRITE, TRIGGER],
            caught(EQUAL),
        ),
        instead(
            "total_commit_read_and_write",
            at_read_committed(settled_at_commit()),
            &[READ_AND_WRITE, DEFERRED],
            caught(EQUAL),
        ),
        instead("total_row_by_row", counted_crosswise(), &ROW_BY_ROW, caught(UNEXPECTED)),
        instead("total_counted", at_read_committed(counted), &[COUNT, BEFORE], caught(WITHIN)),
        instead(
            "total_added",
            added,
            &["ALTER TABLE events ADD CHECK (booked <= seats)", ADD, TRIGGER],
            Verdict::Clean,
        ),
    ]
}
