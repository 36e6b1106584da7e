//! `lock_rows`, `take` and `take_all`: money and stock are conserved, and nothing deadlocks.

use crate::language::{Effect, Invariant, Isolation, Statement, Workload};

pub const MONEY: &str = "money conserved";
pub const STOCK: &str = "stock and sales add up";
pub const FLOOR: &str = "stock never below its floor";

pub fn all() -> Vec<Workload> {
    vec![transfer(), take(), take_all()]
}

/// A transfer between two accounts, each statement a transaction of its own: two transfers in one
/// transaction may deadlock whatever order each of them keeps. `lock` takes both rows.
pub fn transfer_with(name: &'static str, lock: &[&'static str]) -> Workload {
    let mut w = Workload::new(name, "article B's transfer, both directions at once, 16 sessions");
    w.clients = 16;
    w.keys = 4;
    w.numbers = 300;
    w.steps = 1;
    w.impatient = 5;
    w.allowed = vec!["40001", "55P03"];
    w.setup = vec![
        "CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL DEFAULT 1000)",
        "INSERT INTO accounts SELECT g FROM generate_series(1, {keys}) g",
    ];
    let mut sql = lock.to_vec();
    sql.extend([
        "SELECT a.balance, b.balance FROM accounts a, accounts b \
         WHERE a.id = {key} AND b.id = {other} AND a.balance >= {n}",
        "UPDATE accounts SET balance = {0} - {n} WHERE id = {key} RETURNING {0}, {1}",
        "UPDATE accounts SET balance = {1} + {n} WHERE id = {other} RETURNING id",
    ]);
    w.statements = vec![Statement::new("transfer", 1, &sql, &[])];
    w.invariants = vec![Invariant::Never {
        name: MONEY,
        sql: "SELECT NULL, sum(balance), min(balance) FROM accounts \
              HAVING sum(balance) <> 1000 * count(*) OR min(balance) < 0",
    }];
    w
}

pub fn transfer() -> Workload {
    transfer_with(
        "transfer",
        &["SELECT raceguard.lock_rows('accounts', '[{\"id\": {key}}, {\"id\": {other}}]')"],
    )
}

/// Stock that sells out within a round, before what takes from it. Sales are what committed.
pub fn stock(name: &'static str, story: &'static str) -> Workload {
    let mut w = Workload::new(name, story);
    w.clients = 16;
    w.keys = 4;
    w.numbers = 5;
    w.impatient = 5;
    w.allowed.extend(["RG422", "55P03"]);
    w.setup = vec![
        "CREATE TABLE stock (id bigint PRIMARY KEY, quantity bigint NOT NULL DEFAULT 60)",
        "INSERT INTO stock SELECT g FROM generate_series(1, {keys}) g",
    ];
    w.invariants = vec![
        Invariant::Counted { name: STOCK, sql: "SELECT id, 60 - quantity FROM stock" },
        Invariant::Stock { code: "RG422", at_first: 60 },
        Invariant::Never { name: FLOOR, sql: "SELECT id, quantity FROM stock WHERE quantity < 0" },
    ];
    w
}

pub fn take() -> Workload {
    let mut w = stock("take", "one row, several amounts, down to the floor");
    w.statements = vec![
        Statement::new(
            "take",
            4,
            &["SELECT raceguard.take('stock', '{\"id\": {key}}', 'quantity', {n})"],
            &[Effect::AddNumber],
        ),
        Statement::new(
            "put back",
            1,
            &["SELECT raceguard.take('stock', '{\"id\": {key}}', 'quantity', -1)"],
            &[Effect::Subtract],
        ),
    ];
    w
}

/// Two items in random order; one basket per transaction, so that 40P01 is a failure.
pub fn take_all() -> Workload {
    let mut w = stock("take_all", "baskets in random item order, all or nothing, no deadlock");
    w.steps = 1;
    w.isolation = &[Isolation::ReadCommitted, Isolation::RepeatableRead];
    w.allowed = vec!["40001", "RG422", "55P03"];
    w.statements = vec![Statement::new(
        "basket",
        1,
        &["SELECT raceguard.take_all('stock', 'quantity', \
             '[{\"id\": {key}, \"amount\": 1}, {\"id\": {other}, \"amount\": 1}]')"],
        &[Effect::Add, Effect::AddOther],
    )];
    w
}
