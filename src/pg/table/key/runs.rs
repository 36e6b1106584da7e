//! Whose functions and types an expression uses.

use crate::pg::table::ffi;
use core::ffi::c_void;
use core::ptr::null_mut;
use pgrx::pg_sys::{self, Node, NodeTag, Oid};

/// What has to be run to use something, and so which changes make what was compiled of it stale.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Runs {
    /// Nothing but what the type of a column brings with it.
    Nothing,
    /// Expressions of Postgres's own functions and types. Another function, operator or cast of the same
    /// name may come to be meant; a type that comes or goes changes nothing.
    BuiltIn,
    /// Functions or types of somebody's, and all that these may use in turn.
    Anything,
}

impl Runs {
    /// What a function runs that is no expression's.
    pub fn of_function(function: Oid) -> Runs {
        if is_built_in(function) {
            Runs::Nothing
        } else {
            Runs::Anything
        }
    }

    /// What an expression runs. Plain frames.
    ///
    /// # Safety
    /// The expression was transformed by Postgres.
    pub unsafe fn of_expression(expression: *mut Node) -> Runs {
        // SAFETY: promised by the caller.
        match unsafe { uses_other(expression, null_mut()) } {
            true => Runs::Anything,
            false => Runs::BuiltIn,
        }
    }
}

fn is_built_in(oid: Oid) -> bool {
    oid.to_u32() < pg_sys::FirstNormalObjectId
}

/// Whether a tree has a node of a kind not known here, of a type or with a function that did not come with
/// Postgres.
unsafe extern "C-unwind" fn uses_other(node: *mut Node, context: *mut c_void) -> bool {
    use NodeTag::*;
    if node.is_null() {
        return false;
    }
    // SAFETY: each node of an expression has a tag, and those named have a type.
    unsafe {
        let known = match (*node).type_ {
            T_List => true,
            T_Var | T_Const | T_FuncExpr | T_OpExpr | T_BoolExpr | T_NullTest | T_BooleanTest
            | T_RelabelType | T_CoerceViaIO | T_ScalarArrayOpExpr | T_ArrayExpr
            | T_CoalesceExpr | T_MinMaxExpr | T_CollateExpr => is_built_in(ffi::exprType(node)),
            _ => false,
        };
        !known
            || ffi::check_functions_in_node(node, Some(is_other), null_mut())
            || walk(node, context)
    }
}

unsafe extern "C-unwind" fn is_other(function: Oid, _context: *mut c_void) -> bool {
    !is_built_in(function)
}

unsafe fn walk(node: *mut Node, context: *mut c_void) -> bool {
    // SAFETY: as `uses_other`.
    unsafe {
        #[cfg(not(since_pg16))]
        return ffi::expression_tree_walker(node, Some(uses_other), context);
        #[cfg(since_pg16)]
        return ffi::expression_tree_walker_impl(node, Some(uses_other), context);
    }
}
