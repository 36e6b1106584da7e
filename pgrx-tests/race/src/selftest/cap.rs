//! Caps that overflow, collide, or refuse although there is room.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::checks::{HAD_ROOM, TOO_MANY, UNEXPECTED, WAITED_WITH_ROOM};
use crate::language::Workload;
use crate::workloads::cap::{three_unguarded, upserts};
use crate::workloads::cap_writes::{deferred_unguarded, resizing, AS_IT_SAYS};

const COLUMN: &str = "ALTER TABLE posts ADD slot int CHECK (slot BETWEEN 1 AND 3)";
const INDEX: &str = "CREATE UNIQUE INDEX posts_cap ON posts (user_id, slot) WHERE highlighted";
const TRIGGER: &str = "CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON posts \
                       FOR EACH ROW EXECUTE FUNCTION guard()";

/// A trigger that gives a row entering the cap the slot that `$choose` finds.
macro_rules! guard {
    ($choose:literal) => {
        concat!(
            "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ ",
            "DECLARE s int; BEGIN ",
            "IF NOT NEW.highlighted THEN NEW.slot := NULL; RETURN NEW; END IF; ",
            "IF TG_OP = 'UPDATE' AND OLD.highlighted AND OLD.user_id = NEW.user_id THEN ",
            "RETURN NEW; END IF; ",
            $choose,
            " NEW.slot := s; RETURN NEW; END $$"
        )
    };
}

/// Looks for a free slot through SPI, as the article's statement does.
const LOOKS_FIRST: &str = guard!(
    "SELECT min(g) INTO s FROM generate_series(1, 3) g WHERE NOT EXISTS (SELECT FROM posts p \
     WHERE p.user_id = NEW.user_id AND p.highlighted AND p.slot = g); \
     IF s IS NULL THEN RAISE 'full' USING ERRCODE = 'RG403'; END IF;"
);

/// The same under a lock for the key. Under REPEATABLE READ the snapshot is older than the lock.
const LOCKS_FIRST: &str = guard!(
    "PERFORM pg_advisory_xact_lock(5000, NEW.user_id::int); \
     SELECT min(g) INTO s FROM generate_series(1, 3) g WHERE NOT EXISTS (SELECT FROM posts p \
     WHERE p.user_id = NEW.user_id AND p.highlighted AND p.slot = g); \
     IF s IS NULL THEN RAISE 'full' USING ERRCODE = 'RG403'; END IF;"
);

/// Does not wait: a slot that somebody is just filling counts as taken, though he may roll back.
const NEVER_WAITS: &str = guard!(
    "FOR g IN 1..3 LOOP \
         CONTINUE WHEN NOT pg_try_advisory_xact_lock(NEW.user_id::int, g); \
         IF NOT EXISTS (SELECT FROM posts p \
             WHERE p.user_id = NEW.user_id AND p.highlighted AND p.slot = g) THEN \
             s := g; EXIT; END IF; \
     END LOOP; \
     IF s IS NULL THEN RAISE 'full' USING ERRCODE = 'RG403'; END IF;"
);

/// A guard that makes the writers of one key wait for each other is sound, if slow: with nobody in
/// a hurry there is nothing to complain of.
fn impatient(mut w: Workload, percent: u64) -> Workload {
    w.impatient = percent;
    w
}

const ANY_COLUMN: &str = "ALTER TABLE posts ADD slot int";
const LIMITS: &str = "CREATE TABLE limits AS SELECT 3 AS slots";

/// The limit in a table of its own, read as it happens to be.
const LOOKS_AT_LIMIT: &str = guard!(
    "PERFORM pg_advisory_xact_lock(5000, NEW.user_id::int); \
     SELECT min(g) INTO s FROM generate_series(1, (SELECT slots FROM limits)) g \
     WHERE NOT EXISTS (SELECT FROM posts p \
     WHERE p.user_id = NEW.user_id AND p.highlighted AND p.slot = g); \
     IF s IS NULL THEN RAISE 'full' USING ERRCODE = 'RG403'; END IF;"
);

/// Lowers the limit once no row stands above it; but one may be on its way.
fn lowered() -> Workload {
    at_read_committed(resizing(
        "",
        "UPDATE limits SET slots = CASE {n} % 2 WHEN 0 THEN 3 ELSE 5 END \
         WHERE {n} % 2 = 1 OR NOT EXISTS (SELECT FROM posts WHERE slot > 3)",
        "SELECT user_id, count(*) FROM posts WHERE highlighted GROUP BY 1 \
         HAVING count(*) > (SELECT slots FROM limits)",
    ))
}

fn with_upserts() -> Workload {
    let mut w = impatient(at_read_committed(three_unguarded()), 0);
    w.statements.extend(upserts());
    w
}

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    let plain = three_unguarded;
    vec![
        instead("cap_looks_first", plain(), &[COLUMN, LOOKS_FIRST, TRIGGER], caught(TOO_MANY)),
        instead(
            "cap_lock_then_snapshot",
            plain(),
            &[COLUMN, LOCKS_FIRST, TRIGGER],
            caught(TOO_MANY),
        ),
        instead(
            "cap_duplicate_key",
            plain(),
            &[COLUMN, INDEX, LOOKS_FIRST, TRIGGER],
            caught(UNEXPECTED),
        ),
        instead(
            "cap_never_waits",
            at_read_committed(plain()),
            &[COLUMN, INDEX, NEVER_WAITS, TRIGGER],
            caught(HAD_ROOM),
        ),
        instead(
            "cap_refuses_upserts",
            with_upserts(),
            &[COLUMN, INDEX, LOCKS_FIRST, TRIGGER],
            caught(HAD_ROOM),
        ),
        instead(
            "cap_waits_for_the_key",
            impatient(at_read_committed(plain()), 50),
            &[COLUMN, INDEX, LOCKS_FIRST, TRIGGER],
            caught(WAITED_WITH_ROOM),
        ),
        instead(
            "cap_counted_at_commit",
            at_read_committed(deferred_unguarded()),
            &[COLUMN, LOOKS_FIRST, TRIGGER],
            caught(TOO_MANY),
        ),
        instead(
            "cap_lowered_unlocked",
            lowered(),
            &[ANY_COLUMN, LIMITS, INDEX, LOOKS_AT_LIMIT, TRIGGER],
            caught(AS_IT_SAYS),
        ),
        instead(
            "cap_sound",
            impatient(at_read_committed(plain()), 0),
            &[COLUMN, INDEX, LOCKS_FIRST, TRIGGER],
            Verdict::Clean,
        ),
    ]
}
