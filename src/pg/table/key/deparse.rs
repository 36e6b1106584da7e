//! Expressions as Postgres writes them.

use crate::pg::base::text::{cstr, PgText};
use crate::pg::table::ffi;
use crate::pg::table::relation::Table;
use pgrx::pg_sys::{self, NodeTag};

/// An expression as Postgres writes it, in plain frames.
///
/// # Safety
/// The expression's only relation is `table`.
pub unsafe fn deparse_node(table: Table, expression: *mut pg_sys::Node) -> PgText {
    let name = PgText::from_fmt(format_args!("{}", table.name()));
    // SAFETY: the expression's only relation is `table`.
    unsafe {
        let context = ffi::deparse_context_for(name.into_raw(), table.oid());
        let text = ffi::deparse_expression(expression, context, false, false);
        PgText::from_fmt(format_args!("{}", cstr(text)))
    }
}

/// # Safety
/// The expression is one.
pub(super) unsafe fn is_function_call(expression: *mut pg_sys::Node) -> bool {
    // SAFETY: promised by the caller; the tag is checked before the node is read as a FuncExpr.
    unsafe {
        (*expression).type_ == NodeTag::T_FuncExpr
            && (*(expression as *mut pg_sys::FuncExpr)).funcformat
                == pg_sys::CoercionForm::COERCE_EXPLICIT_CALL
    }
}

/// Whether one pair of parentheses encloses the whole expression. Parentheses in literals and
/// quoted names do not count.
pub(super) fn is_parenthesized(expression: &str) -> bool {
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
