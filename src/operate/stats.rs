//! `stats_counters`, `stats_state`, `stats_reset`: what the views `raceguard.stats` and `raceguard.stats_info` show.

use crate::errors;
use crate::guard::stats::counters::{Counters, Word};
use crate::guard::stats::layout::{key, trigger_of, Heading};
use crate::guard::stats::table;
use crate::guard::target::Target;
use crate::operate::find_guard::no_such_guard;
use crate::operate::pieces::logical_trigger;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert::text_datum;
use crate::pg::distribution;
use crate::pg::error::{catch, Report};
use crate::pg::instant::Clock;
use crate::pg::memory::push;
use crate::pg::result_set::{return_rows, Output};
use crate::pg::spi::{connected, pinned_search_path, run, Param};
use crate::pg::trigger_catalog::own_database;
use core::sync::atomic::Ordering;
use pgrx::pg_sys::{Datum, Oid};
use std::collections::btree_map::{BTreeMap, Entry};

function_entry!(raceguard_stats_counters, crate::operate::stats::stats_counters);
function_entry!(raceguard_stats_state, crate::operate::stats::stats_state);
function_entry!(raceguard_stats_reset, crate::operate::stats::stats_reset);

/// The counters as columns, between the trigger and the time of the last conflict.
const COUNTED: [Word; 10] = [
    Word::Passed,
    Word::Conflicts,
    Word::Missing,
    Word::Refused,
    Word::Observed,
    Word::Bypassed,
    Word::Waited,
    Word::WaitTime,
    Word::Escalated,
    Word::Failed,
];

/// The counters of one guard as they were read.
#[derive(Clone, Copy)]
struct Figures {
    trigger: u32,
    counted: [u64; COUNTED.len()],
    last_at: u64,
    last_xid: u64,
}

impl Figures {
    fn read(place: Counters, key: u64) -> Figures {
        Figures {
            trigger: trigger_of(key),
            counted: COUNTED.map(|word| place.get(word)),
            last_at: place.get(Word::LastConflictAt),
            last_xid: place.get(Word::LastConflictXid),
        }
    }

    /// Adds those of another place of the same guard.
    fn add(&mut self, other: &Figures) {
        for (own, more) in self.counted.iter_mut().zip(other.counted) {
            *own = own.saturating_add(more);
        }
        if other.last_at > self.last_at {
            (self.last_at, self.last_xid) = (other.last_at, other.last_xid);
        }
    }

    fn row(&self) -> [Datum; 3 + COUNTED.len()] {
        let mut row = [Datum::null(); 3 + COUNTED.len()];
        row[0] = Datum::from(self.trigger);
        for ((to, word), count) in row[1..].iter_mut().zip(COUNTED).zip(self.counted) {
            *to = match word {
                Word::WaitTime => Datum::from((count as f64 / 1000.0).to_bits()),
                _ => Datum::from(count.min(i64::MAX as u64) as i64),
            };
        }
        row[1 + COUNTED.len()] = instant(self.last_at);
        row[2 + COUNTED.len()] = Datum::from(self.last_xid);
        row
    }
}

/// A moment as timestamptz; -infinity for none.
fn instant(micros: u64) -> Datum {
    Datum::from(if micros == 0 { i64::MIN } else { micros as i64 })
}

/// `raceguard.stats_counters() -> setof record`: a row for each guard of this database that has counted something.
/// Times that never were are -infinity, the number of no transaction 0: the view makes them NULL.
fn stats_counters(call: Call) -> Result<Value, Report> {
    let mut figures: Vec<Figures> = Vec::new();
    let mut room = Ok(());
    catch(|| {
        if table::is_full() {
            table::sweep();
        }
        table::each_of(own_database(), &mut |key, place| {
            let more = Figures::read(place, key);
            match figures.last_mut() {
                Some(last) if last.trigger == more.trigger => last.add(&more),
                _ if more.trigger == 0 || room.is_err() => {}
                _ => room = push(&mut figures, more),
            }
        });
    })?;
    room?;
    if catch(distribution::may_spread)? {
        figures = of_logical_tables(figures)?;
    }
    let mut rows = Vec::new();
    for guard in &figures {
        push(&mut rows, guard.row())?;
    }
    return_rows(call, &rows)
}

/// The same with the counters of shards and chunks added to those of the table that clients name.
fn of_logical_tables(figures: Vec<Figures>) -> Result<Vec<Figures>, Report> {
    connected(|| {
        pinned_search_path(|| {
            let mut by_trigger: BTreeMap<u32, Figures> = BTreeMap::new();
            for more in figures {
                let trigger = logical_trigger(Oid::from(more.trigger))?.to_u32();
                match by_trigger.entry(trigger) {
                    Entry::Occupied(mut entry) => entry.get_mut().add(&more),
                    Entry::Vacant(entry) => {
                        entry.insert(Figures { trigger, ..more });
                    }
                }
            }
            Ok(by_trigger.into_values().collect())
        })
    })
}

/// `raceguard.stats_state() -> record`: where the counters are kept, for how many guards of all databases there is room,
/// how many have taken it, what was not counted because there was none, and since when; -infinity for never.
fn stats_state(call: Call) -> Result<Value, Report> {
    let output = Output::<6>::of(call)?;
    let (room, used) = catch(table::room_and_used)?;
    let heading = |word| {
        let found = catch(|| table::heading(word))?;
        Ok::<_, Report>(found.map_or(0, |word| word.load(Ordering::Relaxed)))
    };
    let made = heading(Heading::Made)?;
    let reset = catch(|| table::reset_of(own_database()))?;
    output.row([
        text_datum(catch(table::backing)?)?,
        Datum::from(room as i32),
        Datum::from(used as i32),
        Datum::from(heading(Heading::Overflow)?.min(i64::MAX as u64) as i64),
        instant(made),
        instant(made.max(reset)),
    ])
}

/// `raceguard.stats_reset(target, guard) -> timestamptz`: sets the counters of one guard to zero, of all guards of a
/// table, or of all of this database, and returns when. What a running transaction has let pass is added when it ends.
///
/// Raises 22004 for a guard without a table, 42704 for one that is not there.
fn stats_reset(call: Call) -> Result<Value, Report> {
    let now = Clock::TimestampTz.now();
    if call.oid(0).is_none() {
        if call.name(1)?.is_some() {
            return Err(Report::error(
                errors::NULL_NOT_ALLOWED,
                format_args!("argument \"target\" must not be NULL where \"guard\" is given"),
            )
            .detail(format_args!("Guards of several tables may have the same name."))
            .hint(format_args!("Name the table, or leave both out to reset all guards.")));
        }
        catch(|| {
            table::each_of(own_database(), &mut |_, place| place.clear());
            // The place at which the database remembers it.
            if let Some(place) = table::find_or_take(key(own_database(), Oid::INVALID)) {
                place.set(Word::LastConflictAt, now as u64);
            }
        })?;
        return Ok(Value::Raw(Datum::from(now)));
    }
    let triggers = connected(|| {
        pinned_search_path(|| {
            let mut triggers = triggers_of(call)?;
            add_pieces(&mut triggers)?;
            Ok(triggers)
        })
    })?;
    catch(|| {
        table::each_of(own_database(), &mut |key, place| {
            if triggers.contains(&trigger_of(key)) {
                place.clear();
            }
        })
    })?;
    Ok(Value::Raw(Datum::from(now)))
}

/// Adds the triggers on shards and chunks whose counters are shown with those of these.
fn add_pieces(triggers: &mut Vec<u32>) -> Result<(), Report> {
    if !catch(distribution::may_spread)? {
        return Ok(());
    }
    let mut counted = Vec::new();
    let mut room = Ok(());
    catch(|| {
        table::each_of(own_database(), &mut |key, _| {
            if room.is_ok() {
                room = push(&mut counted, trigger_of(key));
            }
        });
    })?;
    room?;
    for trigger in counted {
        if triggers.contains(&logical_trigger(Oid::from(trigger))?.to_u32()) {
            push(triggers, trigger)?;
        }
    }
    Ok(())
}

/// The triggers of the guards that a call names.
fn triggers_of(call: Call) -> Result<Vec<u32>, Report> {
    let target = Target::any(call, 0)?;
    let guard = call.name(1)?;
    let rows = run(
        "SELECT t.oid FROM raceguard.guards g JOIN pg_trigger t ON t.tgrelid = g.target AND t.tgname = g.trigger_name \
         WHERE g.target = $1 AND ($2 IS NULL OR g.guard = $2 OR g.trigger_name = $2)",
        &[Param::Oid(target.oid), Param::OptText(guard.as_deref())],
    )?;
    match guard {
        Some(guard) if rows.is_empty() => Err(no_such_guard(&target, &guard)?),
        _ => rows.iter().map(|row| row.get(0)).collect(),
    }
}
