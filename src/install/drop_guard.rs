//! `drop_guard`: takes a guard off a table.

use super::arguments::{identifier, required};
use super::target::Target;
use super::trigger::{self, PREFIX};
use super::{cap, cooldown, parent};
use crate::errors;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path, run, Param};

function_entry!(raceguard_drop_guard, crate::install::drop_guard::drop_guard);

/// `drop_guard(target, guard, drop_column)`.
fn drop_guard(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let target = Target::owned(call, 0)?;
            let guard = required(call.name(1)?, "guard")?;
            let drop_column = required(call.bool(2), "drop_column")?;
            target.lock("ACCESS EXCLUSIVE")?;
            take_away(&target, &guard, drop_column)?;
            tell(
                Level::Notice,
                format_args!("guard \"{guard}\" of table \"{}\" dropped", target.name),
                None,
            );
            Ok(Value::Void)
        })
    })
}

fn take_away(target: &Target, guard: &str, drop_column: bool) -> Result<(), Report> {
    let rows = run(
        "SELECT t.tgname, p.proname, encode(t.tgargs, 'hex') \
         FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
         JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'raceguard' \
         WHERE t.tgrelid = $1 AND NOT t.tgisinternal \
           AND p.proname NOT IN ('cap_full_guard', 'parent_version_bump', 'parent_version_truncate') \
           AND t.tgname IN ($2::name, $3::name) ORDER BY t.tgname DESC LIMIT 1",
        &[
            Param::Oid(target.oid),
            Param::Text(&trigger::trigger_name(guard, "")?),
            Param::Text(guard),
        ],
    )?;
    let Some(row) = rows.into_iter().next() else {
        if cap::has_remains(target, guard)? {
            return cap::remove(target, guard, drop_column);
        }
        return Err(no_such_guard(target, guard)?);
    };
    let text = |i: usize| row[i].clone().unwrap_or_default();
    let (name, function) = (text(0), text(1));
    if function == crate::guards::cap::FUNCTION {
        let guard = name.strip_prefix(PREFIX).unwrap_or(&name);
        return cap::remove(target, guard, drop_column);
    }
    if function == crate::guards::parent::FUNCTION {
        return parent::drop_all(target, &name);
    }
    if function == crate::guards::cooldown::FUNCTION {
        return cooldown::remove(target, &name);
    }
    trigger::drop(target, &name)?;
    let column = trigger::decode_arguments(&text(2)).into_iter().next();
    if let (true, "version_guard", Some(column)) = (drop_column, function.as_str(), column) {
        run(
            &format!(
                "ALTER TABLE {} DROP COLUMN IF EXISTS {}",
                target.qualified,
                identifier(&column)
            ),
            &[],
        )?;
    }
    Ok(())
}

fn no_such_guard(target: &Target, guard: &str) -> Result<Report, Report> {
    let rows = run(
        "SELECT string_agg(guard, ', ' ORDER BY guard) FROM raceguard.guards WHERE target = $1",
        &[Param::Oid(target.oid)],
    )?;
    let standing = rows.first().and_then(|r| r[0].clone());
    let report = Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("table \"{}\" has no guard \"{guard}\"", target.name),
    );
    Ok(match standing {
        Some(names) => report.detail(format_args!("Its guards are {names}.")),
        None => report.detail(format_args!("It has no guards at all.")),
    }
    .hint(format_args!("The view raceguard.guards lists the guards of all tables."))
    .table(target.oid))
}
