//! raceguard under tokio-postgres, which `postgres` wraps: the fields of an error, and parameters,
//! which it sends in the types that the server infers for the prepared statement.

use crate::check::{fail, holds, same, Outcome};
use crate::Test;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio_postgres::error::DbError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, NoTls};

pub const TESTS: &[Test] = &[
    ("tokio-postgres: a save bumps once, a stale one is RG409 with all fields", |dsn| {
        run(saves(dsn))
    }),
    ("tokio-postgres: two saves at once, one wins", |dsn| run(race(dsn))),
    ("tokio-postgres: RG403 from a cap, RG429 from a cooldown", |dsn| run(refusals(dsn))),
    ("tokio-postgres: lock_key with parameters of inferred types", |dsn| run(lock_key(dsn))),
];

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

const SAVE: &str = "UPDATE orders SET address = $1, version = $2 WHERE id = 1";

fn run(test: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(fail("runtime"))?.block_on(test)
}

async fn connect(dsn: &str) -> Result<Client, String> {
    let (client, connection) =
        tokio_postgres::connect(dsn, NoTls).await.map_err(fail("connect"))?;
    tokio::spawn(connection);
    Ok(client)
}

async fn prepare(dsn: &str, sql: &str) -> Result<Client, String> {
    let client = connect(dsn).await?;
    client.batch_execute(sql).await.map_err(fail("set up"))?;
    Ok(client)
}

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, address text);
    INSERT INTO orders VALUES (1, 'Old Street');
    SELECT raceguard.add_version('orders', unstated => 'reject');";

/// What the server reported of a statement that failed.
fn report(result: Result<u64, Error>) -> Result<DbError, String> {
    let error = result.err().ok_or("the statement should fail")?;
    error.as_db_error().cloned().ok_or_else(|| format!("no error of the server: {error:?}"))
}

fn stale(error: &DbError) -> Outcome {
    same("SQLSTATE", error.code().code(), "RG409")?;
    same("message", error.message(), "row of \"orders\" has changed since it was read")?;
    let detail = "Key (id)=(1): stated version 1, stored version 2.";
    same("detail", error.detail(), Some(detail))?;
    holds("a hint", error.hint().is_some_and(|hint| hint.starts_with("Read the row again")))?;
    same("schema", error.schema(), Some("public"))?;
    same("table", error.table(), Some("orders"))?;
    same("column", error.column(), Some("version"))?;
    same("constraint", error.constraint(), Some("zz_raceguard_version"))
}

async fn stored(client: &Client) -> Result<(String, i64), String> {
    let row = client.query_one("SELECT address, version FROM orders", &[]).await;
    let row = row.map_err(fail("read"))?;
    Ok((row.get(0), row.get(1)))
}

async fn saves(dsn: &str) -> Outcome {
    let client = prepare(dsn, ORDERS).await?;
    let save = client.prepare(SAVE).await.map_err(fail(SAVE))?;
    // The version's own type is inferred: an i64 for bigint.
    same("types", save.params(), &[Type::TEXT, Type::INT8])?;
    same("saved", client.execute(&save, &[&"Ann Street", &2i64]).await.map_err(fail(SAVE))?, 1)?;
    stale(&report(client.execute(&save, &[&"Bob Street", &2i64]).await)?)?;
    same("row", stored(&client).await?, ("Ann Street".to_owned(), 2))?;
    client.execute(&save, &[&"Ann Street 2", &3i64]).await.map_err(fail(SAVE))?;
    same("row", stored(&client).await?, ("Ann Street 2".to_owned(), 3))
}

/// Waits until two sessions of this database wait for a lock.
async fn until_both_wait(client: &Client) -> Outcome {
    let started = Instant::now();
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while started.elapsed() < Duration::from_secs(60) {
        let row = client.query_one(sql, &[]).await.map_err(fail("activity"))?;
        if row.get::<_, i64>(0) == 2 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("the two saves never came to wait".to_owned())
}

/// Both have read version 1 and send their saves while the row is locked; then it is let go.
async fn race(dsn: &str) -> Outcome {
    let mut gate = prepare(dsn, ORDERS).await?;
    let watcher = connect(dsn).await?;
    let lock = gate.transaction().await.map_err(fail("begin"))?;
    lock.query("SELECT FROM orders WHERE id = 1 FOR UPDATE", &[]).await.map_err(fail("lock"))?;
    let mut savers = Vec::new();
    for address in ["Ann Street", "Bob Street"] {
        let client = connect(dsn).await?;
        savers.push(tokio::spawn(async move { client.execute(SAVE, &[&address, &2i64]).await }));
    }
    until_both_wait(&watcher).await?;
    lock.commit().await.map_err(fail("let go"))?;
    let (mut won, mut lost) = (0, 0);
    for saver in savers {
        match saver.await.map_err(fail("a save"))? {
            Ok(rows) => won += rows,
            failed => {
                stale(&report(failed)?)?;
                lost += 1;
            }
        }
    }
    same("winners and losers", (won, lost), (1, 1))?;
    same("version", stored(&gate).await?.1, 2)
}

async fn refusals(dsn: &str) -> Outcome {
    let set_up = "CREATE TABLE posts (id int PRIMARY KEY, author int);
        SELECT raceguard.add_cap('posts', 'author', 1);
        CREATE TABLE reports (id int PRIMARY KEY, author int, at timestamptz DEFAULT now());
        SELECT raceguard.add_cooldown('reports', 'author', 'at', '7 days');";
    let client = prepare(dsn, set_up).await?;
    for (table, code, column) in [("posts", "RG403", "slot"), ("reports", "RG429", "at")] {
        let insert = format!("INSERT INTO {table} (id, author) VALUES ($1, $2)");
        client.execute(&insert, &[&1i32, &42i32]).await.map_err(fail(&insert))?;
        let error = report(client.execute(&insert, &[&2i32, &42i32]).await)?;
        same("SQLSTATE", error.code().code(), code)?;
        same("table", error.table(), Some(table))?;
        same("column", error.column(), Some(column))?;
        let detail = error.detail().unwrap_or_default();
        holds(&format!("{detail} names the key"), detail.starts_with("Key (author)=(42)"))?;
        holds("a hint", error.hint().is_some())?;
    }
    Ok(())
}

async fn lock_key(dsn: &str) -> Outcome {
    let set_up = "CREATE TABLE seats (id int PRIMARY KEY, show int, day date);
        SELECT raceguard.add_key_lock('seats', 'show, day');
        CREATE TABLE rooms (id int PRIMARY KEY);
        SELECT raceguard.add_key_lock('rooms', 'id');";
    let mut client = prepare(dsn, set_up).await?;
    let other = connect(dsn).await?;
    let writer = prepare(dsn, "SET lock_timeout = '10ms'").await?;
    // What an untyped parameter is inferred as: text, which the call converts to the key's types.
    let one = "SELECT raceguard.lock_key('rooms', $1)";
    let inferred = client.prepare(one).await.map_err(fail(one))?;
    same("types", inferred.params(), &[Type::TEXT])?;
    client.execute(&inferred, &[&"42"]).await.map_err(fail(one))?;
    let call = "SELECT raceguard.lock_key('seats', $1, $2)";
    let inferred = client.prepare(call).await.map_err(fail(call))?;
    same("types", inferred.params(), &[Type::TEXT, Type::TEXT])?;
    let number = client.execute(&inferred, &[&42i32, &"2026-05-01"]).await;
    holds("a number is no text to this driver", number.is_err_and(|e| e.as_db_error().is_none()))?;

    let texts: Parameters = &[&"42", &"2026-05-01"];
    let one_cast: Parameters = &[&42i32, &"2026-05-01"];
    let table: Parameters = &[&"seats", &"42", &"2026-05-01"];
    let calls = [
        (call, texts),
        ("SELECT raceguard.lock_key('seats', $1::int, $2)", one_cast),
        ("SELECT raceguard.lock_key('seats', $1::bigint, $2)", &[&42i64, &"2026-05-01"]),
        ("SELECT raceguard.lock_key($1::text::regclass, $2, $3)", table),
    ];
    for (call, parameters) in calls {
        let transaction = client.transaction().await.map_err(fail("begin"))?;
        transaction.execute(call, parameters).await.map_err(fail(call))?;
        for (show, free) in [("42", false), ("43", true)] {
            let attempt = "SELECT raceguard.try_lock_key('seats', $1, $2)";
            let row = other.query_one(attempt, &[&show, &"2026-05-01"]).await;
            same(call, row.map_err(fail(attempt))?.get(0), free)?;
        }
        let waited = writer.execute("INSERT INTO seats VALUES (1, 42, '2026-05-01')", &[]).await;
        same("a guarded write meanwhile", report(waited)?.code().code(), "55P03")?;
        transaction.rollback().await.map_err(fail("rollback"))?;
    }
    Ok(())
}
