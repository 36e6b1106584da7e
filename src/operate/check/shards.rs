//! Shards of Citus's whose triggers are not those of the table that clients name: writes pass the guard there.

use crate::guard::finding::Finding;
use crate::guard::kind::Inspected;
use crate::guard::trigger::PREFIX;
use crate::pg::distribution;
use crate::pg::error::{catch, Report};
use crate::pg::spi::{in_subtransaction, run, Param};
use crate::pg::statement::run_kept;
use pgrx::pg_sys::Oid;
use serde_json::Value;

/// What a node says of its shards: for each trigger of raceguard's on a table, how many of them have none with the same
/// function, arguments and events that fires in the same sessions, and which is the first. Names differ (Citus gives those on shards an
/// end of their own), OIDs as well. What a table has twice each shard has to have twice. Triggers for TRUNCATE alone do their
/// work on the table itself.
const OF_A_NODE: &str = "WITH guard AS ( \
       SELECT t.tgrelid, t.tgname, t.tgfoid, t.tgargs, t.tgtype, t.tgenabled, \
              row_number() OVER (PARTITION BY t.tgrelid, t.tgfoid, t.tgargs, t.tgtype, t.tgenabled ORDER BY t.tgname) AS nth \
       FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid \
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
       WHERE n.nspname = 'raceguard' AND NOT t.tgisinternal AND t.tgtype & 28 <> 0), \
     shard AS ( \
       SELECT s.logicalrelid, pg_catalog.to_regclass(pg_catalog.shard_name(s.logicalrelid, s.shardid, false)) AS place \
       FROM pg_catalog.pg_dist_shard s), \
     gap AS ( \
       SELECT g.tgrelid, g.tgname, count(*) AS shards, min(s.place::text) AS first \
       FROM guard g JOIN shard s ON s.logicalrelid = g.tgrelid \
       WHERE s.place IS NOT NULL AND NOT EXISTS ( \
         SELECT FROM guard o WHERE o.tgrelid = s.place AND (o.tgfoid, o.tgargs, o.tgtype, o.tgenabled, o.nth) \
                                                         = (g.tgfoid, g.tgargs, g.tgtype, g.tgenabled, g.nth)) \
       GROUP BY 1, 2) \
     SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array( \
              pg_catalog.format('%I.%I', n.nspname, c.relname), gap.tgname, gap.shards, gap.first)), '[]') \
     FROM gap JOIN pg_catalog.pg_class c ON c.oid = gap.tgrelid \
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";

/// Every node is asked, this one too, through connections of Citus's own: what the transaction has changed and not
/// committed they do not see.
const ASK: &str = "SELECT coalesce(format('%s:%s', n.nodename, n.nodeport), r.nodeid::text), r.success, r.result \
     FROM run_command_on_all_nodes($1) r LEFT JOIN pg_dist_node n ON n.nodeid = r.nodeid ORDER BY 1";

pub fn findings(guards: &[Inspected]) -> Result<Vec<Finding>, Report> {
    let mut spread = Vec::new();
    for guard in guards {
        let place = catch(|| distribution::of(guard.guard.table))?;
        if place.is_some_and(|place| place.is_shell()) {
            spread.push(guard);
        }
    }
    let Some(first) = spread.first() else { return Ok(Vec::new()) };
    let answers = match in_subtransaction(|| run(ASK, &[Param::Text(OF_A_NODE)]))? {
        Ok(answers) => answers,
        Err(report) => {
            let not_asked = not_asked("The nodes", report.message_text());
            return Ok(vec![not_asked.at(first.guard.table, "")]);
        }
    };
    let mut findings = Vec::new();
    for row in &answers {
        let (node, answered, result): (&str, bool, &str) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if !answered {
            findings.push(not_asked(&format!("Node {node}"), result));
            continue;
        }
        for gap in serde_json::from_str::<Vec<Value>>(result).unwrap_or_default() {
            findings.extend(
                Gap::read(&gap).map(|gap| gap.finding(node, &spread)).transpose()?.flatten(),
            );
        }
    }
    Ok(findings)
}

fn not_asked(who: &str, why: &str) -> Finding {
    let detail = format!("{who} could not be asked about the shards of guarded tables: {why}.");
    Finding::warning("node_not_asked", detail)
}

/// Shards of one node that lack one trigger.
struct Gap<'a> {
    table: &'a str,
    trigger: &'a str,
    shards: i64,
    first: &'a str,
}

impl<'a> Gap<'a> {
    fn read(value: &'a Value) -> Option<Gap<'a>> {
        let text = |n: usize| value.get(n).and_then(Value::as_str);
        let shards = value.get(2).and_then(Value::as_i64)?;
        Some(Gap { table: text(0)?, trigger: text(1)?, shards, first: text(3)? })
    }

    /// The finding, if the table is one of those that were asked about.
    fn finding(&self, node: &str, guards: &[&Inspected]) -> Result<Option<Finding>, Report> {
        let rows = run_kept("SELECT coalesce(pg_partition_root(t.oid), t.oid)::oid FROM (SELECT to_regclass($1)) AS t(oid)", &[Param::Text(self.table)])?;
        let table: Option<Oid> = rows.first().map_or(Ok(None), |row| row.get(0))?;
        let of_table = |guard: &&&Inspected| Some(guard.guard.table) == table;
        let Some(guard) = guards.iter().find(of_table) else { return Ok(None) };
        let (trigger, first) = (self.trigger, self.first);
        let which = match self.shards {
            1 => format!("Shard {first} on node {node} lacks"),
            n => format!("{n} shards on node {node}, {first} for one, lack"),
        };
        let detail = format!(
            "{which} trigger \"{trigger}\" of the table, with its arguments and enabled as it is: the guard does not do its work there."
        );
        let name = trigger.strip_prefix(PREFIX).unwrap_or(trigger);
        let finding = Finding::error("shard_unguarded", detail);
        Ok(Some(finding.remedy(remedy(guard.guard.table, trigger)?).at(guard.guard.table, name)))
    }
}

/// The statement that puts the trigger up on the shards as well, where Postgres can replace such a trigger.
fn remedy(table: Oid, trigger: &str) -> Result<Option<String>, Report> {
    let rows = run_kept(
        "SELECT regexp_replace(pg_get_triggerdef(oid), '^CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER') FROM pg_trigger \
         WHERE tgrelid = $1 AND tgname = $2::name AND tgconstraint = 0 AND tgenabled = 'O'",
        &[Param::Oid(table), Param::Text(trigger)],
    )?;
    rows.first().map(|row| row.get(0)).transpose()
}
