//! Random DDL around the guards.

use crate::draw::Draw;
use crate::model::{Model, Table};
use crate::values::ident;

pub fn any(draw: &mut Draw, model: &Model) -> String {
    let Some(table) = draw.any(&model.tables) else {
        return "SELECT 1".into();
    };
    let name = &table.name;
    let column = column(draw, table);
    let trigger = draw.any(&table.triggers).map_or("nope", |t| t);
    let constraint = draw.any(&table.constraints).map_or("nope", |c| c);
    match draw.below(44) {
        0 => format!("ALTER TABLE {name} RENAME {column} TO {}", renamed(draw)),
        1 => format!("ALTER TABLE {name} DROP COLUMN {column} {}", draw.pick(&["", "CASCADE"])),
        2 => format!("ALTER TABLE {name} ALTER {column} TYPE {} USING NULL", new_type(draw)),
        3 => format!("ALTER TABLE {name} ALTER user_id TYPE {0} USING user_id::text::{0}", draw.pick(&["bigint", "text", "numeric", "smallint"])),
        4 => format!("ALTER TABLE {name} ALTER {} TYPE {}", draw.pick(&["version", "slot"]), draw.pick(&["int", "bigint", "smallint", "numeric", "text", "timestamptz USING now()"])),
        5 => format!("ALTER TABLE {name} ALTER at TYPE {}", draw.pick(&["timestamp", "date", "timestamptz", "timestamptz(0)", "text"])),
        6 => format!("ALTER TABLE {name} ADD {} {} DEFAULT NULL", renamed(draw), new_type(draw)),
        7 => format!("ALTER TABLE {name} ADD {} int DEFAULT {}", draw.pick(&["version", "slot", "at", "late"]), draw.below(3)),
        8 => format!("ALTER TABLE {name} ADD late{} numeric DEFAULT random()", draw.below(9)),
        9 => format!("ALTER TABLE {name} {} TRIGGER {}", draw.pick(&["DISABLE", "ENABLE", "ENABLE ALWAYS", "ENABLE REPLICA"]), draw.pick(&["ALL", "USER", trigger])),
        10 => format!("DROP TRIGGER {trigger} ON {name}"),
        11 => format!("ALTER TRIGGER {trigger} ON {name} RENAME TO {}", renamed(draw)),
        12 => format!("ALTER TABLE {name} DROP CONSTRAINT {constraint} {}", draw.pick(&["", "CASCADE"])),
        13 => format!("ALTER TABLE {name} RENAME CONSTRAINT {constraint} TO {}", renamed(draw)),
        14 => {
            let index = draw.any(&model.others).map_or("f.nope", |o| o);
            format!("{} {index} {}", draw.pick(&["DROP INDEX", "REINDEX INDEX", "ALTER INDEX"]), draw.pick(&["", "CASCADE", "RENAME TO renamed"]))
        }
        15 => format!("REINDEX TABLE {} {name}", draw.pick(&["", "CONCURRENTLY"])),
        16 => format!("CREATE INDEX {} ON {name} ({column}, {})", draw.pick(&["", "CONCURRENTLY"]), draw.pick(&["id", "slot", "at"])),
        17 => format!("CREATE UNIQUE INDEX ON {name} (user_id, slot) WHERE slot > 0 {}", draw.pick(&["", "AND user_id > 0"])),
        18 => format!("CLUSTER {name} USING {}", draw.pick(&["plain_pkey", "base_pkey", "child_pkey"])),
        19 => format!("VACUUM {} {name}", draw.pick(&["FULL", "ANALYZE", "FREEZE", ""])),
        20 => format!("ANALYZE {name}"),
        21 => format!("CREATE TRIGGER {} BEFORE INSERT OR UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION f.{}()",
            draw.pick(&["a_touch", "zzz_touch"]), draw.pick(&["touch", "touch", "swallow", "again"])),
        22 => format!("ALTER TABLE {name} {}", draw.pick(&["ENABLE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY", "NO FORCE ROW LEVEL SECURITY"])),
        23 => format!("CREATE POLICY p{} ON {name} USING ({})", draw.below(99), draw.pick(&["true", "user_id = 1", "id IN (SELECT id FROM f.base)"])),
        24 => format!("{} ON {name} {} fuzz_user", draw.pick(&["GRANT SELECT", "GRANT ALL", "REVOKE ALL", "REVOKE SELECT", "REVOKE UPDATE"]), draw.pick(&["TO", "FROM"])),
        25 => format!("ALTER TABLE {name} OWNER TO {}", draw.pick(&["fuzz_user", "CURRENT_USER"])),
        26 => format!("ALTER TABLE {name} RENAME TO {}", renamed(draw)),
        27 => format!("ALTER TABLE {name} SET SCHEMA {}", draw.pick(&["f", "public", "pg_temp"])),
        28 => format!("ALTER TABLE {name} {}", draw.pick(&["SET UNLOGGED", "SET LOGGED", "REPLICA IDENTITY FULL", "SET (fillfactor = 50)", "CLUSTER ON plain_pkey", "NOT OF"])),
        29 => format!("ALTER TABLE f.parts DETACH PARTITION {}", draw.pick(&["f.parts_1", "f.parts_2", "f.parts_d", "f.parts_2 CONCURRENTLY"])),
        30 => format!("ALTER TABLE f.parts ATTACH PARTITION {} {}", draw.pick(&["f.parts_1", "f.parts_2", "f.parts_d", "f.nokey"]), draw.pick(&["FOR VALUES IN (0, 1)", "FOR VALUES FROM (2) TO (3)", "DEFAULT"])),
        31 => format!("CREATE TABLE f.parts_n{} PARTITION OF f.parts {}", draw.below(9), draw.pick(&["FOR VALUES IN (7)", "FOR VALUES FROM (7) TO (9)", "DEFAULT"])),
        32 => format!("CREATE TABLE f.like{} (LIKE {name} INCLUDING ALL)", draw.below(9)),
        33 => format!("CREATE TEMP TABLE temp{} ON COMMIT {} AS SELECT * FROM {name}", draw.below(9), draw.pick(&["DROP", "PRESERVE ROWS", "DELETE ROWS"])),
        34 => format!("ALTER TABLE {name} {} f.base", draw.pick(&["INHERIT", "NO INHERIT"])),
        35 => format!("CREATE OR REPLACE FUNCTION f.imm(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 % {}'", 1 + draw.below(4)),
        36 => format!("{} FUNCTION f.imm(int) {}", draw.pick(&["DROP", "ALTER"]), draw.pick(&["CASCADE", "RENAME TO imm2", "VOLATILE", "STABLE", "SET search_path = f"])),
        37 => format!("ALTER TABLE {name} ALTER {column} {}", draw.pick(&["SET NOT NULL", "DROP NOT NULL", "DROP DEFAULT", "SET STORAGE EXTERNAL", "SET STATISTICS 0", "DROP EXPRESSION", "ADD GENERATED ALWAYS AS IDENTITY"])),
        38 => draw.pick(&["ALTER TYPE f.mood ADD VALUE IF NOT EXISTS 'bad'", "ALTER TYPE f.mood RENAME VALUE 'sad' TO 'sadder'", "ALTER TYPE f.pair ADD ATTRIBUTE c int CASCADE", "ALTER TYPE f.pair DROP ATTRIBUTE b CASCADE", "ALTER DOMAIN f.posint DROP CONSTRAINT posint_check", "DROP TYPE f.mood CASCADE"]).into(),
        39 => format!("DROP TABLE {name} {}", draw.pick(&["", "CASCADE"])),
        40 => draw.pick(&["ALTER EXTENSION raceguard UPDATE", "ALTER EXTENSION raceguard SET SCHEMA public", "DROP EXTENSION raceguard", "CREATE EXTENSION raceguard", "CREATE EXTENSION IF NOT EXISTS raceguard CASCADE"]).into(),
        41 => format!("ALTER TABLE {name} ADD UNIQUE (user_id, {}) {}", draw.pick(&["slot", "note", "id"]), draw.pick(&["", "DEFERRABLE INITIALLY DEFERRED"])),
        42 => format!("CREATE RULE r AS ON {} TO {name} DO {}", draw.pick(&["INSERT", "UPDATE", "DELETE"]), draw.pick(&["INSTEAD NOTHING", "ALSO SELECT 1", "INSTEAD UPDATE f.plain SET note = 'rule'"])),
        _ => format!("ALTER TABLE {name} ADD FOREIGN KEY (user_id) REFERENCES f.plain {}", draw.pick(&["", "NOT VALID", "ON DELETE CASCADE"])),
    }
}

fn column(draw: &mut Draw, table: &Table) -> String {
    match draw.below(5) {
        0 => draw.pick(&["version", "slot", "user_id", "at"]).into(),
        _ => draw.any(&table.columns).map_or("id".into(), |c| ident(&c.name)),
    }
}

fn renamed(draw: &mut Draw) -> String {
    draw.pick(&["version", "slot", "user_id", "renamed", "\"Ren\"\"amed\"", "\"ümlaut\"", "late1"])
        .into()
}

fn new_type(draw: &mut Draw) -> &'static str {
    draw.pick(&[
        "int",
        "bigint",
        "text",
        "f.mood",
        "f.pair",
        "f.posint",
        "jsonb",
        "timestamptz",
        "int[]",
        "numeric",
        "point",
    ])
}
