//! D6: article D's trigger takes the lock on every write, and returns NEW. On DELETE that is NULL,
//! which tells Postgres to skip the row: the DELETE waits, answers, and deletes nothing.

use crate::cases::{Case, Ending, Half};
use crate::screen::counted;
use crate::server::Result;
use crate::stage::Stage;
use crate::timeline::Who::{One, Two};

pub const CASE: Case = Case {
    tag: "D6",
    title: "the swallowed DELETE",
    schema: "demo_swallowed_delete",
    without: "article D's trigger, as printed",
    call: "raceguard.add_key_lock('posts', '\"userId\"', namespace => 5000)",
    free_running: false,
    play,
};

const POSTS: &str = "
    CREATE TABLE posts (
        \"userId\" int NOT NULL,
        \"createdAt\" timestamp without time zone NOT NULL,
        highlighted boolean NOT NULL,
        \"postContent\" text NOT NULL);
    INSERT INTO posts VALUES (42, now(), true, 'to be deleted')";

const TRIGGER: &str = r#"
    CREATE FUNCTION "take_post_modify_lock_function"() RETURNS TRIGGER LANGUAGE PLPGSQL AS $$
    BEGIN
        IF OLD."userId" IS NOT NULL THEN
            PERFORM PG_ADVISORY_XACT_LOCK(5000, OLD."userId");
        END IF;
        IF NEW."userId" IS NOT NULL THEN
            PERFORM PG_ADVISORY_XACT_LOCK(5000, NEW."userId");
        END IF;
        RETURN NEW;
    END;
    $$;
    CREATE TRIGGER "take_post_modify_lock_trigger" BEFORE INSERT OR UPDATE OR DELETE ON "posts"
        FOR EACH ROW EXECUTE PROCEDURE "take_post_modify_lock_function"()"#;

const LEFT: &str = "SELECT count(*) FROM posts\n  WHERE \"userId\" = 42";

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    stage.prepare(POSTS)?;
    match half {
        Half::Without => stage.prepare(TRIGGER)?,
        Half::With => stage.guard()?,
    }
    let mut story = stage.story(["holds the lock by hand", "deletes"])?;
    story.ask(One, "BEGIN")?;
    story.ask(One, "SELECT pg_advisory_xact_lock(5000, 42)")?;
    story.step(Two, "DELETE FROM posts WHERE \"userId\" = 42")?;
    let waited = story.waits(Two);
    story.ask(One, "COMMIT")?;
    let deleted = story.reply(Two)?;
    story.ask(Two, LEFT)?;
    drop(story);

    let left = stage.count(LEFT)?;
    let said = format!("answered {deleted}, {} left", counted(left, "row"));
    Ok(match left {
        _ if !waited || deleted.refusal().is_some() => {
            Ending::Unclear(format!("{said}, waited: {waited}"))
        }
        0 if deleted.wrote(1) => Ending::Held(said),
        1 if deleted.wrote(0) => Ending::Race(said),
        _ => Ending::Unclear(said),
    })
}
