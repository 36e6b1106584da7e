//! Transactions that a CALL ends and begins itself.

use super::ffi;
use super::spi::{check, one};
use crate::pg::base::error::{catch, Report};
use crate::pg::base::frames;
#[cfg(since_pg17)]
use crate::pg::base::guc;
use crate::pg::entry::call::Call;
use crate::pg::entry::distribution;
use core::ffi::{c_int, CStr};
use pgrx::pg_sys::{self, Datum, MemoryContext};

/// Why a transaction cannot be ended here.
pub enum Hindrance {
    /// A savepoint, or a block with EXCEPTION, is open.
    InSubtransaction,
    /// BEGIN, or several statements sent as one.
    InBlock,
    /// A function, or a procedure with a SET clause or SECURITY DEFINER.
    InFunction,
    /// Statements sent before it in a pipeline may commit only together with what follows.
    InPipeline,
    /// It has written something, or at least has a number, which writers need.
    HasWritten,
    /// SET LOCAL is in effect and would end.
    HasLocalSettings,
}

/// What ending the caller's transaction would destroy. `statement` names the call in the error.
pub fn hindrance(call: Call, statement: &CStr) -> Result<Option<Hindrance>, Report> {
    let context = call.context();
    // SAFETY: a node begins with its tag, and a CallContext is what CALL passes.
    let atomic = unsafe {
        context.is_null()
            || (*context).type_ != pg_sys::NodeTag::T_CallContext
            || (*(context as *mut pg_sys::CallContext)).atomic
    };
    let statement = statement.as_ptr();
    // SAFETY: only looks at the transaction state, and asks for an immediate commit afterwards.
    if catch(|| unsafe { ffi::PreventInTransactionBlock(!atomic, statement) }).is_err() {
        // SAFETY: reads the transaction state.
        return Ok(Some(match unsafe { (ffi::IsSubTransaction(), ffi::IsTransactionBlock()) } {
            (true, _) => Hindrance::InSubtransaction,
            (_, true) => Hindrance::InBlock,
            _ if atomic => Hindrance::InFunction,
            _ => Hindrance::InPipeline,
        }));
    }
    // SAFETY: reads the transaction state.
    if unsafe { ffi::GetTopTransactionIdIfAny() } != pg_sys::InvalidTransactionId {
        return Ok(Some(Hindrance::HasWritten));
    }
    Ok(has_local_settings()?.then_some(Hindrance::HasLocalSettings))
}

fn has_local_settings() -> Result<bool, Report> {
    use pg_sys::GucStackState::{GUC_LOCAL, GUC_SET_LOCAL};
    // SAFETY: the array holds `count` settings; a setting changed in this transaction has a stack.
    catch(|| unsafe {
        let mut count: c_int = 0;
        #[cfg(not(since_pg16))]
        let settings = {
            count += ffi::GetNumConfigOptions();
            ffi::get_guc_variables()
        };
        #[cfg(since_pg16)]
        let settings = ffi::get_guc_variables(&mut count);
        for i in 0..count as usize {
            let stack = (**settings.add(i)).stack;
            if !stack.is_null() && matches!((*stack).state, GUC_LOCAL | GUC_SET_LOCAL) {
                return true;
            }
        }
        false
    })
}

/// A connection to SPI that may end transactions. What one attempt allocates is freed by
/// [`Transactions::forget`], so that any number of attempts needs the memory of one.
#[derive(Clone, Copy)]
pub struct Transactions {
    caller: MemoryContext,
    attempt: MemoryContext,
}

impl Transactions {
    pub fn connect() -> Result<Transactions, Report> {
        // SAFETY: the context of a CALL outlives the transactions in it; the new one hangs below.
        unsafe {
            let caller = pg_sys::CurrentMemoryContext;
            let attempt = catch(|| {
                ffi::AllocSetContextCreateInternal(
                    caller,
                    c"raceguard attempt".as_ptr(),
                    pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
                )
            })?;
            check(catch(|| ffi::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC as c_int))?)?;
            let transactions = Transactions { caller, attempt };
            transactions.here();
            Ok(transactions)
        }
    }

    /// Leaves SPI; the current memory context is again the caller's.
    pub fn finish(self) -> Result<(), Report> {
        // SAFETY: connected by `connect`; nothing allocated in an attempt is used afterwards.
        check(catch(|| unsafe { ffi::SPI_finish() })?)?;
        // SAFETY: as above.
        unsafe {
            pg_sys::CurrentMemoryContext = self.caller;
            catch(|| ffi::MemoryContextDelete(self.attempt))
        }
    }

    /// Commits and begins a new transaction, also when the commit fails.
    pub fn commit(self) -> Result<(), Report> {
        // SAFETY: the connection allows it, and no subtransaction is open.
        self.end(|| unsafe { ffi::SPI_commit() })
    }

    /// Rolls back and begins a new transaction.
    pub fn rollback(self) -> Result<(), Report> {
        // SAFETY: as in `commit`.
        self.end(|| unsafe { ffi::SPI_rollback() })
    }

    /// The call goes on in the next transaction.
    fn end(self, how: impl FnOnce()) -> Result<(), Report> {
        let entered = frames::entered();
        let outcome = catch(how);
        frames::put_back(entered);
        self.here();
        outcome
    }

    /// Whether Citus has made the transaction one that it begins and commits on several nodes.
    pub fn is_distributed(self) -> Result<bool, Report> {
        if !catch(distribution::has_nodes)? {
            return Ok(false);
        }
        let number: Option<i64> =
            one("SELECT transaction_number FROM pg_catalog.get_current_transaction_id()", &[])?;
        self.here();
        Ok(number.is_some_and(|number| number != 0))
    }

    /// Until the next rollback the transaction only waits: `transaction_timeout`, which would end the
    /// session, does not count that.
    pub fn pause(self) -> Result<(), Report> {
        #[cfg(since_pg17)]
        // SAFETY: the rollback closes the level.
        catch(|| unsafe { guc::set_in_new_level(&[(c"transaction_timeout", c"0")]) })?;
        Ok(())
    }

    /// Frees what an attempt, its error included, has allocated.
    pub fn forget(self) -> Result<(), Report> {
        // SAFETY: callers use nothing from before afterwards.
        catch(|| unsafe { ffi::MemoryContextReset(self.attempt) })
    }

    /// Runs a command of raceguard's own at the start of a transaction, without a snapshot.
    pub fn command(self, sql: &CStr) -> Result<(), Report> {
        let sql = sql.as_ptr();
        // SAFETY: a NUL-terminated statement.
        let code = catch(|| unsafe { ffi::SPI_execute(sql, false, 0) })?;
        self.here();
        check(code)
    }

    /// Runs a client's statements with `$1` bound to a jsonb value, all or none of them; rows they
    /// return are thrown away. Answers SPI's code, which is negative where a statement was refused.
    ///
    /// They run in a subtransaction: after an error the transaction around it could not be ended,
    /// because the snapshots of the failed statement would still be active.
    pub fn run(self, statements: &CStr, params: Option<Datum>) -> Result<c_int, Report> {
        let (context, statements) = (self.attempt, statements.as_ptr());
        // SAFETY: begins a subtransaction, which is ended on every way out below.
        catch(|| unsafe {
            ffi::BeginInternalSubTransaction(core::ptr::null());
            pg_sys::CurrentMemoryContext = context;
        })?;
        // SAFETY: the frame is plain; the list has room for one parameter.
        let outcome = catch(|| unsafe {
            let list = ffi::makeParamList(1);
            let param = (*list).params.as_mut_ptr();
            (*param).value = params.unwrap_or(Datum::null());
            (*param).isnull = params.is_none();
            (*param).pflags = pg_sys::PARAM_FLAG_CONST as u16;
            (*param).ptype = pg_sys::JSONBOID;
            let mut options: pg_sys::SPIExecuteOptions = core::mem::zeroed();
            options.params = list;
            options.dest = pg_sys::None_Receiver;
            ffi::SPI_execute_extended(statements, &options)
        });
        self.here();
        let kept = matches!(outcome, Ok(code) if code >= 0);
        // SAFETY: ends the subtransaction begun above.
        let ended = catch(|| unsafe {
            if kept {
                ffi::ReleaseCurrentSubTransaction()
            } else {
                ffi::RollbackAndReleaseCurrentSubTransaction()
            }
        });
        self.here();
        ended?;
        outcome
    }

    /// SPI and the ends of transactions switch the memory context; attempts have their own.
    fn here(self) {
        // SAFETY: the context lives until `finish`.
        unsafe { pg_sys::CurrentMemoryContext = self.attempt };
    }
}
