/*
 * twin_swap(pk jsonb, expected bigint, changes jsonb): the UPDATE of raceguard.compare_and_swap for one table, whose
 * columns it knows: swap_twin(id int PRIMARY KEY, shipping_address text, version bigint). A call from SQL, two values
 * read out of jsonb, one statement that was planned before, and its row as jsonb.
 */
#include "twins.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(twin_swap);

static JsonbValue *
member(Jsonb *object, const char *name, enum jbvType type)
{
	JsonbValue	key;
	JsonbValue *found;

	key.type = jbvString;
	key.val.string.val = (char *) name;
	key.val.string.len = strlen(name);
	found = findJsonbValueFromContainer(&object->root, JB_FOBJECT, &key);
	if (found == NULL || found->type != type)
		elog(ERROR, "twin_swap: no \"%s\" of its type", name);
	return found;
}

Datum
twin_swap(PG_FUNCTION_ARGS)
{
	static SPIPlanPtr plan = NULL;
	JsonbValue *id = member(PG_GETARG_JSONB_P(0), "id", jbvNumeric);
	JsonbValue *address = member(PG_GETARG_JSONB_P(2), "shipping_address", jbvString);
	Datum		values[3];
	bool		isnull;
	Datum		row;

	SPI_connect();
	if (plan == NULL)
	{
		Oid			types[3] = {INT4OID, TEXTOID, INT8OID};

		plan = SPI_prepare("UPDATE ONLY swap_twin AS t SET shipping_address = $2, version = t.version + 1 "
						   "WHERE t.id = $1 AND t.version = $3 RETURNING to_jsonb(t.*)", 3, types);
		SPI_keepplan(plan);
	}
	values[0] = DirectFunctionCall1(numeric_int4, NumericGetDatum(id->val.numeric));
	values[1] = PointerGetDatum(cstring_to_text_with_len(address->val.string.val, address->val.string.len));
	values[2] = Int64GetDatum(PG_GETARG_INT64(1));
	SPI_execute_plan(plan, values, NULL, false, 0);
	if (SPI_processed != 1)
		elog(ERROR, "twin_swap: row has changed");
	row = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	row = SPI_datumTransfer(row, false, -1);
	SPI_finish();
	PG_RETURN_DATUM(row);
}
