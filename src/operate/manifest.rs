//! `manifest` and `require_guards`: the guards of a database as a document beside its migrations, and whether they
//! stand.

use crate::errors;
use crate::guard::arguments::{require_schema, required, LONGEST_NAME};
use crate::operate::check::standing;
use crate::operate::require_guard::{refuse_members, shortened, Demand};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert::input;
use crate::pg::error::Report;
use crate::pg::jsonb::{Elements, Json, JsonKind};
use crate::pg::memory::{self, here, Memory};
use crate::pg::spi::{connected, one, pinned_search_path, Param};
use crate::pg::statement::run_kept;
use crate::pg::text::Abridged;
use crate::registry::KINDS;
use pgrx::pg_sys::{Oid, JSONBOID};
use serde_json::json;

function_entry!(raceguard_manifest, crate::operate::manifest::manifest);

function_entry!(raceguard_require_guards, crate::operate::manifest::require_guards);

/// The form of the document.
const FORM: i64 = 1;

/// The most guards that an error names.
const NAMED: usize = 50;

/// Schema and table in quotes, with a dot between them.
const LONGEST_TARGET: usize = 2 * (LONGEST_NAME + 2) + 1;

/// `raceguard.manifest(schemas) -> jsonb`: every guard of these schemas, or of all, with its table, kind, name,
/// definition, and the partitions that it reaches, in an order that stays the same.
///
/// Raises 3F000 for a schema that does not exist, 22004 for a NULL among them.
fn manifest(call: Call) -> Result<Value, Report> {
    let schemas = call.names(0)?;
    let text = connected(|| {
        pinned_search_path(|| {
            let schemas = schemas.map(existing_schemas).transpose()?;
            let mut guards = Vec::new();
            for guard in standing(None)? {
                let table = guard.guard.table;
                if let Some(schemas) = &schemas
                    && !schemas.contains(&schema_of(table)?)
                {
                    continue;
                }
                guards.push(json!({
                    "target": guard.guard.qualified,
                    "kind": guard.kind.name,
                    "guard": guard.guard.guard(),
                    "definition": guard.definition,
                    "partitions": partitions(table)?,
                }));
            }
            guards.sort_by_key(|guard| (guard["target"].to_string(), guard["guard"].to_string()));
            Ok(json!({"manifest": FORM, "guards": guards}).to_string())
        })
    })?;
    Ok(Value::Raw(input(&text, JSONBOID, -1)?))
}

fn existing_schemas(names: Vec<Option<String>>) -> Result<Vec<String>, Report> {
    let mut schemas = Vec::new();
    for name in names {
        let name = required(name, "schemas")?;
        require_schema(
            &name,
            "The guards of a schema that is not there cannot be listed.",
            "Leave schemas out for all of them.",
        )?;
        schemas.push(name);
    }
    Ok(schemas)
}

fn schema_of(table: Oid) -> Result<String, Report> {
    let sql = "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1";
    let rows = run_kept(sql, &[Param::Oid(table)])?;
    rows.first().map_or(Ok(String::new()), |row| row.get(0))
}

fn partitions(table: Oid) -> Result<Vec<String>, Report> {
    let sql = "SELECT relid FROM pg_partition_tree($1) WHERE relid <> $1 ORDER BY relid::text";
    let rows = run_kept(sql, &[Param::Oid(table)])?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// `raceguard.require_guards(manifest)`: returns if every guard of a manifest stands as `require_guard` demands, and
/// reaches the partitions that are recorded, those excepted that were dropped.
///
/// Raises 55000 with all that is missing, 22023 with the place of the fault for what is no manifest, 22004.
fn require_guards(call: Call) -> Result<Value, Report> {
    let manifest = required(call.json(0)?, "manifest")?;
    let mut entries = entries(&manifest, call.memory())?;
    connected(|| {
        pinned_search_path(|| {
            let mut missing = Vec::new();
            let (mut n, mut count) = (0, 0);
            while let Some(entry) = entries.next()? {
                let entry = ListedGuard::read(&entry, n)?;
                n += 1;
                if let Some(reason) = entry.unmet()? {
                    count += 1;
                    // The log need not take a megabyte to say that nothing stands.
                    if missing.len() < NAMED {
                        memory::push(&mut missing, Abridged(&reason).to_string())?;
                    }
                }
            }
            if count == 0 {
                return Ok(Value::Void);
            }
            if count > missing.len() {
                missing.push(format!("and {} more", count - missing.len()));
            }
            Err(Report::error(
                errors::NOT_IN_PREREQUISITE_STATE,
                format_args!("{count} of {n} guards do not stand as the manifest says"),
            )
            .detail(format_args!("{}", missing.join("\n")))
            .hint(format_args!(
                "raceguard.check_guards says what is wrong with the guards that stand; run the migration that adds the others."
            )))
        })
    })
}

/// The guards of a manifest. Checked from outside in, so that nothing of a wrong one is judged.
fn entries<'a>(manifest: &Json<'a>, memory: Memory<'a>) -> Result<Elements<'a>, Report> {
    if manifest.kind() != JsonKind::Object {
        return Err(no_manifest("$", &format!("must be an object, not {}", manifest.kind())));
    }
    refuse_others(manifest, "$", &["manifest", "guards"])?;
    let form = member(manifest, "$", "manifest", JsonKind::Number)?;
    if here(|memory| Ok(form.plain(memory)? != Some("1")))? {
        return Err(no_manifest("$.manifest", "must be 1, the form that this version reads"));
    }
    let guards = member(manifest, "$", "guards", JsonKind::Array)?;
    let mut all = guards.elements(memory)?;
    let mut n = 0;
    while let Some(entry) = all.next()? {
        ListedGuard::read(&entry, n)?;
        n += 1;
    }
    guards.elements(memory)
}

fn refuse_others(object: &Json, place: &str, known: &[&str]) -> Result<(), Report> {
    here(|memory| {
        let names = object.names(memory)?.unwrap_or_default();
        match names.iter().find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) => Err(no_manifest(
                &format!("{place}.{}", shortened(name)),
                "is no member of a manifest",
            )),
        }
    })
}

fn member<'a>(
    object: &Json<'a>,
    place: &str,
    name: &str,
    kind: JsonKind,
) -> Result<Json<'a>, Report> {
    let place = format!("{place}.{name}");
    let Some(value) = object.member(name)? else { return Err(no_manifest(&place, "is missing")) };
    match value.kind() == kind {
        true => Ok(value),
        false => Err(no_manifest(&place, &format!("must be {kind}, not {}", value.kind()))),
    }
}

fn no_manifest(place: &str, what: &str) -> Report {
    Report::error(errors::INVALID_PARAMETER, format_args!("not a manifest of guards: {place} {what}"))
        .detail(format_args!(
            "A manifest is {{\"manifest\": 1, \"guards\": [{{\"target\", \"kind\", \"guard\", \"definition\", \"partitions\"}}, ...]}}."
        ))
        .hint(format_args!("Have it made: SELECT raceguard.manifest();"))
}

/// One guard of a manifest.
struct ListedGuard<'a> {
    target: String,
    kind: &'static str,
    guard: Option<String>,
    definition: Option<Json<'a>>,
    partitions: Option<Json<'a>>,
}

impl<'a> ListedGuard<'a> {
    fn read(entry: &Json<'a>, n: usize) -> Result<ListedGuard<'a>, Report> {
        let place = format!("$.guards[{n}]");
        if entry.kind() != JsonKind::Object {
            return Err(no_manifest(&place, &format!("must be an object, not {}", entry.kind())));
        }
        refuse_others(entry, &place, &["target", "kind", "guard", "definition", "partitions"])?;
        let text =
            |value: Json| here(|memory| memory::own(value.plain(memory)?.unwrap_or_default()));
        let required = |name: &str| text(member(entry, &place, name, JsonKind::String)?);
        let optional = |name: &str, kind: JsonKind| match entry.member(name)? {
            None => Ok(None),
            Some(_) => member(entry, &place, name, kind).map(Some),
        };
        let named = required("kind")?;
        let Some(kind) = KINDS.into_iter().map(|kind| kind.name).find(|kind| *kind == named) else {
            let kinds = KINDS.map(|kind| kind.name).join(", ");
            return Err(no_manifest(&format!("{place}.kind"), &format!("must be one of {kinds}")));
        };
        let definition = optional("definition", JsonKind::Object)?;
        if let Some(definition) = &definition {
            refuse_members(kind, definition, &format!("{place}.definition"))?;
        }
        let partitions = optional("partitions", JsonKind::Array)?;
        if let Some(partitions) = &partitions {
            require_strings(partitions, &format!("{place}.partitions"))?;
        }
        let guard = optional("guard", JsonKind::String)?.map(text).transpose()?;
        Ok(ListedGuard { target: required("target")?, kind, guard, definition, partitions })
    }

    fn unmet(&self) -> Result<Option<String>, Report> {
        let target: String = self.target.chars().take(LONGEST_TARGET).collect();
        let who = match &self.guard {
            Some(guard) => format!("{target}, guard \"{}\"", shortened(guard)),
            None => format!("{target}, {}", self.kind),
        };
        let Some(table) = table_named(&self.target)? else {
            return Ok(Some(format!("{who}: There is no such table.")));
        };
        let demand = Demand {
            table,
            kind: self.kind,
            definition: self.definition,
            guard: self.guard.clone(),
        };
        if let Some(reason) = demand.unmet()? {
            return Ok(Some(format!("{who}: {reason}")));
        }
        let Some(partitions) = &self.partitions else { return Ok(None) };
        here(|memory| {
            let mut all = partitions.elements(memory)?;
            while let Some(partition) = all.next()? {
                let name = partition.plain(memory)?.unwrap_or_default();
                if is_outside(name, table)? {
                    let name: String = name.chars().take(LONGEST_TARGET).collect();
                    return Ok(Some(format!(
                        "{who}: Table {name} is no partition of it any more."
                    )));
                }
            }
            Ok(None)
        })
    }
}

fn require_strings(list: &Json, place: &str) -> Result<(), Report> {
    here(|memory| {
        let (mut all, mut n) = (list.elements(memory)?, 0);
        while let Some(element) = all.next()? {
            if element.kind() != JsonKind::String {
                let what = format!("must be a string, not {}", element.kind());
                return Err(no_manifest(&format!("{place}[{n}]"), &what));
            }
            n += 1;
        }
        Ok(())
    })
}

/// A table by its name as `manifest` writes it; `None` for one that is not there, or a text that is no name.
fn table_named(name: &str) -> Result<Option<Oid>, Report> {
    let found = crate::pg::spi::in_subtransaction(|| {
        one(
            "SELECT c.oid FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')",
            &[Param::Text(name)],
        )
    })?;
    match found {
        Ok(oid) => Ok(oid),
        Err(report) if report.is_in_class(b"42") || report.is_in_class(b"22") => Ok(None),
        Err(report) => Err(report),
    }
}

/// Whether a recorded partition is there, and no part of the table any more.
fn is_outside(name: &str, root: Oid) -> Result<bool, Report> {
    let Some(table) = table_named(name)? else { return Ok(false) };
    let rows = run_kept(
        "SELECT FROM pg_partition_tree($1) WHERE relid = $2",
        &[Param::Oid(root), Param::Oid(table)],
    )?;
    Ok(rows.is_empty())
}
