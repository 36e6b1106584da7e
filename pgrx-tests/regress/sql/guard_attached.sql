-- Triggers written by hand that would let writes pass unseen: 39P01 at the first firing, shown by the view,
-- and put up anew by add_*.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
\set code '\\echo SQLSTATE :SQLSTATE'
CREATE TABLE t (id int PRIMARY KEY, a int, b int, at timestamp, version bigint NOT NULL DEFAULT 1, slot int);
CREATE TABLE parents (id int PRIMARY KEY);
CREATE INDEX ON t (a, at);
CREATE UNIQUE INDEX ON t (a, slot) WHERE slot > 0;
INSERT INTO t VALUES (1, 1, 1);
SELECT raceguard.add_version('parents');
INSERT INTO parents VALUES (1), (2);
ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (b) REFERENCES parents;

-- An update of a tells; one of b never reached the guard. Each of these fires, and refuses.
CREATE FUNCTION attached(clause text, call text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text := 'passed';
    words text;
    whole boolean;
BEGIN
    EXECUTE format('CREATE TRIGGER g %s EXECUTE FUNCTION raceguard.%s', clause, call);
    SELECT g.whole INTO whole FROM raceguard.guards g WHERE target = 't'::regclass;
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS words = PG_EXCEPTION_DETAIL;
        said := format('%s %s / %s', SQLSTATE, SQLERRM, words);
    END;
    DROP TRIGGER g ON t;
    RETURN format('whole %s: %s', whole, said);
END $$;
\x
SELECT attached('BEFORE UPDATE OF a ON t FOR EACH ROW', 'version_guard(''version'')', 'UPDATE t SET a = 2');
SELECT attached('BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.a = 1)', 'version_guard(''version'')', 'UPDATE t SET a = 2');
SELECT attached('BEFORE INSERT ON t FOR EACH ROW', 'version_guard(''version'')', 'INSERT INTO t VALUES (2)');
SELECT attached('BEFORE UPDATE OR DELETE ON t FOR EACH ROW', 'version_guard(''version'')', 'UPDATE t SET a = 2');
SELECT attached('BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW WHEN (true)', 'key_lock_guard(''a'')', 'INSERT INTO t VALUES (2)');
SELECT attached('BEFORE INSERT OR UPDATE ON t FOR EACH ROW', 'key_lock_guard(''a'')', 'INSERT INTO t VALUES (2)');
SELECT attached('BEFORE INSERT OR UPDATE OF a OR DELETE ON t FOR EACH ROW', 'key_lock_guard(''a'')', 'DELETE FROM t');
SELECT attached('BEFORE INSERT ON t FOR EACH ROW', 'cap_guard(''slot'', ''slots=2'')', 'INSERT INTO t VALUES (2)');
SELECT attached('BEFORE INSERT OR UPDATE OF a ON t FOR EACH ROW', 'cap_guard(''slot'', ''slots=2'')', 'INSERT INTO t VALUES (2)');
SELECT attached('BEFORE INSERT OR UPDATE ON t FOR EACH ROW WHEN (NEW.a > 0)', 'cap_guard(''slot'', ''slots=2'')', 'INSERT INTO t VALUES (2, 3)');
SELECT attached('AFTER INSERT ON t FOR EACH ROW WHEN (NEW.id > 0)', 'cap_full_guard(''slot'', ''slots=2'')', 'INSERT INTO t VALUES (2)');
SELECT attached('AFTER INSERT ON t FOR EACH ROW', 'cooldown_guard(''a'', ''at=at'', ''period=1 day'')', 'INSERT INTO t VALUES (2)');
SELECT attached('AFTER INSERT OR UPDATE OF at ON t FOR EACH ROW', 'cooldown_guard(''a'', ''at=at'', ''period=1 day'')', 'INSERT INTO t VALUES (2)');
SELECT attached('AFTER INSERT OR UPDATE ON t FOR EACH ROW WHEN (NEW.a > 0)', 'cooldown_guard(''a'', ''at=at'', ''period=1 day'')', 'INSERT INTO t VALUES (2, 3)');
SELECT attached('AFTER INSERT OR DELETE ON t FOR EACH ROW', 'parent_version_guard(''fk'')', 'INSERT INTO t VALUES (2, 1, 2)');
SELECT attached('AFTER INSERT OR UPDATE OF a OR DELETE ON t FOR EACH ROW', 'parent_version_guard(''fk'')', 'INSERT INTO t VALUES (2, 1, 2)');
-- Attached as they should be.
SELECT attached('BEFORE INSERT OR UPDATE ON t FOR EACH ROW', 'version_guard(''version'')', 'UPDATE t SET a = 2');
SELECT attached('BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW', 'key_lock_guard(''a'')', 'UPDATE t SET a = 2');
SELECT attached('AFTER INSERT OR UPDATE ON t FOR EACH ROW', 'cooldown_guard(''a'', ''at=at'', ''period=1 day'')', 'INSERT INTO t VALUES (2)');
\x
SELECT id, a, version FROM t ORDER BY id;

-- The call of the same definition is no longer content with it.
DELETE FROM t;
CREATE TRIGGER by_hand BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version');
SELECT raceguard.add_version('t');
CREATE TRIGGER zz_raceguard_key_lock BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION raceguard.key_lock_guard('a');
SELECT raceguard.add_key_lock('t', 'a');
CREATE TRIGGER zz_raceguard_cooldown AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION raceguard.cooldown_guard('a', 'at=at', 'period=1 day');
SELECT raceguard.add_cooldown('t', 'a', 'at', '1 day');
CREATE TRIGGER zz_raceguard_parent_version AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION raceguard.parent_version_guard('fk');
SELECT raceguard.add_parent_version('t', 'parents');
CREATE TRIGGER zz_raceguard_cap BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION raceguard.cap_guard('slot', 'slots=2');
SELECT raceguard.add_cap('t', 'a', 2);
SELECT guard, trigger_name, enabled, whole FROM raceguard.guards WHERE target = 't'::regclass ORDER BY guard;
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal ORDER BY tgname;
