-- A trigger that is in the way of a guard: a second guard, or another trigger of the guard's name.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE TABLE orders (id int PRIMARY KEY, v int NOT NULL DEFAULT 1, body text);
-- One written by hand is the guard; the same call finds it.
CREATE TRIGGER by_hand BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('v');
SET client_min_messages = notice;
SELECT raceguard.add_version('orders', 'v');
SELECT raceguard.add_version('orders', 'v', unstated => 'reject');
SELECT raceguard.add_version('orders', 'v', unstated => 'reject', replace => true);
-- Two of them.
CREATE TRIGGER by_hand BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION raceguard.version_guard('v');
SELECT raceguard.add_version('orders', 'v');
SELECT raceguard.add_version('orders', 'v', unstated => 'reject');
SELECT raceguard.add_version('orders', 'v', replace => true);
DROP TRIGGER "by_hand" ON "public"."orders";
SELECT raceguard.add_version('orders', 'v', unstated => 'reject');
SELECT raceguard.drop_guard('orders', 'version');
-- A trigger of the name that is no guard.
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER zz_raceguard_version BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT raceguard.add_version('orders', 'v');
DROP TRIGGER zz_raceguard_version ON orders;
CREATE TRIGGER zz_raceguard_key_lock BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT raceguard.add_key_lock('orders', 'id');
ALTER TRIGGER zz_raceguard_key_lock ON orders RENAME TO another;
SELECT raceguard.add_key_lock('orders', 'id');
CREATE TRIGGER zz_raceguard_cooldown BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE orders ADD at timestamp;
SELECT raceguard.add_cooldown('orders', 'v', 'at', '1 day');
CREATE TRIGGER zz_raceguard_parent_version BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE buyers (id int PRIMARY KEY);
SELECT raceguard.add_version('buyers');
ALTER TABLE orders ADD buyer_id int REFERENCES buyers;
SELECT raceguard.add_parent_version('orders', 'buyers');
SELECT guard, trigger_name FROM raceguard.guards ORDER BY 1;
