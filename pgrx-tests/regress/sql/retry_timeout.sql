-- transaction_timeout (Postgres 17) counts from the beginning of each attempt; between two of them raceguard
-- only waits, which must not end the session.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        PERFORM set_config('transaction_timeout', '300 ms', false);
    END IF;
END $$;
SELECT pg_backend_pid() AS session \gset
CREATE SEQUENCE tries;
-- Three waits of up to 1, 2 and 4 seconds.
CALL raceguard.retry($$DO 'BEGIN PERFORM nextval(''tries''); RAISE serialization_failure; END'$$,
                     max_attempts => 4, base_delay => '1 s', max_delay => '4 s');
\echo :LAST_ERROR_SQLSTATE
SELECT last_value AS attempts, pg_backend_pid() = :session AS same_session FROM tries;
-- It is in force again.
SELECT current_setting('transaction_timeout', true) IN ('300ms') IS NOT FALSE AS kept;
