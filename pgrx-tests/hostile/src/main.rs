//! An unprivileged role with types, casts, operators, functions and triggers of its own, replaced while statements run.
//! Nothing of it may crash the server, raise an internal error, or reach what belongs to others. See README.md beside
//! this crate.

mod acts;
mod bob;
mod stories;
mod watch;
mod world;

use postgres::Client;
use raceguard_fuzz::draw::Draw;
use raceguard_fuzz::model::{Function, Model};
use raceguard_fuzz::play::{Play, Watch};
use raceguard_fuzz::steps::{self, Step};
use raceguard_fuzz::{calls, cli};
use std::process::ExitCode;

/// The first so many sessions are the attacker's.
pub const ATTACKERS: usize = 2;
/// The session of somebody whose tables are attacked.
pub const BOB: usize = 2;
/// The session of a superuser who maintains guards, the attacker's too.
pub const ADMIN: usize = 3;

/// So many guards as they are meant, and functions with other bodies, stand at the beginning.
const GUARDS: usize = 6;
const ARMED: usize = 6;

struct Attack;

impl Play for Attack {
    fn database(&self) -> &'static str {
        "hostile"
    }

    fn once(&self) -> Vec<String> {
        raceguard_fuzz::world::ONCE.iter().chain(&world::ONCE).map(|sql| sql.to_string()).collect()
    }

    fn world(&self, draw: &mut Draw) -> Vec<String> {
        // The attacker's schema first: what stands there may reference bob's tables.
        let mut made = world::statements(draw);
        made.extend(bob::statements());
        made
    }

    fn users(&self) -> &'static [&'static str] {
        &["mallory", "mallory", "bob", ""]
    }

    fn statement_timeout(&self) -> &'static str {
        "5s"
    }

    fn step(&self, draw: &mut Draw, model: &Model, n: usize, aborted: &[bool]) -> Step {
        let first = |sql| Step { session: 0, sql };
        let functions = GUARDS + ARMED;
        match n {
            _ if n < GUARDS => return first(sensible(draw)),
            _ if n < functions => return first(acts::arm(draw, model)),
            _ => {}
        }
        if let Some(function) = model.functions.get(n - functions) {
            return first(calls::of(draw, model, function));
        }
        let session = usize::from(draw.percent(20));
        let sql = match draw.below(100) {
            0..=4 => return maintenance(draw, model),
            5..=8 => return Step { session: BOB, sql: draw.pick(&bob::WRITES).into() },
            9 => return Step { session: BOB, sql: draw.pick(&bob::VIEWS).into() },
            50..=69 if !aborted[session] => acts::write(draw),
            10..=69 => steps::any(draw, model, aborted[session]),
            _ if aborted[session] => "ROLLBACK".into(),
            70..=81 => acts::arm(draw, model),
            82..=86 => acts::own(draw),
            87..=90 => acts::replace_trigger(draw, model),
            _ => acts::visit(draw),
        };
        Step { session, sql }
    }

    fn forgives(&self, message: &str) -> bool {
        POSTGRES_OWN.iter().any(|own| message.contains(own))
    }

    fn watch(&self, observer: &mut Client, pids: &[String]) -> Result<Box<dyn Watch>, String> {
        Ok(Box::new(watch::Look::new(observer, pids)?))
    }
}

/// Internal errors that an attacker can make Postgres raise without any guard.
const POSTGRES_OWN: [&str; 2] = [
    // An operator class's function, called by Postgres's own index or foreign key code.
    "returned NULL",
    // A cast that a foreign key uses was dropped (ri_HashCompareOp).
    "no conversion function from",
];

fn sensible(draw: &mut Draw) -> String {
    let n = draw.below(3);
    match draw.below(5) {
        0 => format!("SELECT raceguard.add_version('f.par{n}'), raceguard.add_parent_version('f.kid{n}', 'f.par{n}')"),
        1 => format!("SELECT raceguard.add_key_lock('f.own', '{}')", draw.pick(&["user_id", "id", "qty, user_id", "f.imm(id)"])),
        _ => calls::sensible(draw),
    }
}

/// What a superuser may do to the attacker's tables without running his code: calls that maintain guards.
fn maintenance(draw: &mut Draw, model: &Model) -> Step {
    let maintains = |f: &&Function| {
        [
            "add_",
            "drop_guard",
            "plan_",
            "set_",
            "check_",
            "repair_",
            "recount",
            "backfill_",
            "number_slots",
            "require_",
        ]
        .iter()
        .any(|name| f.name.starts_with(name))
    };
    let functions: Vec<&Function> = model.functions.iter().filter(maintains).collect();
    let his = Model {
        tables: model.tables.iter().filter(|t| t.name.starts_with("f.")).cloned().collect(),
        ..Model::default()
    };
    let sql = match draw.any(&functions) {
        Some(function) => calls::plain(draw, &his, function),
        None => "SELECT 1".into(),
    };
    Step { session: ADMIN, sql }
}

fn main() -> ExitCode {
    cli::main(&Attack, &stories::all())
}
