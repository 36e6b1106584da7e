//! All sessions read version 1 and save at the same
//! moment. One wins, the others conflict, the final version is 2; with 2 to 16 sessions, at every
//! isolation level, by plain UPDATE as an ORM sends it and by compare_and_swap.
//!
//! Above READ COMMITTED Postgres itself may answer 40001 before the guard is asked: the same outcome
//! under another name.

use crate::check::{fail, same, Outcome};
use crate::Test;
use postgres::{Client, IsolationLevel, NoTls};
use std::sync::{Arc, Barrier};
use std::thread;

pub const TESTS: &[Test] = &[("parallel saves: one wins, the others conflict", saves)];

const SESSIONS: [usize; 4] = [2, 4, 8, 16];
const LEVELS: [IsolationLevel; 3] =
    [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable];
const UPDATE: &str = "UPDATE orders SET shipping_address = $1, version = 2 WHERE id = 1";
const SWAP: &str = "SELECT raceguard.compare_and_swap('orders', '{\"id\": 1}', 1, \
                    jsonb_build_object('shipping_address', $1::text))";

fn saves(dsn: &str) -> Outcome {
    let mut admin = Client::connect(dsn, NoTls).map_err(fail("connect"))?;
    admin
        .batch_execute(
            "CREATE TABLE orders (id int PRIMARY KEY, shipping_address text);
             SELECT raceguard.add_version('orders', unstated => 'reject');",
        )
        .map_err(fail("set up"))?;
    for statement in [UPDATE, SWAP] {
        for level in LEVELS {
            for sessions in SESSIONS {
                round(dsn, &mut admin, statement, level, sessions)?;
            }
        }
    }
    Ok(())
}

fn round(
    dsn: &str,
    admin: &mut Client,
    statement: &'static str,
    level: IsolationLevel,
    sessions: usize,
) -> Outcome {
    admin
        .batch_execute("TRUNCATE orders; INSERT INTO orders VALUES (1, 'Old Street')")
        .map_err(fail("reset"))?;
    let barrier = Arc::new(Barrier::new(sessions));
    let savers: Vec<_> = (0..sessions)
        .map(|n| {
            let (dsn, barrier) = (dsn.to_owned(), barrier.clone());
            thread::spawn(move || save(&dsn, &barrier, statement, level, n))
        })
        .collect();
    let (mut won, mut conflicts) = (Vec::new(), 0);
    for (n, saver) in savers.into_iter().enumerate() {
        match saver.join().map_err(fail("a session"))?? {
            true => won.push(n),
            false => conflicts += 1,
        }
    }
    let what = format!("{sessions} sessions at {level:?}, {statement}");
    same(&format!("{what}: winners"), won.len(), 1)?;
    same(&format!("{what}: conflicts"), conflicts, sessions - 1)?;
    let row = admin
        .query_one("SELECT shipping_address, version FROM orders", &[])
        .map_err(fail("read the result"))?;
    same(&format!("{what}: address"), row.get(0), format!("Street {}", won[0]))?;
    same(&format!("{what}: final version"), row.get::<_, i64>(1), 2)
}

/// Reads version 1 in a transaction of its own, waits for the others, saves; whether it won.
fn save(
    dsn: &str,
    barrier: &Barrier,
    statement: &str,
    level: IsolationLevel,
    n: usize,
) -> Result<bool, String> {
    let connected = Client::connect(dsn, NoTls).map_err(fail("connect"));
    let mut client = match connected {
        Ok(client) => client,
        Err(why) => {
            barrier.wait();
            return Err(why);
        }
    };
    let mut transaction =
        client.build_transaction().isolation_level(level).start().map_err(fail("begin"))?;
    let read = transaction.query_one("SELECT version FROM orders", &[]).map_err(fail("read"));
    barrier.wait();
    same("the version read", read?.get::<_, i64>(0), 1)?;
    let address = format!("Street {n}");
    let saved = transaction.execute(statement, &[&address]).and_then(|_| transaction.commit());
    match saved.as_ref().err().and_then(|e| e.code()).map(|c| c.code()) {
        None => saved.map(|()| true).map_err(fail("save")),
        Some("RG409") => Ok(false),
        Some("40001") if !matches!(level, IsolationLevel::ReadCommitted) => Ok(false),
        Some(other) => Err(format!("{other} from {statement}")),
    }
}
