//! The attacker's own schema `f`: that of the fuzzing crate, owned by an unprivileged role, with types, casts, operators
//! and functions that this role may change while statements run.

use raceguard_fuzz::draw::Draw;
use raceguard_fuzz::world;

/// What is made once for all rounds. `w` belongs to the superuser: what calls the attacker's statements, and what tells
/// when a function of his runs with other rights than his. (A sequence does not follow a rollback.)
pub const ONCE: [&str; 10] = [
    "CREATE EXTENSION raceguard",
    "DO $$ BEGIN CREATE ROLE mallory LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    "DO $$ BEGIN CREATE ROLE bob LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    "GRANT USAGE ON FOREIGN SERVER fuzz_server TO mallory",
    "CREATE SCHEMA w",
    "CREATE SEQUENCE w.escalated",
    "CREATE FUNCTION w.watch() RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
     IF current_user <> 'mallory' THEN PERFORM pg_catalog.nextval('w.escalated'); \
       RAISE EXCEPTION 'ran as %', current_user USING ERRCODE = 'H4CKD'; END IF; END $$",
    // Its own depth by the context, which no setting changes. An internal error is never caught.
    "CREATE FUNCTION w.run(statement text, catches boolean, odds int) RETURNS void VOLATILE LANGUAGE plpgsql AS $$ \
     DECLARE context text; BEGIN PERFORM w.watch(); GET DIAGNOSTICS context = PG_CONTEXT; \
     IF pg_catalog.random() * 100 > odds OR pg_catalog.array_length(pg_catalog.string_to_array(context, 'function w.run('), 1) > 4 \
     THEN RETURN; END IF; \
     IF catches THEN BEGIN EXECUTE statement; EXCEPTION WHEN OTHERS THEN IF SQLSTATE LIKE 'XX%' THEN RAISE; END IF; END; \
     ELSE EXECUTE statement; END IF; END $$",
    "GRANT USAGE ON SCHEMA w TO PUBLIC",
    "GRANT ALL ON SEQUENCE w.escalated TO PUBLIC",
];

const TYPES: [&str; 13] = [
    "CREATE FUNCTION f.pair_num(f.pair) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a::bigint'",
    "CREATE FUNCTION f.pair_float(f.pair) RETURNS float8 IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a::float8'",
    "CREATE FUNCTION f.pair_text(f.pair) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT ($1).b'",
    "CREATE CAST (f.pair AS bigint) WITH FUNCTION f.pair_num(f.pair) AS IMPLICIT",
    "CREATE CAST (f.pair AS float8) WITH FUNCTION f.pair_float(f.pair) AS IMPLICIT",
    "CREATE CAST (f.mood AS text) WITH INOUT AS IMPLICIT",
    "CREATE FUNCTION f.dom_ok(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END'",
    "CREATE DOMAIN f.hdom AS int CHECK (f.dom_ok(VALUE))",
    "CREATE DOMAIN f.pairs AS f.pair CHECK (f.dom_ok((VALUE).a))",
    "CREATE FUNCTION f.diff(float8, float8) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 - $2; END'",
    "CREATE TYPE f.frange AS RANGE (subtype = float8, subtype_diff = f.diff)",
    // What an unqualified name in raceguard's own statements would find.
    "CREATE FUNCTION f.same(int, int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN $1 OPERATOR(pg_catalog.=) $2; END'",
    "CREATE FUNCTION f.same(bigint, bigint) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN $1 OPERATOR(pg_catalog.=) $2; END'",
];

const TROJANS: [&str; 5] = [
    "CREATE OPERATOR f.= (LEFTARG = int, RIGHTARG = int, FUNCTION = f.same)",
    "CREATE OPERATOR f.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = f.same)",
    "CREATE FUNCTION f.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN $1; END'",
    "CREATE FUNCTION f.to_jsonb(f.plain) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN NULL; END'",
    "CREATE FUNCTION f.now() RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN PERFORM w.watch(); RETURN NULL; END'",
];

/// A type that the superuser gave an operator class over the attacker's functions, as an extension would.
const CLASSES: [&str; 14] = [
    "CREATE TYPE f.odd AS (a int)",
    "CREATE FUNCTION f.odd_eq(f.odd, f.odd) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN ($1).a = ($2).a; END'",
    "CREATE FUNCTION f.odd_lt(f.odd, f.odd) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN ($1).a < ($2).a; END'",
    "CREATE FUNCTION f.odd_cmp(f.odd, f.odd) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN btint4cmp(($1).a, ($2).a); END'",
    "CREATE FUNCTION f.odd_hash(f.odd) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN ($1).a; END'",
    "CREATE OPERATOR f.=== (LEFTARG = f.odd, RIGHTARG = f.odd, FUNCTION = f.odd_eq, HASHES, MERGES, COMMUTATOR = OPERATOR(f.===))",
    "CREATE OPERATOR f.<<< (LEFTARG = f.odd, RIGHTARG = f.odd, FUNCTION = f.odd_lt)",
    "CREATE OPERATOR f.<<= (LEFTARG = f.odd, RIGHTARG = f.odd, FUNCTION = f.odd_lt)",
    "CREATE OPERATOR f.>>= (LEFTARG = f.odd, RIGHTARG = f.odd, FUNCTION = f.odd_lt)",
    "CREATE OPERATOR f.>>> (LEFTARG = f.odd, RIGHTARG = f.odd, FUNCTION = f.odd_lt)",
    "RESET ROLE",
    "CREATE OPERATOR CLASS f.odd_tree DEFAULT FOR TYPE f.odd USING btree AS OPERATOR 1 f.<<<, OPERATOR 2 f.<<=, OPERATOR 3 f.===, \
     OPERATOR 4 f.>>=, OPERATOR 5 f.>>>, FUNCTION 1 f.odd_cmp(f.odd, f.odd)",
    "CREATE OPERATOR CLASS f.odd_hash DEFAULT FOR TYPE f.odd USING hash AS OPERATOR 1 f.===, FUNCTION 1 f.odd_hash(f.odd)",
    "SET ROLE mallory",
];

/// Types of a parent's key and of a child's column that references it, and how each writes the first of two keys.
const KEYS: [(&str, &str, &str, &str); 12] = [
    ("bigint", "int", "1", "1"),
    ("bigint", "smallint", "1", "1"),
    ("int", "bigint", "1", "1"),
    ("smallint", "bigint", "1", "1"),
    ("numeric", "int", "1", "1"),
    ("text", "name", "a1", "a1"),
    ("text", "varchar(9)", "a1", "a1"),
    ("float8", "bigint", "1", "1"),
    ("float8", "f.pair", "1", "(1,a)"),
    ("bigint", "f.pair", "1", "(1,a)"),
    ("f.odd", "f.odd", "(1)", "(1)"),
    ("bigint", "f.hdom", "1", "1"),
];

const REST: &str =
    "user_id int, note text, at timestamptz DEFAULT now(), qty numeric(10, 2) DEFAULT 5";

/// The world of one round, by the superuser who plays the attacker while it is made.
pub fn statements(draw: &mut Draw) -> Vec<String> {
    let mut made = vec!["SELECT setval('w.escalated', 1, false)".to_owned()];
    for sql in world::statements(draw) {
        let own = sql == "CREATE SCHEMA f";
        made.push(sql);
        if own {
            made.push("ALTER SCHEMA f OWNER TO mallory".into());
            made.push("SET ROLE mallory".into());
        }
    }
    made.extend(TYPES.iter().chain(&TROJANS).chain(&CLASSES).map(|sql| sql.to_string()));
    for n in 0..3 {
        let (parent, child, key, reference) = KEYS[draw.below(KEYS.len())];
        made.push(format!("CREATE TABLE f.par{n} (id {parent} PRIMARY KEY, {REST})"));
        made.push(format!(
            "CREATE TABLE f.kid{n} (id int PRIMARY KEY, parent {child} CONSTRAINT child_parent_fkey REFERENCES f.par{n} \
             ON DELETE CASCADE, {REST})"
        ));
        let second = |text: &str| text.replace('1', "2");
        made.push(format!("INSERT INTO f.par{n} (id) VALUES ('{key}'), ('{}')", second(key)));
        made.push(format!(
            "INSERT INTO f.kid{n} (id, parent) VALUES (1, '{reference}'), (2, '{}')",
            second(reference)
        ));
    }
    // Functions of his fire before and after the guards of his tables.
    for table in ["plain", "parts", "child", "base", "two", "par0", "kid0"] {
        for name in ["a_touch", "zzz_touch"] {
            if draw.percent(40) {
                made.push(format!(
                    "CREATE TRIGGER {name} BEFORE INSERT OR UPDATE OR DELETE ON f.{table} FOR EACH ROW EXECUTE FUNCTION f.{}()",
                    draw.pick(&["touch", "again"])
                ));
            }
        }
    }
    // What is constant there is evaluated by whoever has a statement on the table planned.
    for table in ["plain", "parts", "base", "two", "par1", "kid1"] {
        if draw.percent(20) {
            made.push(format!("ALTER TABLE f.{table} ADD CHECK (f.imm(1) IS NOT NULL OR true)"));
        }
        if draw.percent(20) {
            made.push(format!(
                "CREATE INDEX ON f.{table} (note) WHERE f.imm(1) IS NOT NULL OR true"
            ));
        }
    }
    let own =
        draw.pick(&["f.pair", "f.odd", "f.hdom", "f.pairs", "f.frange", "f.mood", "f.hdom[]"]);
    made.push(format!("CREATE TABLE f.own (id f.hdom PRIMARY KEY, user_id {own}, note text, at timestamptz, qty f.hdom)"));
    made.push("RESET ROLE".into());
    made
}
