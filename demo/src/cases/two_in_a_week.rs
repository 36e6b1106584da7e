//! D4: seven days must pass between two highlighted posts (article D, case 4). The handler locks and
//! inserts in a transaction, but its check is `pool.query`: another connection, which does not see
//! what the transaction has written. A request that publishes two drafts publishes both.

use crate::cases::{Case, Ending, Half};
use crate::screen::counted;
use crate::server::Result;
use crate::stage::Stage;
use crate::timeline::Who::{One, Two};

pub const CASE: Case = Case {
    tag: "D4",
    title: "two highlighted posts in seven days",
    schema: "demo_two_in_a_week",
    without: "article D's handler locks, but checks on another connection",
    call: "raceguard.add_cooldown('posts', '\"userId\"', at => 'createdAt', period => '7 days', \
           predicate => 'highlighted')",
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
    let insert =
        |content: &str| format!("INSERT INTO posts\n  VALUES (42, now(), true, '{content}')");

    let mut story = stage.story(["the handler's transaction", "its pool.query"])?;
    story.ask(One, "BEGIN")?;
    story.ask(One, "SELECT pg_advisory_xact_lock(5000, 42)")?;
    let mut answers = Vec::new();
    for draft in ["first draft", "second draft"] {
        if story.ask(Two, RECENT)?.number("count")? == 0 {
            answers.push(story.ask(One, &insert(draft))?);
        }
    }
    let refused = answers.iter().any(|answer| answer.refusal().is_some());
    story.ask(One, if refused { "ROLLBACK" } else { "COMMIT" })?;
    let mut waited = false;
    if half == Half::With {
        // What the handler becomes: neither lock nor check, and still no second post beside it.
        story.ask(One, "BEGIN")?;
        answers.push(story.ask(One, &insert("first draft"))?);
        story.step(Two, &insert("another tab"))?;
        waited = story.waits(Two);
        story.ask(One, "COMMIT")?;
        answers.push(story.reply(Two)?);
    }
    drop(story);

    let posts = stage.count(RECENT)?;
    let said = format!("{} in seven days", counted(posts, "highlighted post"));
    Ok(match answers.as_slice() {
        _ if posts > 1 => Ending::Race(said),
        [first, second, alone, beside]
            if posts == 1
                && waited
                && first.wrote(1)
                && second.told("RG429")
                && alone.wrote(1)
                && beside.told("RG429") =>
        {
            Ending::Held(format!("{said}, the others told RG429"))
        }
        _ => {
            let told: Vec<String> = answers.iter().map(ToString::to_string).collect();
            Ending::Unclear(format!("{said}, answers {}", told.join(" / ")))
        }
    })
}
