//! What a server answers to one statement.

use std::fmt;

use postgres::{Client, SimpleQueryMessage};

use crate::server::{Failure, Result};

/// An error as the client received it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Refusal {
    /// Raceguard's errors must say what happened and what to do.
    pub fn is_explained(&self) -> bool {
        self.detail.is_some() && self.hint.is_some()
    }
}

impl From<&postgres::error::DbError> for Refusal {
    fn from(db: &postgres::error::DbError) -> Self {
        Refusal {
            code: db.code().code().to_owned(),
            message: db.message().to_owned(),
            detail: db.detail().map(str::to_owned),
            hint: db.hint().map(str::to_owned),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERROR {}: {}", self.code, self.message)
    }
}

/// What one statement was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Rows { columns: Vec<String>, rows: Vec<Vec<String>> },
    Done { verb: String, rows: u64 },
    Refused(Refusal),
}

impl Reply {
    /// The value in a row's column; an error where there is none, so that a story never goes on
    /// with a value it has not read.
    pub fn value(&self, column: &str) -> Result<&str> {
        let Reply::Rows { columns, rows } = self else {
            return Err(Failure::new(format!("no rows but {self}")));
        };
        columns
            .iter()
            .position(|name| name == column)
            .and_then(|at| rows.first()?.get(at))
            .map(String::as_str)
            .ok_or_else(|| Failure::new(format!("no value for column \"{column}\"")))
    }

    pub fn number(&self, column: &str) -> Result<i64> {
        let value = self.value(column)?;
        value.parse().map_err(|_| Failure::new(format!("\"{column}\" is not a number: {value}")))
    }

    pub fn wrote(&self, count: u64) -> bool {
        matches!(self, Reply::Done { rows, .. } if *rows == count)
    }

    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Reply::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether this is raceguard's refusal with that code, explained as raceguard promises.
    pub fn told(&self, code: &str) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == code && refusal.is_explained())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Refused(refusal) => refusal.fmt(f),
            Reply::Done { verb, rows } => match verb.as_str() {
                "INSERT" => write!(f, "INSERT 0 {rows}"),
                "UPDATE" | "DELETE" => write!(f, "{verb} {rows}"),
                _ => f.write_str(verb),
            },
            Reply::Rows { rows, .. } if rows.is_empty() => f.write_str("no row"),
            Reply::Rows { columns, rows } => {
                let shown: Vec<String> = rows
                    .iter()
                    .map(|row| {
                        let cells: Vec<String> = columns
                            .iter()
                            .zip(row)
                            // A function that returns void answers an empty text.
                            .map(|(name, value)| match value.is_empty() {
                                true => format!("{name}: done"),
                                false => format!("{name}: {value}"),
                            })
                            .collect();
                        cells.join(", ")
                    })
                    .collect();
                f.write_str(&shown.join("; "))
            }
        }
    }
}

/// Sends one statement and takes down the answer. Only a lost connection is a failure; an error
/// that the server raises is an answer like any other.
pub fn ask(client: &mut Client, statement: &str) -> Result<Reply> {
    let messages = match client.simple_query(statement) {
        Ok(messages) => messages,
        Err(error) => match error.as_db_error() {
            Some(db) => return Ok(Reply::Refused(db.into())),
            None => return Err(error.into()),
        },
    };
    let mut columns: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    let mut count = 0;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(described) => {
                columns = Some(described.iter().map(|column| column.name().to_owned()).collect());
            }
            SimpleQueryMessage::Row(row) => rows
                .push((0..row.len()).map(|at| row.get(at).unwrap_or("NULL").to_owned()).collect()),
            SimpleQueryMessage::CommandComplete(written) => count = written,
            _ => {}
        }
    }
    Ok(match columns {
        Some(columns) => Reply::Rows { columns, rows },
        None => Reply::Done { verb: verb(statement), rows: count },
    })
}

/// The command of a statement. The driver passes on the row count of a command tag but not its
/// word, and `WITH` hides the word behind a parenthesis.
fn verb(statement: &str) -> String {
    let mut depth = 0usize;
    let mut outside = String::new();
    for letter in statement.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(letter),
            _ => {}
        }
    }
    let words: Vec<String> = outside.split_whitespace().map(str::to_uppercase).collect();
    words
        .iter()
        .find(|word| matches!(word.as_str(), "SELECT" | "INSERT" | "UPDATE" | "DELETE"))
        .or(words.first())
        .cloned()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_is_the_word_outside_parentheses() {
        assert_eq!(verb("BEGIN"), "BEGIN");
        assert_eq!(verb("delete from posts"), "DELETE");
        assert_eq!(
            verb("WITH n AS MATERIALIZED (SELECT 1) INSERT INTO t SELECT * FROM n"),
            "INSERT"
        );
        assert_eq!(verb(""), "");
    }

    #[test]
    fn replies_read_like_psql() {
        let done = |verb: &str, rows| Reply::Done { verb: verb.to_owned(), rows }.to_string();
        assert_eq!(done("INSERT", 1), "INSERT 0 1");
        assert_eq!(done("DELETE", 0), "DELETE 0");
        assert_eq!(done("COMMIT", 0), "COMMIT");
    }

    #[test]
    fn a_value_is_read_or_refused() {
        let reply = Reply::Rows { columns: vec!["n".into()], rows: vec![vec!["3".into()]] };
        assert_eq!(reply.number("n").unwrap(), 3);
        assert!(reply.value("m").is_err());
        assert!(Reply::Done { verb: "BEGIN".into(), rows: 0 }.value("n").is_err());
        assert!(Reply::Rows { columns: vec!["n".into()], rows: vec![] }.value("n").is_err());
    }
}
