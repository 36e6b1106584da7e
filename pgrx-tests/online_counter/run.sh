#!/usr/bin/env bash
# As online_number, with a counter: the parents are written too meanwhile, and in the end each has the highest number of its
# rows. Finds the server through PGHOST, PGPORT and PGUSER, and its programs in PG_BIN.
. "$(dirname "$0")/../../scripts/lib.sh"
. scripts/checks.sh
STEPS_DB='online_counter'
. scripts/steps.sh
export PGOPTIONS='-c client_min_messages=warning'

steps_database
psql >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE TABLE orgs (id int PRIMARY KEY, note text);
INSERT INTO orgs SELECT n FROM generate_series(0, 499) n;
CREATE TABLE invoices (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org int NOT NULL REFERENCES orgs, note text, number int);
SELECT raceguard.add_version('orgs');
-- Every fifth organisation has numbers already, of which the counters will know nothing.
INSERT INTO invoices (org, number) SELECT n % 500, CASE WHEN n % 5 = 0 THEN 1 + (n - 1) / 500 END FROM generate_series(1, 20000) n;
CREATE INDEX ON invoices (org, id);
-- What the clients have done; in the end the table has to agree.
CREATE TABLE journal (client int, inserted bigint);
SQL

writers_begin <<'SQL'
\set org random(0, 499)
\set other random(0, 499)
BEGIN;
WITH i AS (INSERT INTO invoices (org) VALUES (:org), (:org) RETURNING id)
INSERT INTO journal SELECT :client_id, count(*) FROM i;
COMMIT;
UPDATE orgs SET note = 'seen' WHERE id = :other;
UPDATE invoices SET note = 'seen' WHERE id = (SELECT min(id) FROM invoices WHERE org = :other);
BEGIN;
UPDATE orgs SET note = 'written' WHERE id = :other;
WITH i AS (INSERT INTO invoices (org) VALUES (:other) RETURNING id)
INSERT INTO journal SELECT :client_id, count(*) FROM i;
COMMIT;
SQL
run_steps "raceguard.plan_number('invoices', 'org', counter => 'last')" 8
writers_end

check "rows lost" "$(psql -c 'SELECT 20000 + sum(inserted) - (SELECT count(*) FROM invoices) FROM journal')" 0
check "rows without a number" "$(psql -c 'SELECT count(*) FROM invoices WHERE number IS NULL')" 0
check "keys with a gap or a double" "$(psql -c 'SELECT count(*) FROM (SELECT FROM invoices GROUP BY org
    HAVING min(number) <> 1 OR max(number) <> count(*) OR count(DISTINCT number) <> count(*)) x')" 0
check "counters that are not the highest number" "$(psql -c 'SELECT count(*) FROM (
    SELECT FROM orgs o JOIN invoices i ON i.org = o.id GROUP BY o.id HAVING last <> max(number)) x')" 0
check "organisations without a counter" "$(psql -c 'SELECT count(*) FROM orgs WHERE last = 0')" 0
check "nothing wrong" "$(psql -c "SELECT count(*) FROM raceguard.check_guards('invoices', deep => true)")" 0
steps_end
