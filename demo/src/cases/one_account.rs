//! D1: one account per e-mail (article D, case 1). No guard is needed here: a unique index of
//! Postgres's own is the answer, and raceguard does not replace it.

use crate::cases::{Case, Ending, Half};
use crate::screen::counted;
use crate::server::Result;
use crate::stage::Stage;
use crate::timeline::Who::{One, Two};

pub const CASE: Case = Case {
    tag: "D1",
    title: "one account per e-mail",
    schema: "demo_one_account",
    without: "the sign-up looks for the e-mail, then inserts it",
    call: "CREATE UNIQUE INDEX one_account_per_email ON \"user\" (email)",
    free_running: false,
    play,
};

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    stage.prepare(
        "CREATE TABLE \"user\" (email varchar NOT NULL, \"hashedPassword\" varchar NOT NULL)",
    )?;
    if half == Half::With {
        stage.guard()?;
    }
    let look = "SELECT count(*) FROM \"user\"\n  WHERE email = 'a@example.com'";
    let insert =
        |password: &str| format!("INSERT INTO \"user\"\n  VALUES ('a@example.com', '{password}')");

    let mut story = stage.story(["sign-up", "the same, a double click"])?;
    story.ask(One, "BEGIN")?;
    let seen_by_one = story.ask(One, look)?.number("count")?;
    story.ask(Two, "BEGIN")?;
    let seen_by_two = story.ask(Two, look)?.number("count")?;
    if seen_by_one == 0 {
        story.ask(One, &insert("hash 1"))?;
    }
    if seen_by_two == 0 {
        story.step(Two, &insert("hash 2"))?;
    }
    story.ask(One, "COMMIT")?;
    let second = story.reply(Two)?;
    story.ask(Two, if second.refusal().is_some() { "ROLLBACK" } else { "COMMIT" })?;
    drop(story);

    let accounts = stage.count(look)?;
    let said = format!("{} for one e-mail", counted(accounts, "account"));
    Ok(match second.refusal() {
        _ if accounts > 1 => Ending::Race(said),
        Some(refusal) if accounts == 1 && refusal.code == "23505" => {
            Ending::Held(format!("{said}, the second told {}", refusal.code))
        }
        _ => Ending::Unclear(format!("{said}, the second told {second}")),
    })
}
