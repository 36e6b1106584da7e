-- bypass: until the (sub)transaction ends, what a role writes passes a guard.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
\pset format unaligned
\pset footer off
CREATE ROLE bypass_owner;
CREATE ROLE bypass_granted;
CREATE ROLE bypass_member IN ROLE bypass_granted;
CREATE ROLE bypass_stranger;
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
    more text;
BEGIN
    EXECUTE statement;
    RETURN 'passed';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, more = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ': ' || said || COALESCE(' / ' || nullif(more, ''), '');
END $$;
GRANT CREATE ON SCHEMA public TO bypass_owner;
SET ROLE bypass_owner;
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders VALUES (1, 'new');
SELECT raceguard.add_version('orders', unstated => 'reject');
GRANT SELECT, UPDATE ON orders TO bypass_granted, bypass_stranger;
RESET ROLE;

-- ---- A stale version and none pass, and move on by one. The log has the reason.
SET ROLE bypass_owner;
BEGIN;
SET LOCAL client_min_messages = log;
SELECT raceguard.bypass('orders', 'version', E'ticket "17"\nsecond line');
SET LOCAL client_min_messages = notice;
UPDATE orders SET note = 'stale', version = 7 RETURNING *;
UPDATE orders SET note = 'none stated' RETURNING *;
COMMIT;
SELECT try($$UPDATE orders SET note = 'stale', version = 7$$);
-- The trigger's name does as well.
BEGIN;
SELECT raceguard.bypass('orders', 'zz_raceguard_version', 'by its trigger');
UPDATE orders SET note = 'stale', version = 7 RETURNING *;
ROLLBACK;
SELECT try($$UPDATE orders SET note = 'stale', version = 7$$);
-- In a transaction of its own it is over at once.
SELECT raceguard.bypass('orders', 'version', 'too early');
SELECT try($$UPDATE orders SET note = 'stale', version = 7$$);

-- ---- Savepoints: it ends with the one it was opened in, and holds in those inside.
BEGIN;
SAVEPOINT a;
SELECT raceguard.bypass('orders', 'version', 'in a savepoint');
SAVEPOINT b;
UPDATE orders SET note = 'b', version = 7 RETURNING *;
ROLLBACK TO b;
UPDATE orders SET note = 'still', version = 7 RETURNING *;
ROLLBACK TO a;
SELECT try($$UPDATE orders SET note = 'after rollback', version = 7$$);
SELECT raceguard.bypass('orders', 'version', 'again');
RELEASE a;
SELECT try($$UPDATE orders SET note = 'after release', version = 7$$);
SELECT raceguard.bypass('orders', 'version', 'outermost');
SAVEPOINT c;
SELECT raceguard.bypass('orders', 'version', 'and within');
ROLLBACK TO c;
UPDATE orders SET note = 'the outer one holds', version = 7 RETURNING *;
-- end_bypass: of other tables, of this one, of all.
CREATE TEMP TABLE other (id int);
SELECT raceguard.end_bypass('other');
UPDATE orders SET note = 'still', version = 7 RETURNING *;
SELECT raceguard.end_bypass('orders');
SELECT try($$UPDATE orders SET note = 'ended', version = 7$$);
SELECT raceguard.bypass('orders', 'version', 'once more');
SELECT raceguard.end_bypass();
SELECT try($$UPDATE orders SET note = 'ended', version = 7$$);
SELECT raceguard.end_bypass();
ROLLBACK;
DO $$
BEGIN
    BEGIN
        PERFORM raceguard.bypass('orders', 'version', 'in a block');
        UPDATE orders SET note = 'block', version = 7;
    EXCEPTION WHEN OTHERS THEN
        RAISE NOTICE 'never';
    END;
    RAISE NOTICE '%', try('UPDATE orders SET version = 7');
END $$;
BEGIN;
SELECT raceguard.bypass('orders', 'version', 'before a chain');
COMMIT AND CHAIN;
SELECT try($$UPDATE orders SET note = 'chained', version = 7$$);
COMMIT;

-- ---- Whose: the owner's, and that of roles that were granted it by name.
SET ROLE bypass_stranger;
SELECT try($$SELECT raceguard.bypass('orders', 'version', 'mine')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION raceguard.bypass TO PUBLIC;
SET ROLE bypass_stranger;
SELECT try($$SELECT raceguard.bypass('orders', 'version', 'mine')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION raceguard.bypass TO bypass_granted;
SET ROLE bypass_member;
BEGIN;
SELECT raceguard.bypass('orders', 'version', 'granted');
UPDATE orders SET note = 'granted', version = 7 RETURNING *;
-- It is his own: other roles are judged.
SET LOCAL ROLE bypass_stranger;
SELECT try($$UPDATE orders SET note = 'not his', version = 7$$);
SET LOCAL ROLE bypass_member;
UPDATE orders SET note = 'his', version = 7 RETURNING *;
ROLLBACK;
RESET ROLE;
-- A function of the owner's opens none for its caller.
CREATE FUNCTION lend() RETURNS void LANGUAGE sql SECURITY DEFINER
    AS $$SELECT raceguard.bypass('public.orders', 'version', 'lent')$$;
ALTER FUNCTION lend OWNER TO bypass_owner;
SET ROLE bypass_stranger;
BEGIN;
SELECT lend();
SELECT try($$UPDATE orders SET note = 'lent', version = 7$$);
ROLLBACK;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION raceguard.bypass FROM bypass_granted;

-- ---- Key locks and cooldowns, on partitions too.
CREATE TABLE mails (id int, address text, at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE mails_1 PARTITION OF mails FOR VALUES FROM (0) TO (100);
SELECT raceguard.add_cooldown('mails', 'address', 'at', '1 hour');
SELECT raceguard.add_key_lock('mails', 'address');
INSERT INTO mails VALUES (1, 'ann', '2026-01-01 12:00+00');
BEGIN;
SELECT raceguard.bypass('mails', 'cooldown', 'two mails'), raceguard.bypass('mails', 'key_lock', 'no waiting');
INSERT INTO mails VALUES (2, 'ann', '2026-01-01 12:01+00');
SELECT count(*) AS locks FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SELECT raceguard.end_bypass();
SELECT try($$INSERT INTO mails VALUES (3, 'ann', '2026-01-01 12:02+00')$$);
DELETE FROM mails WHERE id = 2;
SELECT count(*) AS locks FROM pg_locks WHERE objsubid = 21063 AND pid = pg_backend_pid();
ROLLBACK;
-- An observing guard has nothing to log.
SELECT raceguard.set_mode('orders', 'version', 'observe');
BEGIN;
SELECT raceguard.bypass('orders', 'version', 'observed');
SET LOCAL client_min_messages = log;
UPDATE orders SET note = 'x', version = 7 RETURNING *;
ROLLBACK;

-- ---- Bad input.
CREATE TABLE seats (id int PRIMARY KEY, room int);
SELECT raceguard.add_cap('seats', 'room', 2);
SELECT try($$SELECT raceguard.bypass('seats', 'cap', 'full')$$);
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders);
SELECT raceguard.add_parent_version('items', 'orders');
SELECT try($$SELECT raceguard.bypass('items', 'parent_version', 'why')$$);
SELECT try($$SELECT raceguard.bypass('mails_1', 'cooldown', 'a partition')$$);
SELECT try($$SELECT raceguard.bypass('orders', 'version', NULL)$$);
SELECT try($$SELECT raceguard.bypass('orders', 'version', '')$$);
SELECT try($$SELECT raceguard.bypass('orders', 'version', E' \n')$$);
SELECT try($$SELECT raceguard.bypass('orders', 'nothing', 'why')$$);
SELECT try($$SELECT raceguard.bypass('orders', NULL, 'why')$$);
SELECT try($$SELECT raceguard.bypass(NULL, 'version', 'why')$$);
DROP OWNED BY bypass_owner, bypass_granted, bypass_member, bypass_stranger CASCADE;
DROP ROLE bypass_owner, bypass_granted, bypass_member, bypass_stranger;
