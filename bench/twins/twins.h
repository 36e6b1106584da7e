/*
 * Hand-written C triggers: the floor that raceguard's guards are measured against.
 * Each does the same work as its guard for the case that is measured, and nothing else.
 */
#ifndef RACEGUARD_BENCH_TWINS_H
#define RACEGUARD_BENCH_TWINS_H

#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"

/* Refuses every call but that of a BEFORE ROW trigger, as contrib/spi does. */
static inline TriggerData *
before_row_trigger(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "%s: not called by trigger manager", name);
	if (!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event))
		elog(ERROR, "%s: must be a BEFORE ROW trigger", name);
	return trigdata;
}

#endif
