/*
 * What src/pg/base/custom_statistics.rs declares by hand, compared by the compiler with the headers of a server: it
 * compiles, or does not. MAJOR is the server's. With BITS it is a program that succeeds, or does not.
 */
#include "postgres.h"

#include "utils/pgstat_internal.h"

#if MAJOR >= 19
#define NAME_AT 136
#else
#define NAME_AT 112
#endif

StaticAssertDecl(sizeof(PgStat_KindInfo) == NAME_AT + sizeof(char *), "size of the description");
StaticAssertDecl(offsetof(PgStat_KindInfo, name) == NAME_AT, "name");
StaticAssertDecl(offsetof(PgStat_KindInfo, shared_size) == 4, "shared_size");
StaticAssertDecl(offsetof(PgStat_KindInfo, shared_data_off) == 16, "shared_data_off");
StaticAssertDecl(offsetof(PgStat_KindInfo, shared_data_len) == 20, "shared_data_len");
StaticAssertDecl(offsetof(PgStat_KindInfo, reset_timestamp_cb) == 56, "reset_timestamp_cb");
StaticAssertDecl(offsetof(PgStatShared_Common, lock) == 4, "lock");
StaticAssertDecl(MAXALIGN(sizeof(PgStatShared_Common)) == 24, "size of the common header");
StaticAssertDecl(sizeof(PgStat_HashKey) == 16 && offsetof(PgStat_HashKey, dboid) == 4
				 && offsetof(PgStat_HashKey, objid) == 8, "key");
StaticAssertDecl(offsetof(PgStatShared_HashEntry, key) == 0 && offsetof(PgStatShared_HashEntry, dropped) == 16,
				 "entry");
StaticAssertDecl(offsetof(PgStat_EntryRef, shared_entry) == 0 && offsetof(PgStat_EntryRef, shared_stats) == 8,
				 "reference");

#ifdef BITS
/* They have no offset: to be run. */
int
main(void)
{
	union
	{
		PgStat_KindInfo info;
		unsigned char first;
	}			flags = {.info = {.write_to_file = true}};

	return flags.first == 4 ? 0 : 1;
}
#else
void (*const register_kind) (uint32, const PgStat_KindInfo *) = pgstat_register_kind;
PgStat_EntryRef *(*const get_entry_ref) (uint32, Oid, uint64, bool, bool *) = pgstat_get_entry_ref;
void (*const reset_matching) (bool (*) (PgStatShared_HashEntry *, Datum), Datum, TimestampTz)
= pgstat_reset_matching_entries;
void (*const drop_matching) (bool (*) (PgStatShared_HashEntry *, Datum), Datum) = pgstat_drop_matching_entries;
#endif
