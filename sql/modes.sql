-- Guards that stand: observed instead of enforced.

CREATE FUNCTION raceguard.set_mode(target regclass, guard name, mode text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_set_mode';
COMMENT ON FUNCTION raceguard.set_mode(regclass, name, text) IS
'Lets a guard that stands refuse (enforce), or log what it would have refused (observe); a key lock that observes never waits and tells who would have, a cap that observes lets a row too many in without a slot. guard: the name in raceguard.guards. Takes SHARE ROW EXCLUSIVE on the table and its partitions, for a cap ACCESS EXCLUSIVE; on each the guard stays enabled or disabled as it was. To enforce a cap numbers its rows first, under that lock. Errors: 22023 another mode, 42704 no such guard, 42501 not the owner, 0A000 a guard that only keeps a value, or one of a partition that comes from its root, 55000 not attached as it has to be, 23514 more rows than slots (with the keys), 40001 at REPEATABLE READ and SERIALIZABLE where the table''s guards, or for a cap its rows, have changed since the snapshot.';

-- Guards that one transaction may pass.

CREATE FUNCTION raceguard.bypass(target regclass, guard name, reason text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_bypass';
COMMENT ON FUNCTION raceguard.bypass(regclass, name, text) IS
'Lets what the current role writes pass a guard until the transaction, or the savepoint or block with EXCEPTION in which it is called, ends: a stale or missing version is accepted and still moves on, a key is not locked, a cooldown is not judged. guard: the name in raceguard.guards. reason: goes into the server''s log, one line per call. For the owner of the table, and for roles that were granted EXECUTE on this function by name: that of PUBLIC is not enough. Errors: 42501, 42704 no such guard, 0A000 a cap, a parent version, or a guard of a partition that comes from its root, 22004 no reason, 22023 an empty one.';

CREATE FUNCTION raceguard.end_bypass(target regclass DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_end_bypass';
COMMENT ON FUNCTION raceguard.end_bypass(regclass) IS
'Ends the bypasses that this transaction has open on a table, on all tables by default: their guards judge again.';

-- All guards taken away again.

CREATE PROCEDURE raceguard.uninstall(dry_run boolean DEFAULT true, drop_columns boolean DEFAULT false)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_uninstall';
COMMENT ON PROCEDURE raceguard.uninstall(boolean, boolean) IS
'Takes off all guards of the database and the event triggers that run raceguard''s functions, in one transaction that takes ACCESS EXCLUSIVE on each table; DROP EXTENSION raceguard is left to the caller, and then needs no CASCADE. Each statement is shown in a NOTICE. dry_run: only show them. drop_columns: drop version and slot columns as well. For superusers and who owns all of it. Errors: 42501 with the first table of somebody else''s, before anything is dropped, 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';
