#!/usr/bin/env bash
# The steps of plan_cap, run one by one while clients write: no writer fails, waits for long or loses
# a row, and the cap holds in the end. Finds the server through PGHOST, PGPORT and PGUSER, and its
# programs in PG_BIN.
. "$(dirname "$0")/../../scripts/lib.sh"
. scripts/checks.sh
STEPS_DB='online'
. scripts/steps.sh
export PGOPTIONS='-c client_min_messages=warning'

steps_database
psql >/dev/null <<'SQL'
CREATE EXTENSION raceguard;
CREATE TABLE bookings (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, room int NOT NULL, note text);
SELECT raceguard.add_version('bookings');
INSERT INTO bookings (room) SELECT n % 10000 FROM generate_series(1, 50000) n;
CREATE INDEX ON bookings (room, id);
-- What the clients have done; in the end the table has to agree.
CREATE TABLE journal (client int, inserted bigint, deleted bigint);
SQL

# Rooms have five rows, the cap allows ten, and a client adds at most one that it has not taken away.
writers_begin <<'SQL'
\set room random(0, 9999)
\set other random(0, 9999)
BEGIN;
WITH i AS (INSERT INTO bookings (room) VALUES (:room) RETURNING id),
     d AS (DELETE FROM bookings WHERE id = (SELECT max(id) FROM bookings WHERE room = :room) RETURNING id)
INSERT INTO journal SELECT :client_id, (SELECT count(*) FROM i), (SELECT count(*) FROM d);
COMMIT;
UPDATE bookings SET note = 'seen' WHERE id = (SELECT min(id) FROM bookings WHERE room = :other);
UPDATE bookings SET room = :other WHERE id = (SELECT max(id) FROM bookings WHERE room = :room)
    AND (SELECT count(*) FROM bookings WHERE room = :other) < 6;
SQL
run_steps "raceguard.plan_cap('bookings', 'room', 10)" 7
writers_end

check "rows lost" "$(psql -c 'SELECT 50000 + sum(inserted) - sum(deleted) - (SELECT count(*) FROM bookings) FROM journal')" 0
check "rows without a slot" "$(psql -c 'SELECT count(*) FROM bookings WHERE slot IS NULL OR slot = 0')" 0
check "rooms above the cap" "$(psql -c 'SELECT count(*) FROM (SELECT FROM bookings GROUP BY room HAVING count(*) > 10) x')" 0
check "the CHECK is valid" "$(psql -c "SELECT convalidated FROM pg_constraint WHERE conname = 'raceguard_cap_slots'")" t
steps_end
