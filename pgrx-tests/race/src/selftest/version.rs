//! Version checks that do not hold.

use super::{instead, SelfTest, Verdict};
use crate::checks::{UNREFUSED, VERSIONED};
use crate::language::Workload;
use crate::workloads::version::{
    backfill_with, current, next, partitions, time_unguarded, NO_LOST_UPDATE, ONE_BUMP,
};

const COLUMN: &str = "ALTER TABLE counters ADD version bigint NOT NULL DEFAULT 1";
const TRIGGER: &str = "CREATE TRIGGER guard BEFORE UPDATE ON counters \
                       FOR EACH ROW EXECUTE FUNCTION guard()";

/// Counts versions, checks nothing.
const STAMPS_ONLY: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    NEW.version := OLD.version + 1; RETURN NEW; END $$";

/// Checks, and then adds one to what the client had already raised.
const BUMPS_TWICE: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.version NOT IN (OLD.version, OLD.version + 1) THEN \
        RAISE 'stale' USING ERRCODE = 'RG409'; END IF; \
    NEW.version := NEW.version + 1; RETURN NEW; END $$";

/// Right for clients that send the version they read; cannot tell a client that sends none.
const CURRENT: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.version <> OLD.version THEN RAISE 'stale' USING ERRCODE = 'RG409'; END IF; \
    NEW.version := OLD.version + 1; RETURN NEW; END $$";

/// Takes an unchanged version for none at all. But a client that is exactly one version behind
/// sends, as its next version, the stored one.
const ONE_BEHIND: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.version NOT IN (OLD.version, OLD.version + 1) THEN \
        RAISE 'stale' USING ERRCODE = 'RG409'; END IF; \
    NEW.version := OLD.version + 1; RETURN NEW; END $$";

/// Right for clients that send the next version, if there are no others.
const NEXT_ONLY: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.version <> OLD.version + 1 THEN RAISE 'stale' USING ERRCODE = 'RG409'; END IF; \
    RETURN NEW; END $$";

/// Stamps the time of the transaction: who began earlier and writes later sets the clock back.
const BY_NOW: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.updated_at <> OLD.updated_at THEN RAISE 'stale' USING ERRCODE = 'RG409'; END IF; \
    NEW.updated_at := now(); RETURN NEW; END $$";

/// Article A's distinct versions in one statement: some rows had passed theirs already.
const RENUMBER: &str = "UPDATE counters c SET version = r.number \
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM counters) r \
    WHERE r.id = c.id AND c.g = {key} RETURNING c.id";

/// Guards the partition that is there, and not the one made later.
const ONE_PARTITION: &str = "CREATE TRIGGER guard BEFORE UPDATE ON counters_0 \
                             FOR EACH ROW EXECUTE FUNCTION guard()";

/// A workload without the clients that state no version, and without raceguard's own calls.
fn all_state_it(mut w: Workload) -> Workload {
    w.statements.retain(|s| s.name != "swap and move");
    w.statements.retain(|s| s.name != "no version at all");
    w
}

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    vec![
        instead("version_unchecked", next(), &[COLUMN], caught(NO_LOST_UPDATE)),
        instead(
            "version_only_stamped",
            next(),
            &[COLUMN, STAMPS_ONLY, TRIGGER],
            caught(NO_LOST_UPDATE),
        ),
        instead("version_bumped_twice", next(), &[COLUMN, BUMPS_TWICE, TRIGGER], caught(ONE_BUMP)),
        instead(
            "version_unstated_passes",
            current(),
            &[COLUMN, CURRENT, TRIGGER],
            caught(UNREFUSED),
        ),
        instead(
            "version_one_behind_passes",
            next(),
            &[COLUMN, ONE_BEHIND, TRIGGER],
            caught(NO_LOST_UPDATE),
        ),
        instead("version_by_now", time_unguarded(), &[BY_NOW, TRIGGER], caught(VERSIONED)),
        instead("version_renumbered", backfill_with(&[RENUMBER]), &[COLUMN], caught(VERSIONED)),
        instead(
            "version_in_one_partition",
            all_state_it(partitions()),
            &[COLUMN, NEXT_ONLY, ONE_PARTITION],
            caught(NO_LOST_UPDATE),
        ),
        instead(
            "version_sound",
            all_state_it(next()),
            &[COLUMN, NEXT_ONLY, TRIGGER],
            Verdict::Clean,
        ),
    ]
}
