//! What a test answers, and the comparisons it makes.

use core::fmt::Debug;

/// Nothing, or why the test failed.
pub type Outcome = Result<(), String>;

/// Turns an error into a test's failure that says what was being done.
pub fn fail<E: Debug>(what: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{what}: {error:?}")
}

/// Compares what came with what had to come.
pub fn same<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, wanted {wanted:?}"))
}

/// Demands a condition.
pub fn holds(what: &str, condition: bool) -> Outcome {
    if condition {
        return Ok(());
    }
    Err(format!("not so: {what}"))
}
