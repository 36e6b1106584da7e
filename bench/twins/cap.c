/*
 * twin_cap('slot column', 'slots'): gives rows the slots 1, 2, ... of a cap in turn, as raceguard.cap_guard does for
 * rows that come key by key. It looks at no index and takes no lock, so it is less than a cap: what remains is what
 * Postgres takes for a column that a BEFORE trigger fills.
 */
#include "twins.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/rel.h"

typedef struct CapRule
{
	int			column;
	int			slots;
	int			last;
} CapRule;

PG_FUNCTION_INFO_V1(twin_cap);

static CapRule *
make_rule(TriggerData *trigdata, MemoryContext context)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	Trigger    *trigger = trigdata->tg_trigger;
	CapRule    *rule = MemoryContextAllocZero(context, sizeof(CapRule));

	rule->column = SPI_fnumber(desc, trigger->tgargs[0]);
	if (rule->column <= 0 || TupleDescAttr(desc, rule->column - 1)->atttypid != INT4OID)
		elog(ERROR, "twin_cap: \"%s\" must be an integer column", trigger->tgargs[0]);
	rule->slots = pg_strtoint32(trigger->tgargs[1]);
	return rule;
}

Datum
twin_cap(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = before_row_trigger(fcinfo, "twin_cap");
	CapRule    *rule = (CapRule *) fcinfo->flinfo->fn_extra;
	Datum		slot;
	bool		isnull = false;

	if (rule == NULL)
	{
		rule = make_rule(trigdata, fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = rule;
	}
	rule->last = rule->last % rule->slots + 1;
	slot = Int32GetDatum(rule->last);
	return PointerGetDatum(heap_modify_tuple_by_cols(trigdata->tg_trigtuple,
													 RelationGetDescr(trigdata->tg_relation),
													 1, &rule->column, &slot, &isnull));
}
