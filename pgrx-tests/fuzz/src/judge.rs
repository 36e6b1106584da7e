//! What a statement may answer, and what it may not.

use crate::play::Play;
use crate::session::Reply;
use postgres::error::DbError;
use std::time::Duration;

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What kind it is, without the particulars: a shortened script has to fail in the same way.
    pub kind: String,
    pub told: String,
}

impl Fault {
    pub fn new(kind: &str, told: String) -> Fault {
        Fault { kind: kind.into(), told }
    }
}

pub const SLOW: Duration = Duration::from_secs(10);

/// Errors that Postgres itself raises without a proper SQLSTATE, whoever provokes them.
const POSTGRES_OWN: [&str; 2] = ["cannot rename trigger", "referential integrity query on"];

/// Words that only the inside of the library knows.
const INTERNAL_WORDS: [&str; 9] =
    ["panicked", "unwrap", "RefCell", "overflow when", ".rs:", "src/", "Datum(", "Some(", "Err("];

/// Judges the answer of one statement.
pub fn answer(play: &dyn Play, sql: &str, answer: &Reply, elapsed: Duration) -> Option<Fault> {
    // retry waits as long as it was told to.
    if elapsed > SLOW && !sql.contains("retry(") {
        return Some(Fault::new("slow", format!("took {} s", elapsed.as_secs())));
    }
    let Err(error) = answer else {
        return None;
    };
    match error.as_db_error() {
        Some(error) => refusal(play, error),
        None => Some(Fault::new("connection", format!("the connection broke: {error}"))),
    }
}

fn refusal(play: &dyn Play, error: &DbError) -> Option<Fault> {
    let code = error.code().code();
    let message = error.message();
    let told = format!(
        "{code}: {message}\nDETAIL: {}\nHINT: {}\nWHERE: {}",
        error.detail().unwrap_or_default(),
        error.hint().unwrap_or_default(),
        error.where_().unwrap_or_default()
    );
    let shape: String =
        message.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').take(40).collect();
    let fault =
        |what: &str| Some(Fault { kind: format!("{what} {code} {shape}"), told: told.clone() });
    let own = POSTGRES_OWN.iter().any(|own| message.starts_with(own)) || play.forgives(message);
    if code.starts_with("XX") && !own {
        return fault("internal error");
    }
    if matches!(code, "57P01" | "57P02" | "57P03" | "58000") {
        return fault("crash");
    }
    // A length that was read from the wrong place; no statement here asks for so much.
    if error.detail().is_some_and(|detail| detail.starts_with("Cannot enlarge string buffer")) {
        return fault("memory");
    }
    if message.is_empty() {
        return fault("no message");
    }
    // Values that the statement brought along may hold any words; the message itself not.
    if INTERNAL_WORDS.iter().any(|word| message.contains(word)) {
        return fault("internal words");
    }
    let own = code.starts_with("RG") || code.starts_with("23R") || code == "PGRST";
    if own && code != "PGRST" && (error.hint().is_none() || error.table().is_none()) {
        return fault("own error without hint or table");
    }
    None
}
