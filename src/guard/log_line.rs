//! Log lines of guards, in one shape that a log shipper can split: words, and `name=value` with the value in double
//! quotes where it has other characters than those of a plain name.
//!
//! ```text
//! raceguard observed guard=version table=public.orders leaf=public.orders code=RG409 key="(id)=(42)" detail="stated version 3, stored version 5"
//! raceguard conflict guard=cap table=public.posts leaf=public.posts_2026 code=RG403
//! raceguard bypass guard=version table=public.orders leaf=public.orders reason="import of 12 May"
//! ```
//!
//! Names and texts are the users'; no value can end its line or begin another field. The key is there only where
//! the DETAIL of the error would name it.

use crate::errors;
use crate::guard::stats::counters::Allowance;
use crate::guard::stats::session;
use crate::pg::distribution;
use crate::pg::error::{tell, Level};
use crate::pg::guc;
use crate::pg::instant::Clock;
use crate::pg::relation::qualified;
use crate::pg::text::PgText;
use crate::pg::trigger::{Definition, PREFIX};
use core::fmt::{self, Display, Formatter, Write};

/// What a line is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogEvent {
    Conflict,
    Observed,
    Bypass,
}

/// Writes a line about a row, unless the guard has written its share of this minute. `detail` makes a DETAIL in the
/// native style, where the line is written. Plain frames.
pub fn write(trigger: Definition, event: LogEvent, code: &str, detail: impl FnOnce() -> PgText) {
    let minute = Clock::TimestampTz.now() as u64 / 60_000_000;
    let line = match session::counters(trigger).allow_line(minute, guc::log_limit()) {
        Allowance::Nothing => return,
        Allowance::Last => {
            let mut line = begin(trigger, event);
            // Writing to a PgText cannot fail (see there).
            let _ = write!(line, " code={code} more=omitted");
            line
        }
        Allowance::Line { left_out } => {
            if left_out > 0 {
                let summary = begin(trigger, event);
                log(PgText::from_fmt(format_args!("{summary} omitted={left_out}")));
            }
            let mut line = begin(trigger, event);
            let detail = detail();
            let detail = errors::without_partition(detail.as_str(), trigger.table().oid());
            let (key, rest) = key_and_rest(detail);
            let _ = write!(line, " code={code}");
            if let Some(key) = key {
                let _ = write!(line, " key={}", FieldValue(key));
            }
            if !rest.is_empty() {
                let _ = write!(line, " detail={}", FieldValue(rest));
            }
            line
        }
    };
    log(line);
}

/// Writes the line that tells of a bypass; each is written. Plain frames.
pub fn write_bypass(trigger: Definition, reason: &str) {
    let line = begin(trigger, LogEvent::Bypass);
    log(PgText::from_fmt(format_args!("{line} reason={}", FieldValue(reason))));
}

fn log(line: PgText) {
    tell(Level::Log, format_args!("{line}"), None);
}

/// The beginning that all lines of a guard have.
fn begin(trigger: Definition, event: LogEvent) -> PgText {
    let guard = session::guard_of(trigger);
    let name = guard.logical_name();
    let name = name.as_str();
    let table = guard.table();
    PgText::from_fmt(format_args!(
        "raceguard {} guard={} table={} leaf={}",
        match event {
            LogEvent::Conflict => "conflict",
            LogEvent::Observed => "observed",
            LogEvent::Bypass => "bypass",
        },
        FieldValue(name.strip_prefix(PREFIX).unwrap_or(name)),
        FieldValue(qualified(distribution::logical(table.root())).as_str()),
        FieldValue(table.qualified_name().as_str()),
    ))
}

/// `(id)=(42)` and `stated version 3, stored version 5` of `Key (id)=(42): stated version 3, stored version 5.`
fn key_and_rest(detail: &str) -> (Option<&str>, &str) {
    let detail = detail.strip_suffix('.').unwrap_or(detail);
    // What follows the key never has this, whatever the key's values have.
    match detail.strip_prefix("Key ").and_then(|rest| rest.rsplit_once("): ")) {
        Some((key, rest)) => (detail.get(4..4 + key.len() + 1), rest),
        None => (None, detail),
    }
}

/// A value of a field.
struct FieldValue<'a>(&'a str);

impl Display for FieldValue<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '$');
        if !self.0.is_empty() && self.0.chars().all(plain) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                // Line and paragraph separators end a line for some readers of logs.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    write!(f, "\\u{:04x}", c as u32)?
                }
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Splits a line as a log shipper does.
    fn split(line: &str) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let mut rest = line;
        while let Some((name, after)) = rest.split_once('=') {
            let json = after.starts_with('"');
            let end = match json {
                true => {
                    (1..after.len())
                        .find(|i| {
                            let (before, rest) = after.as_bytes().split_at(*i);
                            let backslashes =
                                before.iter().rev().take_while(|b| **b == b'\\').count();
                            rest[0] == b'"' && backslashes % 2 == 0
                        })
                        .unwrap()
                        + 1
                }
                false => after.find(' ').unwrap_or(after.len()),
            };
            let value = match json {
                true => serde_json::from_str(&after[..end]).unwrap(),
                false => after[..end].to_owned(),
            };
            fields.push((name.to_owned(), value));
            rest = after[end..].trim_start();
        }
        fields
    }

    proptest! {
        /// No value can begin another field or another line.
        #[test]
        fn a_line_is_split_into_what_it_was_made_of(a in any::<String>(), b in "[ -~\\n]{0,9}") {
            let line = format!("a={} b={}", FieldValue(&a), FieldValue(&b));
            prop_assert!(!line.contains(|c: char| c.is_control()));
            prop_assert_eq!(split(&line), [("a".to_owned(), a), ("b".to_owned(), b)]);
        }
    }

    #[test]
    fn plain_names_are_not_quoted() {
        let quoted = |text| FieldValue(text).to_string();
        assert_eq!(quoted("public.orders_1"), "public.orders_1");
        assert_eq!(quoted("public.\"My table\""), "\"public.\\\"My table\\\"\"");
        assert_eq!(quoted(""), "\"\"");
    }

    #[test]
    fn the_key_is_taken_out_of_a_detail() {
        let of = key_and_rest;
        assert_eq!(
            of("Key (id)=(42): stated version 3, stored version 5."),
            (Some("(id)=(42)"), "stated version 3, stored version 5")
        );
        assert_eq!(
            of("Key (a)=(x): y): all 3 slots are taken."),
            (Some("(a)=(x): y)"), "all 3 slots are taken")
        );
        assert_eq!(of("Stated version 3."), (None, "Stated version 3"));
        assert_eq!(of(""), (None, ""));
    }
}
