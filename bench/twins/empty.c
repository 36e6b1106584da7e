/* A trigger that does nothing: what Postgres itself charges for firing one. */
#include "twins.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(twin_empty);

Datum
twin_empty(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		return PointerGetDatum(trigdata->tg_newtuple);
	return PointerGetDatum(trigdata->tg_trigtuple);
}
