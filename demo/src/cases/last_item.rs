//! C4: the last item in stock, wanted by everybody at once (article C). The ORM writes the stock it
//! computed and the version it counted up, but its check is a SELECT before the UPDATE.
//!
//! Played twice: once both halves run the same code, the version included, as Prisma's `increment`
//! would send it, and a version guard tells the losers to read again; once a single call of `take`
//! stands for check and write, and the losers know at once.

use postgres::Client;

use crate::cases::{Case, Ending, Half};
use crate::crowd::{Tally, Told, WRITERS};
use crate::reply::ask;
use crate::server::{Failure, Result};
use crate::stage::Stage;

pub const VERSIONED: Case = Case {
    tag: "C4",
    title: "last item sold once",
    schema: "demo_last_item",
    without: "article C's handler checks the stock, then writes it",
    call: "raceguard.add_version('\"Product\"')",
    free_running: true,
    play: play_versioned,
};

pub const TAKEN: Case = Case {
    tag: "C4",
    title: "last item, one statement",
    schema: "demo_last_item_taken",
    without: "article C's handler checks the stock, then writes it",
    call: "raceguard.take('\"Product\"', '{\"id\": $1}', 'stock', 1)",
    free_running: true,
    play: play_taken,
};

/// Article C's model; one product, its last item, per round.
const PRODUCTS: usize = 25;

/// A buyer who loses reads again, as article C's client does. Each loss is another buyer's sale, of
/// which there can be one: a second loss would already be a fault.
const TRIES: usize = 3;

const SHOWN: &str = "BEGIN; SELECT stock, version FROM \"Product\" WHERE id = $1\n\
     if the stock read is above 0: UPDATE \"Product\" SET stock = (stock read) - 1,\n    \
     version = (version read) + 1 WHERE id = $1; INSERT INTO \"Sale\"; COMMIT";

const SHOWN_TAKE: &str =
    "BEGIN; SELECT raceguard.take('\"Product\"', '{\"id\": $1}', 'stock', 1)\n\
     if that is answered: INSERT INTO \"Sale\"; COMMIT";

fn play_versioned(stage: &mut Stage, half: Half) -> Result<Ending> {
    prepare(stage)?;
    if half == Half::With {
        stage.guard()?;
    }
    let tally = everybody(stage, SHOWN, buy)?;
    settle(stage, &tally, "RG409", "stock = 0 AND version = 2")
}

fn play_taken(stage: &mut Stage, half: Half) -> Result<Ending> {
    prepare(stage)?;
    let tally = match half {
        Half::Without => everybody(stage, SHOWN, buy)?,
        Half::With => everybody(stage, SHOWN_TAKE, take)?,
    };
    settle(stage, &tally, "RG422", "stock = 0")
}

fn prepare(stage: &mut Stage) -> Result<()> {
    stage.prepare(&format!(
        "CREATE TABLE \"Product\" (
             id int PRIMARY KEY, name text NOT NULL, stock int NOT NULL, price float8 NOT NULL,
             version int NOT NULL DEFAULT 1);
         CREATE TABLE \"Sale\" (\"productId\" int NOT NULL REFERENCES \"Product\", buyer int NOT NULL);
         INSERT INTO \"Product\" SELECT n, 'product ' || n, 1, 9.99 FROM generate_series(1, {PRODUCTS}) n"
    ))
}

fn everybody(
    stage: &mut Stage,
    shown: &str,
    act: impl Fn(&mut Client, usize, usize) -> Result<Vec<Told>> + Sync,
) -> Result<Tally> {
    let title = format!("{WRITERS} buyers at once, {PRODUCTS} products with one item each");
    stage.crowd(&title, shown, PRODUCTS, |client, buyer, round| act(client, buyer, round + 1))
}

/// What the tables say: `lost` is the code that buyers who came too late are told, `sold` the
/// state of a product whose item was sold once.
fn settle(stage: &mut Stage, tally: &Tally, lost: &str, sold: &str) -> Result<Ending> {
    let items = stage.count("SELECT count(*) FROM \"Product\"")?;
    let sales = stage.count("SELECT count(*) FROM \"Sale\"")?;
    let oversold = stage.count(
        "SELECT count(*) FROM (SELECT FROM \"Sale\" GROUP BY \"productId\" HAVING count(*) > 1) AS s",
    )?;
    let settled = stage.count(&format!("SELECT count(*) FROM \"Product\" WHERE {sold}"))?;
    let losers = tally.refused(lost);
    Ok(if oversold > 0 {
        Ending::Race(format!("{items} items sold {sales} times"))
    } else if let Some(refusal) = tally.unexpected(lost) {
        Ending::Unclear(format!("a buyer was told {refusal}"))
    } else if losers == 0 {
        Ending::Unclear(format!("{items} items sold {sales} times, but no two buyers met"))
    } else if sales == items && settled == items {
        Ending::Held(format!("{items} items sold {sales} times, {losers} x {lost}"))
    } else {
        Ending::Unclear(format!("{items} items sold {sales} times, {settled} of them settled"))
    })
}

fn take(client: &mut Client, buyer: usize, product: usize) -> Result<Vec<Told>> {
    ask(client, "BEGIN")?;
    let call = format!("SELECT raceguard.take('\"Product\"', '{{\"id\": {product}}}', 'stock', 1)");
    let taken = ask(client, &call)?;
    if taken.refusal().is_some() {
        ask(client, "ROLLBACK")?;
        return Ok(vec![taken.into()]);
    }
    sell(client, buyer, product)
}

/// Notes the sale of an item that is the buyer's now.
fn sell(client: &mut Client, buyer: usize, product: usize) -> Result<Vec<Told>> {
    let sale = ask(client, &format!("INSERT INTO \"Sale\" VALUES ({product}, {buyer})"))?;
    ask(client, "COMMIT")?;
    Ok(vec![if sale.wrote(1) { "bought".into() } else { sale.into() }])
}

fn buy(client: &mut Client, buyer: usize, product: usize) -> Result<Vec<Told>> {
    let mut told = Vec::new();
    for _ in 0..TRIES {
        ask(client, "BEGIN")?;
        let read =
            ask(client, &format!("SELECT stock, version FROM \"Product\" WHERE id = {product}"))?;
        let (stock, version) = (read.number("stock")?, read.number("version")?);
        if stock < 1 {
            ask(client, "ROLLBACK")?;
            told.push("sold out".into());
            return Ok(told);
        }
        let update = ask(
            client,
            &format!(
                "UPDATE \"Product\" SET stock = {}, version = {} WHERE id = {product}",
                stock - 1,
                version + 1
            ),
        )?;
        if update.wrote(1) {
            told.extend(sell(client, buyer, product)?);
            return Ok(told);
        }
        ask(client, "ROLLBACK")?;
        told.push(update.into());
    }
    Err(Failure::new(format!("buyer {buyer} lost {TRIES} times against one item")))
}
