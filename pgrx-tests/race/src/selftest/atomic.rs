//! Transfers and sales without the calls that make them safe.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::checks::{HAD_STOCK, UNEXPECTED};
use crate::language::{Effect, Statement, Workload};
use crate::workloads::atomic::{stock, transfer_with, FLOOR, MONEY, STOCK};

/// Takes what somebody else has locked for sold out.
const SKIPS_LOCKED: &str = "CREATE FUNCTION sell(item bigint) RETURNS void LANGUAGE plpgsql AS $$ \
    BEGIN PERFORM FROM stock WHERE id = item AND quantity > 0 FOR UPDATE SKIP LOCKED; \
    IF NOT FOUND THEN RAISE 'sold out' USING ERRCODE = 'RG422'; END IF; \
    UPDATE stock SET quantity = quantity - 1 WHERE id = item; END $$";

/// A basket of two items, one after the other, all in one transaction.
fn basket(sql: &[&str]) -> Workload {
    let mut w = at_read_committed(stock("basket", ""));
    w.steps = 1;
    w.allowed = vec!["55P03"];
    w.statements = vec![Statement::new("basket", 1, sql, &[Effect::Add, Effect::AddOther])];
    w
}

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    let unlocked = at_read_committed(transfer_with("transfer", &[]));
    let as_given = transfer_with(
        "transfer",
        &[
            "SELECT id FROM accounts WHERE id = {key} FOR UPDATE",
            "SELECT id FROM accounts WHERE id = {other} FOR UPDATE",
        ],
    );
    let sorted = transfer_with(
        "transfer",
        &[
            "SELECT id FROM accounts WHERE id = {low} FOR UPDATE",
            "SELECT id FROM accounts WHERE id = {high} FOR UPDATE",
        ],
    );
    let read_then_write = basket(&[
        "SELECT a.quantity, b.quantity FROM stock a, stock b WHERE a.id = {low} AND b.id = {high} \
         AND a.quantity > 0 AND b.quantity > 0",
        "UPDATE stock SET quantity = {0} - 1 WHERE id = {low} RETURNING {0}, {1}",
        "UPDATE stock SET quantity = {1} - 1 WHERE id = {high} RETURNING id",
    ]);
    let look_then_take = basket(&[
        "SELECT 1 FROM stock a, stock b WHERE a.id = {low} AND b.id = {high} \
         AND a.quantity > 0 AND b.quantity > 0",
        "UPDATE stock SET quantity = quantity - 1 WHERE id = {low} AND {0} = 1 RETURNING 1",
        "UPDATE stock SET quantity = quantity - 1 WHERE id = {high} AND {0} = 1 RETURNING id",
    ]);
    let given_order = basket(&[
        "UPDATE stock SET quantity = quantity - 1 WHERE id = {key} RETURNING id",
        "UPDATE stock SET quantity = quantity - 1 WHERE id = {other} AND {0} > 0 RETURNING id",
    ]);
    let mut skips = at_read_committed(stock("", ""));
    skips.statements = vec![Statement::new("take", 1, &["SELECT sell({key})"], &[Effect::Add])];
    vec![
        instead("transfer_without_locks", unlocked, &[], caught(MONEY)),
        instead("transfer_in_argument_order", as_given, &[], caught(UNEXPECTED)),
        instead("transfer_sound", sorted, &[], Verdict::Clean),
        instead("stock_read_then_written", read_then_write, &[], caught(STOCK)),
        instead("stock_looked_at_then_taken", look_then_take, &[], caught(FLOOR)),
        instead("stock_skips_locked", skips, &[SKIPS_LOCKED], caught(HAD_STOCK)),
        instead("stock_in_basket_order", given_order, &[], caught(UNEXPECTED)),
    ]
}
