//! Keys as `add_*` takes them: checked, and written the way a trigger's arguments hold them.

use super::target::Target;
use crate::pg::error::{catch, Report};
use crate::pg::key::{self, Key};
use crate::pg::relation::Table;

/// The canonical text of a key, every name outside pg_catalog qualified. Call it outside
/// `pinned_search_path`: the names in `text` are the caller's.
pub fn canonical_key(
    target: &Target,
    text: &str,
    accept: impl FnOnce(Table, &Key) -> Result<(), Report>,
) -> Result<String, Report> {
    let oid = target.oid;
    let canonical = catch(|| key::canonical(oid, text, accept))
        .and_then(|outcome| outcome)
        .map_err(|report| report.without_position())?;
    Ok(canonical.as_str().to_owned())
}
