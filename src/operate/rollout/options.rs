//! The arguments of an `add_*` as a jsonb object, checked against what the function declares.
//!
//! The values stay in the object: the call reads each from there by its name, as the type that the
//! function declares for it.

use crate::errors;
use crate::guard::arguments::{identifier, literal, required};
use crate::guard::kind::Kind;
use crate::pg::error::Report;
use crate::pg::jsonb::{Json, JsonKind};
use crate::pg::memory::{here, Memory};
use crate::pg::result_row::Rows;
use crate::pg::spi::{in_subtransaction, pinned_search_path, run, Param};
use crate::registry::kind_named;
use core::fmt::Arguments;
use pgrx::pg_sys::{self, Datum, Oid};

/// What to add to a table.
pub struct Wish {
    /// The kind of guard, as the view `guards` names it.
    pub kind: &'static Kind,
    options: Datum,
    /// The arguments after the table, as SQL that reads them from the object in `$2`.
    arguments: String,
}

/// An argument as a function declares it.
struct Declared<'a> {
    name: &'a str,
    type_name: &'a str,
    optional: bool,
}

impl Wish {
    /// What an argument `kind` and an argument `options`, a jsonb that has to outlive the wish, say: 22023
    /// with a list of what there is.
    pub fn read(kind: Option<String>, options: Option<Datum>) -> Result<Wish, Report> {
        let kind = kind_named(&required(kind, "kind")?)?;
        let options = required(options, "options")?;
        let rows = pinned_search_path(|| declared(kind))?;
        let declared = rows
            .iter()
            .map(|row| {
                Ok(Declared { name: row.get(0)?, type_name: row.get(1)?, optional: row.get(2)? })
            })
            .collect::<Result<Vec<_>, Report>>()?;
        here(|memory| {
            let given = Json::of(options, memory)?;
            let names = given.names(memory)?.ok_or_else(|| no_object(given.kind()))?;
            for name in names {
                if !declared.iter().any(|argument| argument.name == *name) {
                    return Err(unknown(kind, name, &declared));
                }
            }
            let mut arguments = String::new();
            for argument in &declared {
                let Some(value) = given.member(argument.name)? else {
                    if !argument.optional {
                        return Err(missing(kind, argument.name));
                    }
                    continue;
                };
                argument.accept(value, memory)?;
                argument.try_out(options)?;
                arguments +=
                    &format!(", {} => {}", identifier(argument.name), argument.read_from("$2"));
            }
            Ok(Wish { kind, options, arguments })
        })
    }

    /// Runs `SELECT selected FROM raceguard.<verb>_<kind>(table, ...)` with the caller's search_path, which the
    /// names in a key count on.
    pub fn run(&self, verb: &str, selected: &str, table: Oid) -> Result<Rows, Report> {
        let (function, arguments) = (format!("{verb}_{}", self.kind.name), &self.arguments);
        run(
            &format!("SELECT {selected} FROM raceguard.{function}($1::pg_catalog.regclass{arguments}) AS called"),
            &[Param::Oid(table), Param::Typed(pg_sys::JSONBOID, Some(self.options))],
        )
    }
}

impl Declared<'_> {
    /// 22023 unless a value of the object is of a form that the argument takes.
    fn accept(&self, value: Json, memory: Memory) -> Result<(), Report> {
        let wanted = match self.type_name {
            "boolean" => JsonKind::Bool,
            "integer" => JsonKind::Number,
            "name[]" => JsonKind::Array,
            _ => JsonKind::String,
        };
        let mut kind = value.kind();
        let mut elements = value.elements(memory)?;
        while let Some(element) = elements.next()? {
            if kind == JsonKind::Array
                && !matches!(element.kind(), JsonKind::String | JsonKind::Null)
            {
                return Err(self.wrong(format_args!("It holds {}.", element.kind())));
            }
        }
        // NULL is judged by the function itself.
        if kind == JsonKind::Null {
            kind = wanted;
        }
        match kind == wanted {
            true => Ok(()),
            false => Err(self.wrong(format_args!("It is {kind}."))),
        }
    }

    /// SQL for the argument's value in an object.
    fn read_from(&self, object: &str) -> String {
        let name = literal(self.name);
        let text = format!("pg_catalog.jsonb_extract_path_text({object}, {name})");
        match self.type_name {
            "name[]" => format!(
                "CASE WHEN {text} IS NOT NULL THEN ARRAY(SELECT pg_catalog.jsonb_array_elements_text(\
                 pg_catalog.jsonb_extract_path({object}, {name}))::pg_catalog.name) END"
            ),
            // Key words, which no schema of the search_path can take the place of.
            "boolean" | "integer" => format!("({text})::{}", self.type_name),
            other => format!("({text})::pg_catalog.{other}"),
        }
    }

    /// 22023 for a string or number that is no value of the type.
    fn try_out(&self, options: Datum) -> Result<(), Report> {
        let sql = format!("SELECT {}", self.read_from("$1"));
        let options = [Param::Typed(pg_sys::JSONBOID, Some(options))];
        match in_subtransaction(|| run(&sql, &options))? {
            Err(cause) if cause.is_in_class(b"22") => {
                Err(self.wrong(format_args!("Postgres says: {}.", cause.message_text())))
            }
            Err(cause) => Err(cause),
            Ok(_) => Ok(()),
        }
    }

    fn wrong(&self, detail: Arguments) -> Report {
        let takes = match self.type_name {
            "boolean" => "true or false",
            "integer" => "a number",
            "interval" => "a string such as \"7 days\"",
            "name[]" => "an array of column names",
            "regclass" => "the name of a table as a string",
            _ => "a string",
        };
        Report::error(
            errors::INVALID_PARAMETER,
            format_args!("invalid value for option \"{}\"", self.name),
        )
        .detail(detail)
        .hint(format_args!("It takes {takes}."))
    }
}

/// The arguments of a kind's `add_*` after the table.
fn declared(kind: &Kind) -> Result<Rows, Report> {
    run(
        "SELECT a.name, format_type(a.type, NULL), a.n > p.pronargs - p.pronargdefaults \
         FROM pg_proc p, unnest(p.proargnames[:p.pronargs], p.proargtypes::oid[]) \
              WITH ORDINALITY AS a(name, type, n) \
         WHERE p.pronamespace = 'raceguard'::regnamespace AND p.proname = $1::name AND a.n > 1 ORDER BY a.n",
        &[Param::Text(&format!("add_{}", kind.name))],
    )
}

fn unknown(kind: &Kind, name: &str, declared: &[Declared]) -> Report {
    let list: Vec<&str> = declared.iter().map(|argument| argument.name).collect();
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("unknown option \"{name}\" for guards of kind \"{}\"", kind.name),
    )
    .detail(format_args!("Options are {}.", list.join(", ")))
    .hint(format_args!("They are the arguments of raceguard.add_{} after the table.", kind.name))
}

fn missing(kind: &Kind, name: &str) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("guards of kind \"{}\" need option \"{name}\"", kind.name),
    )
    .detail(format_args!("It has no default in raceguard.add_{}.", kind.name))
    .hint(format_args!("Give it in options, for example '{{\"{name}\": ...}}'."))
}

fn no_object(kind: JsonKind) -> Report {
    Report::error(errors::INVALID_PARAMETER, format_args!("options must be an object, not {kind}"))
        .detail(format_args!("Each member is an argument of the add_* function, by its name."))
        .hint(format_args!("For example '{{\"unstated\": \"reject\"}}'; '{{}}' for the defaults."))
}
