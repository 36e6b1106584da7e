//! B1: credits from one user to another, and back at the same time (article B). It locks both rows
//! with SELECT ... FOR UPDATE, the sender first: two transfers in opposite directions deadlock.

use crate::cases::{Case, Ending, Half};
use crate::crowd::WRITERS;
use crate::reply::ask;
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

/// Transfers of each session when nobody is led.
const ROUNDS: usize = 25;

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
    let mut done = 0;
    for who in [One, Two] {
        done += i64::from(finish(&mut story, who)?);
    }
    drop(story);

    let ann = stage.count("SELECT credits::bigint FROM users WHERE id = 1")?;
    let bob = stage.count("SELECT credits::bigint FROM users WHERE id = 2")?;
    let said = format!("{} of 2 done, {ann} + {bob} credits", counted(done, "transfer"));
    let [sent, received] = AMOUNT;
    Ok(match done {
        2 if (ann, bob) == (100 - sent + received, 100 - received + sent) => {
            everybody(stage, said)?
        }
        1 if ann + bob == 200 => Ending::Race(format!("{said}, the other told 40P01 deadlock")),
        _ => Ending::Unclear(said),
    })
}

/// Eight sessions, both directions, nobody led: every transfer has to go through.
fn everybody(stage: &mut Stage, said: String) -> Result<Ending> {
    let title =
        format!("{WRITERS} sessions at once, {ROUNDS} transfers each, every other the other way");
    let shown =
        "BEGIN; SELECT raceguard.lock_rows('users', '[{\"id\": sender}, {\"id\": receiver}]')\n\
                 UPDATE users, the sender; UPDATE users, the receiver; COMMIT";
    let tally = stage.crowd(&title, shown, ROUNDS, |client, writer, round| {
        let (sender, receiver) = if (writer + round) % 2 == 0 { (1, 2) } else { (2, 1) };
        for statement in [
            "BEGIN".to_owned(),
            lock_both(sender, receiver),
            pay(sender, "-", 1),
            pay(receiver, "+", 1),
            "COMMIT".to_owned(),
        ] {
            let reply = ask(client, &statement)?;
            if reply.refusal().is_some() {
                ask(client, "ROLLBACK")?;
                return Ok(vec![reply.into()]);
            }
        }
        Ok(vec!["transferred".into()])
    })?;
    let sum = stage.count("SELECT sum(credits)::bigint FROM users")?;
    let deadlocks = tally.refused("40P01");
    Ok(if deadlocks > 0 {
        Ending::Race(format!("{said}; then {deadlocks} deadlocks between {WRITERS} sessions"))
    } else if let Some(refusal) = tally.unexpected("40P01") {
        Ending::Unclear(format!("{said}; then a session was told {refusal}"))
    } else if sum != 200 {
        Ending::Unclear(format!("{said}; then {sum} credits"))
    } else {
        Ending::Held(format!(
            "{said}; then {} of {WRITERS} sessions, no deadlock",
            WRITERS * ROUNDS
        ))
    })
}

fn pay(user: i64, sign: &str, amount: i64) -> String {
    format!("UPDATE users SET credits = credits {sign} {amount}\n  WHERE id = {user}")
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
    story.ask(who, &pay(sender, "-", amount))?;
    story.ask(who, &pay(receiver, "+", amount))?;
    Ok(story.ask(who, "COMMIT")?.refusal().is_none())
}
