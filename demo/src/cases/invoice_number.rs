//! E1: invoices of a company are numbered without a gap. The application takes the highest number plus one;
//! two clerks who write an invoice at once take the same.

use crate::cases::{Case, Ending, Half};
use crate::server::Result;
use crate::stage::Stage;
use crate::timeline::Who::{One, Two};

pub const CASE: Case = Case {
    tag: "E1",
    title: "the invoice number given twice",
    schema: "demo_invoice_number",
    without: "SELECT max(number) + 1, then insert",
    call: "raceguard.add_number('invoices', 'company')",
    free_running: false,
    play,
};

const INVOICES: &str = "
    CREATE TABLE invoices (
        company int NOT NULL,
        number int,
        total numeric NOT NULL);
    INSERT INTO invoices VALUES (7, 1, 100), (7, 2, 200)";

const NEXT: &str = "SELECT max(number) + 1 AS next FROM invoices\n  WHERE company = 7";

const DOUBLE: &str = "SELECT count(*) - count(DISTINCT number) FROM invoices";
const GAP: &str = "SELECT max(number) - count(*) FROM invoices";

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    stage.prepare(INVOICES)?;
    if half == Half::With {
        stage.guard()?;
    }
    let mut story = stage.story(["one clerk", "another clerk"])?;
    story.ask(One, "BEGIN")?;
    story.ask(Two, "BEGIN")?;
    let mut waited = false;
    if half == Half::Without {
        let one = story.ask(One, NEXT)?.number("next")?;
        let two = story.ask(Two, NEXT)?.number("next")?;
        story.ask(One, &format!("INSERT INTO invoices VALUES (7, {one}, 300)"))?;
        story.ask(Two, &format!("INSERT INTO invoices VALUES (7, {two}, 400)"))?;
    } else {
        let insert = |total: i64| {
            format!("INSERT INTO invoices (company, total)\n  VALUES (7, {total}) RETURNING number")
        };
        story.ask(One, &insert(300))?;
        story.step(Two, &insert(400))?;
        waited = story.waits(Two);
    }
    // Whoever was first gives up: his number is not lost.
    story.ask(One, if half == Half::With { "ROLLBACK" } else { "COMMIT" })?;
    let second = story.reply(Two)?;
    story.ask(Two, "COMMIT")?;
    drop(story);

    let (double, gap) = (stage.count(DOUBLE)?, stage.count(GAP)?);
    Ok(if double > 0 {
        Ending::Race(format!("{double} number given twice"))
    } else if gap == 0 && waited && second.number("number").ok() == Some(3) {
        Ending::Held("numbers 1 to 3, none given twice, none left out".to_owned())
    } else {
        Ending::Unclear(format!("{double} doubles, {gap} left out, the second told {second}"))
    })
}
