/*
 * twin_total('column', 'parent', 'total', 'bound'): AFTER INSERT row trigger that adds one to a bigint column of the row
 * that an integer column refers to, as long as an integer column of it is not exceeded. It writes that row as
 * raceguard does, past SPI and the executor, but knows nothing of DELETE and UPDATE, other triggers, rights and
 * isolation levels: what a counter cache costs at least. Rows are found by the primary key.
 */
#include "twins.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

typedef struct TotalRule
{
	Oid			trigger;
	int			column;
	Oid			parent;
	Oid			index;
	int			total;
	int			bound;
} TotalRule;

/* That of the trigger that fired last, until the session ends. */
static TotalRule rule;

PG_FUNCTION_INFO_V1(twin_total);

static void
make_rule(TriggerData *trigdata)
{
	Trigger    *trigger = trigdata->tg_trigger;
	Relation	parent;

	if (trigger->tgnargs != 4)
		elog(ERROR, "twin_total: four arguments");
	rule.column = SPI_fnumber(RelationGetDescr(trigdata->tg_relation), trigger->tgargs[0]);
	rule.parent = RangeVarGetRelid(makeRangeVar(NULL, trigger->tgargs[1], -1), NoLock, false);
	parent = table_open(rule.parent, RowExclusiveLock);
	rule.total = SPI_fnumber(RelationGetDescr(parent), trigger->tgargs[2]);
	rule.bound = SPI_fnumber(RelationGetDescr(parent), trigger->tgargs[3]);
	RelationGetIndexList(parent);
	rule.index = parent->rd_pkindex;
	table_close(parent, NoLock);
	if (rule.column <= 0 || rule.total <= 0 || rule.bound <= 0 || !OidIsValid(rule.index))
		elog(ERROR, "twin_total: no such column, or no primary key");
	rule.trigger = trigger->tgoid;
}

/* The row with one more, and whether the bound allows it. */
static HeapTuple
counted(Relation parent, HeapTuple old)
{
	TupleDesc	desc = RelationGetDescr(parent);
	bool		isnull;
	bool		unbound;
	int64		total = DatumGetInt64(heap_getattr(old, rule.total, desc, &isnull)) + 1;
	int32		bound = DatumGetInt32(heap_getattr(old, rule.bound, desc, &unbound));
	Datum		value = Int64GetDatum(total);

	if (isnull || (!unbound && total > bound))
		elog(ERROR, "twin_total: row is full");
	return heap_modify_tuple_by_cols(old, desc, 1, &rule.total, &value, &isnull);
}

static void
update(Relation parent, TupleTableSlot *slot)
{
	HeapTuple	old = ((HeapTupleTableSlot *) slot)->tuple;
	HeapTuple	new = counted(parent, old);
	ItemPointerData tid = old->t_self;
	TM_FailureData failure;
	LockTupleMode mode;
	TM_Result	result;
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes indexes;
#endif

	result = heap_update(parent, &tid, new, GetCurrentCommandId(true),
#if PG_VERSION_NUM >= 190000
						 0,
#endif
						 InvalidSnapshot, true, &failure, &mode
#if PG_VERSION_NUM >= 160000
						 ,&indexes
#endif
		);
	if (result != TM_Ok)
		elog(ERROR, "twin_total: row was changed by another session");
	if (!HeapTupleIsHeapOnly(new))
	{
		/* Catalogs have their indexes kept so; any table's could be. */
		CatalogIndexState state = CatalogOpenIndexes(parent);
		EState	   *estate = CreateExecutorState();
		TupleTableSlot *written = MakeSingleTupleTableSlot(RelationGetDescr(parent), &TTSOpsHeapTuple);

		ExecStoreHeapTuple(new, written, false);
		written->tts_tableOid = RelationGetRelid(parent);
		written->tts_tid = new->t_self;
#if PG_VERSION_NUM >= 190000
		ExecInsertIndexTuples(state, estate, 0, written, NIL, NULL);
#elif PG_VERSION_NUM >= 160000
		ExecInsertIndexTuples(state, written, estate, false, false, NULL, NIL, false);
#else
		ExecInsertIndexTuples(state, written, estate, false, false, NULL, NIL);
#endif
		ExecDropSingleTupleTableSlot(written);
		CatalogCloseIndexes(state);
		FreeExecutorState(estate);
	}
}

Datum
twin_total(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	parent;
	Relation	index;
	TupleTableSlot *slot;
	IndexScanDesc scan;
	ScanKeyData key;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		elog(ERROR, "twin_total: must be an AFTER INSERT row trigger");
	if (rule.trigger != trigdata->tg_trigger->tgoid)
		make_rule(trigdata);

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ,
				heap_getattr(trigdata->tg_trigtuple, rule.column,
							 RelationGetDescr(trigdata->tg_relation), &isnull));
	parent = table_open(rule.parent, RowExclusiveLock);
	index = index_open(rule.index, RowExclusiveLock);
	slot = MakeSingleTupleTableSlot(RelationGetDescr(parent), &TTSOpsBufferHeapTuple);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	scan = index_beginscan(parent, index, GetActiveSnapshot(),
#if PG_VERSION_NUM >= 180000
						   NULL,
#endif
						   1, 0
#if PG_VERSION_NUM >= 190000
						   ,0
#endif
		);
	index_rescan(scan, &key, 1, NULL, 0);
	if (index_getnext_slot(scan, ForwardScanDirection, slot))
		update(parent, slot);
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	CommandCounterIncrement();
	PopActiveSnapshot();
	index_close(index, NoLock);
	table_close(parent, NoLock);
	return PointerGetDatum(NULL);
}
