//! What the database holds at the moment, as an observer outside all transactions sees it: the schema `f`, which
//! the rounds work in, and `v`, where there are tables of somebody else.

use postgres::{Client, SimpleQueryMessage};

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub sql_type: String,
    pub generated: bool,
}

#[derive(Clone, Debug)]
pub struct Table {
    /// Quoted, with its schema.
    pub name: String,
    pub columns: Vec<Column>,
    pub triggers: Vec<String>,
    pub constraints: Vec<String>,
}

/// A function or procedure of the extension.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub procedure: bool,
    pub trigger: bool,
    pub variadic: bool,
    /// Name and type of each argument.
    pub arguments: Vec<(String, String)>,
    pub required: usize,
}

#[derive(Default)]
pub struct Model {
    pub tables: Vec<Table>,
    /// Everything else that a regclass can name.
    pub others: Vec<String>,
    pub functions: Vec<Function>,
    pub settings: Vec<String>,
}

const RELATIONS: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), c.relkind::text,
           a.attname, format_type(a.atttypid, a.atttypmod), (a.attgenerated <> '' OR a.attidentity = 'a')::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname IN ('f', 'v') ORDER BY c.relname COLLATE \"C\", a.attnum";

const TRIGGERS: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), quote_ident(t.tgname)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('f', 'v') AND NOT t.tgisinternal ORDER BY c.relname COLLATE \"C\", 2";

const CONSTRAINTS: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), quote_ident(k.conname)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('f', 'v') ORDER BY c.relname COLLATE \"C\", 2";

// The catalogue says what there is to be called, so that no new function can be forgotten.
const FUNCTIONS: &str = "
    SELECT p.proname, p.prokind::text, (p.prorettype = 'trigger'::regtype)::text, (p.provariadic <> 0)::text,
           p.pronargdefaults::text,
           (SELECT string_agg(coalesce(p.proargnames[i], '') || ':' || format_type(t, NULL), '|' ORDER BY i)
            FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (t, i))
    FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'raceguard'
    ORDER BY p.oid::regprocedure::text COLLATE \"C\"";

const SETTINGS: &str = "SELECT name FROM pg_settings WHERE name LIKE 'raceguard.%' ORDER BY 1";

/// The rows of a query as texts.
pub fn rows(client: &mut Client, sql: &str) -> Result<Vec<Vec<Option<String>>>, postgres::Error> {
    let messages = client.simple_query(sql)?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
            }
            _ => None,
        })
        .collect())
}

fn text(row: &[Option<String>], i: usize) -> String {
    row.get(i).cloned().flatten().unwrap_or_default()
}

impl Model {
    pub fn read(client: &mut Client) -> Result<Model, postgres::Error> {
        let mut model = Model::default();
        client.simple_query("LOAD 'raceguard'")?;
        for row in rows(client, FUNCTIONS)? {
            let arguments: Vec<(String, String)> = text(&row, 5)
                .split('|')
                .filter_map(|a| a.split_once(':'))
                .map(|(name, sql_type)| (name.to_owned(), sql_type.to_owned()))
                .collect();
            let defaults: usize = text(&row, 4).parse().unwrap_or(0);
            model.functions.push(Function {
                name: text(&row, 0),
                procedure: text(&row, 1) == "p",
                trigger: text(&row, 2) == "true",
                variadic: text(&row, 3) == "true",
                required: arguments.len() - defaults,
                arguments,
            });
        }
        model.settings = rows(client, SETTINGS)?.iter().map(|row| text(row, 0)).collect();
        model.refresh(client)?;
        Ok(model)
    }

    pub fn refresh(&mut self, client: &mut Client) -> Result<(), postgres::Error> {
        self.tables.clear();
        self.others.clear();
        for row in rows(client, RELATIONS)? {
            let (name, kind) = (text(&row, 0), text(&row, 1));
            if !matches!(kind.as_str(), "r" | "p" | "v" | "f") {
                self.others.push(name);
                continue;
            }
            if self.tables.last().is_none_or(|t| t.name != name) {
                let (triggers, constraints) = (Vec::new(), Vec::new());
                self.tables.push(Table { name, columns: Vec::new(), triggers, constraints });
            }
            if let (Some(table), true) = (self.tables.last_mut(), row[2].is_some()) {
                table.columns.push(Column {
                    name: text(&row, 2),
                    sql_type: text(&row, 3),
                    generated: text(&row, 4) == "true",
                });
            }
        }
        self.others.dedup();
        for row in rows(client, TRIGGERS)? {
            let name = text(&row, 0);
            if let Some(table) = self.tables.iter_mut().find(|t| t.name == name) {
                table.triggers.push(text(&row, 1));
            }
        }
        for row in rows(client, CONSTRAINTS)? {
            let name = text(&row, 0);
            if let Some(table) = self.tables.iter_mut().find(|t| t.name == name) {
                table.constraints.push(text(&row, 1));
            }
        }
        Ok(())
    }
}
