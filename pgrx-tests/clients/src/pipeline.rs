//! CALL retry in the extended protocol: several statements before one Sync are one transaction,
//! which the call must neither tear apart nor lose.

use crate::check::{fail, same, Outcome};
use crate::protocol::{Connection, Reply};
use crate::Test;
use postgres::{Client, NoTls};

pub const TESTS: &[Test] = &[
    ("retry with bound parameters", bound_parameters),
    ("retry from a prepared statement, again and again", prepared),
    ("retry first in a pipeline: the rest is a transaction of its own", first_in_pipeline),
    ("retry after a write in a pipeline: 25001, and the pipeline fails as a whole", after_a_write),
    ("retry after a read in a pipeline: 25001", after_a_read),
    ("retry between Syncs: nothing is lost", between_syncs),
    ("retry in a transaction block: 25001, earlier work kept to a savepoint", in_a_block),
    ("retry in a DO block: a notification sent before is delivered", notification),
];

const INSERT: &str = "INSERT INTO done VALUES ($1)";
const RETRY: &str = "CALL raceguard.retry('INSERT INTO done VALUES (($1 ->> 0)::int)', $1)";

fn table(dsn: &str) -> Result<Client, String> {
    let mut client = Client::connect(dsn, NoTls).map_err(fail("connect"))?;
    client.batch_execute("CREATE TABLE done (id int PRIMARY KEY)").map_err(fail("CREATE TABLE"))?;
    Ok(client)
}

fn done(client: &mut Client) -> Result<Vec<i32>, String> {
    let rows = client.query("SELECT id FROM done ORDER BY id", &[]).map_err(fail("SELECT"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn attempts(n: &str) -> Reply {
    Reply::Rows(vec![vec![n.to_owned()]])
}

fn nothing() -> Reply {
    Reply::Rows(vec![])
}

fn error(code: &str) -> Reply {
    Reply::Error(code.to_owned())
}

fn bound_parameters(dsn: &str) -> Outcome {
    let mut client = table(dsn)?;
    let mut raw = Connection::open(dsn)?;
    raw.execute(
        "CALL raceguard.retry($1, $2, max_attempts => $3)",
        &["INSERT INTO done SELECT n::int FROM jsonb_array_elements_text($1) n", "[1, 2]", "3"],
    )?;
    raw.sync();
    same("replies", raw.send(1)?, vec![attempts("1"), Reply::Ready('I')])?;
    same("rows", done(&mut client)?, vec![1, 2])
}

fn prepared(dsn: &str) -> Outcome {
    let mut client = table(dsn)?;
    let mut raw = Connection::open(dsn)?;
    raw.prepare("retry", RETRY)?;
    for n in 1..=20 {
        raw.again("retry", &[&format!("[{n}]")])?;
        raw.sync();
        same("replies", raw.send(1)?, vec![attempts("1"), Reply::Ready('I')])?;
    }
    raw.again("retry", &["[1]"])?;
    raw.sync();
    same("replies", raw.send(1)?, vec![error("23505"), Reply::Ready('I')])?;
    same("rows", done(&mut client)?, (1..=20).collect())
}

fn first_in_pipeline(dsn: &str) -> Outcome {
    let mut client = table(dsn)?;
    let mut raw = Connection::open(dsn)?;
    raw.execute(RETRY, &["[1]"])?;
    raw.execute(INSERT, &["2"])?;
    raw.execute(INSERT, &["3"])?;
    raw.sync();
    let wanted = vec![attempts("1"), nothing(), nothing(), Reply::Ready('I')];
    same("replies", raw.send(1)?, wanted)?;
    // What retry committed stays committed when a later statement fails.
    raw.execute(RETRY, &["[4]"])?;
    raw.execute(INSERT, &["5"])?;
    raw.execute(INSERT, &["1"])?;
    raw.sync();
    let wanted = vec![attempts("1"), nothing(), error("23505"), Reply::Ready('I')];
    same("replies", raw.send(1)?, wanted)?;
    same("rows", done(&mut client)?, vec![1, 2, 3, 4])
}

fn after_a_write(dsn: &str) -> Outcome {
    let mut client = table(dsn)?;
    let mut raw = Connection::open(dsn)?;
    raw.execute(INSERT, &["1"])?;
    raw.execute(RETRY, &["[2]"])?;
    raw.execute(INSERT, &["3"])?;
    raw.sync();
    let wanted = vec![nothing(), error("25001"), Reply::Ready('I')];
    same("replies", raw.send(1)?, wanted)?;
    same("rows", done(&mut client)?, vec![])
}

fn after_a_read(dsn: &str) -> Outcome {
    let mut client = table(dsn)?;
    let mut raw = Connection::open(dsn)?;
    raw.execute("SELECT count(*) FROM done", &[])?;
    raw.execute(RETRY, &["[1]"])?;
    raw.sync();
    let wanted = vec![attempts("0"), error("25001"), Reply::Ready('I')];
    same("replies", raw.send(1)?, wanted)?;
    same("rows", done(&mut client)?, vec![])
}

fn between_syncs(dsn: &str) -> Outcome {
    let mut client = table(dsn)?;
    let mut raw = Connection::open(dsn)?;
    raw.execute(INSERT, &["1"])?;
    raw.sync();
    raw.execute(RETRY, &["[2]"])?;
    raw.sync();
    raw.execute(INSERT, &["3"])?;
    raw.sync();
    let ready = Reply::Ready('I');
    let wanted = vec![nothing(), ready.clone(), attempts("1"), ready.clone(), nothing(), ready];
    same("replies", raw.send(3)?, wanted)?;
    same("rows", done(&mut client)?, vec![1, 2, 3])
}

fn in_a_block(dsn: &str) -> Outcome {
    let mut client = table(dsn)?;
    let mut raw = Connection::open(dsn)?;
    for sql in ["BEGIN", "INSERT INTO done VALUES (1)", "SAVEPOINT before"] {
        raw.execute(sql, &[])?;
    }
    raw.sync();
    let wanted = vec![nothing(), nothing(), nothing(), Reply::Ready('T')];
    same("replies", raw.send(1)?, wanted)?;
    raw.execute(RETRY, &["[2]"])?;
    raw.sync();
    same("replies", raw.send(1)?, vec![error("25001"), Reply::Ready('E')])?;
    raw.execute("ROLLBACK TO before", &[])?;
    raw.execute("COMMIT", &[])?;
    raw.sync();
    same("replies", raw.send(1)?, vec![nothing(), nothing(), Reply::Ready('I')])?;
    same("rows", done(&mut client)?, vec![1])
}

fn notification(dsn: &str) -> Outcome {
    use fallible_iterator::FallibleIterator;
    let mut client = table(dsn)?;
    client.batch_execute("LISTEN news").map_err(fail("LISTEN"))?;
    let mut sender = Client::connect(dsn, NoTls).map_err(fail("connect"))?;
    let block = "DO $$ DECLARE attempts int; BEGIN \
                 PERFORM pg_notify('news', 'sent before'); \
                 CALL raceguard.retry('INSERT INTO done VALUES (1)', attempts => attempts); END $$";
    sender.batch_execute(block).map_err(fail("DO"))?;
    let mut news = client.notifications();
    let mut news = news.timeout_iter(std::time::Duration::from_secs(10));
    let first = news.next().map_err(fail("notifications"))?;
    same("news", first.map(|n| n.payload().to_owned()), Some("sent before".to_owned()))
}
