-- Every table made from now on gets a guard. In the control the triggers of that guard call functions that do no more than
-- a trigger of a guarded row must. The settings guarding.kind (key_lock or version) and guarding.control choose.
\set ON_ERROR_STOP on
CREATE EXTENSION raceguard;
CREATE SCHEMA control;
GRANT USAGE ON SCHEMA control TO PUBLIC;

CREATE FUNCTION control.key_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION control.version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.raceguard_version := OLD.raceguard_version + 1;
    RETURN NEW;
END $$;

-- The key: the primary key, so that writers of different rows do not wait for each other; without one, the first column
-- that has a hash function.
CREATE FUNCTION control.key(target regclass) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(
        (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
         FROM pg_index i JOIN pg_attribute a ON a.attrelid = target AND attnum = ANY (indkey)
         WHERE indrelid = target AND indisprimary),
        (SELECT quote_ident(attname) FROM pg_attribute
         WHERE attrelid = target AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
           AND EXISTS (SELECT FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'hash'
                       WHERE c.opcdefault AND c.opcintype = atttypid)
         ORDER BY attnum LIMIT 1))
$$;

CREATE FUNCTION control.guard(target regclass, kind text, control boolean) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET client_min_messages = error AS $$
DECLARE
    made record;
BEGIN
    CASE kind
    WHEN 'key_lock' THEN PERFORM raceguard.add_key_lock(target, control.key(target));
    WHEN 'version' THEN PERFORM raceguard.add_version(target, 'raceguard_version');
    END CASE;
    IF control THEN
        FOR made IN SELECT pg_get_triggerdef(t.oid) AS ddl FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid
                    WHERE tgrelid = target AND pronamespace = 'raceguard'::regnamespace AND NOT tgisinternal
        LOOP
            EXECUTE regexp_replace(replace(made.ddl, 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER'),
                                   'raceguard\.\w+\(', format('control.%I(', kind));
        END LOOP;
    END IF;
    RAISE LOG 'guarded: %', target;
EXCEPTION WHEN OTHERS THEN
    -- A table that no guard can stand on, in both runs.
    IF SQLSTATE LIKE 'XX%' THEN RAISE; END IF;
    RAISE LOG 'unguarded: % (% %)', target, SQLSTATE, SQLERRM;
END $$;

-- The tables that test_setup fills are guarded at its end: COPY brings no value for a version column.
CREATE FUNCTION control.guard_all(targets regclass[]) RETURNS void LANGUAGE sql AS $$
    SELECT control.guard(t, current_setting('guarding.kind'), current_setting('guarding.control')::boolean)
    FROM unnest(targets) t
$$;

CREATE FUNCTION control.on_create() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF current_setting('application_name') <> 'pg_regress/test_setup' THEN
        PERFORM control.guard_all(array_agg(DISTINCT c.oid::regclass))
        FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p') AND NOT c.relispartition;
    END IF;
END $$;

CREATE EVENT TRIGGER guard_all ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
    EXECUTE FUNCTION control.on_create();
