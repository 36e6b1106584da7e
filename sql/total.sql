-- Totals: a column of the parent that always equals the count or the sum of its children.

CREATE FUNCTION raceguard.total_guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_guard';
COMMENT ON FUNCTION raceguard.total_guard() IS
'Trigger function of a total, AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW on the child. Arguments: the parent''s column, foreign_key=NAME, and amount=EXPRESSION (default 1), predicate=EXPRESSION, settle=commit where they are not the default. Notes what the row adds to or takes from its parent; raceguard.total_statement and raceguard.total_settle write it. raceguard.add_total creates the triggers.';

CREATE FUNCTION raceguard.total_statement() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_statement';
COMMENT ON FUNCTION raceguard.total_statement() IS
'Trigger function of a total, BEFORE and AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE FOR EACH STATEMENT on the child, with the arguments of raceguard.total_guard. Writes the totals when the outermost statement ends, one UPDATE for each parent, in the order of table and primary key.';

CREATE FUNCTION raceguard.total_settle() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_settle';
COMMENT ON FUNCTION raceguard.total_settle() IS
'Trigger function of the deferred part of a total: CONSTRAINT TRIGGER AFTER INSERT OR UPDATE OR DELETE, DEFERRABLE INITIALLY DEFERRED, FOR EACH ROW, on the child FROM the parent WHEN (raceguard.total_due(at_commit)), and on the parent WHEN (raceguard.total_parent_due()). Writes the totals that no statement''s end has written. SET CONSTRAINTS ALL IMMEDIATE brings it forward.';

CREATE FUNCTION raceguard.total_column() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_column';
COMMENT ON FUNCTION raceguard.total_column() IS
'Trigger function of a total, BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW on the parent. Arguments: the column, and at_most=EXPRESSION, at_least=EXPRESSION. A new parent starts at 0, or at NULL where the lower bound is above zero; a change of the column by anybody but the guard is 428C9.';

CREATE FUNCTION raceguard.total_parent() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_parent';
COMMENT ON FUNCTION raceguard.total_parent() IS
'Trigger function of a total, AFTER INSERT OR UPDATE FOR EACH ROW and AFTER TRUNCATE FOR EACH STATEMENT on the parent, with the arguments of raceguard.total_column. Sees that a parent that comes, or gets another key, has the total of what stands under it.';

CREATE FUNCTION raceguard.total_due(at_commit boolean) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_due';
COMMENT ON FUNCTION raceguard.total_due(boolean) IS
'For the WHEN condition of a raceguard.total_settle trigger on a child only: true where an event has to be queued, so that one is queued per transaction and not one per row. A transaction that calls it by hand may be unable to commit (55000).';

CREATE FUNCTION raceguard.total_parent_due() RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_total_parent_due';
COMMENT ON FUNCTION raceguard.total_parent_due() IS
'For the WHEN condition of a raceguard.total_settle trigger on a parent only: true where something noted in the transaction may concern the row. A transaction that calls it by hand may be unable to commit (55000).';

CREATE FUNCTION raceguard.add_total(
    child regclass,
    parent regclass,
    total_column name,
    amount text DEFAULT '1',
    predicate text DEFAULT NULL,
    at_most text DEFAULT NULL,
    at_least text DEFAULT NULL,
    settle text DEFAULT 'statement',
    foreign_key name DEFAULT NULL,
    guard name DEFAULT 'total',
    replace boolean DEFAULT false
) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_add_total';
COMMENT ON FUNCTION raceguard.add_total(regclass, regclass, name, text, text, text, text, text, name, name, boolean) IS
'Keeps total_column of parent equal to the sum of amount over the rows of child that refer to it and satisfy predicate. A missing column is added: bigint, or numeric for a numeric amount. amount and predicate: IMMUTABLE expressions over the child''s columns; NULL counts 0. at_most, at_least: numbers or expressions over the parent''s columns, NULL is no bound; a CHECK on the parent enforces them, and what it refuses is RG403 (above) or RG422 (below). settle: ''statement'' writes the total when the statement ends, ''commit'' when the transaction does. foreign_key: from child to parent, where there are several. Needs ownership of both tables. Returns the trigger''s name. Errors: 23514 rows that stand are beyond a bound, 42704 or 22023 foreign key, 42804 types, 42P17 not IMMUTABLE, 42710 another definition, or other bounds of the column (unless replace), 0A000 parent without primary key, 42501.';

CREATE FUNCTION raceguard.plan_total(
    child regclass,
    parent regclass,
    total_column name,
    amount text DEFAULT '1',
    predicate text DEFAULT NULL,
    at_most text DEFAULT NULL,
    at_least text DEFAULT NULL,
    settle text DEFAULT 'statement',
    foreign_key name DEFAULT NULL,
    guard name DEFAULT 'total',
    replace boolean DEFAULT false
) RETURNS TABLE (step int, ddl text, lock_mode text, own_transaction boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_plan_total';
COMMENT ON FUNCTION raceguard.plan_total(regclass, regclass, name, text, text, text, text, text, name, name, boolean) IS
'What add_total with the same arguments does, as steps for tables that are in use. lock_mode: the strongest table lock of the step. own_transaction: Postgres refuses the step inside a transaction block. The bounds hold from the step that adds the CHECK on. Steps that are done are left out. Changes nothing itself, reads no rows. Errors: those of add_total but 23514.';

CREATE PROCEDURE raceguard.recount(
    child regclass,
    guard name DEFAULT 'total',
    batch int DEFAULT 1000
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'raceguard_recount';
COMMENT ON PROCEDURE raceguard.recount(regclass, name, int) IS
'Writes what stands under each parent of a total into its column, batch parents to a transaction, each under its own lock, while others write. child, guard: the total. For one that is put on a live table by the steps of plan_total, and for rows that were written where no trigger fires. Needs ownership of both tables. Errors: 25001 inside a transaction block or function, 42704 no such total, 42501, RG403 or RG422 where what stands is beyond a bound.';
