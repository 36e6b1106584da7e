//! A table's version guard as it stands, for code that writes the table's rows itself.

use crate::guard::arguments::identifier;
use crate::pg::error::{catch, Report};
use crate::pg::memory::own;
use crate::pg::relation::Table;
use crate::pg::trigger;
use crate::pg::version_value::VersionKind;
use crate::version::rule::{parse, ClientSends, FUNCTION, IGNORE};

/// The table's version guard.
pub struct VersionGuard {
    pub attno: i16,
    pub column: String,
    pub kind: VersionKind,
    pub sends: ClientSends,
    /// A guard that does not fire would leave the version as it is.
    pub enabled: bool,
    /// Columns whose change needs no version.
    ignored: Vec<String>,
}

impl VersionGuard {
    /// The SET item by which raceguard's own UPDATEs state the version as the guard demands.
    pub fn set_item(&self, row: &str) -> String {
        let name = identifier(&self.column);
        format!("{name} = {}", self.sends.stated(&format!("{row}.{name}")))
    }

    /// Whether changes of a column need no version, and bump none.
    pub fn ignores(&self, column: &str) -> bool {
        self.ignored.iter().any(|name| name == column)
    }

    /// That of a table; `None` if it has none.
    pub fn of(table: Table) -> Result<Option<VersionGuard>, Report> {
        let Some(guard) = catch(|| trigger::find(table, FUNCTION))? else {
            return Ok(None);
        };
        let arguments = || (0..guard.argument_count()).map(|n| guard.argument(n));
        // Arguments that are no rule, or name a column that is gone, make the guard itself refuse every
        // write, with an error that says what is wrong; here such a guard counts as none.
        let Ok(options) = parse(arguments()) else {
            return Ok(None);
        };
        let column = catch(|| table.column_named(options.column))?;
        let Some((column, kind)) = column.and_then(|c| Some((c, VersionKind::of_version(c)?)))
        else {
            return Ok(None);
        };
        Ok(Some(VersionGuard {
            attno: column.attno,
            column: options.column.to_owned(),
            kind,
            sends: options.client_sends,
            enabled: guard.fires().origin,
            ignored: arguments()
                .filter_map(|argument| argument.strip_prefix(IGNORE))
                .map(own)
                .collect::<Result<_, _>>()?,
        }))
    }
}
