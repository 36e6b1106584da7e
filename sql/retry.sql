-- Transactions repeated until they meet no conflict.

CREATE PROCEDURE raceguard.retry(
    statements text,
    params jsonb DEFAULT NULL,
    isolation text DEFAULT 'serializable',
    max_attempts int DEFAULT 5,
    base_delay interval DEFAULT '10 ms',
    max_delay interval DEFAULT '1 s',
    INOUT attempts int DEFAULT NULL
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_retry';
COMMENT ON PROCEDURE raceguard.retry(text, jsonb, text, int, interval, interval, int) IS
'Runs statements in a transaction of their own and repeats it after a serialization failure (40001) or a deadlock (40P01), failures at COMMIT included. params: bound as $1. isolation: serializable, repeatable read or read committed. max_attempts: the first counts. base_delay, max_delay: the wait before the next attempt is random up to base_delay, doubled after each failure, at most max_delay. attempts: returns how many it took. Rows that the statements return are thrown away. The last failure is raised with its own SQLSTATE and a DETAIL that names the attempts, other errors at once and unchanged. Errors: 25001 inside a transaction block, a function, a pipeline or wherever something has been written before; 2D000 transaction control among the statements; 22023 bad argument, 22004 NULL.';
