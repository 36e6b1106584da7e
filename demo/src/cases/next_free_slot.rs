//! D3: article D's own statement for the next free slot, under eight writers. Writers that choose
//! at the same time choose the same slot: all but one of them fail although slots are free.

use crate::cases::{Case, Ending, Half};
use crate::crowd::WRITERS;
use crate::reply::ask;
use crate::server::Result;
use crate::stage::Stage;

pub const CASE: Case = Case {
    tag: "D3",
    title: "next free slot, 8 writers",
    schema: "demo_next_free_slot",
    without: "article D's table, index and statement",
    call: "raceguard.add_cap('posts', '\"userId\", date_trunc(''week'', \"createdAt\")', 3, \
           predicate => 'highlighted')",
    free_running: true,
    play,
};

const CAP: usize = 3;

/// Each round is a user of its own.
const USERS: usize = 50;

/// Article D, case 3, as printed.
const SLOTTED_POSTS: &str = "
    CREATE TABLE posts (
        \"userId\" INT NOT NULL,
        \"createdAt\" TIMESTAMP WITHOUT TIME ZONE NOT NULL,
        \"weeklyHighlightedPostNumber\" INT,
        \"postContent\" TEXT NOT NULL);
    ALTER TABLE posts ADD CONSTRAINT num_weekly_posts_constraint CHECK
        ((\"weeklyHighlightedPostNumber\" IS NULL) OR (\"weeklyHighlightedPostNumber\" BETWEEN 1 AND 3));
    CREATE UNIQUE INDEX three_highlighted_posts_per_week_constraint
        ON posts (\"userId\", DATE_TRUNC('week', \"createdAt\"), \"weeklyHighlightedPostNumber\")
        WHERE \"weeklyHighlightedPostNumber\" IS NOT NULL";

const ARTICLE: &str = "WITH next_highlighted_post_num AS MATERIALIZED (
        SELECT series_num FROM GENERATE_SERIES(1, 3) AS series_num
        WHERE NOT EXISTS (
            SELECT * FROM posts
            WHERE posts.\"userId\" = $1
              AND DATE_TRUNC('week', NOW()) <= posts.\"createdAt\"
              AND posts.\"weeklyHighlightedPostNumber\" = series_num)
        LIMIT 1)
    INSERT INTO posts SELECT $1, NOW(), series_num, $2 FROM next_highlighted_post_num";

/// Article D, case 2: what the table looks like when the application need not choose a slot.
const POSTS: &str = "
    CREATE TABLE posts (
        \"userId\" int NOT NULL,
        \"createdAt\" timestamp without time zone NOT NULL,
        highlighted boolean NOT NULL,
        \"postContent\" text NOT NULL)";

const PLAIN: &str = "INSERT INTO posts VALUES ($1, NOW(), true, $2)";

fn play(stage: &mut Stage, half: Half) -> Result<Ending> {
    let statement = match half {
        Half::Without => {
            stage.prepare(SLOTTED_POSTS)?;
            ARTICLE
        }
        Half::With => {
            stage.prepare(POSTS)?;
            stage.guard()?;
            PLAIN
        }
    };
    let title = format!("{WRITERS} writers at once, for each of {USERS} users");
    let tally = stage.crowd(&title, statement, USERS, |client, writer, round| {
        let bound = statement
            .replace("$1", &(round + 1).to_string())
            .replace("$2", &format!("'writer {writer}'"));
        Ok(vec![ask(client, &bound)?.into()])
    })?;

    let complete = stage.count(&users_with(&format!("= {CAP}")))?;
    let over = stage.count(&users_with(&format!("> {CAP}")))?;
    let duplicates = tally.refused("23505");
    let full = tally.refused("RG403");
    let expected = USERS * (WRITERS - CAP);
    let only_full = full == expected && tally.unexpected("RG403").is_none();
    Ok(match half {
        Half::Without if duplicates > 0 => {
            let inserts = USERS * WRITERS;
            Ending::Race(format!("{duplicates} of {inserts} inserts failed with a duplicate key"))
        }
        Half::With if over > 0 => {
            Ending::Race(format!("{over} of {USERS} users got more than {CAP} posts"))
        }
        Half::With if usize::try_from(complete) == Ok(USERS) && only_full => Ending::Held(format!(
            "{duplicates} duplicate keys, {CAP} posts for each of {complete} users, {full} x RG403"
        )),
        _ => Ending::Unclear(format!(
            "{complete} of {USERS} users got exactly {CAP} posts; {duplicates} duplicate keys, \
             {full} x RG403 where {expected} were due"
        )),
    })
}

fn users_with(condition: &str) -> String {
    format!("SELECT count(*) FROM (SELECT FROM posts GROUP BY \"userId\" HAVING count(*) {condition}) AS p")
}
