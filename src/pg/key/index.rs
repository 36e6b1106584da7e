//! Keys and the columns, expressions and predicates of indexes.

use super::{Key, KeyPart, NO_EXPRESSION};
use crate::pg::list::list_node;
use crate::pg::memory::Buffer;
use crate::pg::raw;
use crate::pg::relation::Table;
use pgrx::pg_sys;
use pgrx::pg_sys::Oid;

extern "C-unwind" {
    fn canonicalize_qual(qual: *mut pg_sys::Expr, is_check: bool) -> *mut pg_sys::Expr;
    fn make_ands_implicit(clause: *mut pg_sys::Expr) -> *mut pg_sys::List;
    fn exprType(expression: *const pg_sys::Node) -> Oid;
    fn exprTypmod(expression: *const pg_sys::Node) -> i32;
    fn ExecInitExpr(
        node: *mut pg_sys::Expr,
        parent: *mut pg_sys::PlanState,
    ) -> *mut pg_sys::ExprState;
    fn CreateStandaloneExprContext() -> *mut pg_sys::ExprContext;
}

impl Key {
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
                let (type_oid, typmod, expression) = match table.column(attno) {
                    Some(column) => (column.type_oid, column.typmod, NO_EXPRESSION),
                    None => {
                        let e = list_node(expressions, next_expression) as *mut pg_sys::Node;
                        next_expression += 1;
                        let state = ExecInitExpr(e as *mut pg_sys::Expr, core::ptr::null_mut());
                        (exprType(e), exprTypmod(e), (state, e))
                    }
                };
                parts.push(KeyPart::new(attno, expression, type_oid, typmod, collation));
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
        let expression = (expression, core::ptr::null_mut());
        parts.push(KeyPart::new(0, expression, pg_sys::BOOLOID, -1, pg_sys::InvalidOid));
        Key::new(parts, context)
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
}
