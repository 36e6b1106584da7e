-- Roll-out: guards for many tables, and for tables that do not exist yet.

CREATE FUNCTION raceguard.plan_guards(
    kind text,
    options jsonb DEFAULT '{}',
    schemas name[] DEFAULT NULL,
    where_column name DEFAULT NULL,
    exclude regclass[] DEFAULT '{}'
) RETURNS TABLE (step int, target regclass, ddl text, lock_mode text, own_transaction boolean, size bigint, blocked_by text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_guards';
COMMENT ON FUNCTION raceguard.plan_guards(text, jsonb, name[], name, regclass[]) IS
'What a guard on each of many tables takes: the steps of raceguard.plan_<kind> for every table that has not all of it. kind: as in the view raceguard.guards. options: the arguments of raceguard.add_<kind> after the table, by their names. schemas: whose tables, NULL for all schemas. where_column: only tables that have this column. exclude: tables to leave out. Partitions, temporary tables and those of extensions are left out. size: of the table in bytes, without indexes. blocked_by: the sessions that hold locks the step would have to wait for now; where ddl is NULL, why the table cannot have the guard. Changes nothing itself. Errors: 22023 unknown kind or option, or a value of the wrong type, 3F000 no such schema, 22004.';

CREATE PROCEDURE raceguard.add_guards(
    kind text,
    options jsonb DEFAULT '{}',
    schemas name[] DEFAULT NULL,
    where_column name DEFAULT NULL,
    exclude regclass[] DEFAULT '{}',
    lock_timeout interval DEFAULT '200 ms',
    attempts int DEFAULT 20
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_guards';
COMMENT ON PROCEDURE raceguard.add_guards(text, jsonb, name[], name, regclass[], interval, int) IS
'Puts a guard on each of many tables, chosen as by raceguard.plan_guards, in a transaction for each. lock_timeout: the longest wait for locks on one table, and so of the sessions that queue behind it. attempts: how often a table that is locked by others is tried; the others have their turn in between. Tables that have the guard are passed over. A table of more than 8 MB whose plan has steps that take a transaction of their own is left out, as is one that cannot have the guard: an error at the end names them, and the guards that were added stay. Called again it goes on with what is missing. Errors: 55000 tables were left out (with the reasons), 25001 inside a transaction block, 22023 unknown kind or option, or a value of the wrong type, 3F000 no such schema, 22004.';

CREATE FUNCTION raceguard.auto_guard(
    kind text,
    options jsonb DEFAULT '{}',
    schema name DEFAULT NULL,
    where_column name DEFAULT NULL
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_auto_guard';
COMMENT ON FUNCTION raceguard.auto_guard(text, jsonb, name, name) IS
'Gives every table that is created from now on a guard, by an event trigger with a function of its own in the schema raceguard that holds the arguments. kind, options: as for raceguard.add_guards. schema: in which schema, NULL for all. where_column: only tables that have this column when they are created. Partitions, which have the guards of their root, temporary tables and those of extensions are passed over. The guard is added as whoever creates the table; if it cannot be, CREATE TABLE fails with its error. Returns the event trigger''s name. ALTER EVENT TRIGGER ... DISABLE switches it off, raceguard.drop_auto_guard takes it away. Errors: 42501 not a superuser, 42710 stands with other options, 22023 unknown kind or option, or a value of the wrong type, 3F000 no such schema, 22004.';

CREATE FUNCTION raceguard.drop_auto_guard(
    kind text,
    schema name DEFAULT NULL,
    where_column name DEFAULT NULL
) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_drop_auto_guard';
COMMENT ON FUNCTION raceguard.drop_auto_guard(text, name, name) IS
'Takes away what raceguard.auto_guard made for the same kind, schema and where_column. Guards that tables have got stay. Errors: 42704 no such event trigger (with those there are), 42501 not its owner, 22004.';

CREATE FUNCTION raceguard.guard_new_tables(kind text, options jsonb, schema name, where_column name)
    RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_guard_new_tables';
COMMENT ON FUNCTION raceguard.guard_new_tables(text, jsonb, name, name) IS
'For the event triggers of raceguard.auto_guard only: adds the guard to the tables that the present command has made. Errors: 39P03 outside an event trigger, and those of raceguard.add_<kind>.';
