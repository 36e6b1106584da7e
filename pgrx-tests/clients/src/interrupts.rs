//! The wait between two attempts: ended at once by whoever may end a statement, and free of locks
//! and snapshots.

use crate::check::{fail, holds, same, Outcome};
use crate::Test;
use postgres::{Client, NoTls};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("pg_cancel_backend ends the wait at once", cancel),
    ("a cancel request from the driver ends the wait at once", cancel_request),
    ("pg_terminate_backend ends the wait at once", terminate),
    ("statement_timeout ends the wait at once", timeout),
    ("a cancelled statement is not tried again", cancelled_statement),
    ("the wait holds no lock, snapshot or transaction id", idle),
];

/// At once, on a machine that has other work to do.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A call whose first wait is, by all odds, longer than the test.
const WAITING: &str = "CALL raceguard.retry('UPDATE done SET id = id; SELECT conflict()', \
                       base_delay => '10000 hours', max_delay => '10000 hours')";

fn session(dsn: &str) -> Result<(Client, i32), String> {
    let mut client = Client::connect(dsn, NoTls).map_err(fail("connect"))?;
    let row = client.query_one("SELECT pg_backend_pid()", &[]).map_err(fail("pid"))?;
    Ok((client, row.get(0)))
}

fn prepare(dsn: &str) -> Result<Client, String> {
    let (mut client, _) = session(dsn)?;
    let sql = "CREATE TABLE done (id int PRIMARY KEY); INSERT INTO done VALUES (1); \
               CREATE SEQUENCE tries; \
               CREATE FUNCTION conflict() RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
               PERFORM nextval('tries'); RAISE serialization_failure; END $$";
    client.batch_execute(sql).map_err(fail("setup"))?;
    Ok(client)
}

/// Waits until a backend sleeps between two attempts.
fn until_waiting(client: &mut Client, pid: i32) -> Outcome {
    let started = Instant::now();
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Extension'";
    while started.elapsed() < Duration::from_secs(30) {
        let waiting: i64 = client.query_one(sql, &[&pid]).map_err(fail("activity"))?.get(0);
        if waiting == 1 {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err("the call never came to wait".to_owned())
}

/// The SQLSTATE of a failure. The driver now and then sees the closed socket of a terminated session
/// before it has read the server's last words.
fn code(error: postgres::Error) -> String {
    match error.code() {
        Some(code) => code.code().to_owned(),
        None if error.is_closed() => "57P01".to_owned(),
        None => error.to_string(),
    }
}

/// Runs the waiting call, ends its wait by `end`, and demands that it fails at once with `wanted`.
fn ended(
    dsn: &str,
    wanted: &str,
    end: impl FnOnce(&mut Client, i32, postgres::CancelToken) -> Outcome,
) -> Result<(Client, Client), String> {
    let mut client = prepare(dsn)?;
    let (mut caller, pid) = session(dsn)?;
    let token = caller.cancel_token();
    let call = thread::spawn(move || {
        let result = caller.batch_execute(WAITING);
        (caller, result.err().map(code))
    });
    until_waiting(&mut client, pid)?;
    let asked = Instant::now();
    end(&mut client, pid, token)?;
    let (caller, found) = call.join().map_err(|_| "the caller panicked".to_owned())?;
    let took = asked.elapsed();
    same("SQLSTATE", found.as_deref(), Some(wanted))?;
    holds(&format!("ended within {AT_ONCE:?}, took {took:?}"), took < AT_ONCE)?;
    Ok((client, caller))
}

/// The session goes on as if nothing had been.
fn usable(mut caller: Client) -> Outcome {
    caller.batch_execute("UPDATE done SET id = id + 1").map_err(fail("afterwards"))
}

fn cancel(dsn: &str) -> Outcome {
    let (_, caller) = ended(dsn, "57014", |client, pid, _| {
        client.execute("SELECT pg_cancel_backend($1)", &[&pid]).map(drop).map_err(fail("cancel"))
    })?;
    usable(caller)
}

fn cancel_request(dsn: &str) -> Outcome {
    let (_, caller) = ended(dsn, "57014", |_, _, token| {
        token.cancel_query(NoTls).map_err(fail("cancel request"))
    })?;
    usable(caller)
}

fn terminate(dsn: &str) -> Outcome {
    let (mut client, _) = ended(dsn, "57P01", |client, pid, _| {
        let sql = "SELECT pg_terminate_backend($1)";
        client.execute(sql, &[&pid]).map(drop).map_err(fail("terminate"))
    })?;
    let id: i32 = client.query_one("SELECT id FROM done", &[]).map_err(fail("rows"))?.get(0);
    same("row", id, 1)
}

fn timeout(dsn: &str) -> Outcome {
    prepare(dsn)?;
    let (mut caller, _) = session(dsn)?;
    caller.batch_execute("SET statement_timeout = '500ms'").map_err(fail("SET"))?;
    let asked = Instant::now();
    let result = caller.batch_execute(WAITING);
    let took = asked.elapsed();
    let code = result.err().map(code);
    same("SQLSTATE", code.as_deref(), Some("57014"))?;
    let limit = Duration::from_millis(500) + AT_ONCE;
    holds(&format!("ended within {limit:?}, took {took:?}"), took < limit)?;
    usable(caller)
}

fn cancelled_statement(dsn: &str) -> Outcome {
    let mut client = prepare(dsn)?;
    let (mut caller, _) = session(dsn)?;
    let sql = "SET statement_timeout = '300ms'";
    caller.batch_execute(sql).map_err(fail(sql))?;
    let call =
        "CALL raceguard.retry('SELECT nextval(''tries''), pg_sleep(60)', max_attempts => 100)";
    let result = caller.batch_execute(call);
    let code = result.err().map(code);
    same("SQLSTATE", code.as_deref(), Some("57014"))?;
    let row = client.query_one("SELECT last_value FROM tries", &[]).map_err(fail("tries"))?;
    same("attempts", row.get::<_, i64>(0), 1)?;
    usable(caller)
}

fn idle(dsn: &str) -> Outcome {
    let (mut client, _caller) = ended(dsn, "57014", |client, pid, token| {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE pid = $1 AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)";
        let row = client.query_one(sql, &[&pid]).map_err(fail("activity"))?;
        same("transaction id or snapshot", row.get::<_, i64>(0), 0)?;
        let sql = "SELECT count(*) FROM pg_locks WHERE pid = $1 AND locktype <> 'virtualxid'";
        let row = client.query_one(sql, &[&pid]).map_err(fail("locks"))?;
        same("locks", row.get::<_, i64>(0), 0)?;
        // The row it had written is free.
        let sql = "SELECT id FROM done FOR UPDATE NOWAIT";
        client.query_one(sql, &[]).map_err(fail(sql))?;
        token.cancel_query(NoTls).map_err(fail("cancel"))
    })?;
    let row = client.query_one("SELECT last_value FROM tries", &[]).map_err(fail("tries"))?;
    same("attempts", row.get::<_, i64>(0), 1)
}
