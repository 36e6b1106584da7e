//! Errors as Postgres knows them: every field set, any SQLSTATE, raised without loss.
//!
//! pgrx can only raise the SQLSTATEs of its closed enum, so raceguard fills an `ErrorData` itself
//! and hands it to `ThrowErrorData` (new errors) or `ReThrowError` (caught ones).

use super::ffi;
use super::sqlstate::SqlState;
use super::text::PgText;
use core::ffi::{c_char, c_int, CStr};
use core::fmt::Arguments;
use pgrx::pg_sys;

const LOG: c_int = pg_sys::LOG as c_int;
const NOTICE: c_int = pg_sys::NOTICE as c_int;
const WARNING: c_int = pg_sys::WARNING as c_int;
/// elog.h; the bindings leave it out, whose value once differed between platforms.
const ERROR: c_int = 21;
const _: () = assert!(ERROR == WARNING + 2);

/// An error or notice under construction, in Postgres's memory: `Copy`, so it may live in a plain
/// frame.
#[derive(Clone, Copy)]
pub struct Report {
    data: *mut pg_sys::ErrorData,
    caught: bool,
    /// Whether it has been counted, as a guard's refusal.
    counted: bool,
}

impl Report {
    fn new(level: c_int, code: SqlState, message: Arguments) -> Report {
        // SAFETY: palloc0 returns zeroed memory of the size asked; all-zero is a valid ErrorData.
        unsafe {
            let data = ffi::palloc0(size_of::<pg_sys::ErrorData>()) as *mut pg_sys::ErrorData;
            (*data).elevel = level;
            (*data).sqlerrcode = code.packed();
            (*data).message = PgText::from_fmt(message).into_raw();
            (*data).filename = c"raceguard".as_ptr();
            (*data).funcname = c"raceguard".as_ptr();
            (*data).assoc_context = pg_sys::CurrentMemoryContext;
            Report { data, caught: false, counted: false }
        }
    }

    /// An ERROR with the given SQLSTATE and primary message.
    pub fn error(code: SqlState, message: Arguments) -> Report {
        Report::new(ERROR, code, message)
    }

    /// The DETAIL line.
    pub fn detail(self, text: Arguments) -> Report {
        // SAFETY: `data` points to the ErrorData made in `new` or by CopyErrorData.
        unsafe { (*self.data).detail = PgText::from_fmt(text).into_raw() };
        self
    }

    /// The HINT line.
    pub fn hint(self, text: Arguments) -> Report {
        // SAFETY: as in `detail`.
        unsafe { (*self.data).hint = PgText::from_fmt(text).into_raw() };
        self
    }

    /// The schema and table fields.
    pub fn table(self, relid: pg_sys::Oid) -> Report {
        // SAFETY: as in `detail`; the name look-ups return palloc'd text or NULL.
        unsafe {
            (*self.data).table_name = ffi::get_rel_name(relid);
            (*self.data).schema_name = ffi::get_namespace_name(ffi::get_rel_namespace(relid));
        }
        self
    }

    /// The column field.
    pub fn column(self, name: &str) -> Report {
        // SAFETY: as in `detail`.
        unsafe { (*self.data).column_name = PgText::from_fmt(format_args!("{name}")).into_raw() };
        self
    }

    /// The constraint field; a guard's trigger name stands here, as a constraint's would.
    pub fn constraint(self, name: &str) -> Report {
        // SAFETY: as in `detail`.
        unsafe {
            (*self.data).constraint_name = PgText::from_fmt(format_args!("{name}")).into_raw()
        };
        self
    }

    /// Marks the report as counted.
    pub fn counted(self) -> Report {
        Report { counted: true, ..self }
    }

    /// Whether it has been counted.
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// Whether it is Postgres's own, caught: until a rollback little of Postgres may be called.
    pub fn is_caught(&self) -> bool {
        self.caught
    }

    /// Drops the position: it refers to a text the client has not sent.
    pub fn without_position(self) -> Report {
        // SAFETY: as in `detail`.
        unsafe {
            (*self.data).cursorpos = 0;
            (*self.data).internalpos = 0;
        }
        self
    }

    /// Whether the error carries this SQLSTATE.
    pub fn is(self, code: SqlState) -> bool {
        // SAFETY: as in `detail`.
        unsafe { (*self.data).sqlerrcode == code.packed() }
    }

    /// The SQLSTATE.
    pub fn code(&self) -> SqlState {
        // SAFETY: as in `detail`.
        SqlState::of_packed(unsafe { (*self.data).sqlerrcode })
    }

    /// Whether the SQLSTATE begins with these two characters.
    pub fn is_in_class(&self, class: &[u8; 2]) -> bool {
        let class = SqlState::new(&[class[0], class[1], b'0', b'0', b'0']);
        // SAFETY: as in `detail`. The class is in the low 12 bits.
        unsafe { (*self.data).sqlerrcode & 0xFFF == class.packed() & 0xFFF }
    }

    /// Replaces SQLSTATE, message, detail and hint, keeping the object fields (error styles).
    pub fn restyle(
        self,
        code: SqlState,
        message: Option<Arguments>,
        detail: Option<Arguments>,
    ) -> Report {
        // SAFETY: as in `detail`.
        unsafe {
            (*self.data).sqlerrcode = code.packed();
            if let Some(message) = message {
                (*self.data).message = PgText::from_fmt(message).into_raw();
            }
            if let Some(detail) = detail {
                (*self.data).detail = PgText::from_fmt(detail).into_raw();
                (*self.data).hint = core::ptr::null_mut();
            }
        }
        self
    }

    /// The primary message.
    pub fn message_text(&self) -> &str {
        // SAFETY: the text lives as long as the report's memory context.
        unsafe { text_or_empty((*self.data).message) }
    }

    /// The DETAIL, or the empty string.
    pub fn detail_text(&self) -> &str {
        // SAFETY: as in `message_text`.
        unsafe { text_or_empty((*self.data).detail) }
    }

    /// The HINT, or the empty string.
    pub fn hint_text(&self) -> &str {
        // SAFETY: as in `message_text`.
        unsafe { text_or_empty((*self.data).hint) }
    }

    /// The constraint field, or the empty string.
    pub fn constraint_text(&self) -> &str {
        // SAFETY: as in `message_text`.
        unsafe { text_or_empty((*self.data).constraint_name) }
    }

    /// The schema and table fields, or empty strings.
    pub fn table_text(&self) -> (&str, &str) {
        // SAFETY: as in `message_text`.
        unsafe { (text_or_empty((*self.data).schema_name), text_or_empty((*self.data).table_name)) }
    }

    /// Raises the error. The calling frames must be plain (see [`ffi`]).
    pub fn throw(self) -> ! {
        // SAFETY: `data` is a complete ErrorData of level ERROR; both calls leave by longjmp.
        unsafe {
            if self.caught {
                ffi::ReThrowError(self.data);
            } else {
                ffi::ThrowErrorData(self.data);
            }
        }
        // Postgres never returns from an ERROR.
        std::process::abort()
    }
}

unsafe fn text_or_empty<'a>(text: *const c_char) -> &'a str {
    if text.is_null() {
        return "";
    }
    // SAFETY: the caller passes a NUL-terminated text of the report.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or_default()
}

/// Sends a NOTICE, WARNING or LOG line.
#[derive(Clone, Copy)]
pub enum Level {
    Notice,
    Warning,
    Log,
}

/// Reports a message that is not an error, with an optional HINT. Plain frames or inside `catch`.
pub fn tell(level: Level, message: Arguments, hint: Option<Arguments>) {
    let (level, code) = match level {
        Level::Notice => (NOTICE, SqlState::new(b"00000")),
        Level::Warning => (WARNING, SqlState::new(b"01000")),
        Level::Log => (LOG, SqlState::new(b"00000")),
    };
    let mut report = Report::new(level, code, message);
    if let Some(hint) = hint {
        report = report.hint(hint);
    }
    // SAFETY: a report below ERROR returns here.
    unsafe { ffi::ThrowErrorData(report.data) }
}

/// Runs `f` and turns a Postgres ERROR into an `Err` that keeps every field.
///
/// `f` must be a plain frame that calls only [`ffi`] imports. After an `Err` the transaction (or
/// the subtransaction that `f` ran in) is to be rolled back: the caller may only clean up Rust
/// values and raise the report, or roll back a subtransaction it opened itself.
pub fn catch<T: Copy>(f: impl FnOnce() -> T) -> Result<T, Report> {
    let mut result = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: this is PG_TRY/PG_CATCH. The two stacks are restored on both ways out, `f` holds no
    // value with a destructor by contract, and CopyErrorData is called outside ErrorContext.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let exception_stack = pg_sys::PG_exception_stack;
        let error_context_stack = pg_sys::error_context_stack;
        let owner = pg_sys::CurrentResourceOwner;
        let jumped = cee_scape::call_with_sigsetjmp(false, |buffer| {
            pg_sys::PG_exception_stack = buffer as *const cee_scape::SigJmpBufFields as *mut _;
            result.write(f());
            0
        });
        pg_sys::PG_exception_stack = exception_stack;
        pg_sys::error_context_stack = error_context_stack;
        if jumped == 0 {
            return Ok(result.assume_init());
        }
        pg_sys::CurrentMemoryContext = context;
        // Cleaning up closes what this one has opened.
        pg_sys::CurrentResourceOwner = owner;
        let data = ffi::CopyErrorData();
        ffi::FlushErrorState();
        Err(Report { data, caught: true, counted: false })
    }
}
