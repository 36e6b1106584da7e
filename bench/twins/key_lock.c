/*
 * twin_key_lock('column' [, 'namespace']): the lock of raceguard.key_lock_guard on an integer key.
 * With a namespace it takes pg_advisory_xact_lock(namespace, key), without one a hash of
 * the key in a lock class of its own. It knows no table lock and does not escalate.
 */
#include "twins.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#define KEY_LOCK_CLASS 21063
#define TWO_INT_ADVISORY_CLASS 2

typedef struct KeyLockRule
{
	int			column;
	uint32		field2;
	uint16		lock_class;
	FmgrInfo   *hash;
} KeyLockRule;

PG_FUNCTION_INFO_V1(twin_key_lock);

static KeyLockRule *
make_rule(TriggerData *trigdata, MemoryContext context)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	Trigger    *trigger = trigdata->tg_trigger;
	KeyLockRule *rule = MemoryContextAllocZero(context, sizeof(KeyLockRule));

	rule->column = SPI_fnumber(desc, trigger->tgargs[0]);
	if (rule->column <= 0 || TupleDescAttr(desc, rule->column - 1)->atttypid != INT4OID)
		elog(ERROR, "twin_key_lock: \"%s\" must be an integer column", trigger->tgargs[0]);
	if (trigger->tgnargs > 1)
	{
		rule->field2 = (uint32) pg_strtoint32(trigger->tgargs[1]);
		rule->lock_class = TWO_INT_ADVISORY_CLASS;
	}
	else
	{
		rule->field2 = RelationGetRelid(trigdata->tg_relation);
		rule->lock_class = KEY_LOCK_CLASS;
		rule->hash = &lookup_type_cache(INT4OID, TYPECACHE_HASH_PROC_FINFO)->hash_proc_finfo;
	}
	return rule;
}

/* The third lock field of a row's key; false if the key is NULL. */
static bool
lock_field(KeyLockRule *rule, HeapTuple tuple, TupleDesc desc, uint32 *field)
{
	bool		isnull;
	Datum		key = heap_getattr(tuple, rule->column, desc, &isnull);

	if (isnull)
		return false;
	*field = rule->hash ? DatumGetUInt32(FunctionCall1(rule->hash, key)) : DatumGetUInt32(key);
	return true;
}

static void
lock(KeyLockRule *rule, uint32 field3)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, rule->field2, field3, rule->lock_class);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

Datum
twin_key_lock(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = before_row_trigger(fcinfo, "twin_key_lock");
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	KeyLockRule *rule = (KeyLockRule *) fcinfo->flinfo->fn_extra;
	uint32		first;
	uint32		second;
	bool		has_first;
	bool		has_second;

	if (rule == NULL)
	{
		rule = make_rule(trigdata, fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = rule;
	}

	has_first = lock_field(rule, trigdata->tg_trigtuple, desc, &first);
	if (!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		if (has_first)
			lock(rule, first);
		return PointerGetDatum(trigdata->tg_trigtuple);
	}

	has_second = lock_field(rule, trigdata->tg_newtuple, desc, &second);
	if (has_first && has_second && first > second)
	{
		uint32		swap = first;

		first = second;
		second = swap;
	}
	if (has_first)
		lock(rule, first);
	if (has_second && !(has_first && first == second))
		lock(rule, second);
	return PointerGetDatum(trigdata->tg_newtuple);
}
