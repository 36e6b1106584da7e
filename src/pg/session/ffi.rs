//! What this layer calls of Postgres, besides what the layers below it do.

pub use crate::pg::base::ffi::*;

import! {
    // several modules
    fn pg_class_aclcheck(relid: Oid, role: Oid, mode: AclMode) -> AclResult::Type;
    fn pg_attribute_aclcheck(relid: Oid, attnum: i16, role: Oid, mode: AclMode) -> AclResult::Type;
    fn GetUserId() -> Oid;
    fn GetCurrentSubTransactionId() -> u32;
    fn PushActiveSnapshot(snapshot: Snapshot);
    fn PopActiveSnapshot();
    fn GetLatestSnapshot() -> Snapshot;
    fn RegisterSnapshot(snapshot: Snapshot) -> Snapshot;
    fn UnregisterSnapshot(snapshot: Snapshot);
    fn GetCurrentCommandId(used: bool) -> CommandId;

    // advisory lock
    fn LockAcquireExtended(
        tag: *const LOCKTAG,
        mode: LOCKMODE,
        session: bool,
        dont_wait: bool,
        report_memory_error: bool,
        locallock: *mut *mut LOCALLOCK,
        #[cfg(since_pg18)] log_failure: bool,
    ) -> LockAcquireResult::Type;
    fn LockHeldByMe(
        tag: *const LOCKTAG,
        mode: LOCKMODE,
        #[cfg(since_pg17)] or_stronger: bool,
    ) -> bool;
    fn LockRelease(tag: *const LOCKTAG, mode: LOCKMODE, session: bool) -> bool;

    // backoff
    fn WaitLatch(latch: *mut Latch, events: c_int, timeout: c_long, info: u32) -> c_int;
    #[cfg(since_pg17)]
    fn WaitEventExtensionNew(name: *const c_char) -> u32;
    fn ResetLatch(latch: *mut Latch);
    fn ProcessInterrupts();
    fn pg_prng_double(state: *mut pg_prng_state) -> f64;

    // client
    fn GetUserNameFromId(role: Oid, no_error: bool) -> *mut c_char;

    // lock setting
    fn IsTransactionState() -> bool;
    fn ActiveSnapshotSet() -> bool;
    fn GetCatalogSnapshot(relid: Oid) -> Snapshot;

    // owner
    fn GetUserIdAndSecContext(user: *mut Oid, context: *mut c_int);
    fn SetUserIdAndSecContext(user: Oid, context: c_int);
    fn has_privs_of_role(member: Oid, role: Oid) -> bool;
    fn has_bypassrls_privilege(role: Oid) -> bool;
    fn check_enable_rls(relid: Oid, role: Oid, no_error: bool) -> c_int;

    // transaction end
    fn RegisterSubXactCallback(callback: SubXactCallback, arg: *mut c_void);
    fn RegisterXactCallback(callback: XactCallback, arg: *mut c_void);

    // xid
    fn ReadNextFullTransactionId() -> FullTransactionId;
    fn TransactionIdIsCurrentTransactionId(xid: TransactionId) -> bool;
    fn GetTopFullTransactionIdIfAny() -> FullTransactionId;
    fn xactGetCommittedChildren(children: *mut *mut TransactionId) -> c_int;
    #[cfg(not(since_pg19))]
    fn TransactionIdGetCommitTsData(
        xid: TransactionId,
        at: *mut TimestampTz,
        origin: *mut RepOriginId,
    ) -> bool;
    #[cfg(since_pg19)]
    fn TransactionIdGetCommitTsData(
        xid: TransactionId,
        at: *mut TimestampTz,
        origin: *mut ReplOriginId,
    ) -> bool;
}
