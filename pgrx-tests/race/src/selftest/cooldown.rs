//! Cooldowns that let too much through, or too little.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::checks::{HAD_ROOM, TOO_MANY, UNEXPECTED};
use crate::workloads::cooldown::{one_unguarded, own_past_unguarded, partitions_unguarded};

const TRIGGER: &str = "CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON posts \
                       FOR EACH ROW EXECUTE FUNCTION guard()";

macro_rules! guard {
    ($lock:literal, $where:literal) => {
        concat!(
            "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ",
            $lock,
            " IF EXISTS (SELECT FROM posts p WHERE p.user_id = NEW.user_id AND p.id <> NEW.id AND ",
            $where,
            ") THEN RAISE 'too early' USING ERRCODE = 'RG429'; END IF; RETURN NEW; END $$"
        )
    };
}

const LOCK_HELD: &str = guard!(
    "PERFORM pg_advisory_xact_lock(5000, NEW.user_id::int);",
    "p.at > NEW.at - interval '24 hours' AND p.at < NEW.at + interval '24 hours'"
);

/// Article D's check when its lock is on another connection than its SELECT: none, that is.
const NO_LOCK: &str =
    guard!("", "p.at > NEW.at - interval '24 hours' AND p.at < NEW.at + interval '24 hours'");

/// Looks only back, as the article does: a row dated later than an existing one's past gets in.
const LOOKS_BACK: &str = guard!(
    "PERFORM pg_advisory_xact_lock(5000, NEW.user_id::int);",
    "p.at > NEW.at - interval '24 hours' AND p.at <= NEW.at"
);

/// Looks into the row's own partition only.
const OWN_PARTITION: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ \
    DECLARE near bigint; BEGIN PERFORM pg_advisory_xact_lock(5000, NEW.user_id::int); \
    EXECUTE format($f$SELECT count(*) FROM %I p WHERE p.user_id = $1 AND p.id <> $2 \
        AND p.at > $3 - interval '24 hours' AND p.at < $3 + interval '24 hours'$f$, TG_TABLE_NAME) \
        INTO near USING NEW.user_id, NEW.id, NEW.at; \
    IF near > 0 THEN RAISE 'too early' USING ERRCODE = 'RG429'; END IF; RETURN NEW; END $$";

/// Counts the row exactly one period away, which may pass.
const ONE_TOO_FAR: &str = guard!(
    "PERFORM pg_advisory_xact_lock(5000, NEW.user_id::int);",
    "p.at >= NEW.at - interval '24 hours' AND p.at <= NEW.at + interval '24 hours'"
);

const EMAILS_TRIGGER: &str = "CREATE TRIGGER guard BEFORE UPDATE ON emails \
                              FOR EACH ROW EXECUTE FUNCTION guard()";

/// Looks into the table for a row of the key that is too close: there is only the one being written.
const ANOTHER_ROW: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF EXISTS (SELECT FROM emails e WHERE e.id = NEW.id AND e.ctid <> OLD.ctid AND e.at <> NEW.at \
               AND e.at > NEW.at - interval '24 hours') \
    THEN RAISE 'too early' USING ERRCODE = 'RG429'; END IF; RETURN NEW; END $$";

const OWN_PAST: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.at <> OLD.at AND NEW.at < OLD.at + interval '24 hours' \
    THEN RAISE 'too early' USING ERRCODE = 'RG429'; END IF; RETURN NEW; END $$";

/// Refuses what is in time as well.
const OWN_PAST_TOO_FAR: &str =
    "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.at <> OLD.at AND NEW.at <= OLD.at + interval '24 hours' \
    THEN RAISE 'too early' USING ERRCODE = 'RG429'; END IF; RETURN NEW; END $$";

pub fn all() -> Vec<SelfTest> {
    let plain = || at_read_committed(one_unguarded());
    let caught = Verdict::Caught;
    vec![
        instead("cooldown_without_lock", plain(), &[NO_LOCK, TRIGGER], caught(TOO_MANY)),
        instead(
            "cooldown_lock_then_snapshot",
            one_unguarded(),
            &[LOCK_HELD, TRIGGER],
            caught(TOO_MANY),
        ),
        instead("cooldown_looks_back", plain(), &[LOOKS_BACK, TRIGGER], caught(TOO_MANY)),
        instead(
            "cooldown_in_one_partition",
            at_read_committed(partitions_unguarded()),
            &[OWN_PARTITION, TRIGGER],
            caught(TOO_MANY),
        ),
        instead("cooldown_one_too_far", plain(), &[ONE_TOO_FAR, TRIGGER], caught(HAD_ROOM)),
        instead("cooldown_sound", plain(), &[LOCK_HELD, TRIGGER], Verdict::Clean),
        instead(
            "cooldown_own_past_of_another_row",
            at_read_committed(own_past_unguarded()),
            &[ANOTHER_ROW, EMAILS_TRIGGER],
            caught(TOO_MANY),
        ),
        instead(
            "cooldown_own_past_too_far",
            own_past_unguarded(),
            &[OWN_PAST_TOO_FAR, EMAILS_TRIGGER],
            caught(UNEXPECTED),
        ),
        instead(
            "cooldown_own_past_sound",
            own_past_unguarded(),
            &[OWN_PAST, EMAILS_TRIGGER],
            Verdict::Clean,
        ),
    ]
}
