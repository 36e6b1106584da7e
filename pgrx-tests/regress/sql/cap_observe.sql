-- A cap that observes: slots while there are any, a row too many without one, and enforce completes it.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
\pset format unaligned
\pset footer off
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
    more text;
BEGIN
    EXECUTE statement;
    RETURN 'passed';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ': ' || said || COALESCE(' / ' || nullif(more, ''), '');
END $$;
CREATE TABLE posts (id int PRIMARY KEY, user_id int, highlighted boolean NOT NULL DEFAULT true, note text);
SELECT raceguard.add_cap('posts', 'user_id', 2, predicate => 'highlighted'), raceguard.add_version('posts');
INSERT INTO posts VALUES (1, 42);
SELECT raceguard.set_mode('posts', 'cap', 'observe');
SELECT guard, mode, definition, enabled, whole FROM raceguard.guards WHERE guard = 'cap';
SELECT conname FROM pg_constraint WHERE conrelid = 'posts'::regclass AND contype = 'c';
SELECT tgname, pg_get_triggerdef(oid) ~ 'mode=observe' AS observes FROM pg_trigger
 WHERE tgrelid = 'posts'::regclass AND tgname LIKE '%cap%' ORDER BY tgname;

-- Slots while there are any; an upsert that inserts nothing is no news.
SET client_min_messages = log;
INSERT INTO posts VALUES (2, 42), (3, 42), (4, 43), (5, NULL) RETURNING id, slot;
INSERT INTO posts VALUES (3, 42) ON CONFLICT (id) DO NOTHING;
INSERT INTO posts VALUES (3, 42) ON CONFLICT (id) DO UPDATE SET note = 'again' RETURNING id, slot;
INSERT INTO posts VALUES (6, 42, false), (7, 43, true) RETURNING id, slot;
-- Into a full key, by another key and by the predicate.
UPDATE posts SET user_id = 42 WHERE id = 7 RETURNING id, slot;
UPDATE posts SET highlighted = true WHERE id = 6 RETURNING id, slot;
-- A row without a slot gets one as soon as there is one.
DELETE FROM posts WHERE id = 1;
UPDATE posts SET note = 'now' WHERE id = 3 RETURNING id, slot;
UPDATE posts SET note = 'none yet' WHERE id = 7 RETURNING id, slot;
-- A slot that the cap does not have, and one that is taken.
INSERT INTO posts (id, user_id, slot) VALUES (8, 43, 9) RETURNING id, slot;
UPDATE posts SET slot = 9 WHERE id = 8 RETURNING id, slot;
SET client_min_messages = notice;
SELECT try($$INSERT INTO posts (id, user_id, slot) VALUES (9, 42, 1)$$);
SELECT raceguard.next_free_slot('posts', '42'), raceguard.next_free_slot('posts', '43');
SELECT raceguard.insert_next_slot('posts', '{"id": 9, "user_id": 42}', on_full => 'null') ->> 'slot' AS none;

-- Another number of slots under observation; a repeated add_cap and its plan.
SELECT raceguard.set_cap('posts', 3);
SELECT mode, whole, definition ->> 'slots' AS slots FROM raceguard.guards WHERE guard = 'cap';
SELECT conname FROM pg_constraint WHERE conrelid = 'posts'::regclass AND contype = 'c';
SELECT try($$SELECT raceguard.add_cap('posts', 'user_id', 3, predicate => 'highlighted')$$);
SELECT try($$SELECT * FROM raceguard.plan_cap('posts', 'user_id', 3, predicate => 'highlighted')$$);

-- enforce names the keys that have too many rows, and changes nothing.
SELECT try($$SELECT raceguard.set_mode('posts', 'cap', 'enforce')$$);
SELECT mode, enabled, whole FROM raceguard.guards WHERE guard = 'cap';
CALL raceguard.number_slots('posts');
DELETE FROM posts WHERE id IN (6, 9);
CREATE TABLE versions AS SELECT id, version FROM posts;
SELECT raceguard.set_mode('posts', 'cap', 'enforce');
SELECT mode, enabled, whole FROM raceguard.guards WHERE guard = 'cap';
SELECT id, user_id, slot, p.version = v.version AS not_bumped FROM posts p LEFT JOIN versions v USING (id) ORDER BY id;
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'posts'::regclass AND contype = 'c';
SELECT try($$INSERT INTO posts VALUES (10, 42)$$);
SELECT raceguard.set_mode('posts', 'cap', 'enforce');
-- It completes one whose CHECK somebody dropped.
ALTER TABLE posts DROP CONSTRAINT raceguard_cap_slots;
SELECT raceguard.set_mode('posts', 'cap', 'enforce');
SELECT whole FROM raceguard.guards WHERE guard = 'cap';

-- Partitions, a cap on the whole table, a column of the application's; triggers stay as they were enabled.
CREATE TABLE seats (region text, k int, place bigint, PRIMARY KEY (region, k)) PARTITION BY LIST (region);
CREATE TABLE seats_north PARTITION OF seats FOR VALUES IN ('north');
CREATE TABLE seats_south PARTITION OF seats FOR VALUES IN ('south');
SELECT raceguard.add_cap('seats', 'region', 1, slot_column => 'place', fill => 'append', guard => 'seats');
ALTER TABLE ONLY seats_south ENABLE ALWAYS TRIGGER zz_raceguard_seats;
ALTER TABLE ONLY seats_south ENABLE ALWAYS TRIGGER zz_raceguard_seats_full;
SELECT raceguard.set_mode('seats', 'seats', 'observe');
SET client_min_messages = log;
INSERT INTO seats VALUES ('north', 1), ('north', 2), ('south', 1) RETURNING *;
-- A row on the move: the destination has no slot for it.
UPDATE seats SET region = 'south' WHERE k = 2 RETURNING *;
SET client_min_messages = notice;
DELETE FROM seats WHERE k = 1 AND region = 'south';
SELECT raceguard.set_mode('seats', 'seats', 'enforce');
SELECT tableoid::regclass, k, place FROM seats ORDER BY 1;
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgname LIKE 'zz%seats%' AND tgenabled <> 'O' ORDER BY 1, 2;
SELECT try($$INSERT INTO seats VALUES ('north', 3)$$);
-- Taken off while it observes.
SELECT raceguard.set_mode('seats', 'seats', 'observe');
SELECT raceguard.drop_guard('seats', 'seats', drop_column => true);
SELECT raceguard.set_mode('posts', 'cap', 'observe');
SELECT raceguard.add_cap('posts', 'user_id', 3, predicate => 'highlighted', replace => true);
SELECT mode, whole FROM raceguard.guards WHERE guard = 'cap';
