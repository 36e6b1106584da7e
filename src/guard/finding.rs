//! What a check has found: one row of `raceguard.check_guards`.

use pgrx::pg_sys::Oid;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// A write can pass unguarded, or must fail.
    Error,
    /// It soon may.
    Warning,
    Info,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug)]
pub struct Finding {
    pub severity: Severity,
    /// A short name that does not change between releases, for monitoring.
    pub problem: &'static str,
    pub table: Option<Oid>,
    pub guard: Option<String>,
    /// Whole sentences.
    pub detail: String,
    /// A statement that mends it, which loses no data; `None` where the detail says what to do.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(severity: Severity, problem: &'static str, detail: String) -> Finding {
        Finding { severity, problem, table: None, guard: None, detail, remedy: None }
    }

    pub fn error(problem: &'static str, detail: String) -> Finding {
        Finding::new(Severity::Error, problem, detail)
    }

    pub fn warning(problem: &'static str, detail: String) -> Finding {
        Finding::new(Severity::Warning, problem, detail)
    }

    pub fn info(problem: &'static str, detail: String) -> Finding {
        Finding::new(Severity::Info, problem, detail)
    }

    /// Says where it was found.
    pub fn at(mut self, table: Oid, guard: &str) -> Finding {
        self.table = Some(table);
        self.guard = (!guard.is_empty()).then(|| guard.to_owned());
        self
    }

    /// Says what mends it.
    pub fn remedy(mut self, statement: impl Into<Option<String>>) -> Finding {
        self.remedy = statement.into();
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
