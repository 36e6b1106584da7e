//! The fence around [`crate::pg`]: what the compiler has to refuse outside of it, so that nothing is used beyond
//! the memory it lies in. `scripts/lint/fence.py` compiles this file. A line that ends in `//~ WHAT` is an error whose
//! code or message is WHAT; no other line is one, and nothing here is ever run.

#![allow(dead_code)]

use crate::cap::rule::CapRules;
use crate::pg::error::Report;
use crate::pg::foreign_key::ForeignKey;
use crate::pg::jsonb::Json;
use crate::pg::key::{self, Key, KeyPart};
use crate::pg::memory::{here, Buffer, Memory, Scratch};
use crate::pg::numbered_index::NumberedIndex;
use crate::pg::open_table::open_table;
use crate::pg::per_backend::PerBackend;
use crate::pg::relation::Table;
use crate::pg::rule_cache;
use crate::pg::spi::connected;
use crate::pg::text::PgText;
use crate::pg::time_index::TimeIndex;
use crate::pg::trigger::{self, Definition, Firing};
use crate::pg::tuple::Row;
use core::cell::Cell;
use pgrx::pg_sys::Oid;

fn column_of_a_cap(definition: Definition) -> Result<String, Report> {
    let rule = rule_cache::rule::<CapRules>(definition)?;
    Ok(rule.options.column.to_owned())
}

fn rule_beyond_its_table(oid: Oid) -> Result<Option<String>, Report> {
    let rule = {
        let open = open_table(oid)?;
        let definition = trigger::find(open.table(), "cap_guard"); //~ E0597
        definition.map(rule_cache::rule::<CapRules>).transpose()?
    };
    Ok(rule.map(|rule| rule.options.column.to_owned()))
}

fn key_of_a_rule_beyond_its_table(oid: Oid) -> Result<usize, Report> {
    let open = open_table(oid)?;
    let definition = trigger::find(open.table(), "cap_guard");
    let key = match definition {
        Some(definition) => rule_cache::rule::<CapRules>(definition)?.index.key,
        None => return Ok(0),
    };
    drop(open); //~ E0505
    Ok(key.parts.len())
}

fn rule_beyond_its_firing(firing: Firing) -> Result<&'static str, Report> {
    let rule = rule_cache::rule::<CapRules>(firing.definition())?;
    Ok(rule.options.column) //~ lifetime may not live long enough
}

fn argument_of_a_rule(definition: Definition, memory: Memory) -> usize {
    definition.keep_arguments(memory).len()
}

fn arguments_beyond_their_memory<'t>(definition: Definition<'t>, memory: Memory) -> &'t str {
    definition.keep_arguments(memory)[0] //~ E0621
}

fn row_of_a_firing(firing: Firing) -> Row {
    firing.new_row().with(1, None)
}

fn row_beyond_its_firing(firing: Firing) -> Row<'static> {
    firing.new_row() //~ lifetime may not live long enough
}

fn text_of_a_block(text: &str) -> usize {
    here(|memory| memory.keep_text(text).len())
}

fn text_beyond_its_block(text: &str) -> &str {
    here(|memory| memory.keep_text(text)) //~ lifetime may not live long enough
}

fn list_beyond_its_block() -> &'static [i16] {
    here(|memory| Buffer::new(memory, 1).into_slice()) //~ lifetime may not live long enough
}

fn length_of_a_step(scratch: Scratch) -> Result<usize, Report> {
    scratch.use_for(|memory| Ok(memory.keep_text("text").len()))
}

fn text_beyond_its_step(scratch: Scratch) -> Result<&'static str, Report> {
    scratch.use_for(|memory| Ok(memory.keep_text("text"))) //~ lifetime may not live long enough
}

fn formatted_text_beyond_its_step(scratch: Scratch) -> Result<PgText, Report> {
    scratch.use_for(|_| Ok(PgText::new())) //~ E0277
}

fn key_beyond_its_memory<'t>(table: Table<'t>) -> Result<Key<'t>, Report> {
    here(|memory| Ok(key::parse(table, "a", memory)?.compile(table))) //~ lifetime may not live long enough
}

fn document_beyond_its_memory<'j>(json: Json<'j>) -> Result<Json<'j>, Report> {
    here(|memory| Json::of(json.datum()?, memory)) //~ lifetime may not live long enough
}

fn elements_beyond_their_step(json: Json, scratch: Scratch) -> Result<(), Report> {
    let mut elements = None;
    scratch.use_for(|memory| {
        elements = Some(json.elements(memory)?); //~ E0521
        Ok(())
    })?;
    elements.and_then(|mut elements| elements.next().transpose()).transpose().map(drop)
}

fn text_beyond_its_connection() -> Result<PgText, Report> {
    connected(|| Ok(PgText::new())) //~ E0277
}

fn report_beyond_its_connection(report: Report) -> Result<Report, Report> {
    connected(|| Ok(report)) //~ E0277
}

/// What a backend may keep.
static NUMBER: PerBackend<Cell<Option<u64>>> = PerBackend::new(Cell::new(None));

static TEXT: PerBackend<Cell<Option<PgText>>> = PerBackend::new(Cell::new(None)); //~ E0277
static REPORT: PerBackend<Cell<Option<Report>>> = PerBackend::new(Cell::new(None)); //~ E0277
static ROW: PerBackend<Cell<Option<Row>>> = PerBackend::new(Cell::new(None)); //~ E0277
static PARTS: PerBackend<Cell<&[KeyPart]>> = PerBackend::new(Cell::new(&[])); //~ E0277
static KEY: PerBackend<Cell<Option<Key>>> = PerBackend::new(Cell::new(None)); //~ E0277
static CAP: PerBackend<Cell<Option<NumberedIndex>>> = PerBackend::new(Cell::new(None)); //~ E0277
static TIMES: PerBackend<Cell<Option<TimeIndex>>> = PerBackend::new(Cell::new(None)); //~ E0277

/// Plain numbers, so it may be kept; but what it was found in the memory of ends before.
static FOREIGN_KEY: PerBackend<Cell<Option<ForeignKey>>> = PerBackend::new(Cell::new(None));

fn foreign_key_beyond_its_memory(key: ForeignKey) {
    FOREIGN_KEY.set(Some(key)); //~ E0521
}
