-- What the guards did: counters in shared memory.

CREATE FUNCTION raceguard.stats_counters(
    OUT trigger oid,
    OUT passed bigint,
    OUT conflicts bigint,
    OUT missing bigint,
    OUT refused bigint,
    OUT observed bigint,
    OUT bypassed bigint,
    OUT waited bigint,
    OUT wait_time double precision,
    OUT escalated bigint,
    OUT failed bigint,
    OUT last_conflict_at timestamptz,
    OUT last_conflict_xid xid8
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'raceguard_stats_counters';
COMMENT ON FUNCTION raceguard.stats_counters() IS
'The counters behind the view raceguard.stats, a row for each guard of this database that has counted something, by the OID of its trigger (of the topmost table, for a guard of partitions; of the table that clients name, for shards and chunks). last_conflict_at is -infinity and last_conflict_xid 0 where there is none.';

CREATE FUNCTION raceguard.stats_state(
    OUT backing text,
    OUT slots int,
    OUT used int,
    OUT overflow bigint,
    OUT stats_since timestamptz,
    OUT stats_reset timestamptz
) RETURNS record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'raceguard_stats_state';
COMMENT ON FUNCTION raceguard.stats_state() IS
'What the view raceguard.stats_info says of the counters; -infinity stands for never.';

CREATE FUNCTION raceguard.stats_reset(target regclass DEFAULT NULL, guard name DEFAULT NULL) RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_stats_reset';
COMMENT ON FUNCTION raceguard.stats_reset(regclass, name) IS
'Sets the counters of the view raceguard.stats to zero: of one guard, of all guards of a table (guard left out), or of all guards of this database (both left out). Returns the time. Takes effect at once, whatever becomes of the transaction; rows that a running transaction has let pass are added when it ends. Not for PUBLIC: GRANT EXECUTE to who may. Errors: 42501 not granted, 22004 a guard without its table, 42704 no such guard.';
REVOKE EXECUTE ON FUNCTION raceguard.stats_reset(regclass, name) FROM PUBLIC;

CREATE VIEW raceguard.stats AS
SELECT g.target,
       g.guard,
       g.kind,
       g.mode,
       g.enabled,
       coalesce(c.passed, 0) AS passed,
       coalesce(c.conflicts, 0) AS conflicts,
       coalesce(c.missing, 0) AS missing,
       coalesce(c.refused, 0) AS refused,
       coalesce(c.observed, 0) AS observed,
       coalesce(c.bypassed, 0) AS bypassed,
       coalesce(c.waited, 0) AS waited,
       coalesce(c.wait_time, 0) AS wait_time,
       coalesce(c.escalated, 0) AS escalated,
       coalesce(c.failed, 0) AS failed,
       nullif(c.last_conflict_at, '-infinity') AS last_conflict_at,
       nullif(c.last_conflict_xid, '0') AS last_conflict_xid
FROM raceguard.guards g
JOIN pg_catalog.pg_trigger t ON t.tgrelid = g.target AND t.tgname = g.trigger_name
LEFT JOIN raceguard.stats_counters() c ON c.trigger = t.oid;
COMMENT ON VIEW raceguard.stats IS
'What each guard of this database did since raceguard.stats_info.stats_reset, partitions counted with their root, shards and chunks of this server with their table. Counters outlive a ROLLBACK and are lost when the server restarts, unless they are custom statistics (raceguard.stats_kind). passed: rows judged and let pass, added when their transaction ends; conflicts: RG409; missing: RG428; refused: RG403, RG429, RG404, RG422; what calls refuse (compare_and_swap, compare_and_delete, swap_columns, take, take_all, lock_rows) counts at the table''s version guard, and nowhere where it has none; observed: rows that observe mode let pass; bypassed: rows that a bypass let pass; waited, wait_time: how often a writer waited for one of the guard''s locks, whatever ended the wait, and how long in all, in milliseconds; escalated: transactions that took one lock for the whole table; failed: rows refused because the guard could not judge them; last_conflict_at: of the last conflict, missing version or refusal; last_conflict_xid: the transaction that had written its row, for RG409, where it is known. Not here: UPDATE ... WHERE version = n that finds no row, and 40001 at REPEATABLE READ; no guard sees them.';

CREATE VIEW raceguard.stats_info AS
SELECT s.backing,
       s.slots,
       s.used,
       s.overflow,
       nullif(s.stats_since, '-infinity') AS stats_since,
       nullif(s.stats_reset, '-infinity') AS stats_reset,
       raceguard.version() AS library_version,
       (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'raceguard') AS extension_version
FROM raceguard.stats_state() s;
COMMENT ON VIEW raceguard.stats_info IS
'How the counters of raceguard.stats are kept. backing: shared memory, dynamic shared memory, custom statistics (which survive a restart), or none where the server has no room; slots: guards of all databases that have room now; used: those that have taken it; overflow: outcomes that were not counted because there was no room; stats_since: since when this server counts, its last start or crash, with custom statistics its first start or last crash; stats_reset: since when the counters of this database count; library_version, extension_version: what is loaded, and what CREATE or ALTER EXTENSION installed.';
GRANT SELECT ON raceguard.stats, raceguard.stats_info TO PUBLIC;
