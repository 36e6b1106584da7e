/*
 * twin_version('column' [, 'ignored column' ...]): the version check and bump of
 * raceguard.version_guard with client_sends=next and unstated=allow, for a bigint column.
 */
#include "twins.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "nodes/bitmapset.h"
#include "utils/datum.h"
#include "utils/rel.h"

typedef struct VersionRule
{
	int			column;
	int			ncompared;		/* 0: no column is ignored, every update counts */
	int		   *compared;		/* attribute numbers that make an update count */
	Datum	   *old_values;
	Datum	   *new_values;
	bool	   *old_nulls;
	bool	   *new_nulls;
} VersionRule;

PG_FUNCTION_INFO_V1(twin_version);

static int
column_named(TupleDesc desc, const char *name)
{
	int			attnum = SPI_fnumber(desc, name);

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" does not exist", name)));
	return attnum;
}

static VersionRule *
make_rule(TriggerData *trigdata, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	Trigger    *trigger = trigdata->tg_trigger;
	VersionRule *rule = palloc0(sizeof(VersionRule));
	Bitmapset  *skipped = NULL;

	rule->column = column_named(desc, trigger->tgargs[0]);
	if (TupleDescAttr(desc, rule->column - 1)->atttypid != INT8OID)
		elog(ERROR, "twin_version: column \"%s\" must be bigint", trigger->tgargs[0]);
	if (trigger->tgnargs > 1)
	{
		skipped = bms_make_singleton(rule->column);
		for (int i = 1; i < trigger->tgnargs; i++)
			skipped = bms_add_member(skipped, column_named(desc, trigger->tgargs[i]));
		rule->compared = palloc(sizeof(int) * desc->natts);
		for (int i = 1; i <= desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i - 1);

			if (!att->attisdropped && !att->attgenerated && !bms_is_member(i, skipped))
				rule->compared[rule->ncompared++] = i;
		}
		rule->old_values = palloc(sizeof(Datum) * desc->natts);
		rule->new_values = palloc(sizeof(Datum) * desc->natts);
		rule->old_nulls = palloc(sizeof(bool) * desc->natts);
		rule->new_nulls = palloc(sizeof(bool) * desc->natts);
	}
	MemoryContextSwitchTo(caller);
	return rule;
}

static bool
counts_as_change(VersionRule *rule, TupleDesc desc, HeapTuple old, HeapTuple new)
{
	heap_deform_tuple(old, desc, rule->old_values, rule->old_nulls);
	heap_deform_tuple(new, desc, rule->new_values, rule->new_nulls);
	for (int i = 0; i < rule->ncompared; i++)
	{
		int			at = rule->compared[i] - 1;
		Form_pg_attribute att = TupleDescAttr(desc, at);

		if (rule->old_nulls[at] != rule->new_nulls[at])
			return true;
		if (!rule->old_nulls[at] &&
			!datumIsEqual(rule->old_values[at], rule->new_values[at],
						  att->attbyval, att->attlen))
			return true;
	}
	return false;
}

Datum
twin_version(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = before_row_trigger(fcinfo, "twin_version");
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	HeapTuple	old = trigdata->tg_trigtuple;
	HeapTuple	new = trigdata->tg_newtuple;
	VersionRule *rule = (VersionRule *) fcinfo->flinfo->fn_extra;
	int64		stored;
	int64		next;
	bool		isnull;
	Datum		value;

	if (!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		elog(ERROR, "twin_version: must be fired for UPDATE");
	if (rule == NULL)
	{
		rule = make_rule(trigdata, fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = rule;
	}

	stored = DatumGetInt64(heap_getattr(old, rule->column, desc, &isnull));
	if (isnull)
		stored = 0;
	if (pg_add_s64_overflow(stored, 1, &next))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("version out of range")));

	if (bms_is_member(rule->column - FirstLowInvalidHeapAttributeNumber,
					  trigdata->tg_updatedcols))
	{
		int64		stated = DatumGetInt64(heap_getattr(new, rule->column, desc, &isnull));

		if (isnull || stated != next)
			ereport(ERROR,
					(errcode(MAKE_SQLSTATE('R', 'G', '4', '0', '9')),
					 errmsg("row of \"%s\" has changed since it was read",
							RelationGetRelationName(trigdata->tg_relation)),
					 errdetail("Stated version %lld, stored version %lld.",
							   (long long) stated - 1, (long long) stored)));
		return PointerGetDatum(new);
	}
	if (rule->ncompared > 0 && !counts_as_change(rule, desc, old, new))
		return PointerGetDatum(new);

	value = Int64GetDatum(next);
	isnull = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(new, desc, 1, &rule->column,
													 &value, &isnull));
}
