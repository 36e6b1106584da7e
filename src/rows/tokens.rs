//! Tokens: what a client states to show which version of a row it has read.
//!
//! A version column serves best. For tables that cannot get one there are the row's `xmin`, made
//! 64-bit, and a hash of the whole row.

use crate::errors;
use crate::guard::arguments::one_of;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert::{input, text_datum};
use crate::pg::error::Report;
use crate::pg::version_value::VersionKind;
use crate::pg::{row_image, xid};
use crate::rows::form::Token;
use crate::rows::table::Described;
use crate::version::standing::VersionGuard;
use pgrx::pg_sys::{self, Datum, Oid};
use sha2::{Digest, Sha256};

function_entry!(raceguard_row_version, crate::rows::tokens::row_version);
function_entry!(raceguard_row_hash, crate::rows::tokens::row_hash);

/// `raceguard.row_version(xmin xid) -> text`: the number of the transaction that wrote the row, with
/// the epoch, so that it does not repeat when the 32-bit counter wraps around. Serves tables that cannot get a version column.
///
/// Two updates in one transaction share it, and an update that changes nothing changes it.
fn row_version(call: Call) -> Result<Value, Report> {
    Ok(match call.oid(0) {
        None => Value::Null,
        Some(xmin) => Value::Text(xid::full(xmin.to_u32()).to_string()),
    })
}

/// What the hash is of; a later definition would get another name, and with it other hashes.
const HASH_DOMAIN: &[u8] = b"raceguard.row_hash 1";

/// `raceguard.row_hash(record) -> text`: SHA-256, in hex, of the row's binary image. Serves
/// clients that compare the whole row, whatever the session's settings.
///
/// Hashed are, after [`HASH_DOMAIN`], the columns in table order without dropped ones: for NULL the
/// byte 0; for a value the byte 1, its length in 8 bytes and its bytes as stored, detoasted and
/// decompressed; for a composite value the byte 2, its number of columns in 8 bytes and its columns.
fn row_hash(call: Call) -> Result<Value, Report> {
    let Some(record) = call.datum(0) else {
        return Ok(Value::Null);
    };
    let mut hash = Sha256::new();
    hash.update(HASH_DOMAIN);
    row_image::walk(record, &mut |piece| match piece {
        row_image::Piece::Null => hash.update([0]),
        row_image::Piece::Bytes(bytes) => {
            hash.update([1]);
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        row_image::Piece::Row(columns) => {
            hash.update([2]);
            hash.update((columns as u64).to_le_bytes());
        }
    })?;
    let digest: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Value::Text(digest))
}

impl Token {
    /// The token that the argument `token` asks for.
    pub fn choose(name: &str, table: &Described) -> Result<Token, Report> {
        match one_of(name, "token", &["auto", "version", "xmin", "hash"])? {
            "auto" if table.guard.is_some() => Ok(Token::Version),
            "version" if table.guard.is_some() => Ok(Token::Version),
            name if name != "version" && table.on_nodes() => Err(on_nodes(table)),
            "hash" => Ok(Token::Hash),
            "auto" | "xmin" => Ok(Token::Xmin),
            _ => Err(Report::error(
                errors::NOT_IN_PREREQUISITE_STATE,
                format_args!("table \"{}\" has no version guard", table.name),
            )
            .detail(format_args!(
                "The token \"version\" is the column that raceguard.add_version guards."
            ))
            .hint(format_args!(
                "Call raceguard.add_version, or use token => 'xmin' or token => 'hash'."
            ))
            .table(table.oid)),
        }
    }
}

/// 0A000: a row that a shard takes along to another node has another `xmin` there, which may be one that was read before; and
/// Citus sends an UPDATE to its nodes only with conditions that are IMMUTABLE.
fn on_nodes(table: &Described) -> Report {
    Report::error(
        errors::UNSUPPORTED,
        format_args!("rows of \"{}\" have no version but that of a version guard", table.name),
    )
    .detail(format_args!(
        "Citus keeps them in shards: when one moves to another node its rows have other transaction numbers, and a hash is not compared there."
    ))
    .hint(format_args!(
        "Call raceguard.add_version, and compare by token => 'version'; or compare columns with raceguard.swap_columns."
    ))
    .table(table.oid)
}

/// The argument `expected`, as one of the two overloads takes it.
pub enum Expected {
    Number(i64),
    Text(String),
}

/// The version that the client states, ready to be compared.
pub struct StatedVersion {
    pub value: Datum,
    /// As a number, for a version column.
    pub number: Option<i64>,
    /// As the client wrote it.
    pub shown: String,
}

/// The type that a token is compared in.
pub fn token_type(token: Token, guard: Option<&VersionGuard>) -> Oid {
    match (token, guard.map(|g| g.kind)) {
        (Token::Version, Some(kind)) => kind.compared_as(),
        (Token::Version, None) => pg_sys::INT8OID,
        _ => pg_sys::TEXTOID,
    }
}

/// Reads `expected` as a token of the table, or 22023.
pub fn read(expected: Expected, token: Token, table: &Described) -> Result<StatedVersion, Report> {
    let shown = match &expected {
        Expected::Number(number) => number.to_string(),
        Expected::Text(text) => text.trim().to_owned(),
    };
    let text =
        |shown: String| Ok(StatedVersion { value: text_datum(&shown)?, number: None, shown });
    match (token, &table.guard) {
        (Token::Version, Some(guard)) => match guard.kind {
            VersionKind::Timestamp { .. } => {
                if let Expected::Number(_) = expected {
                    return Err(malformed(table, &shown, "a timestamp"));
                }
                let value = input(&shown, guard.kind.compared_as(), -1)?;
                Ok(StatedVersion { value, number: Some(guard.kind.read(value)), shown })
            }
            _ => {
                let number = match expected {
                    Expected::Number(number) => number,
                    Expected::Text(_) => {
                        shown.parse().map_err(|_| malformed(table, &shown, "a whole number"))?
                    }
                };
                Ok(StatedVersion { value: Datum::from(number), number: Some(number), shown })
            }
        },
        (Token::Hash, _) => {
            if shown.len() != 64 || !shown.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(malformed(table, &shown, "64 hexadecimal digits"));
            }
            text(shown.to_ascii_lowercase())
        }
        _ => {
            if shown.parse::<u64>().is_err() {
                return Err(malformed(table, &shown, "what row_version(xmin) returned"));
            }
            text(shown)
        }
    }
}

fn malformed(table: &Described, shown: &str, wanted: &str) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("\"{shown}\" cannot be a version of a row of \"{}\"", table.name),
    )
    .detail(format_args!("The version compared here is {wanted}."))
    .hint(format_args!(
        "Pass on the version as it was read, as opaque text; argument \"token\" says which kind it is."
    ))
    .table(table.oid)
}
