-- set_mode: a guard that stands logs what it would refuse, and refuses again.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
\pset format unaligned
\pset footer off
SET raceguard.error_style = 'native';
CREATE ROLE set_mode_stranger;
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

-- ---- A version, a cooldown.
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders VALUES (1, 'new');
SELECT raceguard.add_version('orders', unstated => 'reject');
SELECT raceguard.set_mode('orders', 'version', 'observe');
SELECT guard, kind, mode, definition, enabled, whole FROM raceguard.guards;
UPDATE orders SET note = 'stale', version = 7 RETURNING *;
UPDATE orders SET note = 'none stated' RETURNING *;
SELECT raceguard.set_mode('orders', 'version', 'observe');
SELECT raceguard.set_mode('orders', 'version', 'enforce');
SELECT try($$UPDATE orders SET note = 'stale', version = 7$$);
SELECT try($$UPDATE orders SET note = 'none stated'$$);
SELECT mode, definition FROM raceguard.guards;

CREATE TABLE mails (address text, at timestamptz);
SELECT raceguard.add_cooldown('mails', 'address', 'at', '1 hour', max_rows => 2, guard => 'mails');
SELECT raceguard.set_mode('mails', 'mails', 'observe');
INSERT INTO mails SELECT 'ann', '2026-01-01 12:00+00'::timestamptz + i * '1 min'::interval FROM generate_series(1, 4) i;
SELECT raceguard.next_allowed('mails', '"ann"', 'mails') > '2026-01-01' AS answers;
-- What stands stays; what comes is judged.
SELECT raceguard.set_mode('mails', 'mails', 'enforce');
SELECT try($$INSERT INTO mails VALUES ('ann', '2026-01-01 12:30+00')$$);
INSERT INTO mails VALUES ('ann', '2026-01-01 14:00+00');

-- ---- A key lock: both its triggers change.
CREATE TABLE posts (id int PRIMARY KEY, user_id int);
SELECT raceguard.add_key_lock('posts', 'user_id');
SELECT raceguard.set_mode('posts', 'key_lock', 'observe');
SELECT tgname, pg_get_triggerdef(oid) ~ 'mode=observe' AS observes FROM pg_trigger
 WHERE tgrelid = 'posts'::regclass ORDER BY tgname;
SELECT mode, enabled, whole FROM raceguard.guards WHERE target = 'posts'::regclass;
-- It takes what nobody has, and no more than it may.
BEGIN;
INSERT INTO posts VALUES (1, 42), (2, NULL), (3, 43);
UPDATE posts SET user_id = 44 WHERE id = 1;
SELECT count(*) FROM pg_locks WHERE objsubid = 21063 AND pid = pg_backend_pid();
SET LOCAL raceguard.max_key_locks = 4;
INSERT INTO posts SELECT i, i FROM generate_series(100, 200) i;
SELECT count(*) FROM pg_locks WHERE objsubid = 21063 AND pid = pg_backend_pid();
SELECT mode FROM pg_locks WHERE objsubid = 21064 AND pid = pg_backend_pid() ORDER BY 1;
DELETE FROM posts WHERE id >= 100;
ROLLBACK;
-- A call that asks for the lock gets it.
BEGIN;
SELECT raceguard.lock_key('posts', 42);
INSERT INTO posts VALUES (1, 42) ON CONFLICT (id) DO UPDATE SET user_id = 42;
ROLLBACK;
-- With a namespace, keys that have no lock there pass as well.
SELECT raceguard.add_key_lock('posts', 'user_id', namespace => 5000, replace => true);
ALTER TABLE posts ALTER user_id TYPE bigint;
SELECT raceguard.set_mode('posts', 'key_lock', 'observe');
BEGIN;
SET LOCAL raceguard.max_key_locks = 2;
INSERT INTO posts VALUES (1, 42), (2, 5000000000), (3, 43), (4, 44), (5, 45);
SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND pid = pg_backend_pid() ORDER BY 2;
COMMIT;
SELECT raceguard.set_mode('posts', 'key_lock', 'enforce');
SELECT try($$UPDATE posts SET id = 20 WHERE id = 2$$);
SELECT tgname, pg_get_triggerdef(oid) ~ 'mode' AS has_mode FROM pg_trigger
 WHERE tgrelid = 'posts'::regclass ORDER BY tgname;

-- ---- Each trigger stays enabled as it was, on every partition; OIDs and comments stay.
CREATE TABLE seats (region text, k int, at timestamptz, PRIMARY KEY (region, k)) PARTITION BY LIST (region);
CREATE TABLE seats_north PARTITION OF seats FOR VALUES IN ('north');
CREATE TABLE seats_south PARTITION OF seats FOR VALUES IN ('south');
CREATE TABLE seats_east PARTITION OF seats FOR VALUES IN ('east');
SELECT raceguard.add_key_lock('seats', 'k'), raceguard.add_version('seats');
ALTER TABLE ONLY seats_north DISABLE TRIGGER zz_raceguard_key_lock;
ALTER TABLE ONLY seats_south ENABLE ALWAYS TRIGGER zz_raceguard_key_lock;
ALTER TABLE ONLY seats_east ENABLE REPLICA TRIGGER "!raceguard_key_lock";
COMMENT ON TRIGGER zz_raceguard_key_lock ON seats IS 'kept';
CREATE TABLE before AS SELECT oid, tgrelid, tgname, tgenabled FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'seats%';
SELECT raceguard.set_mode('seats', 'key_lock', 'observe'), raceguard.set_mode('seats', 'version', 'observe');
SELECT count(*) AS triggers, count(*) FILTER (WHERE b.tgenabled <> 'O') AS not_ordinary,
       bool_and(b.tgenabled = t.tgenabled) AS enabled_as_before,
       count(*) FILTER (WHERE pg_get_triggerdef(t.oid) ~ 'mode=observe') AS observe,
       bool_and(obj_description(t.oid, 'pg_trigger') = 'kept') AS comment
  FROM before b JOIN pg_trigger t USING (oid, tgrelid, tgname);
UPDATE seats SET version = 9;
INSERT INTO seats VALUES ('south', 1);
UPDATE seats SET version = 9 RETURNING *;
SELECT try($$SELECT raceguard.set_mode('seats_south', 'version', 'enforce')$$);

-- ---- A repeated add_* neither changes the mode nor says that all is well.
SELECT raceguard.set_mode('mails', 'mails', 'observe');
SELECT try($$SELECT raceguard.add_cooldown('mails', 'address', 'at', '1 hour', max_rows => 2, guard => 'mails')$$);
SELECT try($$SELECT raceguard.add_cooldown('mails', 'address', 'at', '2 hours', max_rows => 2, guard => 'mails')$$);
SELECT try($$SELECT raceguard.add_key_lock('seats', 'k')$$);
SELECT try($$SELECT raceguard.add_version('seats')$$);
SELECT try($$SELECT raceguard.add_version('orders', unstated => 'reject', mode => 'observe')$$);
SELECT raceguard.add_version('seats', mode => 'observe');
SELECT raceguard.add_key_lock('seats', 'k', replace => true);
SELECT guard, mode FROM raceguard.guards WHERE target = 'seats'::regclass ORDER BY guard;
SELECT raceguard.drop_guard('mails', 'mails');

-- ---- Bad input.
SELECT try($$SELECT raceguard.set_mode('orders', 'version', 'off')$$);
SELECT try($$SELECT raceguard.set_mode('orders', 'version', 'Observe')$$);
SELECT try($$SELECT raceguard.set_mode('orders', 'version', NULL)$$);
SELECT try($$SELECT raceguard.set_mode('orders', NULL, 'observe')$$);
SELECT try($$SELECT raceguard.set_mode(NULL, 'version', 'observe')$$);
SELECT try($$SELECT raceguard.set_mode('orders', 'cap', 'observe')$$);
SELECT try($$SELECT raceguard.set_mode('orders', '', 'observe')$$);
CREATE VIEW shown AS TABLE orders;
SELECT try($$SELECT raceguard.set_mode('shown', 'version', 'observe')$$);
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders);
SELECT raceguard.add_parent_version('items', 'orders');
SELECT try($$SELECT raceguard.set_mode('items', 'parent_version', 'observe')$$);
SET ROLE set_mode_stranger;
SELECT try($$SELECT raceguard.set_mode('public.orders', 'version', 'observe')$$);
RESET ROLE;
-- Not attached as it has to be.
CREATE OR REPLACE TRIGGER zz_raceguard_version BEFORE UPDATE OF note ON orders
    FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version', 'unstated=reject');
SELECT try($$SELECT raceguard.set_mode('orders', 'version', 'observe')$$);
-- Arguments that are no mode.
CREATE OR REPLACE TRIGGER zz_raceguard_version BEFORE UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('version', 'mode=off');
SELECT try($$UPDATE orders SET note = 'x'$$);
DROP ROLE set_mode_stranger;
