//! D3: at most three highlighted posts per user and week (article D, case 3), checked by the
//! application as in its case 2. Two tabs count two posts each and both add the third.

use crate::cases::{Case, Ending, Half};
use crate::server::Result;
use crate::stage::Stage;
use crate::timeline::Who::{One, Two};

pub const CASE: Case = Case {
    tag: "D3",
    title: "the fourth highlighted post",
    schema: "demo_fourth_post",
    without: "count this week's highlighted posts, then insert",
    call: "raceguard.add_cap('posts', '\"userId\", date_trunc(''week'', \"createdAt\")', 3, \
           predicate => 'highlighted')",
    free_running: false,
    play,
};

/// The cap that the application and the call both state.
const CAP: i64 = 3;

const POSTS: &str = "
    CREATE TABLE posts (
        \"userId\" int NOT NULL,
        \"createdAt\" timestamp without time zone NOT NULL,
        highlighted boolean NOT NULL,
        \"postContent\" text NOT NULL);
    INSERT INTO posts VALUES (42, now(), true, 'first'), (42, now(), true, 'second')";

const COUNT: &str = "SELECT count(*) FROM posts\n  WHERE \"userId\" = 42 AND highlighted\n  \
                     AND \"createdAt\" >= date_trunc('week', now())";

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    stage.prepare(POSTS)?;
    if half == Half::With {
        stage.guard()?;
    }
    let insert =
        |content: &str| format!("INSERT INTO posts\n  VALUES (42, now(), true, '{content}')");

    let mut story = stage.story(["one tab", "another tab"])?;
    story.ask(One, "BEGIN")?;
    let seen_by_one = story.ask(One, COUNT)?.number("count")?;
    story.ask(Two, "BEGIN")?;
    let seen_by_two = story.ask(Two, COUNT)?.number("count")?;
    if seen_by_one < CAP {
        story.ask(One, &insert("third"))?;
    }
    if seen_by_two < CAP {
        story.step(Two, &insert("fourth"))?;
    }
    story.ask(One, "COMMIT")?;
    let second = story.reply(Two)?;
    story.ask(Two, if second.refusal().is_some() { "ROLLBACK" } else { "COMMIT" })?;
    drop(story);

    let posts = stage.count(COUNT)?;
    let said = format!("{posts} highlighted posts this week");
    Ok(if posts > CAP {
        Ending::Race(said)
    } else if posts == CAP && second.told("RG403") {
        Ending::Held(format!("{said}, the next told RG403"))
    } else {
        Ending::Unclear(format!("{said}, the second tab told {second}"))
    })
}
