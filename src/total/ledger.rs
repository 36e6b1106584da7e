//! What a transaction has noted of totals and not yet written, following its subtransactions.
//!
//! No Postgres in here; [`NotedKeys`] says what a subtransaction's number tells. Each key has an account, a stack
//! of layers, one for each subtransaction that touched it: a rollback takes the newest layers off, and what lies
//! below is as it was. A layer may say that all below it has been settled.

use crate::guard::noted_keys::NotedKeys;
use std::collections::TryReserveError;

/// Amounts by key. `S` says where a key's row is found.
pub struct Ledger<S, A> {
    accounts: NotedKeys<Account<S>>,
    /// In the order in which they came, so that a rollback takes them from the end.
    layers: Vec<Layer<A>>,
    /// Accounts to settle; may name some that are gone, or have nothing left.
    open: Vec<usize>,
}

struct Account<S> {
    source: S,
    top: Option<usize>,
    /// Whether it stands in `open`.
    is_open: bool,
}

struct Layer<A> {
    account: usize,
    sub: u32,
    below: Option<usize>,
    /// Everything below is settled.
    settled: bool,
    amount: Option<A>,
}

/// An account with something to settle.
#[derive(Debug)]
pub struct DueAccount<S, A> {
    pub account: usize,
    pub source: S,
    pub key: Vec<u8>,
    /// At least one; their sum counts.
    pub amounts: Vec<A>,
}

/// A value that may have no memory to be copied to.
pub trait TryCopy: Sized {
    fn try_copy(&self) -> Result<Self, TryReserveError>;
}

impl<S: Copy, A: TryCopy> Ledger<S, A> {
    pub const fn new() -> Ledger<S, A> {
        Ledger { accounts: NotedKeys::new(), layers: Vec::new(), open: Vec::new() }
    }

    /// The account of a key. `source` is asked for a new one. After a failure nothing has changed.
    #[inline]
    pub fn account(
        &mut self,
        key: &[u8],
        sub: u32,
        source: impl FnOnce() -> Result<S, TryReserveError>,
    ) -> Result<usize, TryReserveError> {
        match self.accounts.find(key) {
            Ok(found) => Ok(found),
            Err(hash) => {
                // Room for all of them, so that a rollback can open any of them.
                let all = self.accounts.len() + 1;
                self.open.try_reserve(all.saturating_sub(self.open.len()))?;
                let account = Account { source: source()?, top: None, is_open: false };
                self.accounts.add(key, hash, sub, account)
            }
        }
    }

    /// The amount to which one that is noted in subtransaction `sub` is added.
    #[inline]
    pub fn noted(&self, account: usize, sub: u32) -> Option<&A> {
        let top = self.accounts.get(account)?.top?;
        self.layers.get(top).filter(|layer| layer.sub == sub)?.amount.as_ref()
    }

    /// Puts an amount in the place of the [noted](Ledger::noted) one.
    #[inline]
    pub fn note(&mut self, account: usize, sub: u32, amount: A) -> Result<(), TryReserveError> {
        let layer = self.layer(account, sub)?;
        layer.amount = Some(amount);
        self.open_account(account);
        Ok(())
    }

    /// Says that all that was noted for an account is settled by subtransaction `sub`.
    pub fn settle(&mut self, account: usize, sub: u32) -> Result<(), TryReserveError> {
        let layer = self.layer(account, sub)?;
        layer.settled = true;
        layer.amount = None;
        Ok(())
    }

    /// The account's layer of a subtransaction.
    fn layer(&mut self, account: usize, sub: u32) -> Result<&mut Layer<A>, TryReserveError> {
        let below = self.accounts.get(account).and_then(|account| account.top);
        let own = below.filter(|top| self.layers.get(*top).is_some_and(|layer| layer.sub == sub));
        let place = match own {
            Some(top) => top,
            None => {
                self.layers.try_reserve(1)?;
                self.layers.push(Layer { account, sub, below, settled: false, amount: None });
                let place = self.layers.len() - 1;
                if let Some(account) = self.accounts.get_mut(account) {
                    account.top = Some(place);
                }
                place
            }
        };
        Ok(&mut self.layers[place])
    }

    fn open_account(&mut self, place: usize) {
        if let Some(account) = self.accounts.get_mut(place).filter(|account| !account.is_open) {
            account.is_open = true;
            self.open.push(place);
        }
    }

    /// What is to be settled of the sources that are wanted. Each stays noted until it is [settled](Ledger::settle),
    /// but is given out once only, until something is noted for it again or it is [reopened](Ledger::reopen).
    pub fn take(
        &mut self,
        wanted: impl Fn(S) -> bool,
    ) -> Result<Vec<DueAccount<S, A>>, TryReserveError> {
        let mut taken = Vec::new();
        let mut kept = 0;
        for i in 0..self.open.len() {
            let place = self.open[i];
            let Some(account) = self.accounts.get(place) else { continue };
            if !wanted(account.source) {
                self.open[kept] = place;
                kept += 1;
                continue;
            }
            if let Some(due) = self.due_of(place, account.source)? {
                taken.try_reserve(1)?;
                taken.push(due);
            }
            if let Some(account) = self.accounts.get_mut(place) {
                account.is_open = false;
            }
        }
        self.open.truncate(kept);
        Ok(taken)
    }

    /// What is to be settled for a key, if anything.
    pub fn due(&mut self, key: &[u8]) -> Result<Option<DueAccount<S, A>>, TryReserveError> {
        let found = self.accounts.find(key).ok();
        match found.and_then(|place| Some((place, self.accounts.get(place)?.source))) {
            Some((place, source)) => self.due_of(place, source),
            None => Ok(None),
        }
    }

    fn due_of(
        &self,
        account: usize,
        source: S,
    ) -> Result<Option<DueAccount<S, A>>, TryReserveError> {
        let amounts = self.amounts(account)?;
        if amounts.is_empty() {
            return Ok(None);
        }
        let mut key = Vec::new();
        key.try_reserve_exact(self.accounts.key(account).len())?;
        key.extend_from_slice(self.accounts.key(account));
        Ok(Some(DueAccount { account, source, key, amounts }))
    }

    fn amounts(&self, account: usize) -> Result<Vec<A>, TryReserveError> {
        let mut amounts = Vec::new();
        let mut next = self.accounts.get(account).and_then(|account| account.top);
        while let Some(layer) = next.and_then(|place| self.layers.get(place)) {
            if let Some(amount) = &layer.amount {
                amounts.try_reserve(1)?;
                amounts.push(amount.try_copy()?);
            }
            next = layer.below.filter(|_| !layer.settled);
        }
        Ok(amounts)
    }

    /// Whether an open account of a wanted source has anything to settle.
    pub fn any_open(&self, wanted: impl Fn(S) -> bool) -> bool {
        let is_wanted = |place: &&usize| {
            self.accounts.get(**place).is_some_and(|account| wanted(account.source))
        };
        self.open.iter().filter(is_wanted).any(|place| self.has_amounts(*place))
    }

    fn has_amounts(&self, account: usize) -> bool {
        let mut next = self.accounts.get(account).and_then(|account| account.top);
        while let Some(layer) = next.and_then(|place| self.layers.get(place)) {
            if layer.amount.is_some() {
                return true;
            }
            next = layer.below.filter(|_| !layer.settled);
        }
        false
    }

    /// Opens what was given out and not settled.
    pub fn reopen(&mut self) {
        for place in 0..self.accounts.len() {
            self.open_account(place);
        }
    }

    /// Settles all accounts of the wanted sources without anything being written.
    pub fn void(&mut self, sub: u32, wanted: impl Fn(S) -> bool) -> Result<(), TryReserveError> {
        for place in 0..self.accounts.len() {
            if self.accounts.get(place).is_some_and(|account| wanted(account.source)) {
                self.settle(place, sub)?;
            }
        }
        Ok(())
    }

    /// Whether there is an account of a wanted source.
    pub fn any(&self, wanted: impl Fn(S) -> bool) -> bool {
        (0..self.accounts.len())
            .filter_map(|place| self.accounts.get(place))
            .any(|account| wanted(account.source))
    }

    /// Subtransaction `sub` was rolled back.
    pub fn abort(&mut self, sub: u32) {
        while let Some(layer) = self.layers.pop_if(|layer| layer.sub >= sub) {
            if let Some(account) = self.accounts.get_mut(layer.account) {
                account.top = layer.below;
            }
            self.open_account(layer.account);
        }
        self.accounts.abort(sub);
        let kept = self.accounts.len();
        self.open.retain(|place| *place < kept);
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
