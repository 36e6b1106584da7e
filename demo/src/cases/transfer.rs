//! B1: credits from one user to another, and back at the same time (article B). It locks both rows
//! with SELECT ... FOR UPDATE, the sender first: two transfers in opposite directions deadlock.

use crate::cases::{Case, Ending, Half};
use crate::screen::counted;
use crate::server::{Failure, Result};
use crate::stage::Stage;
use crate::story::Story;
use crate::timeline::Who::{self, One, Two};

pub const CASE: Case = Case {
    tag: "B1",
    title: "transfers that meet",
    schema: "demo_transfer",
    without: "article B's transfer locks the sender, then the receiver",
    call: "raceguard.lock_rows('users', '[{\"id\": 2}, {\"id\": 1}]')",
    free_running: false,
    play,
};

/// Credits as numeric: the article's floating point would not add up.
const USERS: &str = "
    CREATE TABLE users (
        id bigint PRIMARY KEY, pix_key text NOT NULL UNIQUE, is_active boolean NOT NULL DEFAULT true,
        version int NOT NULL DEFAULT 1, credits numeric NOT NULL);
    INSERT INTO users (id, pix_key, credits) VALUES (1, 'ann', 100), (2, 'bob', 100)";

/// Each of the two transfers this much, in opposite directions.
const AMOUNT: [i64; 2] = [30, 50];

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    stage.prepare(USERS)?;
    let mut story = stage.story(["ann sends 30 to bob", "bob sends 50 to ann"])?;
    story.ask(One, "BEGIN")?;
    story.ask(Two, "BEGIN")?;
    match half {
        Half::Without => {
            story.ask(One, &lock_one("ann"))?;
            story.ask(Two, &lock_one("bob"))?;
            story.step(One, &lock_one("bob"))?;
            story.step(Two, &lock_one("ann"))?;
        }
        Half::With => {
            story.step(One, &lock_both(1, 2))?;
            story.step(Two, &lock_both(2, 1))?;
        }
    }
    // Whichever of the two does not wait, or waits no longer, finishes first.
    let mut done = 0;
    for who in if story.waits(One) && half == Half::With { [Two, One] } else { [One, Two] } {
        done += i64::from(finish(&mut story, who)?);
    }
    drop(story);

    let sum = stage.count("SELECT sum(credits)::bigint FROM users")?;
    let ann = stage.count("SELECT credits::bigint FROM users WHERE id = 1")?;
    let said = format!("{} of 2 done, {ann} + {} credits", counted(done, "transfer"), sum - ann);
    let [sent, received] = AMOUNT;
    Ok(match done {
        2 if sum == 200 && ann == 100 - sent + received => Ending::Held(said),
        1 if sum == 200 => Ending::Race(format!("{said}, the other told 40P01 deadlock")),
        _ => Ending::Unclear(said),
    })
}

fn lock_one(pix_key: &str) -> String {
    format!("SELECT id, credits FROM users\n  WHERE pix_key = '{pix_key}' FOR UPDATE")
}

fn lock_both(sender: i64, receiver: i64) -> String {
    format!(
        "SELECT raceguard.lock_rows('users',\n  '[{{\"id\": {sender}}}, {{\"id\": {receiver}}}]')"
    )
}

/// Whether the session's transfer went through once its locks were answered.
fn finish(story: &mut Story, who: Who) -> Result<bool> {
    let locked = story.reply(who)?;
    if let Some(refusal) = locked.refusal() {
        let deadlock = refusal.code == "40P01";
        story.ask(who, "ROLLBACK")?;
        return if deadlock { Ok(false) } else { Err(Failure::new(refusal.to_string())) };
    }
    let (sender, receiver) = if who == One { (1, 2) } else { (2, 1) };
    let amount = AMOUNT[who.index()];
    story.ask(
        who,
        &format!("UPDATE users SET credits = credits - {amount}\n  WHERE id = {sender}"),
    )?;
    story.ask(
        who,
        &format!("UPDATE users SET credits = credits + {amount}\n  WHERE id = {receiver}"),
    )?;
    Ok(story.ask(who, "COMMIT")?.refusal().is_none())
}
