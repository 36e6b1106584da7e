//! A guard that is replaced in two migrations: it is not there in between.

use super::{instead, SelfTest, Verdict};
use crate::workloads::replaced::replacing;
use crate::workloads::version::{next, NO_LOST_UPDATE};

const COLUMN: &str = "ALTER TABLE counters ADD version bigint NOT NULL DEFAULT 1";
const GUARD: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.version <> OLD.version + 1 THEN RAISE 'stale' USING ERRCODE = 'RG409'; END IF; \
    RETURN NEW; END $$";
const CREATE: &str = "CREATE OR REPLACE TRIGGER guard BEFORE UPDATE ON counters \
                      FOR EACH ROW EXECUTE FUNCTION guard()";
const DROP: &str = "DROP TRIGGER IF EXISTS guard ON counters";

pub fn all() -> Vec<SelfTest> {
    let mut w = replacing(next(), "", "", [DROP, CREATE]);
    w.statements.retain(|s| s.name != "no version at all");
    vec![instead(
        "replaced_in_two_steps",
        w,
        &[COLUMN, GUARD, CREATE],
        Verdict::Caught(NO_LOST_UPDATE),
    )]
}
