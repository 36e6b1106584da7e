//! Keys: columns and IMMUTABLE expressions of a row, written as in CREATE INDEX.
//!
//! Postgres's own parser reads the text, with `search_path` pinned to pg_catalog, so that a
//! session's settings can't change what a stored key means. `add_*` stores the text in the form
//! that Postgres deparses it to, every name qualified.

use super::error::Report;
use super::lock::{subtransaction_number, transaction_number};
use super::memory::Buffer;
use super::raw;
use super::relation::Table;
use super::text::{cstr, display, quote_ident, type_name, PgText};
use super::tuple::Row;
use crate::errors;
use core::ffi::{c_char, c_int, c_void};
use core::fmt::Write;
use pgrx::pg_sys::{self, Datum, NodeTag, Oid};

/// One column of a compiled key.
#[derive(Clone, Copy)]
pub struct KeyPart {
    /// The column, or 0 for an expression.
    attno: i16,
    expression: *mut pg_sys::ExprState,
    /// The expression's tree, to compare it with an index's.
    tree: *mut pg_sys::Node,
    pub type_oid: Oid,
    pub typmod: i32,
    collation: Oid,
    hash: Hash,
}

/// How a part's values are hashed.
#[derive(Clone, Copy)]
enum Hash {
    /// By the type's own hash function.
    Function(*mut pg_sys::FmgrInfo),
    /// An enum, by its label: its own hash function hashes the label's OID, which is another in
    /// every database.
    Label,
    /// The type has no hash function.
    None,
}

/// A compiled key. It lives in the memory context it was compiled in.
#[derive(Clone, Copy)]
pub struct Key {
    pub parts: &'static [KeyPart],
    context: *mut pg_sys::ExprContext,
    /// Where the expressions are being evaluated: the transaction and subtransaction, or zeros.
    busy: *mut (u32, u32),
    /// All parts are columns: no expression has to be evaluated.
    plain: bool,
}

/// State and tree of a key part that is a plain column.
const NO_EXPRESSION: (*mut pg_sys::ExprState, *mut pg_sys::Node) =
    (core::ptr::null_mut(), core::ptr::null_mut());

/// How many columns a key may have: as many as an index.
pub const MAX_PARTS: usize = pg_sys::INDEX_MAX_KEYS as usize;

/// The values of a key in one row; `None` is NULL.
#[derive(Clone, Copy)]
pub struct KeyValues {
    values: [Datum; MAX_PARTS],
    count: usize,
    any_null: bool,
}

impl KeyValues {
    pub fn has_null(&self) -> bool {
        self.any_null
    }

    pub fn as_slice(&self) -> &[Datum] {
        &self.values[..self.count]
    }
}

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
    fn canonicalize_qual(qual: *mut pg_sys::Expr, is_check: bool) -> *mut pg_sys::Expr;
    fn make_ands_implicit(clause: *mut pg_sys::Expr) -> *mut pg_sys::List;
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
    fn FunctionCall1Coll(function: *mut pg_sys::FmgrInfo, collation: Oid, value: Datum) -> Datum;
    fn hash_bytes(bytes: *const u8, length: c_int) -> u32;
    fn getBaseType(type_oid: Oid) -> Oid;
    fn type_is_enum(type_oid: Oid) -> bool;
    fn type_is_collatable(type_oid: Oid) -> bool;
    fn SubTransactionIsActive(subtransaction: u32) -> bool;
}

/// Runs `body` with `search_path` pinned to pg_catalog. Plain frames: after an ERROR the rollback
/// restores the setting.
pub fn with_pinned_path<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: opens and closes one GUC nesting level.
    unsafe {
        let level = raw::NewGUCNestLevel();
        raw::set_config_option(
            c"search_path".as_ptr(),
            c"pg_catalog, pg_temp".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
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
fn used_columns(set: *const pg_sys::Bitmapset) -> impl Iterator<Item = i16> {
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
            let (type_oid, typmod, collation, (expression, tree)) = if element.attno != 0 {
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
            parts.push(KeyPart {
                attno: element.attno,
                expression,
                tree,
                type_oid,
                typmod,
                collation,
                hash: hash_function(type_oid),
            });
        }
        // SAFETY: the expression context is made in the current memory context, as the parts are.
        let context = unsafe { CreateStandaloneExprContext() };
        Key::new(parts, context)
    }
}

unsafe fn list_node(list: *mut pg_sys::List, n: usize) -> *mut c_void {
    // SAFETY: the caller checked the length.
    unsafe { (*(*list).elements.add(n)).ptr_value }
}

fn list_length(list: *mut pg_sys::List) -> usize {
    // SAFETY: NIL is NULL; a list knows its length.
    unsafe {
        if list.is_null() {
            0
        } else {
            (*list).length as usize
        }
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

/// The type's hash function, looked up once: the type cache keeps it for the session.
fn hash_function(type_oid: Oid) -> Hash {
    // SAFETY: type cache entries live as long as the session.
    unsafe {
        if type_is_enum(getBaseType(type_oid)) {
            return Hash::Label;
        }
        let entry = raw::lookup_type_cache(type_oid, pg_sys::TYPECACHE_HASH_PROC_FINFO as c_int);
        if (*entry).hash_proc_finfo.fn_oid == pg_sys::InvalidOid {
            Hash::None
        } else {
            Hash::Function(&raw mut (*entry).hash_proc_finfo)
        }
    }
}

impl Key {
    fn new(parts: Buffer<KeyPart>, context: *mut pg_sys::ExprContext) -> Key {
        let parts = parts.into_slice();
        let mut busy = Buffer::new(1);
        busy.push((0, 0));
        let busy = busy.as_mut_slice().as_mut_ptr();
        Key { parts, context, busy, plain: parts.iter().all(|part| part.attno != 0) }
    }

    /// The first `count` columns of an index as a key; the index is open.
    ///
    /// # Safety
    /// `index` is an open index on `table`, `expressions` its expressions.
    pub unsafe fn of_index(
        table: Table,
        index: pg_sys::Relation,
        expressions: *mut pg_sys::List,
        count: usize,
    ) -> Key {
        let mut parts = Buffer::new(count);
        let mut next_expression = 0;
        for i in 0..count {
            // SAFETY: promised by the caller; a column number of 0 stands for the next expression.
            unsafe {
                let attno = *(*(*index).rd_index).indkey.values.as_ptr().add(i);
                let collation = *(*index).rd_indcollation.add(i);
                let (type_oid, typmod, (expression, tree)) = match table.column(attno) {
                    Some(column) => (column.type_oid, column.typmod, NO_EXPRESSION),
                    None => {
                        let e = list_node(expressions, next_expression) as *mut pg_sys::Node;
                        next_expression += 1;
                        let state = ExecInitExpr(e as *mut pg_sys::Expr, core::ptr::null_mut());
                        (exprType(e), exprTypmod(e), (state, e))
                    }
                };
                let hash = hash_function(type_oid);
                parts.push(KeyPart { attno, expression, tree, type_oid, typmod, collation, hash });
            }
        }
        // SAFETY: as in `compile`.
        let context = unsafe { CreateStandaloneExprContext() };
        Key::new(parts, context)
    }

    /// Conditions joined by AND, as a key of one boolean.
    ///
    /// # Safety
    /// `conditions` is a list of planned boolean expressions over one table.
    pub unsafe fn of_conditions(conditions: *mut pg_sys::List) -> Key {
        let mut parts = Buffer::new(1);
        // SAFETY: promised by the caller.
        let (expression, context) = unsafe {
            let all = raw::make_ands_explicit(conditions);
            (ExecInitExpr(all, core::ptr::null_mut()), CreateStandaloneExprContext())
        };
        parts.push(KeyPart {
            attno: 0,
            expression,
            tree: core::ptr::null_mut(),
            type_oid: pg_sys::BOOLOID,
            typmod: -1,
            collation: pg_sys::InvalidOid,
            hash: Hash::None,
        });
        Key::new(parts, context)
    }

    /// Whether this is a key of one boolean.
    pub fn is_condition(&self) -> bool {
        matches!(self.parts, [part] if part.type_oid == pg_sys::BOOLOID)
    }

    /// The value of a key of one boolean, NULL counted as false.
    #[inline]
    pub fn is_true(&self, slot: *mut pg_sys::TupleTableSlot) -> bool {
        let values = self.values(slot);
        !values.has_null() && values.as_slice().first().is_some_and(|v| v.value() as u8 != 0)
    }

    /// The value of a key of one boolean, NULL counted as true, as constraints do.
    #[inline]
    pub fn is_not_false(&self, slot: *mut pg_sys::TupleTableSlot) -> bool {
        let values = self.values(slot);
        values.has_null() || values.as_slice().first().is_some_and(|v| v.value() as u8 != 0)
    }

    /// A key given as values in key order, none of them NULL.
    pub fn of_values(&self, values: &[Datum]) -> KeyValues {
        let mut key = KeyValues {
            values: [Datum::null(); MAX_PARTS],
            count: self.parts.len(),
            any_null: false,
        };
        for (to, from) in key.values.iter_mut().zip(values) {
            *to = *from;
        }
        key
    }

    /// Whether two keys without NULLs are the same byte by byte.
    pub fn same_image(&self, a: &KeyValues, b: &KeyValues) -> bool {
        self.parts.iter().zip(a.as_slice().iter().zip(b.as_slice())).all(|(part, (a, b))| {
            // SAFETY: both values are of the part's type, whose entry lives for the session.
            unsafe {
                let entry = raw::lookup_type_cache(part.type_oid, 0);
                raw::datum_image_eq(*a, *b, (*entry).typbyval, (*entry).typlen as c_int)
            }
        })
    }

    /// The key as an error names it, `("userId")=(42)`; `None` where the caller may not see it:
    /// without SELECT on its columns, or under row security.
    pub fn describe(&self, table: Table, text: &str, key: &KeyValues) -> Option<PgText> {
        if !table.shows(self.columns()) {
            return None;
        }
        let mut shown = PgText::from_fmt(format_args!("({text})=("));
        for (i, (part, value)) in self.parts.iter().zip(key.as_slice()).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let _ = write!(shown, "{separator}{}", display(*value, part.type_oid));
        }
        let _ = shown.write_char(')');
        Some(shown)
    }

    /// The columns that the key is made of, those in its expressions included.
    fn columns(&self) -> &'static [i16] {
        let mut columns = Buffer::new(self.parts.len());
        for part in self.parts {
            if part.attno != 0 {
                columns.push(part.attno);
                continue;
            }
            let mut used: *mut pg_sys::Bitmapset = core::ptr::null_mut();
            // SAFETY: the tree's variables are columns of the key's table.
            unsafe { raw::pull_varattnos(part.tree, 1, &mut used) };
            for attno in used_columns(used) {
                columns.push(attno);
            }
        }
        columns.into_slice()
    }

    /// Whether a column of that name is, by itself, a part of the key.
    pub fn has_column(&self, table: Table, name: &str) -> bool {
        self.parts.iter().any(|part| part.attno != 0 && table.column_name(part.attno) == name)
    }

    /// Whether this key of one boolean is the same as an index's predicate.
    ///
    /// # Safety
    /// `conditions` is a predicate as the relation cache has it, over the key's table.
    pub unsafe fn is_index_predicate(&self, conditions: *mut pg_sys::List) -> bool {
        let [KeyPart { attno: 0, tree, .. }] = *self.parts else { return false };
        // SAFETY: promised by the caller; the steps are those of RelationGetIndexPredicate.
        unsafe {
            let own = canonicalize_qual(tree as *mut pg_sys::Expr, false);
            raw::equal(make_ands_implicit(own) as *const _, conditions as *const _)
        }
    }

    /// Whether the first columns of an index are the parts of this key, in its order.
    ///
    /// # Safety
    /// `index` is an open index on the key's table with more columns than the key has parts;
    /// `expressions` are its expressions.
    pub unsafe fn is_of_index(
        &self,
        index: pg_sys::Relation,
        expressions: *mut pg_sys::List,
    ) -> bool {
        let mut next_expression = 0;
        self.parts.iter().enumerate().all(|(i, part)| {
            // SAFETY: promised by the caller; a column number of 0 stands for the next expression.
            unsafe {
                if *(*index).rd_indcollation.add(i) != part.collation {
                    return false;
                }
                let attno = *(*(*index).rd_index).indkey.values.as_ptr().add(i);
                if attno != 0 || part.attno != 0 {
                    return attno == part.attno;
                }
                next_expression += 1;
                raw::equal(list_node(expressions, next_expression - 1), part.tree as *const _)
            }
        })
    }

    /// The first part whose type has no hash function.
    pub fn unhashable(&self) -> Option<&KeyPart> {
        self.parts.iter().find(|part| matches!(part.hash, Hash::None))
    }

    /// The key's values in the row a slot holds. Values of expressions live until the next call.
    #[inline]
    pub fn values(&self, slot: *mut pg_sys::TupleTableSlot) -> KeyValues {
        self.refuse_reentry();
        // SAFETY: the memory holds values of earlier calls only.
        unsafe { raw::MemoryContextReset((*self.context).ecxt_per_tuple_memory) };
        self.more_values(slot)
    }

    /// Like [`Key::values`], leaving values that were read before in place.
    #[inline]
    pub fn more_values(&self, slot: *mut pg_sys::TupleTableSlot) -> KeyValues {
        let mut key = KeyValues {
            values: [Datum::null(); MAX_PARTS],
            count: self.parts.len(),
            any_null: false,
        };
        self.refuse_reentry();
        // SAFETY: the slot holds a row of the table the key was compiled for; the mark is the
        // key's own.
        unsafe {
            if !self.plain {
                *self.busy = (transaction_number(), subtransaction_number());
            }
            for (part, value) in self.parts.iter().zip(key.values.iter_mut()) {
                let mut null = false;
                *value = if part.attno != 0 {
                    slot_value(slot, part.attno, &mut null)
                } else {
                    self.evaluate(part.expression, slot, &mut null)
                };
                key.any_null |= null;
            }
            if !self.plain {
                *self.busy = (0, 0);
            }
        }
        key
    }

    /// 54000 where a function of the key, while it is evaluated, writes a row that needs the same
    /// key: its values would be freed under the function's hands. An IMMUTABLE function never does
    /// so, but what is declared so may. An evaluation that an ERROR ended has left its mark, in a
    /// subtransaction that is no longer active.
    fn refuse_reentry(&self) {
        // SAFETY: the mark is the key's own; the rest reads the state of the transaction.
        let entered = unsafe {
            let (transaction, subtransaction) = *self.busy;
            subtransaction != 0
                && transaction == transaction_number()
                && SubTransactionIsActive(subtransaction)
        };
        if entered {
            reentered()
        }
    }

    unsafe fn evaluate(
        &self,
        expression: *mut pg_sys::ExprState,
        slot: *mut pg_sys::TupleTableSlot,
        null: &mut bool,
    ) -> Datum {
        // SAFETY: ExecEvalExprSwitchContext: the expression was made by ExecInitExpr, its scan
        // tuple is the slot.
        unsafe {
            (*self.context).ecxt_scantuple = slot;
            let caller = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = (*self.context).ecxt_per_tuple_memory;
            let value = match (*expression).evalfunc {
                Some(function) => function(expression, self.context, null),
                None => Datum::null(),
            };
            pg_sys::CurrentMemoryContext = caller;
            value
        }
    }

    /// 32 bits that equal keys share, by the types' own hash functions; equal across servers.
    /// Parts without a hash function do not tell keys apart.
    #[inline]
    pub fn hash(&self, values: &[Datum]) -> u32 {
        let mut hash = 0u32;
        for (part, value) in self.parts.iter().zip(values) {
            // SAFETY: the value is one of the part's type and not NULL.
            hash = combine(hash, unsafe { part.hash(*value) });
        }
        hash
    }

    /// The hash of the key in a row, `None` if any part is NULL; the same as `hash` of `values`,
    /// without a copy of them.
    #[inline]
    pub fn hash_row(&self, row: Row, slot: *mut pg_sys::TupleTableSlot) -> Option<u32> {
        if !self.plain {
            let values = self.values(slot);
            return (!values.has_null()).then(|| self.hash(values.as_slice()));
        }
        let mut hash = 0u32;
        for part in self.parts {
            // SAFETY: the value is one of the part's type.
            hash = combine(hash, unsafe { part.hash(row.get(part.attno)?) });
        }
        Some(hash)
    }

    /// The only part of the key as an integer, `None` if it is NULL or no integer.
    pub fn integer(&self, row: Row, slot: *mut pg_sys::TupleTableSlot) -> Option<i64> {
        let part = self.parts.first()?;
        if self.plain {
            return part.integer(row.get(part.attno)?);
        }
        let values = self.values(slot);
        part.integer(*values.as_slice().first().filter(|_| !values.has_null())?)
    }
}

/// Joins the hash of one more part to that of the parts before it.
#[inline]
fn combine(hash: u32, part: u32) -> u32 {
    hash.wrapping_mul(31).wrapping_add(part)
}

#[cold]
fn reentered() -> ! {
    Report::error(
        errors::LIMIT_EXCEEDED,
        format_args!("a function in a guard's key or predicate writes to the guarded table"),
    )
    .detail(format_args!("It is marked IMMUTABLE, and was called again before it had returned."))
    .hint(format_args!("A function in a key must do nothing but compute a value."))
    .throw()
}

/// An integer column of the row a slot holds.
pub fn slot_integer(
    slot: *mut pg_sys::TupleTableSlot,
    column: super::relation::Column,
) -> Option<i64> {
    let mut null = false;
    // SAFETY: the slot holds a row of the table the column belongs to.
    let value = unsafe { slot_value(slot, column.attno, &mut null) };
    (!null).then(|| super::cap_index::read_integer(value, column.type_oid))
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

impl KeyPart {
    /// A value of an integer part as a number; `None` for other types.
    #[inline]
    pub fn integer(&self, value: Datum) -> Option<i64> {
        match self.type_oid {
            pg_sys::INT2OID => Some(value.value() as i16 as i64),
            pg_sys::INT4OID => Some(value.value() as i32 as i64),
            pg_sys::INT8OID => Some(value.value() as i64),
            _ => None,
        }
    }

    /// Whether the part is smallint, integer or bigint.
    pub fn is_integer(&self) -> bool {
        self.integer(Datum::null()).is_some()
    }

    /// # Safety
    /// `value` is not NULL and of the part's type.
    #[inline]
    unsafe fn hash(&self, value: Datum) -> u32 {
        match self.hash {
            // SAFETY: promised by the caller.
            Hash::Function(function) => unsafe {
                FunctionCall1Coll(function, self.collation, value).value() as u32
            },
            Hash::Label => {
                let label = display(value, self.type_oid);
                let bytes = label.as_str().as_bytes();
                // SAFETY: reads the bytes of the label.
                unsafe { hash_bytes(bytes.as_ptr(), bytes.len() as c_int) }
            }
            Hash::None => 0,
        }
    }

    /// The type as SQL writes it.
    pub fn type_name(&self) -> PgText {
        type_name(self.type_oid)
    }
}

/// `slot_getattr`.
///
/// # Safety
/// `slot` holds a row that has column `attno`.
#[inline]
pub unsafe fn slot_value(slot: *mut pg_sys::TupleTableSlot, attno: i16, null: &mut bool) -> Datum {
    // SAFETY: promised by the caller; slot_getsomeattrs_int fills the arrays up to `attno`.
    unsafe {
        if (*slot).tts_nvalid < attno {
            raw::slot_getsomeattrs_int(slot, attno as c_int);
        }
        let i = (attno - 1) as usize;
        *null = *(*slot).tts_isnull.add(i);
        *(*slot).tts_values.add(i)
    }
}

/// 42883: a type without a hash function in a key that has to be hashed.
pub fn no_hash_function(part: &KeyPart) -> Report {
    Report::error(
        errors::UNDEFINED_FUNCTION,
        format_args!("type {} of the key has no hash function", part.type_name()),
    )
    .detail(format_args!("A key lock is identified by the hash of the key."))
    .hint(format_args!("Cast the expression to a hashable type, for example (\"column\"::text)."))
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
