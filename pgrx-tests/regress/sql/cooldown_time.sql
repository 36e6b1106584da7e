-- Clocks and periods of cooldowns: the arithmetic is that of "at + period" in SQL, on timestamptz in UTC.
CREATE EXTENSION raceguard;
SET TimeZone = 'Europe/Berlin';
SET DateStyle = 'ISO';

-- A sliding window: at most three within any hour.
CREATE TABLE mails (id int GENERATED ALWAYS AS IDENTITY, address text, sent timestamptz);
SELECT raceguard.add_cooldown('mails', 'lower(address)', 'sent', '1 hour', max_rows => 3);
SELECT raceguard.add_cooldown('mails', 'lower(address)', 'sent', '60 minutes', max_rows => 3);
INSERT INTO mails (address, sent) SELECT 'A@x', timestamptz '2026-03-01 10:00+00' + n * interval '10 minutes' FROM generate_series(0, 2) n;
INSERT INTO mails (address, sent) VALUES ('a@X', '2026-03-01 10:59:59+00');
INSERT INTO mails (address, sent) VALUES ('a@X', '2026-03-01 09:21+00');
INSERT INTO mails (address, sent) VALUES ('a@X', '2026-03-01 09:20+00');
INSERT INTO mails (address, sent) VALUES ('a@X', '2026-03-01 11:00+00'), ('a@x', '2026-03-01 11:10+00');
-- Not each of the two periods is full, but the one between is.
INSERT INTO mails (address, sent) VALUES ('a@X', '2026-03-01 10:30+00');
INSERT INTO mails (address, sent) VALUES ('b@x', '2026-03-01 10:30+00');
SELECT raceguard.add_cooldown('mails', 'lower(address)', 'sent', '2 hours', max_rows => 5, guard => 'burst');
SELECT raceguard.add_cooldown('mails', 'lower(address)', 'sent', '2 hours', max_rows => 6, guard => 'burst');
SELECT guard, definition FROM raceguard.guards ORDER BY guard;
SELECT indexname FROM pg_indexes WHERE tablename = 'mails';
-- Both judge; each is asked by its name.
INSERT INTO mails (address, sent) VALUES ('a@x', '2026-03-01 10:45+00');
INSERT INTO mails (address, sent) VALUES ('a@x', '2026-03-01 09:15+00');
INSERT INTO mails (address, sent) SELECT 'c@x', now() FROM generate_series(1, 3);
SELECT raceguard.next_allowed('mails', '"C@x"') BETWEEN now() AND clock_timestamp() AS key_as_given;
SELECT raceguard.next_allowed('mails', '"c@x"') > now() + interval '59 minutes' AS running,
       raceguard.next_allowed('mails', '"c@x"', 'burst') BETWEEN now() AND clock_timestamp() AS not_running;
-- The index that both read goes with the last of them.
SELECT raceguard.drop_guard('mails', 'cooldown');
SELECT indexname FROM pg_indexes WHERE tablename = 'mails';
INSERT INTO mails (address, sent) SELECT 'c@x', now() FROM generate_series(1, 3);
SELECT raceguard.drop_guard('mails', 'zz_raceguard_burst');
SELECT indexname FROM pg_indexes WHERE tablename = 'mails';

-- Dates: the next allowed date; a period of hours ends at the next midnight.
CREATE TABLE visits (id int GENERATED ALWAYS AS IDENTITY, patient int, on_date date);
SELECT raceguard.add_cooldown('visits', 'patient', 'on_date', '2 days');
INSERT INTO visits (patient, on_date) VALUES (1, '2026-03-10');
INSERT INTO visits (patient, on_date) VALUES (1, '2026-03-11');
INSERT INTO visits (patient, on_date) VALUES (1, '2026-03-09');
INSERT INTO visits (patient, on_date) VALUES (1, '2026-03-12'), (1, '2026-03-08'), (1, 'infinity'), (1, '-infinity');
SELECT raceguard.add_cooldown('visits', 'patient', 'on_date', '36 hours', replace => true);
INSERT INTO visits (patient, on_date) VALUES (1, '2026-03-13');
INSERT INTO visits (patient, on_date) VALUES (1, '2026-03-14');
INSERT INTO visits (patient, on_date) VALUES (2, current_date);
SELECT raceguard.next_allowed('visits', '2') = current_date + 2 AS midnight,
       raceguard.next_allowed('visits', '3') BETWEEN now() AND clock_timestamp() AS at_once;

-- Months: the same day of the next month, or its last.
CREATE TABLE bills (id int GENERATED ALWAYS AS IDENTITY, client int, at timestamp);
SELECT raceguard.add_cooldown('bills', 'client', 'at', '1 month');
INSERT INTO bills (client, at) VALUES (1, '2026-01-31');
INSERT INTO bills (client, at) VALUES (1, '2026-02-27 23:59:59');
INSERT INTO bills (client, at) VALUES (1, '2026-02-28');
INSERT INTO bills (client, at) VALUES (1, '2026-03-27');
INSERT INTO bills (client, at) VALUES (1, '2026-03-28'), (1, '2025-12-31');
INSERT INTO bills (client, at) VALUES (2, '2024-02-29'), (2, '2024-03-28');

-- On timestamptz a day has 24 hours, also where Berlin sets its clocks, on 2026-03-29 and 2026-10-25.
CREATE TABLE shots (id int GENERATED ALWAYS AS IDENTITY, patient int, at timestamptz);
SELECT raceguard.add_cooldown('shots', 'patient', 'at', '1 day');
INSERT INTO shots (patient, at) VALUES (1, '2026-03-28 12:00+01'), (2, '2026-10-24 12:00+02');
INSERT INTO shots (patient, at) VALUES (1, '2026-03-29 12:59:59+02');
INSERT INTO shots (patient, at) VALUES (1, '2026-03-29 13:00+02');
INSERT INTO shots (patient, at) VALUES (2, '2026-10-25 10:59:59+01');
INSERT INTO shots (patient, at) VALUES (2, '2026-10-25 11:00+01');
-- The neighbour before is found as well.
INSERT INTO shots (patient, at) VALUES (3, '2026-03-29 13:00+02');
INSERT INTO shots (patient, at) VALUES (3, '2026-03-28 12:30+01');
INSERT INTO shots (patient, at) VALUES (3, '2026-03-28 12:00+01');
-- Months are those of UTC: in Berlin the first row is one of February.
INSERT INTO shots (patient, at) VALUES (5, '2026-02-01 00:30+01');
SELECT raceguard.drop_guard('shots', 'cooldown');
SELECT raceguard.add_cooldown('shots', 'patient', 'at', '1 month', predicate => 'patient = 5');
INSERT INTO shots (patient, at) VALUES (5, '2026-03-01 00:29:59+01');
INSERT INTO shots (patient, at) VALUES (5, '2026-03-01 00:30+01');
-- A month from 31 January, 1:00, ends before one from 30 January, 2:00: all rows within the earlier one count.
SELECT raceguard.add_cooldown('shots', 'patient', 'at', '1 month', max_rows => 2, predicate => 'patient = 6', guard => 'two');
INSERT INTO shots (patient, at) VALUES (6, '2021-01-30 02:00+00'), (6, '2021-01-31 01:00+00');
INSERT INTO shots (patient, at) VALUES (6, '2021-02-28 01:30+00');
INSERT INTO shots (patient, at) VALUES (6, '2021-02-28 02:00+00');

-- No TimeZone of the writer changes the length of a period, however its rules are made, nor what stands
-- already or comes next.
CREATE TABLE posts (user_id int, at timestamptz);
SELECT raceguard.add_cooldown('posts', 'user_id', 'at', '7 days');
INSERT INTO posts VALUES (1, '2026-02-26 10:00+00');
SET TimeZone = 'AAA24BBB-24,J60/12,J300';
SELECT timestamptz '2026-02-26 10:00+00' + interval '7 days' < timestamptz '2026-03-04 10:00+00' AS shorter;
INSERT INTO posts VALUES (1, '2026-03-03 11:00+00');
INSERT INTO posts VALUES (1, '2026-02-21 11:00+00');
UPDATE posts SET at = '2026-02-26 10:00:01+00';
DELETE FROM posts;
INSERT INTO posts SELECT 2, clock_timestamp();
SELECT raceguard.next_allowed('posts', '2') > now() + interval '167 hours' AS seven_days;
SELECT raceguard.drop_guard('posts', 'cooldown');
TRUNCATE posts;
INSERT INTO posts VALUES (3, '2026-02-26 10:00+00'), (3, '2026-03-03 11:00+00');
SELECT raceguard.add_cooldown('posts', 'user_id', 'at', '7 days');
SET TimeZone = 'Europe/Berlin';

-- The ends of time: as in SQL, a period may not go past them.
INSERT INTO bills (client, at) VALUES (9, '294276-12-31');
INSERT INTO bills (client, at) VALUES (9, '4713-11-24 BC');
INSERT INTO bills (client, at) VALUES (9, '4713-11-25 BC');

-- Composite keys of several types; 1.0 and 1.00 are one key.
CREATE TABLE readings (sensor numeric, kind text, at timestamp);
SELECT raceguard.add_cooldown('readings', 'sensor, kind', 'at', '1 minute');
INSERT INTO readings VALUES (1.0, 'a', '2026-01-01 00:00'), (1.0, 'b', '2026-01-01 00:00');
INSERT INTO readings VALUES (1.00, 'a', '2026-01-01 00:00:59');
INSERT INTO readings SELECT 2, 'a', localtimestamp;
SELECT raceguard.next_allowed('readings', '[2.00, "a"]') > now() AS running,
       raceguard.next_allowed('readings', '[2, "b"]') > clock_timestamp() AS running;

SET TimeZone = 'UTC';
-- Many rows of one key in the future: one pass, and only as far as it has to look.
CREATE TABLE slots (room int, at timestamp);
SELECT raceguard.add_cooldown('slots', 'room', 'at', '1 hour');
SELECT date_trunc('hour', localtimestamp) AS base \gset
INSERT INTO slots SELECT 1, :'base'::timestamp + n * interval '1 hour' FROM generate_series(0, 49999) n;
INSERT INTO slots SELECT 2, :'base'::timestamp + n * interval '1 hour' FROM generate_series(0, 49999) n WHERE n NOT IN (3, 4);
SET statement_timeout = '20s';
SELECT raceguard.next_allowed('slots', '1') = timestamptz :'base' + interval '50000 hours' AS behind_all,
       raceguard.next_allowed('slots', '2') = timestamptz :'base' + interval '3 hours' AS in_the_gap;
RESET statement_timeout;
DROP EXTENSION raceguard CASCADE;
