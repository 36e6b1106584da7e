//! Invariants judged by what the tables hold, at the end or at the moments an observer looked.

use crate::history::{Fact, History, Violation};
use crate::session::Session;
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

type Row = Vec<Option<String>>;

pub const VERSIONED: &str = "another version with every change";
pub const LEAKED: &str = "no lock left behind";

fn text(row: &Row) -> String {
    let cells: Vec<&str> = row.iter().map(|c| c.as_deref().unwrap_or("NULL")).collect();
    cells.join(", ")
}

fn cell(row: &Row, column: usize) -> Option<i64> {
    row.get(column)?.as_deref()?.parse().ok()
}

/// Rows of a SQL that may never return one.
pub fn never(name: &str, invariant: usize, history: &History) -> Vec<Violation> {
    let rows = history.seen.iter().filter(|seen| seen.invariant == invariant);
    rows.map(|seen| Violation {
        invariant: name.to_string(),
        key: cell(&seen.row, 0),
        at: Some(seen.at),
        what: format!("seen {} us into the round: {}", seen.at / 1000, text(&seen.row)),
    })
    .collect()
}

/// Every committed addition is in the final values, and nothing else is.
pub fn counted(name: &str, history: &History, rows: &[Row]) -> Vec<Violation> {
    let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
    for (_, fact) in history.committed().flat_map(|txn| txn.facts()) {
        if let Fact::Add { key, amount } = fact {
            *expected.entry(key).or_default() += amount;
        }
    }
    compare(name, &expected, rows, "committed transactions add up to")
}

/// The final values count the committed transactions that touched each key.
pub fn touched(name: &str, history: &History, rows: &[Row]) -> Vec<Violation> {
    let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
    for txn in history.committed() {
        let keys: BTreeSet<i64> = txn
            .facts()
            .filter_map(|(_, fact)| match fact {
                Fact::Touch { key } => Some(key),
                _ => None,
            })
            .collect();
        for key in keys {
            *expected.entry(key).or_default() += 1;
        }
    }
    compare(name, &expected, rows, "transactions that touched it and committed:")
}

fn compare(name: &str, expected: &BTreeMap<i64, i64>, rows: &[Row], why: &str) -> Vec<Violation> {
    let mut broken = Vec::new();
    let mut missing = expected.clone();
    for row in rows {
        let (Some(key), Some(value)) = (cell(row, 0), cell(row, 1)) else {
            broken.push(Violation {
                invariant: name.to_string(),
                key: cell(row, 0),
                at: None,
                what: format!("not a key and a number: {}", text(row)),
            });
            continue;
        };
        let expected = missing.remove(&key).unwrap_or(0);
        if value != expected {
            broken.push(Violation {
                invariant: name.to_string(),
                key: Some(key),
                at: None,
                what: format!("key {key} holds {value}; {why} {expected}"),
            });
        }
    }
    for (key, expected) in missing {
        broken.push(Violation {
            invariant: name.to_string(),
            key: Some(key),
            at: None,
            what: format!("key {key} is gone; {why} {expected}"),
        });
    }
    broken
}

/// In (key, version, state) as seen over time, versions never go back and name one state each.
pub fn versioned(invariant: usize, history: &History) -> Vec<Violation> {
    let mut last: BTreeMap<i64, (i64, String)> = BTreeMap::new();
    let mut broken = Vec::new();
    for seen in history.seen.iter().filter(|seen| seen.invariant == invariant) {
        let (Some(key), Some(version)) = (cell(&seen.row, 0), cell(&seen.row, 1)) else {
            continue;
        };
        let state = text(&seen.row[2..].to_vec());
        if let Some((before, was)) = last.get(&key)
            && (version < *before || (version == *before && state != *was))
        {
            broken.push(Violation {
                invariant: VERSIONED.to_string(),
                key: Some(key),
                at: Some(seen.at),
                what: format!(
                    "key {key} went from version {before} ({was}) to version {version} ({state})"
                ),
            });
        }
        last.insert(key, (version, state));
    }
    broken
}

/// With every transaction over, nobody holds or waits for an advisory lock of this database.
/// A backend that was terminated may need a moment to leave.
pub fn no_leaked_locks(admin: &mut Session) -> Result<Option<Violation>, String> {
    let sql = "SELECT pid, mode, granted, classid, objid, objsubid FROM pg_locks \
               WHERE locktype = 'advisory' \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    for _ in 0..500 {
        if admin.rows(sql)?.is_empty() {
            return Ok(None);
        }
        sleep(Duration::from_millis(10));
    }
    Ok(admin.rows(sql)?.first().map(|row| Violation {
        invariant: LEAKED.to_string(),
        key: None,
        at: None,
        what: format!("pid, mode, granted, classid, objid, objsubid: {}", text(row)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Seen;

    fn row(cells: &[&str]) -> Row {
        cells.iter().map(|c| Some(c.to_string())).collect()
    }

    #[test]
    fn a_difference_either_way_is_seen() {
        let expected = BTreeMap::from([(1, 5), (2, 1)]);
        let broken = |rows: &[Row]| compare("x", &expected, rows, "").len();
        assert_eq!(broken(&[row(&["1", "5"]), row(&["2", "1"]), row(&["3", "0"])]), 0);
        assert_eq!(broken(&[row(&["1", "4"]), row(&["2", "2"])]), 2);
        assert_eq!(broken(&[row(&["1", "5"])]), 1);
        assert_eq!(broken(&[row(&["1", "5"]), row(&["2", "1"]), row(&["3", "1"])]), 1);
        assert_eq!(broken(&[row(&["1", "5"]), row(&["2", "1"]), vec![Some("3".into()), None]]), 1);
    }

    #[test]
    fn a_version_names_one_state() {
        let history = |rows: &[&[&str]]| History {
            seen: rows.iter().map(|cells| Seen { at: 0, invariant: 0, row: row(cells) }).collect(),
            ..History::default()
        };
        let broken = |rows: &[&[&str]]| versioned(0, &history(rows)).len();
        assert_eq!(broken(&[&["1", "1", "a"], &["1", "1", "a"], &["1", "2", "b"]]), 0);
        assert_eq!(broken(&[&["1", "1", "a"], &["1", "1", "b"]]), 1);
        assert_eq!(broken(&[&["1", "2", "a"], &["1", "1", "a"]]), 1);
    }
}
