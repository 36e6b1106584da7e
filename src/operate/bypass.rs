//! `bypass`, `end_bypass`: a transaction that may pass a guard, and says why.

use crate::errors;
use crate::guard::arguments::{literal, required};
use crate::guard::bypass::{self, Bypass};
use crate::guard::kind::{self, Kind};
use crate::guard::log_line;
use crate::guard::partitions::refuse_inherited_guard;
use crate::guard::shells;
use crate::guard::target::Target;
use crate::guard::trigger::{existing_on, with_clones, Existing};
use crate::operate::find_guard::existing;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{catch, Report};
use crate::pg::open_table::open_table;
use crate::pg::spi::{connected, one, pinned_search_path, Param};
use crate::pg::trigger::find_named;

function_entry!(raceguard_bypass, crate::operate::bypass::bypass);
function_entry!(raceguard_end_bypass, crate::operate::bypass::end_bypass);

/// `raceguard.bypass(target, guard, reason)`: until the (sub)transaction ends, what the current role writes passes
/// the guard: a stale version still moves on, a key is not locked, a cooldown is not judged. One line in the log
/// has the reason. Serves the repair by hand that would otherwise disable the trigger for everybody.
///
/// Raises 42501 unless the caller owns the table or was granted EXECUTE himself, 42704 with the guards there are,
/// 0A000 for a cap, a parent version, or a guard that comes from the root of a partition, 22004 without a reason,
/// 22023 for an empty one.
fn bypass(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let target = Target::any(call, 0)?;
            let guard = required(call.name(1)?, "guard")?;
            let reason = checked_reason(required(call.text(2)?, "reason")?)?;
            require_right(&target)?;
            shells::refuse_on_nodes(
                &target,
                "bypass",
                "The guard fires in the shards, in the nodes' own sessions.",
                |_| {
                    format!(
                        "Have it called in the shard that is written, by a query for one of its rows: SELECT raceguard.bypass(tableoid::regclass, {}, ...) FROM {} WHERE ... LIMIT 1;",
                        literal(&guard),
                        target.qualified
                    )
                },
            )?;
            let (kind, standing) = existing(&target, &guard)?;
            open(&target, kind, &standing)?;
            let table = open_table(target.oid)?;
            let handle = table.table();
            catch(|| {
                if let Some(guard) = find_named(handle, &standing.function, &standing.trigger) {
                    log_line::write_bypass(guard, &reason);
                }
            })?;
            Ok(Value::Void)
        })
    })
}

/// `raceguard.end_bypass(target)`: ends the open bypasses of the session's transaction on a table, or all if it is
/// NULL; the guards judge again from then on. Raises nothing where there is none to end.
fn end_bypass(call: Call) -> Result<Value, Report> {
    bypass::end(call.oid(0));
    Ok(Value::Void)
}

fn checked_reason(reason: String) -> Result<String, Report> {
    if !reason.trim().is_empty() {
        return Ok(reason);
    }
    Err(Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"reason\" must not be empty"),
    )
    .detail(format_args!("It stands in the server's log, for whoever asks later."))
    .hint(format_args!("Write why the guard is passed, for example a ticket's number.")))
}

/// 42501 unless the caller owns the table, or EXECUTE was granted to a role whose rights he has: that of
/// PUBLIC, by which owners call, is not enough.
fn require_right(target: &Target) -> Result<(), Report> {
    let may = one(
        "SELECT pg_has_role($1, 'USAGE') OR EXISTS ( \
           SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, aclexplode(p.proacl) a \
           WHERE n.nspname = 'raceguard' AND p.proname = 'bypass' AND a.privilege_type = 'EXECUTE' \
             AND a.grantee NOT IN (0, p.proowner) AND pg_has_role(a.grantee, 'USAGE'))",
        &[Param::Oid(target.owner)],
    )?;
    if may == Some(true) {
        return Ok(());
    }
    Err(Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!("permission denied to bypass guards of table {}", target.name),
    )
    .detail(format_args!(
        "Only the owner of the table may, and roles that were granted EXECUTE on the function by name."
    ))
    .hint(format_args!("GRANT EXECUTE ON FUNCTION raceguard.bypass TO the role."))
    .table(target.oid))
}

fn open(target: &Target, kind: &Kind, standing: &Existing) -> Result<(), Report> {
    let beside = match kind.bypass {
        kind::Bypassable::Past(functions) => functions,
        kind::Bypassable::Never(reason) => {
            return Err(Report::error(
                errors::UNSUPPORTED,
                format_args!(
                    "guard \"{}\" of table \"{}\" cannot be bypassed",
                    standing.guard(),
                    target.name
                ),
            )
            .detail(format_args!("{reason}"))
            .hint(format_args!("raceguard.drop_guard takes it off."))
            .table(target.oid)
            .constraint(&standing.trigger))
        }
    };
    refuse_inherited_guard(target, kind.function)?;
    let mut triggers = with_clones(target, &standing.trigger)?;
    for function in beside {
        for other in existing_on(target.oid, function)? {
            triggers.extend(with_clones(target, &other.trigger)?);
        }
    }
    bypass::open(Bypass { table: target.oid, guard: standing.guard().to_owned(), triggers })
}
