/*
 * twin_version in a library that defines as many settings as raceguard does when it is loaded. Up to Postgres 15 each of
 * them has the server sort the list of all its settings anew.
 */
#include "../version.c"

#include "utils/guc.h"

PG_MODULE_MAGIC;

static char *text_setting;
static int	enum_settings[2];
static int	int_settings[2];
static bool bool_settings[2];

static const struct config_enum_entry choices[] = {
	{"first", 0, false}, {"second", 1, false}, {NULL, 0, false}
};

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	DefineCustomStringVariable("raceguard_twin.text", "", NULL, &text_setting, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("raceguard_twin.enum_1", "", NULL, &enum_settings[0], 0, choices, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("raceguard_twin.enum_2", "", NULL, &enum_settings[1], 0, choices, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("raceguard_twin.int_1", "", NULL, &int_settings[0], 1, 1, 9, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("raceguard_twin.int_2", "", NULL, &int_settings[1], 1, 1, 9, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("raceguard_twin.bool_1", "", NULL, &bool_settings[0], false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("raceguard_twin.bool_2", "", NULL, &bool_settings[1], false, PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("raceguard_twin");
}
