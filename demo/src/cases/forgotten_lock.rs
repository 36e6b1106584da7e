//! D5: the application takes `pg_advisory_xact_lock(5000, userId)` before it checks (article D,
//! case 4), and somebody with pgAdmin does not. The guard takes the same lock for every writer.

use crate::cases::{Case, Ending, Half};
use crate::screen::counted;
use crate::server::Result;
use crate::stage::Stage;
use crate::timeline::Who::{One, Two};

pub const CASE: Case = Case {
    tag: "D5",
    title: "the forgotten lock",
    schema: "demo_forgotten_lock",
    without: "the application locks and checks, pgAdmin just inserts",
    call: "raceguard.add_key_lock('posts', '\"userId\"', namespace => 5000)",
    free_running: false,
    play,
};

const POSTS: &str = "
    CREATE TABLE posts (
        \"userId\" int NOT NULL,
        \"createdAt\" timestamp without time zone NOT NULL,
        highlighted boolean NOT NULL,
        \"postContent\" text NOT NULL)";

const RECENT: &str = "SELECT count(*) FROM posts\n  WHERE \"userId\" = 42 AND highlighted\n  \
                      AND \"createdAt\" >= now() - interval '1 week'";

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    stage.prepare(POSTS)?;
    if half == Half::With {
        stage.guard()?;
    }
    let mut story = stage.story(["the application", "pgAdmin"])?;
    story.ask(Two, "BEGIN")?;
    story.ask(Two, "INSERT INTO posts\n  VALUES (42, now(), true, 'by hand')")?;
    story.ask(One, "BEGIN")?;
    story.step(One, "SELECT pg_advisory_xact_lock(5000, 42)")?;
    let waited = story.waits(One);
    if waited {
        story.ask(Two, "COMMIT")?;
        story.reply(One)?;
    }
    if story.ask(One, RECENT)?.number("count")? == 0 {
        story.ask(One, "INSERT INTO posts\n  VALUES (42, now(), true, 'by the application')")?;
        story.ask(One, "COMMIT")?;
    } else {
        story.ask(One, "ROLLBACK")?;
    }
    if !waited {
        story.ask(Two, "COMMIT")?;
    }
    drop(story);

    let posts = stage.count(RECENT)?;
    let said = format!("{} in seven days", counted(posts, "highlighted post"));
    Ok(match posts {
        2.. => Ending::Race(said),
        1 if waited => Ending::Held(format!("{said}; the application waited and saw it")),
        _ => Ending::Unclear(said),
    })
}
