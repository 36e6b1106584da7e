-- A cooldown kept in one row: an UPDATE is judged against the time that the row had before.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
CREATE TABLE emails (address text PRIMARY KEY, last_sent_at timestamptz, subject text, hot boolean DEFAULT true);
-- Without own_past it could never fire: the call says so and what to do.
SELECT raceguard.add_cooldown('emails', 'address', 'last_sent_at', '1 hour');
SELECT raceguard.add_cooldown('emails', 'address, subject', 'last_sent_at', '1 hour', max_rows => 5);
-- A row remembers one time only, so two of them cannot be too many.
SELECT raceguard.add_cooldown('emails', 'address', 'last_sent_at', '1 hour', max_rows => 2, own_past => true);
SELECT raceguard.add_cooldown('emails', 'address', 'last_sent_at', '1 hour', own_past => true);
SELECT raceguard.add_cooldown('emails', 'address', 'last_sent_at', '1 hour', own_past => true);
SELECT raceguard.add_cooldown('emails', 'address', 'last_sent_at', '2 hours', own_past => true);
SELECT definition FROM raceguard.guards WHERE target = 'emails'::regclass;

INSERT INTO emails VALUES ('ann', '2026-01-01 12:00'), ('bob', NULL), ('eve', 'infinity');
UPDATE emails SET last_sent_at = '2026-01-01 12:59:59' WHERE address = 'ann';
UPDATE emails SET last_sent_at = '2026-01-01 13:00' WHERE address = 'ann';
-- In both directions, and told as a row of its own would be.
UPDATE emails SET last_sent_at = '2026-01-01 12:30' WHERE address = 'ann';
\set VERBOSITY sqlstate
INSERT INTO emails VALUES ('ann', '2026-01-01 13:30') ON CONFLICT (address) DO UPDATE SET last_sent_at = EXCLUDED.last_sent_at;
\set VERBOSITY default
INSERT INTO emails VALUES ('ann', '2026-01-01 14:00') ON CONFLICT (address) DO UPDATE SET last_sent_at = EXCLUDED.last_sent_at;
MERGE INTO emails USING (VALUES ('ann', '2026-01-01 14:10'::timestamptz)) AS n(a, t) ON address = a
    WHEN MATCHED THEN UPDATE SET last_sent_at = t;
-- No earlier time, no later one, one outside of time, an unchanged one.
UPDATE emails SET last_sent_at = '2026-01-01 12:00' WHERE address IN ('bob', 'eve');
UPDATE emails SET last_sent_at = last_sent_at, subject = 'x';
UPDATE emails SET subject = 'y';
UPDATE emails SET last_sent_at = NULL WHERE address = 'bob';
UPDATE emails SET last_sent_at = '2026-01-01 12:01' WHERE address = 'bob';
-- The time belongs to the key that the row had.
UPDATE emails SET address = 'zoe', last_sent_at = '2026-01-01 14:20' WHERE address = 'ann';
UPDATE emails SET last_sent_at = '2026-01-01 14:30' WHERE address = 'zoe';
SELECT address, last_sent_at FROM emails ORDER BY 1;
-- Deleted and posted again passes: nothing remembers the row that was there.
DELETE FROM emails WHERE address = 'zoe';
INSERT INTO emails VALUES ('zoe', '2026-01-01 14:30');
-- next_allowed reads the row as any other.
SELECT raceguard.next_allowed('emails', '"zoe"') <= now() AS over;
UPDATE emails SET last_sent_at = now() WHERE address = 'zoe';
SELECT raceguard.next_allowed('emails', '"zoe"') = last_sent_at + interval '1 hour' AS told FROM emails WHERE address = 'zoe';

-- Beside rows of the same key: its own past counts as one of them.
CREATE TABLE visits (who int, at timestamp, id int);
SELECT raceguard.add_cooldown('visits', 'who', 'at', '1 hour', max_rows => 2, own_past => true);
INSERT INTO visits VALUES (1, '2026-01-01 12:00', 1), (1, '2026-01-01 12:10', 2);
UPDATE visits SET at = '2026-01-01 12:20' WHERE id = 1;
UPDATE visits SET at = '2026-01-01 13:05' WHERE id = 1;
SELECT * FROM visits ORDER BY id;
-- The predicate: a row that did not count before has no past.
CREATE TABLE offers (id int PRIMARY KEY, at date, live boolean);
SELECT raceguard.add_cooldown('offers', 'id', 'at', '7 days', predicate => 'live', own_past => true);
INSERT INTO offers VALUES (1, '2026-01-01', false);
UPDATE offers SET at = '2026-01-02';
UPDATE offers SET at = '2026-01-03', live = true;
UPDATE offers SET at = '2026-01-04';
UPDATE offers SET at = '2026-01-10';
UPDATE offers SET at = '2026-01-11', live = false;
-- Uniqueness that does not mean one row of a key: of other columns, partial, not of all rows that count.
CREATE TABLE logs (id int PRIMARY KEY, who int, at timestamp, kind text);
CREATE UNIQUE INDEX ON logs (who, at);
CREATE UNIQUE INDEX ON logs (who) WHERE kind = 'last';
SELECT raceguard.add_cooldown('logs', 'who', 'at', '1 hour');
SELECT raceguard.add_cooldown('logs', 'who', 'at', '1 hour', predicate => $$kind = 'last'$$, guard => 'last');
-- By an expression, and on partitions.
CREATE TABLE boxes (mail text, at timestamp);
CREATE UNIQUE INDEX boxes_mail ON boxes (lower(mail));
SELECT raceguard.add_cooldown('boxes', 'lower(mail)', 'at', '1 hour');
CREATE TABLE parts (id int PRIMARY KEY, at timestamp) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT raceguard.add_cooldown('parts', 'id', 'at', '1 hour');
SELECT raceguard.add_cooldown('parts', 'id', 'at', '1 hour', own_past => true);
INSERT INTO parts SELECT n, '2026-01-01 12:00' FROM generate_series(1, 4) n;
UPDATE parts SET at = '2026-01-01 12:30';
UPDATE parts SET at = '2026-01-01 13:00';
-- By hand in a migration.
CREATE TABLE hand (id int PRIMARY KEY, at timestamp);
CREATE INDEX ON hand (id, at);
CREATE TRIGGER zz_raceguard_cooldown AFTER INSERT OR UPDATE ON hand FOR EACH ROW
    EXECUTE FUNCTION raceguard.cooldown_guard('id', 'at=at', 'period=1 hour', 'own_past=maybe');
INSERT INTO hand VALUES (1, '2026-01-01');

-- next_allowed is the transaction's now() when nothing is running, however long ago it began.
CREATE TABLE posts (who int, at timestamptz DEFAULT now());
SELECT raceguard.add_cooldown('posts', 'who', 'at', '7 days');
BEGIN;
SELECT pg_sleep(0.01);
SELECT raceguard.next_allowed('posts', '1') = now() AS is_now, raceguard.next_allowed('posts', '[null]') = now() AS is_now;
INSERT INTO posts SELECT 1 WHERE raceguard.next_allowed('posts', '1') <= now();
INSERT INTO posts SELECT 1 WHERE raceguard.next_allowed('posts', '1') <= now();
COMMIT;
SELECT count(*) FROM posts;
-- A cooldown that ended while the transaction was running still runs at its now().
SET timezone = 'Asia/Kolkata';
CREATE TABLE short (who int, at timestamp DEFAULT now());
SELECT raceguard.add_cooldown('short', 'who', 'at', '50 ms');
BEGIN;
INSERT INTO short VALUES (1, clock_timestamp() - interval '30 ms');
SELECT pg_sleep(0.06);
SELECT raceguard.next_allowed('short', '1') > now() AS later, raceguard.next_allowed('short', '1') <= clock_timestamp() AS over;
ROLLBACK;
DROP TABLE emails, visits, offers, logs, boxes, parts, hand, posts, short;
