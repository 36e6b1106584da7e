-- DDL on guarded tables.

CREATE FUNCTION raceguard.protect_ddl(mode text DEFAULT 'warn') RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_protect_ddl';
COMMENT ON FUNCTION raceguard.protect_ddl(text) IS
'Has DDL on guarded tables looked at from now on, by two event triggers of this database. Guards follow RENAME of the columns and foreign keys that they name. Commands that leave a guard broken or off (dropped or retyped columns, dropped indexes, constraints and triggers, triggers replaced by others, DISABLE TRIGGER) are a WARNING (warn) or 55000 (error); off takes the event triggers away. They are in dumps; DROP EXTENSION wants them off. Errors: 22023 another mode, 42501 not a superuser, 22004.';

CREATE FUNCTION raceguard.ddl_warn() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_ddl_warn';
COMMENT ON FUNCTION raceguard.ddl_warn() IS
'Event trigger function of raceguard.protect_ddl(''warn''), for ddl_command_end and sql_drop.';

CREATE FUNCTION raceguard.ddl_error() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_ddl_error';
COMMENT ON FUNCTION raceguard.ddl_error() IS
'Event trigger function of raceguard.protect_ddl(''error''), for ddl_command_end and sql_drop. Raises 55000.';
