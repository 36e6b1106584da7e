//! How raceguard's own UPDATEs state the version of a table under a version guard.

use crate::guards::version::{parse, ClientSends, IGNORE};
use crate::install::arguments::identifier;
use crate::pg::error::Report;
use crate::pg::relation::Table;

/// The SET item that states the version as the table's guard demands, for an UPDATE of `column`;
/// `None` without a guard, or where changes of that column need no version.
///
/// The row's present version is the right one to state: the UPDATE decides by what is stored when
/// it holds the row's lock, and not by something read before. Arguments that are no rule are left
/// to the guard, which refuses the write.
pub fn set_item(table: Table, column: &str) -> Result<Option<String>, Report> {
    let Some(arguments) = table.guard_arguments("version_guard")? else {
        return Ok(None);
    };
    let ignored = arguments.iter().any(|a| a.strip_prefix(IGNORE) == Some(column));
    Ok(match parse(arguments.iter().map(String::as_str)) {
        Ok(options) if !ignored => {
            let version = identifier(options.column);
            Some(match options.client_sends {
                ClientSends::Next => format!("{version} = {version} OPERATOR(pg_catalog.+) 1"),
                ClientSends::Current => format!("{version} = {version}"),
            })
        }
        _ => None,
    })
}
