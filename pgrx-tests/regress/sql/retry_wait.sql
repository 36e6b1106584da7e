-- What pg_stat_activity shows of a session that waits between two attempts: an event of type Extension,
-- from Postgres 17 on with a name of its own. A cancel ends the wait.
CREATE EXTENSION raceguard;
\setenv DB :DBNAME
-- A random share of an hour, which nobody waits for here.
\! psql -X -q -d "$DB" -c "SET application_name = 'retry_wait'" -c "CALL raceguard.retry('DO ''BEGIN RAISE serialization_failure; END''', max_attempts => 1000, base_delay => '1 hour', max_delay => '1 hour')" >/dev/null 2>&1 &
CREATE FUNCTION wait_events(until text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    seen text;
BEGIN
    FOR i IN 1 .. 600 LOOP
        PERFORM pg_stat_clear_snapshot();
        SELECT string_agg(concat_ws(' ', wait_event_type, wait_event), ', ') INTO seen
        FROM pg_stat_activity WHERE application_name = 'retry_wait';
        EXIT WHEN seen ~ until OR until = 'gone' AND seen IS NULL;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RETURN seen;
END $$;
SELECT wait_events('^Extension') = CASE WHEN current_setting('server_version_num')::int >= 170000
                                        THEN 'Extension RaceguardRetry' ELSE 'Extension Extension' END AS named;
-- It holds nothing meanwhile.
SELECT state, backend_xid, backend_xmin, (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND locktype <> 'virtualxid') AS locks
FROM pg_stat_activity a WHERE application_name = 'retry_wait';
SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'retry_wait';
SELECT wait_events('gone');
