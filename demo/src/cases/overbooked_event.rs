//! E2: an event has as many seats as its own row says. The application counts the bookings, then books; two groups
//! that book at once both find room.

use crate::cases::{Case, Ending, Half};
use crate::server::Result;
use crate::stage::Stage;
use crate::timeline::Who::{One, Two};

pub const CASE: Case = Case {
    tag: "E2",
    title: "the overbooked event",
    schema: "demo_overbooked_event",
    without: "count the bookings, compare with the capacity, then insert",
    call: "raceguard.add_total('bookings', 'events', 'booked', at_most => 'capacity')",
    free_running: false,
    play,
};

const EVENTS: &str = "
    CREATE TABLE events (id int PRIMARY KEY, capacity int NOT NULL);
    CREATE TABLE bookings (
        event_id int NOT NULL REFERENCES events,
        guest text NOT NULL);
    INSERT INTO events VALUES (1, 5);
    INSERT INTO bookings VALUES (1, 'Ann'), (1, 'Bob')";

const LEFT: &str = "SELECT capacity -\n  (SELECT count(*) FROM bookings\n    \
                    WHERE event_id = 1) AS seats\n  FROM events WHERE id = 1";

const BOOKED: &str = "SELECT count(*) FROM bookings";
const CAPACITY: &str = "SELECT capacity::bigint FROM events";
const KEPT: &str = "SELECT booked FROM events";

/// How many each group is.
const GROUP: i64 = 3;

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    stage.prepare(EVENTS)?;
    if half == Half::With {
        stage.guard()?;
    }
    let insert = |guest: &str| {
        format!("INSERT INTO bookings\n  SELECT 1, '{guest} ' || n\n  FROM generate_series(1, {GROUP}) n")
    };

    let mut story = stage.story(["one group of three", "another group of three"])?;
    story.ask(One, "BEGIN")?;
    let seen_by_one = story.ask(One, LEFT)?.number("seats")?;
    story.ask(Two, "BEGIN")?;
    let seen_by_two = story.ask(Two, LEFT)?.number("seats")?;
    if seen_by_one >= GROUP {
        story.ask(One, &insert("Carl"))?;
    }
    if seen_by_two >= GROUP {
        story.step(Two, &insert("Dora"))?;
    }
    let waited = story.waits(Two);
    story.ask(One, "COMMIT")?;
    let second = story.reply(Two)?;
    story.ask(Two, if second.refusal().is_some() { "ROLLBACK" } else { "COMMIT" })?;
    drop(story);

    let (booked, capacity) = (stage.count(BOOKED)?, stage.count(CAPACITY)?);
    let said = format!("{booked} guests in {capacity} seats");
    if booked > capacity {
        return Ok(Ending::Race(said));
    }
    let kept = if half == Half::With { stage.count(KEPT)? } else { booked };
    Ok(if booked == capacity && kept == booked && waited && second.told("RG403") {
        Ending::Held(format!("{said}, the second group told RG403"))
    } else {
        Ending::Unclear(format!("{said}, {kept} on record, the second group told {second}"))
    })
}
