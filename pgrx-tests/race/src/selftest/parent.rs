//! Parents that are bumped too often, too seldom, or in an order that deadlocks.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::checks::{UNEXPECTED, VERSIONED};
use crate::workloads::parent::{billing, changes, crosswise, BILLED, ONE_BUMP_EACH};

const COLUMN: &str = "ALTER TABLE orders ADD version bigint NOT NULL DEFAULT 1";

/// One bump per row written.
const EVERY_ROW: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    UPDATE orders SET version = version + 1 WHERE id IN (NEW.order_id, OLD.order_id); \
    RETURN NULL; END $$";
const TRIGGER: &str = "CREATE TRIGGER guard AFTER INSERT OR UPDATE OR DELETE ON lines \
                       FOR EACH ROW EXECUTE FUNCTION guard()";
const NO_DELETES: &str = "CREATE TRIGGER guard AFTER INSERT OR UPDATE ON lines \
                          FOR EACH ROW EXECUTE FUNCTION guard()";

/// One bump per transaction and parent: whoever bumps leaves the transaction's id in the row.
const LAST_BUMP: &str = "ALTER TABLE orders ADD bumped_by xid8";
const ONCE: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    UPDATE orders SET version = version + 1, bumped_by = pg_current_xact_id() \
    WHERE id IN (NEW.order_id, OLD.order_id) \
    AND bumped_by IS DISTINCT FROM pg_current_xact_id(); RETURN NULL; END $$";

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    let plain = || at_read_committed(changes());
    vec![
        instead(
            "parent_bumped_per_row",
            plain(),
            &[COLUMN, EVERY_ROW, TRIGGER],
            caught(ONE_BUMP_EACH),
        ),
        instead(
            "parent_misses_deletes",
            plain(),
            &[COLUMN, LAST_BUMP, ONCE, NO_DELETES],
            caught(VERSIONED),
        ),
        instead(
            "parent_bumped_out_of_order",
            crosswise(),
            &[COLUMN, LAST_BUMP, ONCE, TRIGGER],
            caught(UNEXPECTED),
        ),
        instead(
            "parent_not_bumped",
            billing(),
            &["SELECT raceguard.add_version('orders')"],
            caught(BILLED),
        ),
        instead("parent_sound", plain(), &[COLUMN, LAST_BUMP, ONCE, TRIGGER], Verdict::Clean),
    ]
}
