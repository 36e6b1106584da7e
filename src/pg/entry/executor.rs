//! What the running statement does, beyond what `TriggerData` tells.
//!
//! A row trigger learns the SET list of its whole statement. Some questions of guards go further,
//! and their answers stand in the executor's state, which Postgres does not hand to triggers: which
//! action of a MERGE is running, whether a foreign key sent the statement, whether it is an upsert.
//! [`state`] finds it from the slot that holds the row; whoever gets `None` has to do without.

use super::ffi;
use super::trigger::Firing;
use core::ffi::CStr;
use pgrx::pg_sys;

/// Whether the write comes from a foreign key's action (ON UPDATE CASCADE, SET NULL, ...).
///
/// The security flag alone would also cover what a trigger does that such an action fires; only
/// the foreign key's own statements leave their AFTER triggers to the statement around them.
pub fn is_foreign_key_action(firing: Firing) -> bool {
    // SAFETY: reads the current user context, and a state that is alive while its trigger runs.
    unsafe {
        ffi::InNoForceRLSOperation()
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

/// Whether the statement is an UPDATE that sets a column to itself. `false` where it cannot be told: the
/// value may come through a parameter, a join or a partitioned table.
pub fn sets_to_itself(firing: Firing, attno: i16) -> bool {
    // SAFETY: the state and the plan it points at live until the statement ends; an expression begins with
    // its tag, which is checked before it is read as a Var.
    unsafe {
        let Some(state) = state(firing) else { return false };
        let Some(relation) = result_relation(state, firing) else { return false };
        let number = (*relation).ri_RangeTableIndex as i32;
        set_value(state, number, attno).is_some_and(|value| {
            let value = value as *const pg_sys::Var;
            (*value).xpr.type_ == pg_sys::NodeTag::T_Var
                && (*value).varno == number
                && (*value).varattno == attno
        })
    }
}

/// The expression that an UPDATE gives a column of its result relation with that range table index.
unsafe fn set_value(
    state: *const pg_sys::EState,
    relation: i32,
    attno: i16,
) -> Option<*const pg_sys::Expr> {
    // SAFETY: each node's tag is checked before its fields are read. Of an UPDATE's columns the n-th comes
    // from the n-th entry of what its subplan returns.
    unsafe {
        // The apply worker of logical replication has a state without a plan.
        let plan = (*state).es_plannedstmt;
        if plan.is_null() || (*plan).planTree.is_null() {
            return None;
        }
        let top = (*plan).planTree as *const pg_sys::ModifyTable;
        if (*top).plan.type_ != pg_sys::NodeTag::T_ModifyTable
            || (*top).operation != pg_sys::CmdType::CMD_UPDATE
            || (*top).plan.lefttree.is_null()
        {
            return None;
        }
        let is = |wanted: i32| move |cell: *const pg_sys::ListCell| (*cell).int_value == wanted;
        let nth = cells((*top).resultRelations).position(is(relation))?;
        let columns = nodes::<pg_sys::List>((*top).updateColnosLists).nth(nth)?;
        let column = cells(columns.cast_mut()).position(is(attno.into()))?;
        let mut entries = nodes::<pg_sys::TargetEntry>((*(*top).plan.lefttree).targetlist);
        entries.nth(column).map(|entry| (*entry).expr as *const pg_sys::Expr)
    }
}

/// Whether the statement is an UPDATE of the partition itself on which the trigger fires: no row leaves it
/// then. `false` where it cannot be told.
pub fn names_the_partition(firing: Firing) -> bool {
    // SAFETY: the state and all it points at live until the statement ends.
    unsafe {
        state(firing)
            .and_then(|state| result_relation(state, firing))
            .is_some_and(|relation| (*relation).ri_RootResultRelInfo.is_null())
    }
}

/// State and result relation of the INSERT ... ON CONFLICT DO UPDATE that fired a BEFORE INSERT
/// trigger; `None` for any other statement, DO NOTHING included.
#[inline]
pub(super) fn upsert(firing: Firing) -> Option<(*mut pg_sys::EState, *mut pg_sys::ResultRelInfo)> {
    // SAFETY: the state and all it points at live until the statement ends.
    unsafe {
        let state = state(firing)?;
        let plan = (*state).es_plannedstmt;
        if plan.is_null()
            || (*plan).commandType != pg_sys::CmdType::CMD_INSERT && !(*plan).hasModifyingCTE
        {
            return None;
        }
        let opened = || nodes::<pg_sys::ResultRelInfo>((*state).es_opened_result_relations);
        if !opened().any(|r| !(*r).ri_onConflict.is_null()) {
            return None;
        }
        let relation = fired_by_relation(state, firing)?;
        let indexed = (*relation).ri_NumIndices > 0 && !(*relation).ri_IndexRelationDescs.is_null();
        let usable = indexed && !(*relation).ri_onConflict.is_null();
        usable.then_some((state as *mut _, relation as *mut _))
    }
}

/// Whether the statement is a plain INSERT that puts in each row that its BEFORE triggers let through, or
/// fails: none with ON CONFLICT. `false` where it cannot be told.
pub fn inserts_every_row(firing: Firing) -> bool {
    // SAFETY: the state and the plan it points at live until the statement ends; the node's tag is checked before it is
    // read as a ModifyTable.
    unsafe {
        let Some(state) = state(firing) else { return false };
        let plan = (*state).es_plannedstmt;
        if plan.is_null() || (*plan).planTree.is_null() || (*plan).hasModifyingCTE {
            return false;
        }
        let top = (*plan).planTree as *const pg_sys::ModifyTable;
        (*top).plan.type_ == pg_sys::NodeTag::T_ModifyTable
            && (*top).operation == pg_sys::CmdType::CMD_INSERT
            && (*top).onConflictAction == pg_sys::OnConflictAction::ONCONFLICT_NONE
    }
}

/// The running statement's own copy of the triggers of the relation on which one of them fires.
pub(super) fn triggers(firing: Firing) -> Option<*mut pg_sys::TriggerDesc> {
    // SAFETY: the state and all it points at live until the statement ends.
    unsafe { Some((*fired_by_relation(state(firing)?, firing)?).ri_TrigDesc) }
}

/// The statement's entry for the relation one of whose triggers fires, a partition that it puts rows into
/// included.
unsafe fn fired_by_relation(
    state: *const pg_sys::EState,
    firing: Firing,
) -> Option<*const pg_sys::ResultRelInfo> {
    // SAFETY: the lists hold the statement's relations.
    unsafe {
        let opened = nodes::<pg_sys::ResultRelInfo>((*state).es_opened_result_relations);
        let routed = nodes::<pg_sys::ResultRelInfo>((*state).es_tuple_routing_result_relations);
        opened.chain(routed).find(|relation| fired_by(*relation, firing))
    }
}

/// Whether a trigger is one of the statement's copies of a relation's triggers.
unsafe fn fired_by(relation: *const pg_sys::ResultRelInfo, firing: Firing) -> bool {
    // SAFETY: the relation is one of the statement's.
    unsafe {
        let triggers = (*relation).ri_TrigDesc;
        if triggers.is_null() {
            return false;
        }
        let first = (*triggers).triggers as *const pg_sys::Trigger;
        let fired = (*firing.as_raw()).tg_trigger as *const pg_sys::Trigger;
        fired >= first && fired < first.add((*triggers).numtriggers as usize)
    }
}

/// The executor state of the statement that fired the trigger.
///
/// The trigger's slot (OLD's, or that of an inserted row) was made in the statement's memory
/// context, and for a statement trigger, which has none, its function was looked up there. The state is the first thing that CreateExecutorState allocates there: it stands
/// behind the context's own header. Its length differs between Postgres versions, so the state is
/// recognised by its tag together with its pointer back at the context, which nothing else has.
unsafe fn state(firing: Firing) -> Option<*const pg_sys::EState> {
    // SAFETY: the slot, where there is one, is alive while its trigger runs, and so is what is known of its function.
    unsafe {
        let slot = (*firing.as_raw()).tg_trigslot;
        let context = match slot.is_null() {
            true => firing.function().as_ref()?.fn_mcxt,
            false => (*slot).tts_mcxt,
        };
        let made_for_it = (*context).type_ == pg_sys::NodeTag::T_AllocSetContext
            && CStr::from_ptr((*context).name) == c"ExecutorState";
        if !made_for_it {
            return None;
        }
        behind_header(context).find(|state| is_state_of(*state, context))
    }
}

/// The places where what a context allocated first may stand.
///
/// # Safety
/// The context is an AllocSet with a first block of 8 kB, in which its header and all these places lie.
unsafe fn behind_header(
    context: pg_sys::MemoryContext,
) -> impl Iterator<Item = *const pg_sys::EState> {
    // The longest header of the supported versions has 240 bytes.
    const SEARCHED: usize = 512;
    let start = context as *const u8;
    let offsets = (size_of::<pg_sys::MemoryContextData>()..SEARCHED).step_by(size_of::<usize>());
    // SAFETY: promised by the caller.
    offsets.map(move |offset| unsafe { start.add(offset) } as *const pg_sys::EState)
}

/// # Safety
/// As many bytes as a state has can be read there.
unsafe fn is_state_of(state: *const pg_sys::EState, context: pg_sys::MemoryContext) -> bool {
    const _: () = assert!(core::mem::offset_of!(pg_sys::EState, type_) == 0);
    // SAFETY: promised by the caller. The tag is compared as a number: not every number is a NodeTag.
    unsafe {
        *(state as *const u32) == pg_sys::NodeTag::T_EState as u32
            && core::ptr::eq((*state).es_query_cxt, context)
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

#[cfg(not(since_pg17))]
unsafe fn merge_actions(relation: *const pg_sys::ResultRelInfo) -> [*mut pg_sys::List; 1] {
    // SAFETY: the relation is one of the statement's.
    unsafe { [(*relation).ri_matchedMergeAction] }
}

#[cfg(since_pg17)]
unsafe fn merge_actions(relation: *const pg_sys::ResultRelInfo) -> [*mut pg_sys::List; 3] {
    // SAFETY: the relation is one of the statement's.
    unsafe { (*relation).ri_MergeActions }
}

/// The action that is running: the first one whose condition holds, as in ExecMergeMatched.
///
/// The conditions are evaluated a second time, on the same two rows; where one of them is volatile
/// the answer could differ, and nothing is told.
#[cfg(not(since_pg17))]
unsafe fn running_action(
    relation: *const pg_sys::ResultRelInfo,
) -> Option<*const pg_sys::MergeActionState> {
    // SAFETY: while the trigger runs, the expression context still holds the rows for which the
    // action was chosen; an UPDATE action has a projection, and all actions share its context.
    unsafe {
        let actions = || nodes::<pg_sys::MergeActionState>((*relation).ri_matchedMergeAction);
        if actions().any(|a| ffi::contain_volatile_functions((*(*a).mas_action).qual)) {
            return None;
        }
        let context =
            actions().map(|a| (*a).mas_proj).find(|p| !p.is_null()).map(|p| (*p).pi_exprContext)?;
        actions().find(|a| holds((**a).mas_whenqual, context))
    }
}

/// ExecQual of executor.h.
#[cfg(not(since_pg17))]
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
#[cfg(since_pg17)]
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
