//! From a key's text to something executable: Postgres's parser, and what a key may not be.

use super::deparse::deparse_node;
use super::{Key, KeyPart, Runs, MAX_PARTS, NO_EXPRESSION};
use crate::pg::base::error::Report;
use crate::pg::base::guc;
use crate::pg::base::list::{list_length, list_node};
use crate::pg::base::memory::{Buffer, Memory};
use crate::pg::base::sqlstate;
use crate::pg::base::text::{cstr, PgText};
use crate::pg::table::ffi;
use crate::pg::table::relation::{no_column, Table};
use core::ffi::c_int;
use pgrx::pg_sys::{self, NodeTag, Oid};

/// Runs `body`, which reads or writes the text of a key, with all settings pinned that the text could depend on: a
/// guard means the same in every session. Plain frames: after an ERROR the rollback restores the settings.
pub fn with_pinned_text<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: opens and closes one GUC nesting level.
    unsafe {
        let level = guc::set_in_new_level(&guc::PINNED_TEXT);
        let value = body();
        ffi::AtEOXact_GUC(true, level);
        value
    }
}

/// One element of a key after parsing: a column, or an expression in Postgres's tree form.
#[derive(Clone, Copy)]
pub(super) struct Element {
    pub(super) attno: i16,
    pub(super) expression: *mut pg_sys::Node,
    /// From a COLLATE around the whole of it, which an index keeps apart as well; or none.
    pub(super) collation: Oid,
}

/// A parsed key, not yet made executable.
#[derive(Clone, Copy)]
pub struct ParsedKey<'m> {
    pub(super) elements: &'m [Element],
    memory: Memory<'m>,
}

/// Parses a key in plain frames; names are looked up in the `search_path` in force.
pub fn parse<'m>(table: Table, key: &str, memory: Memory<'m>) -> Result<ParsedKey<'m>, Report> {
    memory.within(|| read(table, key, true, None, memory))
}

/// A column under the name it had before.
#[derive(Clone, Copy)]
pub(super) struct Former<'a> {
    pub(super) attno: i16,
    pub(super) name: &'a str,
}

/// A key as it is read, or an error as [`parse`] raises it; names are looked up in the `search_path` in force. Nothing
/// is evaluated, so none of the table owner's functions runs, and [`ParsedKey::check`] is left to be done.
pub fn understand<'m>(
    table: Table,
    key: &str,
    memory: Memory<'m>,
) -> Result<ParsedKey<'m>, Report> {
    memory.within(|| read(table, key, false, None, memory))
}

/// Parses a key, and `evaluate`s what is constant in it to judge it. `memory` is the current context.
pub(super) fn read<'m>(
    table: Table,
    key: &str,
    evaluate: bool,
    former: Option<Former>,
    memory: Memory<'m>,
) -> Result<ParsedKey<'m>, Report> {
    let statement = PgText::from_fmt(format_args!("CREATE INDEX ON t ({key})"));
    // SAFETY: every node's tag is checked before its fields are read.
    unsafe {
        let Some(index) = index_statement(statement) else { return Err(not_a_key(key)) };
        // A comment must not hide what comes after the key where it stands in other statements.
        if key.contains("--") {
            let next_line = PgText::from_fmt(format_args!("CREATE INDEX ON t ({key}\n)"));
            if index_statement(next_line).is_none() {
                return Err(not_a_key(key));
            }
        }
        let count = list_length((*index).indexParams);
        if count == 0 || count > MAX_PARTS {
            return Err(not_a_key(key));
        }
        let state = names_of(table, statement, former);
        let mut elements = Buffer::new(memory, count);
        for i in 0..count {
            let element = list_node((*index).indexParams, i) as *mut pg_sys::IndexElem;
            if !(*element).opclass.is_null()
                || !(*element).collation.is_null()
                || (*element).ordering != pg_sys::SortByDir::SORTBY_DEFAULT
                || (*element).nulls_ordering != pg_sys::SortByNulls::SORTBY_NULLS_DEFAULT
            {
                return Err(not_a_key(key));
            }
            elements.push(transform(state, table, element, evaluate, former)?);
        }
        ffi::free_parsestate(state);
        Ok(ParsedKey { elements: elements.into_slice(), memory })
    }
}

/// The parsed CREATE INDEX, if the text is one and says nothing but what the index is over.
unsafe fn index_statement(text: PgText) -> Option<*const pg_sys::IndexStmt> {
    // SAFETY: the parser returns a list of statements; the node's tag is checked before its fields are read.
    unsafe {
        let statements = ffi::raw_parser(text.into_raw(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        if list_length(statements) != 1 {
            return None;
        }
        let node = (*(list_node(statements, 0) as *mut pg_sys::RawStmt)).stmt;
        if (*node).type_ != NodeTag::T_IndexStmt {
            return None;
        }
        let index = node as *const pg_sys::IndexStmt;
        let plain = (*index).whereClause.is_null()
            && (*index).options.is_null()
            && (*index).indexIncludingParams.is_null()
            && (*index).tableSpace.is_null()
            && !(*index).nulls_not_distinct;
        plain.then_some(index)
    }
}

/// What the names in an expression over the table mean.
unsafe fn names_of(table: Table, text: PgText, former: Option<Former>) -> *mut pg_sys::ParseState {
    // SAFETY: the table is open; the state is made in the current memory context.
    unsafe {
        let state = ffi::make_parsestate(core::ptr::null_mut());
        (*state).p_sourcetext = text.into_raw();
        let item = ffi::addRangeTableEntryForRelation(
            state,
            table.as_raw(),
            pg_sys::AccessShareLock as c_int,
            core::ptr::null_mut(),
            false,
            true,
        );
        ffi::addNSItemToQuery(state, item, false, true, true);
        if let Some(former) = former {
            // The names by which the parser knows the columns are copies of its own.
            let names = (*(*(*item).p_rte).eref).colnames;
            let name = list_node(names, former.attno as usize - 1) as *mut pg_sys::String;
            (*name).sval = PgText::from_fmt(format_args!("{}", former.name)).into_raw();
        }
        state
    }
}

/// # Safety
/// The element is the parser's, and `state` knows the table.
unsafe fn transform(
    state: *mut pg_sys::ParseState,
    table: Table,
    element: *mut pg_sys::IndexElem,
    evaluate: bool,
    former: Option<Former>,
) -> Result<Element, Report> {
    // SAFETY: the element has either a name or an expression.
    unsafe {
        if !(*element).name.is_null() {
            let name = cstr((*element).name);
            return match former.filter(|former| former.name == name) {
                Some(former) => named(table, table.column_name(former.attno)),
                None => named(table, name),
            };
        }
        let mut expression = ffi::transformExpr(
            state,
            (*element).expr,
            pg_sys::ParseExprKind::EXPR_KIND_INDEX_EXPRESSION,
        );
        ffi::assign_expr_collations(state, expression);
        // As ComputeIndexAttrs does: COLLATE is no part of the expression, and `(column)` is a column.
        let mut collation = Oid::INVALID;
        while (*expression).type_ == NodeTag::T_CollateExpr {
            let collate = expression as *mut pg_sys::CollateExpr;
            if collation == Oid::INVALID {
                collation = (*collate).collOid;
            }
            expression = (*collate).arg as *mut pg_sys::Node;
        }
        let column = expression as *const pg_sys::Var;
        if (*expression).type_ == NodeTag::T_Var && (*column).varattno > 0 {
            refuse_generated(table, (*column).varattno)?;
            return Ok(Element::column((*column).varattno, collation));
        }
        let element = Element { attno: 0, expression, collation };
        element.check_columns(table)?;
        if evaluate {
            element.check_value(table)?;
        }
        Ok(element)
    }
}

/// The element that is a column.
fn named(table: Table, name: &str) -> Result<Element, Report> {
    let column = table.column_named(name).ok_or_else(|| {
        no_column(table.name(), table.oid(), name).detail(format_args!("The key names it.")).hint(
            format_args!(
            "Write the key as in CREATE INDEX; a name with upper-case letters needs double quotes."
        ),
        )
    })?;
    refuse_generated(table, column.attno)?;
    Ok(Element::column(column.attno, Oid::INVALID))
}

impl Element {
    fn column(attno: i16, collation: Oid) -> Element {
        Element { attno, expression: core::ptr::null_mut(), collation }
    }

    /// 0A000 for an expression of columns that are not known when a guard evaluates it.
    fn check_columns(self, table: Table) -> Result<(), Report> {
        let mut used: *mut pg_sys::Bitmapset = core::ptr::null_mut();
        // SAFETY: the expression was transformed for the table; the set is in the current memory context.
        let used = unsafe {
            ffi::pull_varattnos(self.expression, 1, &mut used);
            used_columns(used)
        };
        for attno in used {
            if attno <= 0 {
                return Err(Report::error(
                    sqlstate::UNSUPPORTED,
                    format_args!("a key or predicate cannot use system columns or the whole row"),
                )
                .detail(format_args!("They are not known before the row is stored."))
                .hint(format_args!("Name the columns that are meant.")));
            }
            refuse_generated(table, attno)?;
        }
        Ok(())
    }

    /// 42P17 or 42P22 for an expression that is not always the same for the same row, or that cannot be
    /// compared. Evaluates what is constant in it.
    fn check_value(self, table: Table) -> Result<(), Report> {
        let Element { expression, collation, .. } = self;
        // SAFETY: the expression was transformed for the table.
        unsafe {
            let planned = ffi::expression_planner(expression as *mut pg_sys::Expr);
            if ffi::contain_mutable_functions(planned as *mut pg_sys::Node) {
                return Err(not_immutable(table, expression));
            }
            let undecided =
                collation == Oid::INVALID && ffi::exprCollation(expression) == Oid::INVALID;
            if ffi::type_is_collatable(ffi::exprType(expression)) && undecided {
                return Err(no_collation(table, expression));
            }
        }
        Ok(())
    }
}

/// The column numbers in a set that `pull_varattnos` made; 0 and below are no user columns.
///
/// # Safety
/// The set, which may be empty, outlives the iterator.
pub(super) unsafe fn used_columns(set: *const pg_sys::Bitmapset) -> impl Iterator<Item = i16> {
    let mut member = -1;
    core::iter::from_fn(move || {
        // SAFETY: promised by the caller; each call goes on behind the member found last.
        member = unsafe { ffi::bms_next_member(set, member) };
        (member >= 0).then_some((member + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16)
    })
}

fn refuse_generated(table: Table, attno: i16) -> Result<(), Report> {
    let Some(column) = table.column(attno).filter(|column| column.generated) else {
        return Ok(());
    };
    let reason = match column.is_virtual {
        true => "No row holds a virtual column: Postgres computes it whenever it is read.",
        false => "Postgres computes generated columns after the guard has run.",
    };
    Err(Report::error(
        sqlstate::UNSUPPORTED,
        format_args!(
            "a key or predicate cannot use the generated column \"{}\"",
            table.column_name(attno)
        ),
    )
    .detail(format_args!("{reason}"))
    .hint(format_args!("Write the column's generation expression instead."))
    .table(table.oid())
    .column(table.column_name(attno)))
}

fn not_a_key(key: &str) -> Report {
    Report::error(sqlstate::SYNTAX_ERROR, format_args!("invalid key: {key}"))
        .detail(format_args!(
            "A key is a list of columns and expressions as in CREATE INDEX, without COLLATE, operator class or order."
        ))
        .hint(format_args!(
            "For example \"userId\", date_trunc('week', \"createdAt\"); an expression that is not a function call stands in parentheses."
        ))
}

/// # Safety
/// As for [`deparse_node`].
unsafe fn not_immutable(table: Table, expression: *mut pg_sys::Node) -> Report {
    // SAFETY: promised by the caller.
    let text = unsafe { deparse_node(table, expression) };
    let report = Report::error(
        sqlstate::INVALID_OBJECT_DEFINITION,
        format_args!("functions in a key or predicate must be marked IMMUTABLE"),
    )
    .table(table.oid());
    if text.as_str().starts_with("date_trunc(") {
        return report
            .detail(format_args!("{text} depends on the session's TimeZone."))
            .hint(format_args!(
                "Say which time zone's days are meant: date_trunc('week', \"column\" AT TIME ZONE 'UTC')."
            ));
    }
    report
        .detail(format_args!("{text} can give another value for the same row at another time or in another session."))
        .hint(format_args!(
            "Use an IMMUTABLE expression; for a timestamptz column write (\"column\" AT TIME ZONE 'UTC') first."
        ))
}

/// # Safety
/// As for [`deparse_node`].
unsafe fn no_collation(table: Table, expression: *mut pg_sys::Node) -> Report {
    // SAFETY: promised by the caller.
    let text = unsafe { deparse_node(table, expression) };
    Report::error(
        sqlstate::INDETERMINATE_COLLATION,
        format_args!("could not determine which collation to use for the key"),
    )
    .detail(format_args!("{text} joins values of different collations."))
    .hint(format_args!("Set the collation with COLLATE inside the expression."))
    .table(table.oid())
}

impl<'m> ParsedKey<'m> {
    /// What [`understand`] leaves out: refuses expressions that a key may not have. Evaluates what is constant in them.
    pub fn check(self, table: Table) -> Result<(), Report> {
        let mut expressions = self.elements.iter().filter(|element| element.attno == 0);
        expressions.try_for_each(|element| element.check_value(table))
    }

    /// Its tree, if it is one expression, and no column.
    pub(in crate::pg) fn expression(self) -> Option<*mut pg_sys::Node> {
        match self.elements {
            [Element { attno: 0, expression, .. }] => Some(*expression),
            _ => None,
        }
    }

    /// The type of its value, if it has one part.
    pub fn single_type(self, table: Table) -> Option<Oid> {
        match self.elements {
            [part] if part.attno != 0 => table.column(part.attno).map(|column| column.type_oid),
            // SAFETY: the expression was transformed by Postgres.
            [part] => Some(unsafe { ffi::exprType(part.expression) }),
            _ => None,
        }
    }

    /// Makes the key executable, in the memory it was parsed in.
    pub fn compile(self, table: Table) -> Key<'m> {
        self.memory.within(|| self.compile_here(table))
    }

    fn compile_here(self, table: Table) -> Key<'m> {
        let mut parts = Buffer::new(self.memory, self.elements.len());
        for element in self.elements {
            let (type_oid, typmod, collation, expression) = if element.attno != 0 {
                match table.column(element.attno) {
                    Some(c) => (c.type_oid, c.typmod, c.collation, NO_EXPRESSION),
                    None => continue,
                }
            } else {
                // SAFETY: the expression was transformed and planned by Postgres.
                unsafe {
                    let e = element.expression;
                    let planned = ffi::expression_planner(e as *mut pg_sys::Expr);
                    let state = ffi::ExecInitExpr(planned, core::ptr::null_mut());
                    let compiled = (state, planned as *mut pg_sys::Node);
                    (ffi::exprType(e), ffi::exprTypmod(e), ffi::exprCollation(e), compiled)
                }
            };
            let collation =
                if element.collation == Oid::INVALID { collation } else { element.collation };
            let mut part = KeyPart::new(element.attno, expression, type_oid, typmod, collation);
            if element.attno == 0 {
                // A name that stands in the text alone may be gone when it has been planned.
                // SAFETY: transformed by Postgres.
                part.runs = part.runs.max(unsafe { Runs::of_expression(element.expression) });
            }
            parts.push(part);
        }
        // SAFETY: the expression context is made in the current memory context, as the parts are.
        unsafe { Key::new(parts, ffi::CreateStandaloneExprContext(), self.memory) }
    }
}
