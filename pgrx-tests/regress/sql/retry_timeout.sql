-- transaction_timeout (Postgres 17) counts from the beginning of each attempt; between two of them raceguard
-- only waits, which must not end the session.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        PERFORM set_config('transaction_timeout', '2 s', false);
    END IF;
END $$;
SELECT pg_backend_pid() AS session \gset
CREATE SEQUENCE tries;
-- Two waits of up to 4 and 8 seconds; an attempt is far shorter than the timeout.
CALL raceguard.retry($$DO 'BEGIN PERFORM nextval(''tries''); RAISE serialization_failure; END'$$,
                     max_attempts => 3, base_delay => '4 s', max_delay => '8 s');
\echo :LAST_ERROR_SQLSTATE
SELECT last_value AS attempts, pg_backend_pid() = :session AS same_session FROM tries;
-- It is in force again.
SELECT current_setting('transaction_timeout', true) IN ('2s') IS NOT FALSE AS kept;
