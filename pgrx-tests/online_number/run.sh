#!/usr/bin/env bash
# The steps of plan_number, run one by one while clients write: no writer fails or waits for long, the rows that
# stood are numbered in the order of their primary key, and no number is left out or given twice. Finds the server
# through PGHOST, PGPORT and PGUSER, and its programs in PG_BIN.
. "$(dirname "$0")/../../scripts/lib.sh"
. scripts/checks.sh
STEPS_DB='online_number'
. scripts/steps.sh
export PGOPTIONS='-c client_min_messages=warning'

steps_database
psql >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE TABLE invoices (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org int NOT NULL, note text);
SELECT raceguard.add_version('invoices');
INSERT INTO invoices (org) SELECT n % 500 FROM generate_series(1, 20000) n;
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
UPDATE invoices SET note = 'seen' WHERE id = (SELECT min(id) FROM invoices WHERE org = :other);
INSERT INTO invoices (id, org) OVERRIDING SYSTEM VALUE SELECT max(id), :other FROM invoices WHERE org = :other
    ON CONFLICT (id) DO UPDATE SET note = 'upserted';
SQL
run_steps "raceguard.plan_number('invoices', 'org')" 6
writers_end

check "rows lost" "$(psql -c 'SELECT 20000 + sum(inserted) - (SELECT count(*) FROM invoices) FROM journal')" 0
check "rows without a number" "$(psql -c 'SELECT count(*) FROM invoices WHERE number IS NULL')" 0
check "keys with a gap or a double" "$(psql -c 'SELECT count(*) FROM (SELECT FROM invoices GROUP BY org
    HAVING min(number) <> 1 OR max(number) <> count(*) OR count(DISTINCT number) <> count(*)) x')" 0
check "rows that stood, out of order" "$(psql -c 'SELECT count(*) FROM (
    SELECT number - lag(number) OVER (PARTITION BY org ORDER BY id) AS step FROM invoices WHERE id <= 20000) x
    WHERE step <> 1')" 0
check "nothing wrong" "$(psql -c "SELECT count(*) FROM raceguard.check_guards('invoices', deep => true)")" 0
steps_end
