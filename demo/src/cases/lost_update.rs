//! A1: two people edit one order (article A). The second save erases the first, and waiting for
//! the first to commit does not help: the second then writes what it computed from the old row.

use crate::cases::{Case, Ending, Half};
use crate::screen::counted;
use crate::server::Result;
use crate::stage::Stage;
use crate::timeline::Who::{One, Two};

pub const CASE: Case = Case {
    tag: "A1",
    title: "lost update",
    schema: "demo_lost_update",
    without: "article A's first handler reads the order, then writes it",
    call: "raceguard.add_version('orders', unstated => 'reject')",
    free_running: false,
    play,
};

const ORDERS: &str = "
    CREATE TABLE orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        shipping_address text NOT NULL);
    INSERT INTO orders (shipping_address) VALUES ('Old Street')";

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    stage.prepare(ORDERS)?;
    match half {
        Half::Without => last_write_wins(stage),
        Half::With => second_write_is_told(stage),
    }
}

fn last_write_wins(stage: &mut Stage) -> Result<Ending> {
    let read = "SELECT shipping_address FROM orders\n  WHERE id = 1";
    let write = |address: &str| {
        format!("UPDATE orders\n  SET shipping_address = '{address}'\n  WHERE id = 1")
    };
    let mut story = stage.story(["first editor", "second editor"])?;
    story.ask(One, read)?;
    story.ask(Two, read)?;
    story.ask(One, "BEGIN")?;
    let first = story.ask(One, &write("Address A"))?;
    story.step(Two, &write("Address B"))?;
    story.ask(One, "COMMIT")?;
    let second = story.reply(Two)?;
    drop(story);

    let accepted = [first, second].iter().map(|reply| i64::from(reply.wrote(1))).sum();
    let stored = stage.text("SELECT shipping_address FROM orders")?;
    let said = format!("{} accepted, only '{stored}' is stored", counted(accepted, "edit"));
    Ok(if accepted == 2 && stored == "Address B" {
        Ending::Race(said)
    } else {
        Ending::Unclear(said)
    })
}

fn second_write_is_told(stage: &mut Stage) -> Result<Ending> {
    stage.guard()?;
    let read = "SELECT shipping_address, version\n  FROM orders WHERE id = 1";
    let write = |address: &str, version: i64| {
        format!(
            "UPDATE orders\n  SET shipping_address = '{address}',\n  version = {version} WHERE id = 1"
        )
    };
    let mut story = stage.story(["first editor", "second editor"])?;
    let seen_by_one = story.ask(One, read)?.number("version")?;
    let seen_by_two = story.ask(Two, read)?.number("version")?;
    story.ask(One, "BEGIN")?;
    let first = story.ask(One, &write("Address A", seen_by_one + 1))?;
    story.step(Two, &write("Address B", seen_by_two + 1))?;
    story.ask(One, "COMMIT")?;
    let second = story.reply(Two)?;
    let unversioned =
        story.ask(Two, "UPDATE orders\n  SET shipping_address = 'Address B'\n  WHERE id = 1")?;
    story.ask(Two, read)?;
    drop(story);

    let stored = stage.text("SELECT shipping_address FROM orders")?;
    let version = stage.count("SELECT version FROM orders")?;
    let told = second.told("RG409") && unversioned.told("RG428");
    Ok(if told && first.wrote(1) && stored == "Address A" && version == seen_by_one + 1 {
        Ending::Held(format!(
            "stale edit told RG409, edit without a version RG428; '{stored}' stands, version {version}"
        ))
    } else {
        Ending::Unclear(format!(
            "answers {first} / {second} / {unversioned}; stored '{stored}', version {version}"
        ))
    })
}
