//! Postgres's own SQLSTATEs, as far as raceguard raises or looks for them.

use core::ffi::c_int;

/// A five-character SQLSTATE in Postgres's packed form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SqlState(c_int);

impl SqlState {
    /// Packs `code` as `MAKE_SQLSTATE` does.
    pub const fn new(code: &[u8; 5]) -> SqlState {
        let mut packed = 0;
        let mut i = 0;
        while i < 5 {
            packed |= (((code[i] - b'0') & 0x3F) as c_int) << (6 * i);
            i += 1;
        }
        SqlState(packed)
    }

    /// A code as an ErrorData holds it.
    pub const fn of_packed(packed: c_int) -> SqlState {
        SqlState(packed)
    }

    /// The code as an ErrorData holds it.
    pub const fn packed(self) -> c_int {
        self.0
    }
}

pub const INVALID_PARAMETER: SqlState = SqlState::new(b"22023");
pub const NULL_NOT_ALLOWED: SqlState = SqlState::new(b"22004");
pub const OUT_OF_RANGE: SqlState = SqlState::new(b"22003");
pub const INVALID_SCHEMA_NAME: SqlState = SqlState::new(b"3F000");
pub const UNDEFINED_TABLE: SqlState = SqlState::new(b"42P01");
pub const UNDEFINED_COLUMN: SqlState = SqlState::new(b"42703");
pub const UNDEFINED_OBJECT: SqlState = SqlState::new(b"42704");
pub const UNDEFINED_FUNCTION: SqlState = SqlState::new(b"42883");
pub const DUPLICATE_OBJECT: SqlState = SqlState::new(b"42710");
pub const DATATYPE_MISMATCH: SqlState = SqlState::new(b"42804");
pub const WRONG_OBJECT_TYPE: SqlState = SqlState::new(b"42809");
pub const INSUFFICIENT_PRIVILEGE: SqlState = SqlState::new(b"42501");
pub const INVALID_OBJECT_DEFINITION: SqlState = SqlState::new(b"42P17");
pub const INVALID_COLUMN_REFERENCE: SqlState = SqlState::new(b"42P10");
pub const INDETERMINATE_COLLATION: SqlState = SqlState::new(b"42P22");
pub const SYNTAX_ERROR: SqlState = SqlState::new(b"42601");
pub const NAME_TOO_LONG: SqlState = SqlState::new(b"42622");
pub const INDETERMINATE_DATATYPE: SqlState = SqlState::new(b"42P18");
pub const GENERATED_ALWAYS: SqlState = SqlState::new(b"428C9");
pub const UNSUPPORTED: SqlState = SqlState::new(b"0A000");
pub const EVENT_TRIGGER_PROTOCOL: SqlState = SqlState::new(b"39P03");
pub const TRIGGER_PROTOCOL: SqlState = SqlState::new(b"39P01");
pub const TRIGGERED_DATA_CHANGE: SqlState = SqlState::new(b"27000");
pub const UNIQUE_VIOLATION: SqlState = SqlState::new(b"23505");
pub const CHECK_VIOLATION: SqlState = SqlState::new(b"23514");
pub const OUT_OF_MEMORY: SqlState = SqlState::new(b"53200");
pub const OUT_OF_LOCKS: SqlState = SqlState::new(b"53200");
pub const OBJECT_IN_USE: SqlState = SqlState::new(b"55006");
pub const NOT_IN_PREREQUISITE_STATE: SqlState = SqlState::new(b"55000");
pub const READ_ONLY: SqlState = SqlState::new(b"25006");
pub const SERIALIZATION_FAILURE: SqlState = SqlState::new(b"40001");
pub const DEADLOCK: SqlState = SqlState::new(b"40P01");
pub const ACTIVE_TRANSACTION: SqlState = SqlState::new(b"25001");
pub const TRANSACTION_TERMINATION: SqlState = SqlState::new(b"2D000");
pub const LOCK_NOT_AVAILABLE: SqlState = SqlState::new(b"55P03");
pub const QUERY_CANCELED: SqlState = SqlState::new(b"57014");
pub const LIMIT_EXCEEDED: SqlState = SqlState::new(b"54000");
pub const INTERNAL: SqlState = SqlState::new(b"XX000");
