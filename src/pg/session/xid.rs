//! Transaction numbers that do not wrap around.

use super::ffi;
use pgrx::pg_sys;

/// The first number an ordinary transaction can have; smaller ones mark frozen and bootstrap rows.
const FIRST_NORMAL: u32 = 3;

/// The 64-bit number of a transaction that wrote a row, from the 32 bits stored in the row.
pub fn full(xid: u32) -> u64 {
    // SAFETY: reads a counter in shared memory.
    let next = unsafe { ffi::ReadNextFullTransactionId() }.value;
    widen(xid, next)
}

/// Whether it is the number of the running transaction or of one of its subtransactions.
pub fn is_current(xid: u32) -> bool {
    // SAFETY: searches the backend's own list.
    unsafe { ffi::TransactionIdIsCurrentTransactionId(pg_sys::TransactionId::from(xid)) }
}

/// The number of the running transaction, if it has one.
pub fn top() -> Option<u64> {
    // SAFETY: reads the state of the transaction.
    let top = unsafe { ffi::GetTopFullTransactionIdIfAny() }.value;
    (top as u32 >= FIRST_NORMAL).then_some(top)
}

/// The numbers of the subtransactions of the running transaction that have been committed into it.
pub fn committed_children<T>(look: impl FnOnce(&[u32]) -> T) -> T {
    let mut first = core::ptr::null_mut();
    // SAFETY: the list belongs to the transaction, and nothing changes it while it is about to commit. A number is
    // one of 32 bits.
    unsafe {
        let count = ffi::xactGetCommittedChildren(&mut first);
        look(match first.is_null() {
            true => &[],
            false => core::slice::from_raw_parts(first.cast::<u32>(), count as usize),
        })
    }
}

/// When a transaction committed, on the clock of timestamptz; `None` where Postgres does not keep that or has
/// forgotten it. Plain frames.
pub fn commit_time(xid: u32) -> Option<i64> {
    let (mut at, mut origin) = (0, 0);
    let xid = pg_sys::TransactionId::from(xid);
    // SAFETY: it is an error only where commit times are not kept, or for no number at all.
    unsafe {
        (pg_sys::track_commit_timestamp
            && ffi::TransactionIdGetCommitTsData(xid, &mut at, &mut origin))
        .then_some(at)
    }
}

/// The arithmetic of [`full`]: the latest number below `next` that ends in these 32 bits.
fn widen(xid: u32, next: u64) -> u64 {
    if xid < FIRST_NORMAL {
        return u64::from(xid);
    }
    let epoch = next >> 32;
    let epoch = if u64::from(xid) >= next & 0xFFFF_FFFF { epoch.saturating_sub(1) } else { epoch };
    epoch << 32 | u64::from(xid)
}

#[cfg(test)]
mod tests {
    use super::widen;
    use proptest::prelude::*;

    proptest! {
        /// A token once given is never given for a row written later.
        #[test]
        fn later_writes_have_larger_numbers(
            read_at in 1u64 << 33..1 << 40,
            age in 1u64..u32::MAX as u64,
            until_write in 0u64..u32::MAX as u64,
            until_check in 1u64..u32::MAX as u64,
        ) {
            let before = widen((read_at - age) as u32, read_at);
            let written = read_at + until_write;
            prop_assume!(written as u32 >= 3);
            let after = widen(written as u32, written + until_check);
            prop_assert!(before < read_at);
            prop_assert!(after >= written);
        }
    }

    #[test]
    fn the_epoch_is_that_of_the_write() {
        assert_eq!(widen(100, 200), 100);
        assert_eq!(widen(4_294_967_000, (1 << 32) + 5), 4_294_967_000);
        assert_eq!(widen(100, (1 << 32) + 200), (1 << 32) + 100);
        assert_eq!(widen(2, (1 << 32) + 200), 2);
    }
}
