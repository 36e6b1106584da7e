//! From a key's text to something executable and back: Postgres's parser, checks, deparsing.

use super::{Key, KeyPart, MAX_PARTS, NO_EXPRESSION};
use crate::errors;
use crate::pg::error::Report;
use crate::pg::guc;
use crate::pg::list::{list_length, list_node};
use crate::pg::memory::Buffer;
use crate::pg::raw;
use crate::pg::relation::Table;
use crate::pg::text::{cstr, quote_ident, PgText};
use core::ffi::{c_char, c_int};
use core::fmt::Write;
use pgrx::pg_sys::{self, NodeTag, Oid};

extern "C-unwind" {
    fn raw_parser(text: *const c_char, mode: pg_sys::RawParseMode::Type) -> *mut pg_sys::List;
    fn make_parsestate(parent: *mut pg_sys::ParseState) -> *mut pg_sys::ParseState;
    fn free_parsestate(state: *mut pg_sys::ParseState);
    fn addRangeTableEntryForRelation(
        state: *mut pg_sys::ParseState,
        relation: pg_sys::Relation,
        lockmode: c_int,
        alias: *mut pg_sys::Alias,
        inherit: bool,
        in_from: bool,
    ) -> *mut pg_sys::ParseNamespaceItem;
    fn addNSItemToQuery(
        state: *mut pg_sys::ParseState,
        item: *mut pg_sys::ParseNamespaceItem,
        to_join_list: bool,
        to_rel_name_space: bool,
        to_var_name_space: bool,
    );
    fn transformExpr(
        state: *mut pg_sys::ParseState,
        expression: *mut pg_sys::Node,
        kind: pg_sys::ParseExprKind::Type,
    ) -> *mut pg_sys::Node;
    fn assign_expr_collations(state: *mut pg_sys::ParseState, expression: *mut pg_sys::Node);
    fn expression_planner(expression: *mut pg_sys::Expr) -> *mut pg_sys::Expr;
    fn contain_mutable_functions(clause: *mut pg_sys::Node) -> bool;
    fn bms_next_member(set: *const pg_sys::Bitmapset, previous: c_int) -> c_int;
    fn exprType(expression: *const pg_sys::Node) -> Oid;
    fn exprTypmod(expression: *const pg_sys::Node) -> i32;
    fn exprCollation(expression: *const pg_sys::Node) -> Oid;
    fn ExecInitExpr(
        node: *mut pg_sys::Expr,
        parent: *mut pg_sys::PlanState,
    ) -> *mut pg_sys::ExprState;
    fn CreateStandaloneExprContext() -> *mut pg_sys::ExprContext;
    fn deparse_expression(
        expression: *mut pg_sys::Node,
        context: *mut pg_sys::List,
        force_prefix: bool,
        show_implicit: bool,
    ) -> *mut c_char;
    fn deparse_context_for(alias: *const c_char, relid: Oid) -> *mut pg_sys::List;
    fn type_is_collatable(type_oid: Oid) -> bool;
}

/// Runs `body` with `search_path` pinned to pg_catalog. Plain frames: after an ERROR the rollback
/// restores the setting.
pub fn with_pinned_path<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: opens and closes one GUC nesting level.
    unsafe {
        let level = guc::set_in_new_level(c"search_path", guc::PINNED_PATH);
        let value = body();
        raw::AtEOXact_GUC(true, level);
        value
    }
}

/// One element of a key after parsing: a column, or an expression in Postgres's tree form.
#[derive(Clone, Copy)]
struct Element {
    attno: i16,
    expression: *mut pg_sys::Node,
}

/// A parsed key, not yet made executable.
#[derive(Clone, Copy)]
pub struct ParsedKey {
    elements: &'static [Element],
}

/// Parses a key in plain frames; names are looked up in the `search_path` in force.
pub fn parse(table: Table, key: &str) -> Result<ParsedKey, Report> {
    let statement = PgText::from_fmt(format_args!("CREATE INDEX ON t ({key})"));
    // SAFETY: the parser returns a list of statements; every node's tag is checked before its
    // fields are read.
    unsafe {
        let statements = raw_parser(statement.into_raw(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        if list_length(statements) != 1 {
            return Err(not_a_key(key));
        }
        let raw_statement = list_node(statements, 0) as *mut pg_sys::RawStmt;
        let node = (*raw_statement).stmt;
        if (*node).type_ != NodeTag::T_IndexStmt {
            return Err(not_a_key(key));
        }
        let index = node as *mut pg_sys::IndexStmt;
        let plain = (*index).whereClause.is_null()
            && (*index).options.is_null()
            && (*index).indexIncludingParams.is_null()
            && (*index).tableSpace.is_null()
            && !(*index).nulls_not_distinct;
        let count = list_length((*index).indexParams);
        if !plain || count == 0 || count > MAX_PARTS {
            return Err(not_a_key(key));
        }
        let state = make_parsestate(core::ptr::null_mut());
        (*state).p_sourcetext = statement.into_raw();
        let item = addRangeTableEntryForRelation(
            state,
            table.as_raw(),
            pg_sys::AccessShareLock as c_int,
            core::ptr::null_mut(),
            false,
            true,
        );
        addNSItemToQuery(state, item, false, true, true);
        let mut elements = Buffer::new(count);
        for i in 0..count {
            let element = list_node((*index).indexParams, i) as *mut pg_sys::IndexElem;
            if !(*element).opclass.is_null()
                || !(*element).collation.is_null()
                || (*element).ordering != pg_sys::SortByDir::SORTBY_DEFAULT
                || (*element).nulls_ordering != pg_sys::SortByNulls::SORTBY_NULLS_DEFAULT
            {
                return Err(not_a_key(key));
            }
            elements.push(transform(state, table, element)?);
        }
        free_parsestate(state);
        Ok(ParsedKey { elements: elements.into_slice() })
    }
}

unsafe fn transform(
    state: *mut pg_sys::ParseState,
    table: Table,
    element: *mut pg_sys::IndexElem,
) -> Result<Element, Report> {
    // SAFETY: the element has either a name or an expression.
    unsafe {
        if !(*element).name.is_null() {
            let name = cstr((*element).name);
            let column = table.column_named(name).ok_or_else(|| {
                Report::error(
                    errors::UNDEFINED_COLUMN,
                    format_args!("column \"{name}\" of table \"{}\" does not exist", table.name()),
                )
                .detail(format_args!("The key names it."))
                .hint(format_args!(
                    "Write the key as in CREATE INDEX; a name with upper-case letters needs double quotes."
                ))
                .table(table.oid())
                .column(name)
            })?;
            refuse_generated(table, column.attno)?;
            return Ok(Element { attno: column.attno, expression: core::ptr::null_mut() });
        }
        let expression = transformExpr(
            state,
            (*element).expr,
            pg_sys::ParseExprKind::EXPR_KIND_INDEX_EXPRESSION,
        );
        assign_expr_collations(state, expression);
        let mut used: *mut pg_sys::Bitmapset = core::ptr::null_mut();
        raw::pull_varattnos(expression, 1, &mut used);
        for attno in used_columns(used) {
            if attno <= 0 {
                return Err(Report::error(
                    errors::UNSUPPORTED,
                    format_args!("a key cannot use system columns or the whole row"),
                )
                .detail(format_args!("They are not known before the row is stored."))
                .hint(format_args!("Name the columns that make the key.")));
            }
            refuse_generated(table, attno)?;
        }
        let planned = expression_planner(expression as *mut pg_sys::Expr) as *mut pg_sys::Node;
        if contain_mutable_functions(planned) {
            return Err(not_immutable(table, expression));
        }
        if type_is_collatable(exprType(expression)) && exprCollation(expression) == Oid::INVALID {
            return Err(no_collation(table, expression));
        }
        Ok(Element { attno: 0, expression })
    }
}

/// The column numbers in a set that `pull_varattnos` made; 0 and below are no user columns.
pub(super) fn used_columns(set: *const pg_sys::Bitmapset) -> impl Iterator<Item = i16> {
    let mut member = -1;
    core::iter::from_fn(move || {
        // SAFETY: NULL is the empty set; each call goes on behind the member found last.
        member = unsafe { bms_next_member(set, member) };
        (member >= 0).then_some((member + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16)
    })
}

fn refuse_generated(table: Table, attno: i16) -> Result<(), Report> {
    if !table.column(attno).is_some_and(|c| c.generated) {
        return Ok(());
    }
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!("a key cannot use the generated column \"{}\"", table.column_name(attno)),
    )
    .detail(format_args!("Postgres computes generated columns after the guard has run."))
    .hint(format_args!("Write the column's generation expression in the key instead."))
    .table(table.oid())
    .column(table.column_name(attno)))
}

fn not_a_key(key: &str) -> Report {
    Report::error(errors::SYNTAX_ERROR, format_args!("invalid key: {key}"))
        .detail(format_args!(
            "A key is a list of columns and expressions as in CREATE INDEX, without COLLATE, operator class or order."
        ))
        .hint(format_args!(
            "For example \"userId\", date_trunc('week', \"createdAt\"); an expression that is not a function call stands in parentheses."
        ))
}

fn not_immutable(table: Table, expression: *mut pg_sys::Node) -> Report {
    let text = deparse(table, expression);
    let report = Report::error(
        errors::INVALID_OBJECT_DEFINITION,
        format_args!("functions in a key must be marked IMMUTABLE"),
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

fn no_collation(table: Table, expression: *mut pg_sys::Node) -> Report {
    Report::error(
        errors::INDETERMINATE_COLLATION,
        format_args!("could not determine which collation to use for the key"),
    )
    .detail(format_args!("{} joins values of different collations.", deparse(table, expression)))
    .hint(format_args!("Set the collation with COLLATE inside the expression."))
    .table(table.oid())
}

/// An expression as Postgres writes it, in plain frames.
///
/// # Safety
/// The expression's only relation is `table`.
pub unsafe fn deparse_node(table: Table, expression: *mut pg_sys::Node) -> PgText {
    deparse(table, expression)
}

fn deparse(table: Table, expression: *mut pg_sys::Node) -> PgText {
    let name = PgText::from_fmt(format_args!("{}", table.name()));
    // SAFETY: the expression's only relation is `table`.
    unsafe {
        let context = deparse_context_for(name.into_raw(), table.oid());
        let text = deparse_expression(expression, context, false, false);
        PgText::from_fmt(format_args!("{}", cstr(text)))
    }
}

impl ParsedKey {
    /// The key as Postgres writes it. With the search_path pinned, every name outside pg_catalog
    /// comes out qualified.
    pub fn canonical(self, table: Table) -> PgText {
        let mut text = PgText::new();
        for (i, element) in self.elements.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let _ = if element.attno != 0 {
                write!(text, "{separator}{}", quote_ident(table.column_name(element.attno)))
            } else {
                let expression = deparse(table, element.expression);
                if is_function_call(element.expression) || is_parenthesized(expression.as_str()) {
                    write!(text, "{separator}{expression}")
                } else {
                    write!(text, "{separator}({expression})")
                }
            };
        }
        text
    }

    /// Makes the key executable, in the current memory context.
    pub fn compile(self, table: Table) -> Key {
        let mut parts = Buffer::new(self.elements.len());
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
                    let planned = expression_planner(e as *mut pg_sys::Expr);
                    let state = ExecInitExpr(planned, core::ptr::null_mut());
                    let compiled = (state, planned as *mut pg_sys::Node);
                    (exprType(e), exprTypmod(e), exprCollation(e), compiled)
                }
            };
            parts.push(KeyPart::new(element.attno, expression, type_oid, typmod, collation));
        }
        // SAFETY: the expression context is made in the current memory context, as the parts are.
        let context = unsafe { CreateStandaloneExprContext() };
        Key::new(parts, context)
    }
}

fn is_function_call(expression: *mut pg_sys::Node) -> bool {
    // SAFETY: the tag is checked before the node is read as a FuncExpr.
    unsafe {
        (*expression).type_ == NodeTag::T_FuncExpr
            && (*(expression as *mut pg_sys::FuncExpr)).funcformat
                == pg_sys::CoercionForm::COERCE_EXPLICIT_CALL
    }
}

/// Whether one pair of parentheses encloses the whole expression. Parentheses in literals and
/// quoted names do not count.
fn is_parenthesized(expression: &str) -> bool {
    let (mut depth, mut quote) = (0, None);
    for (i, byte) in expression.bytes().enumerate() {
        match (quote, byte) {
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), _) if byte == open => quote = None,
            (None, b'(') => depth += 1,
            (None, b')') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i > 0 && i + 1 == expression.len();
        }
    }
    false
}

/// An expression without the parentheses around the whole of it.
pub fn bare(expression: &str) -> &str {
    if !is_parenthesized(expression) {
        return expression;
    }
    bare(&expression[1..expression.len() - 1])
}

/// The canonical text of a key for a trigger's arguments, checked by `accept`. Inside `catch`.
///
/// The names in `key` are looked up in the caller's `search_path`.
pub fn canonical(
    table: Oid,
    key: &str,
    accept: impl FnOnce(Table, &Key) -> Result<(), Report>,
) -> Result<PgText, Report> {
    // SAFETY: the relation is closed again; after an ERROR the rollback closes it.
    unsafe {
        let relation = raw::relation_open(table, pg_sys::AccessShareLock as c_int);
        let table = Table::from_raw(relation);
        let outcome = parse(table, key).and_then(|parsed| {
            accept(table, &parsed.compile(table))?;
            Ok(with_pinned_path(|| parsed.canonical(table)))
        });
        raw::relation_close(relation, pg_sys::AccessShareLock as c_int);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::is_parenthesized;

    #[test]
    fn parentheses_go_only_where_they_enclose_everything() {
        assert_eq!(super::bare("((a))"), "a");
        assert_eq!(super::bare("(a = '(') OR (b = ')')"), "(a = '(') OR (b = ')')");
        assert_eq!(super::bare("(a = ')'::text)"), "a = ')'::text");
    }

    #[test]
    fn enclosing_parentheses_are_found() {
        for enclosed in ["(a + 1)", "((a)::text || ')')", "(\"(\" + 1)"] {
            assert!(is_parenthesized(enclosed), "{enclosed}");
        }
        for open in ["(a + 1) + (b)", "a", "", "()x", "lower(a)", "(')'"] {
            assert!(!is_parenthesized(open), "{open}");
        }
    }
}
