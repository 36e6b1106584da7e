-- Beside guarded.sql: totals, by the statement and at COMMIT, of two children, of children that may come first, and one
-- that a parent may not be without.
CREATE TABLE events (id int PRIMARY KEY, capacity int);
CREATE TABLE bookings (id int PRIMARY KEY, event_id int REFERENCES events ON DELETE CASCADE, seats int);
CREATE TABLE waiting (id int PRIMARY KEY, event_id int REFERENCES events DEFERRABLE INITIALLY DEFERRED);
SELECT raceguard.add_total('bookings', 'events', 'taken', amount => 'seats', at_most => 'capacity');
SELECT raceguard.add_total('waiting', 'events', 'taken', at_most => 'capacity');
SELECT raceguard.add_total('bookings', 'events', 'bookings', settle => 'commit', guard => 'rows');
INSERT INTO events SELECT n, n + 3 FROM generate_series(1, 20) n;
INSERT INTO bookings SELECT n, n % 20 + 1, n % 3 FROM generate_series(1, 60) n;
INSERT INTO waiting SELECT n, n FROM generate_series(1, 20) n WHERE n % 4 = 0;
UPDATE bookings SET event_id = 20, seats = 1 WHERE id % 7 = 0;
-- The parents' names sort behind the children's: data alone comes in that order where foreign keys leave the choice.
CREATE TABLE teams (id int PRIMARY KEY);
CREATE TABLE captains (team int REFERENCES teams ON DELETE CASCADE, name text, PRIMARY KEY (team, name));
SELECT raceguard.add_total('captains', 'teams', 'captains', predicate => $$name <> ''$$, at_least => '1');
BEGIN;
INSERT INTO teams VALUES (1), (2);
INSERT INTO captains VALUES (1, 'ann'), (1, ''), (2, 'bob'), (2, 'cid');
COMMIT;
CREATE TABLE accounts (id int PRIMARY KEY);
CREATE TABLE entries (id int PRIMARY KEY, account int REFERENCES accounts, amount numeric);
SELECT raceguard.add_total('entries', 'accounts', 'balance', amount => 'amount', at_least => '0');
INSERT INTO accounts VALUES (1);
INSERT INTO entries VALUES (1, 1, 0.000000000000000000001), (2, 1, 1e30), (3, 1, -0.5);
