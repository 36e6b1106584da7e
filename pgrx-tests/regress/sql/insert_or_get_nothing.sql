-- insert_or_get where nothing is inserted, and no row is in the way: a trigger, or a view.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
CREATE TABLE accounts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE, plan text);
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'asked for %', NEW.email;
    IF NEW.plan = 'none' THEN RETURN NULL; END IF;
    IF NEW.plan = 'lower' THEN NEW.email = lower(NEW.email); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER swallow BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION swallow();
SELECT "row" ->> 'email', inserted FROM raceguard.insert_or_get('accounts', '{"email": "ann"}');
-- The trigger swallows the row.
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "bob", "plan": "none"}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "bob", "plan": "none"}', '{email}');
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "ann", "plan": "none"}');
-- Where no unique index can answer, too.
SELECT * FROM raceguard.insert_or_get('accounts', '{"plan": "none"}');
-- It changes the key: no row is to be seen under the one that was passed.
SET client_min_messages = warning;
SELECT * FROM raceguard.insert_or_get('accounts', '{"email": "ANN", "plan": "lower"}');
SELECT "row" ->> 'email', inserted FROM raceguard.insert_or_get('accounts', '{"email": "BOB", "plan": "lower"}');
-- The transaction goes on where the error is caught, and nothing is left of the attempts.
DO $$ BEGIN PERFORM raceguard.insert_or_get('accounts', '{"email": "eve", "plan": "none"}');
EXCEPTION WHEN triggered_data_change_violation THEN RAISE WARNING 'caught'; END $$;
SELECT email, plan FROM accounts ORDER BY email;
-- Partitions.
CREATE TABLE parted (k int PRIMARY KEY, plan text, email text) PARTITION BY RANGE (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TRIGGER swallow BEFORE INSERT ON parted_1 FOR EACH ROW EXECUTE FUNCTION swallow();
SELECT "row" ->> 'k', inserted FROM raceguard.insert_or_get('parted', '{"k": 1}');
SELECT "row" ->> 'k', inserted FROM raceguard.insert_or_get('parted', '{"k": 1}');
SELECT * FROM raceguard.insert_or_get('parted', '{"k": 2, "plan": "none"}');
-- A view has no index to ask.
CREATE VIEW free AS SELECT id, email FROM accounts;
CREATE VIEW both_of AS SELECT a.email, p.plan FROM accounts a, parted p;
CREATE VIEW of_view AS SELECT email FROM free;
CREATE VIEW "of nothing" AS SELECT 1 AS email;
SELECT * FROM raceguard.insert_or_get('free', '{"email": "ann"}');
SELECT * FROM raceguard.insert_or_get('both_of', '{"email": "ann"}');
SELECT * FROM raceguard.insert_or_get('of_view', '{"email": "ann"}');
SELECT * FROM raceguard.insert_or_get('"of nothing"', '{"email": "ann"}');
