//! Functions called by the fast-path protocol, which names no type: what a call would learn from its
//! expression is not there.

use crate::check::{fail, same, Outcome};
use crate::protocol::Connection;
use crate::Test;
use postgres::{Client, NoTls};

pub const TESTS: &[Test] = &[("a key locked by the fast-path protocol", key)];

fn connect(dsn: &str) -> Result<Client, String> {
    let mut client = Client::connect(dsn, NoTls).map_err(fail("connect"))?;
    client
        .batch_execute(
            "CREATE TABLE t (a int PRIMARY KEY, b text); SELECT raceguard.add_key_lock('t', 'a, b');",
        )
        .map_err(fail("CREATE TABLE"))?;
    Ok(client)
}

fn oid(client: &mut Client, function: &str) -> Result<u32, String> {
    let row = client
        .query_one(&format!("SELECT '{function}'::regprocedure::oid"), &[])
        .map_err(fail(function))?;
    Ok(row.get(0))
}

fn key(dsn: &str) -> Outcome {
    let mut client = connect(dsn)?;
    let mut raw = Connection::open(dsn)?;
    for name in ["lock_key", "try_lock_key"] {
        let function = oid(&mut client, &format!("raceguard.{name}(regclass,text[])"))?;
        same(name, raw.call(function, &["t", "{1,x}"])?, None)?;
        same(name, raw.call(function, &["t", "{1}"])?, Some("22023".to_owned()))?;
    }
    Ok(())
}
