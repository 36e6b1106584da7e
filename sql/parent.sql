-- Parent versions: a write to a child row moves its parent's version.

CREATE FUNCTION raceguard.parent_version_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_parent_version_guard';
COMMENT ON FUNCTION raceguard.parent_version_guard() IS
'Trigger function of a parent version guard, AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW. Argument: the name of a foreign key of the table; where the trigger of raceguard.parent_version_bump with the same argument was made FROM a parent, a foreign key to another table is not it, and the only one to that parent is. Notes the parents of OLD and NEW; raceguard.parent_version_bump bumps them, at the latest when the transaction ends. Without that trigger it bumps at the end of the statement. The foreign key must be enforced, its parent must have a version guard, and the owner of the table must be allowed to update the parent''s version column. raceguard.add_parent_version creates the triggers.';

CREATE FUNCTION raceguard.parent_version_bump() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_parent_version_bump';
COMMENT ON FUNCTION raceguard.parent_version_bump() IS
'Trigger function of the deferred part of a parent version guard: CONSTRAINT TRIGGER AFTER INSERT OR UPDATE OR DELETE, DEFERRABLE INITIALLY DEFERRED, FOR EACH ROW WHEN (raceguard.parent_version_due()), FROM the parent. Argument: the name of the foreign key. Without FROM and argument the guard knows its foreign key by name alone. Bumps every noted parent once, in the order of table and primary key. SET CONSTRAINTS ALL IMMEDIATE makes it fire at once.';

CREATE FUNCTION raceguard.parent_version_truncate() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_parent_version_truncate';
COMMENT ON FUNCTION raceguard.parent_version_truncate() IS
'Trigger function of a parent version guard for TRUNCATE, FOR EACH STATEMENT: BEFORE it notes the parents of all rows, AFTER it bumps those that are still there. Argument: the name of the foreign key.';

CREATE FUNCTION raceguard.parent_version_due() RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_parent_version_due';
COMMENT ON FUNCTION raceguard.parent_version_due() IS
'For the WHEN condition of a raceguard.parent_version_bump trigger only: true for the first child row of a transaction, so that one event is queued and not one per row. A transaction that calls it by hand cannot commit child rows (55000).';

CREATE FUNCTION raceguard.add_parent_version(
    child regclass,
    parent regclass,
    foreign_key name DEFAULT NULL,
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_parent_version';
COMMENT ON FUNCTION raceguard.add_parent_version(regclass, regclass, name, boolean) IS
'Makes every write to a row of child move the version of its parent row, once per transaction and parent, unless the transaction bumps the parent itself. parent: a table with a version guard. foreign_key: the foreign key from child to parent, where there are several. Needs ownership of child, whose owner must be allowed to update the parent''s version column. Returns the trigger''s name. Errors: 42704 no such foreign key, 22023 several foreign keys, 55000 the parent has no version guard, 42501 not the owner or no UPDATE on the version column, 42710 another foreign key to that parent is guarded (unless replace), 40001 at REPEATABLE READ and SERIALIZABLE where the table has changed since the snapshot.';

CREATE FUNCTION raceguard.plan_parent_version(
    child regclass,
    parent regclass,
    foreign_key name DEFAULT NULL,
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_parent_version';
COMMENT ON FUNCTION raceguard.plan_parent_version(regclass, regclass, name, boolean) IS
'What add_parent_version with the same arguments does, as steps. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. Steps that are done are left out. Changes nothing itself. Errors: those of add_parent_version.';
