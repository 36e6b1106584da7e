//! What the running statement does, beyond what `TriggerData` tells.
//!
//! A row trigger learns the SET list of its whole statement. Two questions of the version guard go
//! further, and their answers stand in the executor's state, which Postgres does not hand to
//! triggers: which action of a MERGE is running, and whether a foreign key sent the statement.
//! [`state`] finds it from the slot that holds OLD; whoever gets `None` has to do without.

use super::raw;
use super::trigger::Firing;
use core::ffi::CStr;
use pgrx::pg_sys;

extern "C-unwind" {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    fn contain_volatile_functions(clause: *mut pg_sys::Node) -> bool;
}

/// Whether the write comes from a foreign key's action (ON UPDATE CASCADE, SET NULL, ...).
///
/// The security flag alone would also cover what a trigger does that such an action fires; only
/// the foreign key's own statements leave their AFTER triggers to the statement around them.
pub fn is_foreign_key_action(firing: Firing) -> bool {
    // SAFETY: reads the current user context, and a state that is alive while its trigger runs.
    unsafe {
        raw::InNoForceRLSOperation()
            && state(firing)
                .is_none_or(|s| (*s).es_top_eflags as u32 & pg_sys::EXEC_FLAG_SKIP_TRIGGERS != 0)
    }
}

/// Whether the action of MERGE that is running leaves a column out of its SET list although
/// another action of the statement sets it. `false` where it cannot be told.
pub fn action_leaves_out(firing: Firing, attno: i16) -> bool {
    // SAFETY: the state and all it points at live until the statement ends.
    unsafe {
        let Some(relation) = state(firing).and_then(|s| result_relation(s, firing)) else {
            return false;
        };
        let mut setting = 0;
        let mut updates = 0;
        for list in merge_actions(relation) {
            for action in nodes::<pg_sys::MergeActionState>(list) {
                if (*(*action).mas_action).commandType == pg_sys::CmdType::CMD_UPDATE {
                    updates += 1;
                    setting += sets(action, attno) as i32;
                }
            }
        }
        if setting == updates {
            return false;
        }
        running_action(relation).is_some_and(|action| !sets(action, attno))
    }
}

/// The executor state of the statement that fired the trigger.
///
/// OLD's slot was made in the statement's memory context, and the state is the first thing that
/// CreateExecutorState allocates there: it stands behind the context's own header. Its length
/// differs between Postgres versions, so the state is recognised by its tag together with its
/// pointer back at the context, which nothing else has.
unsafe fn state(firing: Firing) -> Option<*const pg_sys::EState> {
    // The longest header of the supported versions has 240 bytes.
    const SEARCHED: usize = 512;
    // SAFETY: a context named ExecutorState is an AllocSet with a first block of 8 kB, in which
    // header, state and everything read here lie.
    unsafe {
        let slot = (*firing.as_raw()).tg_trigslot;
        if slot.is_null() {
            return None;
        }
        let context = (*slot).tts_mcxt;
        if (*context).type_ != pg_sys::NodeTag::T_AllocSetContext
            || CStr::from_ptr((*context).name) != c"ExecutorState"
        {
            return None;
        }
        let start = context as *const u8;
        (size_of::<pg_sys::MemoryContextData>()..SEARCHED)
            .step_by(size_of::<usize>())
            .map(|offset| start.add(offset) as *const pg_sys::EState)
            .find(|s| {
                // The tag is compared as a number: not every number is a NodeTag.
                *(*s as *const u32) == pg_sys::NodeTag::T_EState as u32
                    && core::ptr::eq((*(*s)).es_query_cxt, context)
            })
    }
}

/// The statement's entry for the relation the trigger fired on.
unsafe fn result_relation(
    state: *const pg_sys::EState,
    firing: Firing,
) -> Option<*const pg_sys::ResultRelInfo> {
    // SAFETY: the list holds the statement's result relations.
    unsafe {
        let slot = (*firing.as_raw()).tg_trigslot;
        nodes::<pg_sys::ResultRelInfo>((*state).es_opened_result_relations)
            .find(|r| core::ptr::eq((**r).ri_TrigOldSlot, slot))
    }
}

#[cfg(any(feature = "pg15", feature = "pg16"))]
unsafe fn merge_actions(relation: *const pg_sys::ResultRelInfo) -> [*mut pg_sys::List; 1] {
    // SAFETY: the relation is one of the statement's.
    unsafe { [(*relation).ri_matchedMergeAction] }
}

#[cfg(any(feature = "pg17", feature = "pg18"))]
unsafe fn merge_actions(relation: *const pg_sys::ResultRelInfo) -> [*mut pg_sys::List; 3] {
    // SAFETY: the relation is one of the statement's.
    unsafe { (*relation).ri_MergeActions }
}

/// The action that is running: the first one whose condition holds, as in ExecMergeMatched.
///
/// The conditions are evaluated a second time, on the same two rows; where one of them is volatile
/// the answer could differ, and nothing is told.
#[cfg(any(feature = "pg15", feature = "pg16"))]
unsafe fn running_action(
    relation: *const pg_sys::ResultRelInfo,
) -> Option<*const pg_sys::MergeActionState> {
    // SAFETY: while the trigger runs, the expression context still holds the rows for which the
    // action was chosen; an UPDATE action has a projection, and all actions share its context.
    unsafe {
        let actions = || nodes::<pg_sys::MergeActionState>((*relation).ri_matchedMergeAction);
        if actions().any(|a| contain_volatile_functions((*(*a).mas_action).qual)) {
            return None;
        }
        let context =
            actions().map(|a| (*a).mas_proj).find(|p| !p.is_null()).map(|p| (*p).pi_exprContext)?;
        actions().find(|a| holds((**a).mas_whenqual, context))
    }
}

/// ExecQual of executor.h.
#[cfg(any(feature = "pg15", feature = "pg16"))]
unsafe fn holds(condition: *mut pg_sys::ExprState, context: *mut pg_sys::ExprContext) -> bool {
    if condition.is_null() {
        return true;
    }
    // SAFETY: a compiled condition has an evaluation function; it works in per-tuple memory.
    unsafe {
        let Some(evaluate) = (*condition).evalfunc else {
            return true;
        };
        let caller = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = (*context).ecxt_per_tuple_memory;
        let mut is_null = false;
        let value = evaluate(condition, context, &mut is_null);
        pg_sys::CurrentMemoryContext = caller;
        !is_null && value.value() as u8 != 0
    }
}

/// The action that is running, which Postgres notes since version 17.
#[cfg(any(feature = "pg17", feature = "pg18"))]
unsafe fn running_action(
    relation: *const pg_sys::ResultRelInfo,
) -> Option<*const pg_sys::MergeActionState> {
    // SAFETY: the parent of an action's projection is the ModifyTable node that runs it.
    unsafe {
        let projection = merge_actions(relation)
            .into_iter()
            .flat_map(|list| nodes::<pg_sys::MergeActionState>(list))
            .map(|a| (*a).mas_proj)
            .find(|p| !p.is_null())?;
        let node = (*projection).pi_state.parent as *const pg_sys::ModifyTableState;
        let action = (*node).mt_merge_action as *const pg_sys::MergeActionState;
        (!action.is_null()).then_some(action)
    }
}

/// Whether an UPDATE action's SET list names a column.
unsafe fn sets(action: *const pg_sys::MergeActionState, attno: i16) -> bool {
    // SAFETY: updateColnos is a list of integers.
    unsafe {
        let list = (*(*action).mas_action).updateColnos;
        cells(list).any(|cell| (*cell).int_value == attno as i32)
    }
}

unsafe fn nodes<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *const T> {
    // SAFETY: the caller passes a list of pointers to T.
    unsafe { cells(list) }.map(|cell| unsafe { (*cell).ptr_value } as *const T)
}

unsafe fn cells(list: *mut pg_sys::List) -> impl Iterator<Item = *const pg_sys::ListCell> {
    // SAFETY: NIL is a null pointer; any other list has `length` cells.
    unsafe {
        let (first, length) = if list.is_null() {
            (core::ptr::null(), 0)
        } else {
            ((*list).elements as *const pg_sys::ListCell, (*list).length)
        };
        (0..length as usize).map(move |i| first.add(i))
    }
}
