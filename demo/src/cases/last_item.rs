//! C4: the last item in stock, wanted by everybody at once (article C). The ORM writes the stock it
//! computed and the version it counted up, but its check is a SELECT before the UPDATE.
//!
//! Both halves run the same code, the version included, as Prisma's `increment` would send it.

use postgres::Client;

use crate::cases::{Case, Ending, Half};
use crate::crowd::{Told, WRITERS};
use crate::reply::ask;
use crate::server::{Failure, Result};
use crate::stage::Stage;

pub const CASE: Case = Case {
    tag: "C4",
    title: "last item sold once",
    schema: "demo_last_item",
    without: "article C's handler checks the stock, then writes it",
    call: "raceguard.add_version('\"Product\"')",
    free_running: true,
    play,
};

/// Article C's model; one product, its last item, per round.
const PRODUCTS: usize = 25;

/// A buyer who loses reads again, as article C's client does. Each loss is another buyer's sale, of
/// which there can be one: a second loss would already be a fault.
const TRIES: usize = 3;

const SHOWN: &str = "BEGIN; SELECT stock, version FROM \"Product\" WHERE id = $1\n\
     if the stock read is above 0: UPDATE \"Product\" SET stock = (stock read) - 1,\n    \
     version = (version read) + 1 WHERE id = $1; INSERT INTO \"Sale\"; COMMIT";

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    stage.prepare(&format!(
        "CREATE TABLE \"Product\" (
             id int PRIMARY KEY, name text NOT NULL, stock int NOT NULL, price float8 NOT NULL,
             version int NOT NULL DEFAULT 1);
         CREATE TABLE \"Sale\" (\"productId\" int NOT NULL REFERENCES \"Product\", buyer int NOT NULL);
         INSERT INTO \"Product\" SELECT n, 'product ' || n, 1, 9.99 FROM generate_series(1, {PRODUCTS}) n"
    ))?;
    if half == Half::With {
        stage.guard()?;
    }
    let title = format!("{WRITERS} buyers at once, {PRODUCTS} products with one item each");
    let tally = stage
        .crowd(&title, SHOWN, PRODUCTS, |client, buyer, round| buy(client, buyer, round + 1))?;

    let items = stage.count("SELECT count(*) FROM \"Product\"")?;
    let sales = stage.count("SELECT count(*) FROM \"Sale\"")?;
    let oversold = stage.count(
        "SELECT count(*) FROM (SELECT FROM \"Sale\" GROUP BY \"productId\" HAVING count(*) > 1) AS s",
    )?;
    let settled =
        stage.count("SELECT count(*) FROM \"Product\" WHERE stock = 0 AND version = 2")?;
    let conflicts = tally.refused("RG409");
    Ok(if oversold > 0 {
        Ending::Race(format!("{items} items sold {sales} times"))
    } else if let Some(refusal) = tally.unexpected("RG409") {
        Ending::Unclear(format!("a buyer was told {refusal}"))
    } else if conflicts == 0 {
        Ending::Unclear(format!("{items} items sold {sales} times, but no two buyers met"))
    } else if sales == items && settled == items {
        Ending::Held(format!("{items} items sold {sales} times, {conflicts} x RG409"))
    } else {
        Ending::Unclear(format!(
            "{items} items sold {sales} times, {settled} at stock 0 and version 2"
        ))
    })
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
            let sale = ask(client, &format!("INSERT INTO \"Sale\" VALUES ({product}, {buyer})"))?;
            ask(client, "COMMIT")?;
            told.push(if sale.wrote(1) { "bought".into() } else { sale.into() });
            return Ok(told);
        }
        ask(client, "ROLLBACK")?;
        told.push(update.into());
    }
    Err(Failure::new(format!("buyer {buyer} lost {TRIES} times against one item")))
}
