//! Attacks that once worked, told the same way each time.

use crate::bob;
use postgres::{Client, SimpleQueryMessage};
use raceguard_fuzz::cli::Fixed;
use raceguard_fuzz::session;

/// Who says it, and what must be answered: a value (the first of the last row), an SQLSTATE after "ERROR ", or anything
/// but a crash or an internal error.
enum Line {
    Admin(&'static str),
    Bob(&'static str, &'static str),
    /// Several lines of one user are one session's.
    Mallory(&'static str, &'static str),
}
use Line::{Admin, Bob, Mallory};

const ANY: &str = "*";

struct Story {
    name: &'static str,
    lines: &'static [Line],
}

const STORIES: [Story; 13] = [
    Story {
        name: "a statement kept for one foreign key serves another of the same text",
        lines: &[
            Mallory("CREATE TABLE s.par (id bigint PRIMARY KEY, version bigint NOT NULL DEFAULT 1)", ""),
            Mallory("CREATE TABLE s.c4 (id int PRIMARY KEY, pid int REFERENCES s.par)", ""),
            Mallory("CREATE TABLE s.c8 (id int PRIMARY KEY, pid bigint REFERENCES s.par)", ""),
            Mallory("SELECT raceguard.add_version('s.par')", "zz_raceguard_version"),
            Mallory("SELECT raceguard.add_parent_version('s.c4', 's.par')", ANY),
            Mallory("SELECT raceguard.add_parent_version('s.c8', 's.par')", ANY),
            Mallory("INSERT INTO s.par (id) VALUES (1), (4294967297)", ""),
            Mallory("INSERT INTO s.c4 VALUES (1, 1)", ""),
            Mallory("INSERT INTO s.c8 VALUES (1, 4294967297)", ""),
            Mallory("SELECT string_agg(version::text, ' ' ORDER BY id) FROM s.par", "2 2"),
            // The key's type changes while the session lives.
            Mallory("ALTER TABLE s.c4 ALTER pid TYPE bigint", ""),
            Mallory("INSERT INTO s.c4 VALUES (2, 4294967297)", ""),
            Mallory("SELECT string_agg(version::text, ' ' ORDER BY id) FROM s.par", "2 3"),
        ],
    },
    Story {
        name: "a name is read as a text",
        lines: &[
            Mallory("CREATE TABLE s.par (id text PRIMARY KEY, version bigint NOT NULL DEFAULT 1)", ""),
            Mallory("CREATE TABLE s.t (pid text REFERENCES s.par)", ""),
            Mallory("CREATE TABLE s.n (pid name REFERENCES s.par)", ""),
            Mallory("SELECT raceguard.add_version('s.par')", ANY),
            Mallory("SELECT raceguard.add_parent_version('s.t', 's.par')", ANY),
            Mallory("SELECT raceguard.add_parent_version('s.n', 's.par')", ANY),
            Mallory("INSERT INTO s.par (id) VALUES ('a'), ('b')", ""),
            Mallory("INSERT INTO s.t VALUES ('a')", ""),
            Mallory("INSERT INTO s.n VALUES ('b')", ""),
            Mallory("SELECT string_agg(version::text, ' ' ORDER BY id) FROM s.par", "2 2"),
        ],
    },
    Story {
        name: "a number is read as a pointer: a composite type that is cast to the parent's key",
        lines: &[
            Mallory("CREATE TYPE s.pair AS (a float8)", ""),
            Mallory("CREATE FUNCTION s.num(s.pair) RETURNS float8 IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a'", ""),
            Mallory("CREATE CAST (s.pair AS float8) WITH FUNCTION s.num(s.pair) AS IMPLICIT", ""),
            Mallory("CREATE TABLE s.par (id float8 PRIMARY KEY, version bigint NOT NULL DEFAULT 1)", ""),
            Mallory("CREATE TABLE s.p (pid s.pair REFERENCES s.par)", ""),
            Mallory("CREATE TABLE s.n (pid bigint REFERENCES s.par)", ""),
            Mallory("SELECT raceguard.add_version('s.par')", ANY),
            Mallory("SELECT raceguard.add_parent_version('s.p', 's.par')", ANY),
            Mallory("SELECT raceguard.add_parent_version('s.n', 's.par')", ANY),
            Mallory("INSERT INTO s.par (id) VALUES (1), (2)", ""),
            Mallory("INSERT INTO s.p VALUES (ROW(1))", ""),
            Mallory("INSERT INTO s.n VALUES (2)", ""),
            Mallory("SELECT string_agg(version::text, ' ' ORDER BY id) FROM s.par", "2 2"),
        ],
    },
    Story {
        name: "somebody else's counter is moved, and his row locked, by a table that refers to it",
        lines: &[
            Admin("CREATE TABLE s.orgs (id int PRIMARY KEY); INSERT INTO s.orgs VALUES (1); \
                   CREATE TABLE s.invoices (id int, org int REFERENCES s.orgs); \
                   SELECT raceguard.add_number('s.invoices', 'org', counter => 'last'); \
                   ALTER TABLE s.orgs OWNER TO bob; ALTER TABLE s.invoices OWNER TO bob; \
                   GRANT SELECT, REFERENCES ON s.orgs TO mallory"),
            Mallory("CREATE TABLE s.mine (id int, org int REFERENCES s.orgs, number int)", ""),
            Mallory("CREATE UNIQUE INDEX ON s.mine (org, number)", ""),
            Mallory("SELECT raceguard.add_number('s.mine', 'org', counter => 'last')", "ERROR 42501"),
            Mallory("CREATE TRIGGER zz_raceguard_number BEFORE INSERT OR UPDATE ON s.mine FOR EACH ROW EXECUTE FUNCTION \
                     raceguard.number_guard('number', 'counter=last', 'foreign_key=mine_org_fkey')", ""),
            Mallory("CREATE TRIGGER zz_raceguard_number_counter AFTER INSERT OR UPDATE OR DELETE ON s.mine FOR EACH ROW \
                     EXECUTE FUNCTION raceguard.number_counter()", ""),
            Mallory("INSERT INTO s.mine VALUES (1, 1)", "ERROR 42501"),
            Mallory("INSERT INTO s.mine VALUES (1, 1, 1000)", "ERROR 42501"),
            Mallory("SELECT last FROM s.orgs", "0"),
            Bob("INSERT INTO s.invoices VALUES (1, 1) RETURNING number", "1"),
        ],
    },
    Story {
        name: "numbers and counters are compared by operators of the writer's path",
        lines: &[
            Mallory("CREATE TABLE s.orgs (id int PRIMARY KEY)", ""),
            Mallory("CREATE TABLE s.mine (id int PRIMARY KEY, org int REFERENCES s.orgs)", ""),
            Mallory("INSERT INTO s.orgs VALUES (1)", ""),
            Mallory("INSERT INTO s.mine VALUES (1, 1)", ""),
            Mallory("CREATE FUNCTION s.lie(int, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'asked'; END $$", ""),
            Mallory("CREATE FUNCTION s.lie(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'asked'; END $$", ""),
            Mallory("CREATE FUNCTION s.lie(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'asked'; END $$", ""),
            Mallory("DO $$ DECLARE o text; t text; BEGIN FOREACH o IN ARRAY '{<,>=,>,=}'::text[] LOOP \
                     FOREACH t IN ARRAY '{int bigint,int int,bigint bigint}'::text[] LOOP EXECUTE pg_catalog.format( \
                     'CREATE OPERATOR s.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = s.lie)', \
                     o, pg_catalog.split_part(t, ' ', 1), pg_catalog.split_part(t, ' ', 2)); END LOOP; END LOOP; END $$", ""),
            Mallory("SET search_path = s, pg_catalog", ""),
            Mallory("SELECT raceguard.add_number('s.mine', NULL, counter => 'last')", "zz_raceguard_number"),
            Mallory("INSERT INTO s.mine VALUES (2, 1), (3, 1) RETURNING number", "3"),
            Mallory("DELETE FROM s.mine WHERE id OPERATOR(pg_catalog.=) 3", ""),
            Mallory("INSERT INTO s.mine VALUES (4, 1) RETURNING number", "4"),
            Mallory("SELECT last FROM s.orgs", "4"),
            Mallory("SELECT count(*) FROM raceguard.check_guards('s.mine', deep => true) \
                     WHERE severity OPERATOR(pg_catalog.=) 'error'", "0"),
            Mallory("CALL raceguard.number_rows('s.mine')", ""),
        ],
    },
    Story {
        name: "a trigger becomes one of another guard under the statement that fires it",
        lines: &[
            Mallory("CREATE TABLE s.t (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 1, n int)", ""),
            Mallory("SELECT raceguard.add_version('s.t')", ANY),
            Mallory("INSERT INTO s.t VALUES (1, 1, 0), (2, 1, 0), (3, 1, 0)", ""),
            Mallory("CREATE FUNCTION s.swap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     IF pg_trigger_depth() = 1 THEN \
                       CREATE OR REPLACE TRIGGER zz_raceguard_version BEFORE UPDATE ON s.t FOR EACH ROW \
                         EXECUTE FUNCTION raceguard.key_lock_guard('id'); \
                       UPDATE s.t SET n = n + 1 WHERE id = 3; END IF; RETURN NEW; END $$", ""),
            Mallory("CREATE TRIGGER a BEFORE UPDATE ON s.t FOR EACH ROW WHEN (NEW.id < 3) EXECUTE FUNCTION s.swap()", ""),
            Mallory("UPDATE s.t SET n = n + 1 WHERE id < 3", ANY),
            Mallory("UPDATE s.t SET n = n + 1 WHERE id < 3", ANY),
            Mallory("SELECT 1", "1"),
        ],
    },
    Story {
        name: "a key lock becomes a cap, and back, under the rows of one statement",
        lines: &[
            Mallory("CREATE TABLE s.t (id int PRIMARY KEY, slot int)", ""),
            Mallory("CREATE UNIQUE INDEX ON s.t (id, slot) WHERE slot > 0", ""),
            Mallory("CREATE FUNCTION s.swap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     IF NEW.id % 2 = 0 THEN \
                       CREATE OR REPLACE TRIGGER z BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id'); \
                     ELSE \
                       CREATE OR REPLACE TRIGGER z BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot', 'slots=3'); \
                     END IF; \
                     IF pg_trigger_depth() = 1 THEN INSERT INTO s.t VALUES (NEW.id + 1000); END IF; RETURN NEW; END $$", ""),
            Mallory("CREATE TRIGGER a BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.swap()", ""),
            Mallory("CREATE TRIGGER z BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('id')", ""),
            Mallory("INSERT INTO s.t SELECT i FROM generate_series(1, 20) i", ANY),
            Mallory("SELECT 1", "1"),
        ],
    },
    Story {
        name: "the view of locks, read by everybody, reads what a stranger wrote into a trigger",
        lines: &[
            Mallory("CREATE TABLE s.t (id int PRIMARY KEY)", ""),
            Mallory("CREATE TRIGGER z BEFORE INSERT ON s.t FOR EACH ROW \
                     EXECUTE FUNCTION raceguard.key_lock_guard('id', 'namespace=99999999999999999999')", ""),
            Bob("BEGIN", ""),
            Bob("SELECT raceguard.lock_key('v.secret', 1)", ANY),
            Bob("SELECT string_agg(DISTINCT target::text, ' ') FROM raceguard.locks", "v.secret"),
            Bob("COMMIT", ""),
            Bob("SELECT count(*) >= 0 FROM raceguard.guards", "t"),
        ],
    },
    Story {
        name: "two keys with a limit of one lock nobody else's",
        lines: &[
            Mallory("SET raceguard.max_key_locks = 1", ANY),
            Mallory("BEGIN", ""),
            Mallory("SELECT raceguard.lock_keys('v.open', '[1, 2]')", ANY),
            Bob("SET lock_timeout = '100ms'", ""),
            Bob("SELECT raceguard.lock_key('v.open', 5)", ANY),
            Bob("SELECT 'free'", "free"),
            Bob("SELECT raceguard.try_lock_key('v.open', 5)", "t"),
            Mallory("ROLLBACK", ""),
        ],
    },
    Story {
        name: "maintenance by a superuser runs the owner's triggers as the owner",
        lines: &[
            Mallory("CREATE TABLE s.t (id int PRIMARY KEY, n int)", ""),
            Mallory("INSERT INTO s.t SELECT i FROM generate_series(1, 5) i", ""),
            Mallory("SELECT raceguard.add_version('s.t')", ANY),
            Mallory("CREATE FUNCTION s.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN NEW; END'", ""),
            Mallory("CREATE TRIGGER a BEFORE UPDATE ON s.t FOR EACH ROW EXECUTE FUNCTION s.spy()", ""),
            Admin("CALL raceguard.backfill_version('s.t')"),
            Admin("SELECT raceguard.backfill_version_step('s.t')"),
            Mallory("SELECT is_called FROM w.escalated", "f"),
        ],
    },
    Story {
        name: "a key's function runs as its owner when a superuser adds a guard",
        lines: &[
            Mallory("CREATE TABLE s.t (id int PRIMARY KEY, n int, at timestamptz DEFAULT now())", ""),
            Mallory("INSERT INTO s.t SELECT i FROM generate_series(1, 5) i", ""),
            Mallory("CREATE FUNCTION s.key(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN $1; END'", ""),
            Admin("SELECT raceguard.add_cap('s.t', 's.key(id)', 3)"),
            Admin("SELECT raceguard.add_cap('s.t', 's.key(id)', 3, slot_column => 'place', predicate => 's.key(id) > 2', guard => 'second')"),
            Admin("SELECT raceguard.add_cooldown('s.t', 's.key(id)', 'at', '1 day')"),
            Admin("SELECT raceguard.add_key_lock('s.t', 's.key(id)')"),
            Mallory("SELECT is_called FROM w.escalated", "f"),
        ],
    },
    Story {
        name: "what is constant in a CHECK, an index or a cast is evaluated as the owner when a superuser calls",
        lines: &[
            Mallory("CREATE FUNCTION s.one(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN 1; END'", ""),
            Mallory("CREATE TYPE s.odd AS (n int)", ""),
            Mallory("CREATE FUNCTION s.int(s.odd) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT ($1).n * s.one(1)'", ""),
            Mallory("CREATE CAST (s.odd AS int) WITH FUNCTION s.int(s.odd) AS IMPLICIT", ""),
            Mallory("CREATE TABLE s.t (id int, odd s.odd, version bigint, at timestamptz, CHECK (s.one(1) = 1)) \
                     PARTITION BY RANGE ((id + s.one(1)))", ""),
            Mallory("CREATE TABLE s.t1 PARTITION OF s.t DEFAULT", ""),
            Mallory("CREATE INDEX ON s.t (id) WHERE s.one(1) = 1", ""),
            Mallory("INSERT INTO s.t SELECT i FROM generate_series(1, 5) i", ""),
            Admin("SELECT count(*) FROM raceguard.plan_key_lock('s.t', 'abs(odd)')"),
            Admin("SELECT raceguard.add_key_lock('s.t', 'abs(odd)')"),
            Admin("SELECT raceguard.add_version('s.t')"),
            Admin("CALL raceguard.backfill_version('s.t')"),
            Admin("SELECT raceguard.add_cooldown('s.t', 'abs(odd)', 'at', '1 day')"),
            Admin("SELECT count(*) FROM raceguard.check_guards('s.t', deep => true)"),
            Mallory("DROP INDEX s.t_cooldown_idx", ""),
            Admin("SELECT raceguard.repair_guard('s.t', 'cooldown')"),
            Admin("SELECT raceguard.drop_guard('s.t', 'version', true)"),
            Mallory("SELECT is_called FROM w.escalated", "f"),
        ],
    },
    Story {
        name: "a partition of another owner: its code runs neither as the superuser who calls nor as the root's owner",
        lines: &[
            Mallory("CREATE FUNCTION s.one(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN 1; END'", ""),
            Mallory("CREATE FUNCTION s.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN NEW; END'", ""),
            Admin("CREATE TABLE s.t (id int, version bigint, at timestamptz) PARTITION BY LIST (id)"),
            Admin("CREATE TABLE s.t1 PARTITION OF s.t DEFAULT"),
            Admin("ALTER TABLE s.t OWNER TO bob"),
            Admin("ALTER TABLE s.t1 OWNER TO mallory"),
            Mallory("INSERT INTO s.t1 VALUES (1, 1), (2, 1)", ""),
            Mallory("CREATE INDEX ON s.t1 (id) WHERE s.one(1) = 1", ""),
            Mallory("ALTER TABLE s.t1 ADD CHECK (s.one(1) = 1)", ""),
            Mallory("CREATE TRIGGER spy BEFORE UPDATE ON s.t1 FOR EACH ROW EXECUTE FUNCTION s.spy()", ""),
            Admin("SELECT raceguard.add_version('s.t')"),
            Admin("SELECT raceguard.add_key_lock('s.t', 'id')"),
            Admin("SELECT raceguard.add_cap('s.t', 'id', 3)"),
            Admin("SELECT raceguard.add_cooldown('s.t', 'id', 'at', '1 day')"),
            Bob("SELECT raceguard.add_cap('s.t', 'id', 3)", "ERROR 42501"),
            Admin("CREATE TRIGGER zz_raceguard_version BEFORE UPDATE ON s.t FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version')"),
            Admin("CALL raceguard.backfill_version('s.t')"),
            Bob("SELECT raceguard.backfill_version_step('s.t')", "ERROR 42501"),
            Admin("SELECT raceguard.repair_guard('s.t', 'version')"),
            Admin("SELECT raceguard.drop_guard('s.t', 'version', true)"),
            Mallory("SELECT is_called FROM w.escalated", "f"),
        ],
    },
];

/// Each story as the command line runs it.
pub fn all() -> Vec<Fixed> {
    STORIES.iter().map(|story| Box::new(move |dsn: &str| tell(dsn, story)) as Fixed).collect()
}

fn tell(dsn: &str, story: &Story) -> Result<String, String> {
    let failed = |told: String| format!("{}: {told}", story.name);
    let connect =
        |user: &str| session::connect(dsn, user, "-c client_min_messages=error").map_err(failed);
    let mut admin = connect("")?;
    for sql in bob::statements() {
        admin.simple_query(&sql).map_err(|error| failed(format!("{sql}: {error:?}")))?;
    }
    let fresh = "SELECT setval('w.escalated', 1, false); DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA s AUTHORIZATION mallory; \
                 GRANT USAGE ON SCHEMA s TO PUBLIC";
    admin.simple_query(fresh).map_err(|error| failed(format!("{error:?}")))?;
    let mut bob = connect("bob")?;
    let mut mallory = connect("mallory")?;
    for line in story.lines {
        let (client, sql, wanted) = match line {
            Admin(sql) => (&mut admin, sql, ANY),
            Bob(sql, wanted) => (&mut bob, sql, *wanted),
            Mallory(sql, wanted) => (&mut mallory, sql, *wanted),
        };
        let answer = answer(client, sql).map_err(|told| failed(format!("{told}\n  in: {sql}")))?;
        if wanted != ANY && answer != wanted {
            return Err(failed(format!("\"{answer}\" and not \"{wanted}\"\n  in: {sql}")));
        }
    }
    admin
        .simple_query("DROP SCHEMA s CASCADE")
        .map_err(|error| failed(format!("cannot tidy up: {error:?}")))?;
    Ok(story.name.to_owned())
}

/// The last row's first value, empty without rows, or "ERROR" and the SQLSTATE. Err: what no attack may reach.
fn answer(client: &mut Client, sql: &str) -> Result<String, String> {
    match client.simple_query(sql) {
        Ok(messages) => {
            let value = |message: &SimpleQueryMessage| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                _ => None,
            };
            Ok(messages.iter().rev().find_map(value).unwrap_or_default())
        }
        Err(error) => match error.as_db_error() {
            // 53200 is what a length read from the wrong place comes to.
            Some(db)
                if !db.code().code().starts_with("XX")
                    && db.code().code() != "53200"
                    && db.severity() == "ERROR" =>
            {
                Ok(format!("ERROR {}", db.code().code()))
            }
            Some(db) => Err(format!("{} {}: {}", db.severity(), db.code().code(), db.message())),
            None => Err(error.to_string()),
        },
    }
}
