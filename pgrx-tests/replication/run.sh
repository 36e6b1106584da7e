#!/usr/bin/env bash
# Logical replication between two clusters that have the same tables and all kinds of guards: what the
# publisher has judged arrives as it is, nothing is judged, numbered or bumped a second time, and
# whoever writes to the subscriber himself is guarded there. docs/operations.md says the same in words.
#
# Both clusters are this program's own: a publisher needs another wal_level than the suites' cluster.
. "$(dirname "$0")/../../scripts/lib.sh"
run_begin
. scripts/checks.sh
cluster_start publisher "wal_level = logical"
publisher=$PGHOST
# A conflict ends the apply worker: let it come back soon, and tell its errors from others.
cluster_start subscriber "wal_retrieve_retry_interval = 200ms" "log_line_prefix = '%b %e '"
subscriber=$PGHOST
export PGOPTIONS='-c statement_timeout=60s'

on() { "$PG_BIN/psql" -X -q -A -t -v VERBOSITY=sqlstate -h "$1" -d shop -c "$2" 2>&1 || true; }

# does SERVER STATEMENT...: each a transaction of its own, all have to succeed.
does() {
    local statement server=$1
    shift
    for statement; do
        "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$server" -d shop -c "$statement" >>"$RUN/does.log" || die "failed: $statement"
    done
}

# says SERVER WANTED STATEMENT
says() { check "${1##*/}: ${2:-nothing} from $3" "$(on "$1" "$3")" "$2"; }

# Everything a guard could have changed, as one text.
rows() {
    on "$1" "SELECT string_agg(row, E'\n' ORDER BY row) FROM (
        SELECT 'orders ' || t::text FROM orders t UNION ALL SELECT 'items ' || t::text FROM items t
        UNION ALL SELECT 'posts ' || t::text FROM posts t UNION ALL SELECT 'mails ' || t::text FROM mails t
        UNION ALL SELECT 'notes ' || t::text FROM notes t UNION ALL SELECT 'seats ' || t::text FROM seats t
        UNION ALL SELECT 'visits ' || t::text FROM visits t UNION ALL SELECT 'events ' || t::text FROM events t
        UNION ALL SELECT 'bookings ' || t::text FROM bookings t UNION ALL SELECT 'invoices ' || t::text FROM invoices t) x (row)"
}

caught_up() { on "$publisher" "SELECT replay_lsn >= '$1' FROM pg_stat_replication WHERE application_name = 'shop'"; }
replicated() { wait_until "the subscriber has applied it" caught_up "$(on "$publisher" "SELECT pg_current_wal_insert_lsn()")"; }

# same WHAT: both sides have the same rows, versions and slots.
same() {
    local wanted
    replicated
    wanted=$(rows "$publisher")
    [[ $wanted == *"orders (1,"* ]] || die "the rows cannot be read: $wanted"
    check "the same on both sides: $1" "$(rows "$subscriber")" "$wanted"
}

for server in "$publisher" "$subscriber"; do
    PGHOST=$server "$PG_BIN/psql" -X -q -d postgres -c 'CREATE DATABASE shop' \
        -c 'ALTER DATABASE shop SET client_min_messages = warning'
    does "$server" "
        CREATE EXTENSION raceguard;
        CREATE TABLE orders (id int PRIMARY KEY, address text, seen int);
        SELECT raceguard.add_version('orders', unstated => 'reject', ignore => '{seen}');
        CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, price int);
        SELECT raceguard.add_parent_version('items', 'orders');
        CREATE TABLE posts (id int PRIMARY KEY, user_id int, highlighted boolean DEFAULT true);
        SELECT raceguard.add_key_lock('posts', 'user_id');
        SELECT raceguard.add_cap('posts', 'user_id', 3, predicate => 'highlighted');
        CREATE TABLE mails (id int PRIMARY KEY, address text, sent timestamptz);
        SELECT raceguard.add_cooldown('mails', 'address', 'sent', '1 hour');
        CREATE TABLE notes (id int PRIMARY KEY, note text, changed timestamptz(3) NOT NULL DEFAULT '2026-03-02');
        SELECT raceguard.add_version('notes', 'changed', client_sends => 'current');
        CREATE TABLE visits (room int, day date, id int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE visits_may PARTITION OF visits FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
        CREATE TABLE visits_june PARTITION OF visits FOR VALUES FROM ('2026-06-01') TO ('2026-07-01');
        CREATE TABLE seats (id int PRIMARY KEY, hall int);
        SELECT raceguard.add_cap('seats', 'hall', 2);
        SELECT raceguard.add_cap('visits', 'room, day', 2, slot_column => 'place', fill => 'append');
        CREATE TABLE events (id int PRIMARY KEY, capacity int);
        CREATE TABLE bookings (id int PRIMARY KEY, event_id int REFERENCES events, seats int DEFAULT 1);
        SELECT raceguard.add_total('bookings', 'events', 'booked', amount => 'seats', at_most => 'capacity');
        SELECT raceguard.add_total('bookings', 'events', 'bookings', settle => 'commit', guard => 'rows');
        CREATE TABLE invoices (id int PRIMARY KEY, org int);
        SELECT raceguard.add_number('invoices', 'org')"
done
check "all kinds of guards on both sides" \
    "$(on "$publisher" "SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM raceguard.guards")" \
    "cap cooldown key_lock number parent_version total version"

# ---- rows that are there before the subscription: copied
does "$publisher" "
    INSERT INTO orders VALUES (1, 'Old Street', 0), (2, 'Main Street', 0);
    UPDATE orders SET address = 'A Street', version = version + 1 WHERE id = 1;
    INSERT INTO posts SELECT n, n / 10 FROM generate_series(10, 12) n;
    DELETE FROM posts WHERE id = 11;
    INSERT INTO mails VALUES (1, 'ann', '2026-03-02 10:00+00');
    INSERT INTO notes VALUES (1, 'first');
    UPDATE notes SET note = 'second';
    INSERT INTO visits VALUES (1, '2026-05-01', 1), (1, '2026-05-01', 2);
    INSERT INTO events VALUES (1, 3), (2, 5);
    INSERT INTO bookings VALUES (1, 1, 1), (2, 1, 1), (3, 2, 2);
    INSERT INTO invoices VALUES (1, 1), (2, 1), (3, 2)"
does "$publisher" "INSERT INTO items VALUES (11, 1, 10), (12, 1, 20)"
# The subscriber's cooldown would refuse what the publisher's lets through.
does "$subscriber" "SELECT raceguard.add_cooldown('mails', 'address', 'sent', '1 week', replace => true)"
does "$publisher" "CREATE PUBLICATION shop FOR ALL TABLES"
does "$subscriber" "CREATE SUBSCRIPTION shop CONNECTION 'host=$publisher port=$PGPORT user=$PGUSER dbname=shop' PUBLICATION shop"
copied() { on "$subscriber" "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"; }
wait_until "the tables are copied" copied
same "the initial copy"
says "$subscriber" 3 "SELECT version FROM orders WHERE id = 1"
says "$subscriber" "1: 2 2, 2: 2 1" "SELECT string_agg(concat(id, ': ', booked, ' ', bookings), ', ' ORDER BY id) FROM events"

# ---- changes as they come
does "$publisher" "UPDATE orders SET address = 'B Street', version = version + 1 WHERE id = 1"
does "$publisher" "UPDATE orders SET seen = seen + 1"
does "$publisher" "UPDATE notes SET note = 'third'"
same "updates of versioned rows"
does "$publisher" "INSERT INTO items VALUES (21, 2, 5), (22, 2, 5)"
does "$publisher" "UPDATE items SET order_id = 1 WHERE id = 22"
does "$publisher" "BEGIN; UPDATE items SET price = 6 WHERE id = 21; UPDATE orders SET address = 'C Street', version = version + 1 WHERE id = 2; COMMIT"
does "$publisher" "DELETE FROM items WHERE id = 12"
same "parents bumped once by their children"
says "$subscriber" "1|6
2|4" "SELECT id, version FROM orders ORDER BY id"
does "$publisher" "INSERT INTO posts VALUES (13, 1), (20, 2), (21, 2)"
does "$publisher" "UPDATE posts SET user_id = 2 WHERE id = 13; UPDATE posts SET highlighted = false WHERE id = 20; UPDATE posts SET highlighted = true WHERE id = 20"
does "$publisher" "UPDATE visits SET day = '2026-06-02' WHERE id = 1"
same "slots, moves between keys and partitions"
does "$publisher" "INSERT INTO mails VALUES (2, 'ann', '2026-03-02 12:00+00')"
same "a cooldown that is longer on the subscriber"
does "$publisher" "INSERT INTO bookings VALUES (4, 2), (5, 1)" "UPDATE bookings SET event_id = 2 WHERE id = 1" \
    "DELETE FROM bookings WHERE id = 3" "UPDATE bookings SET seats = 2 WHERE id = 2"
does "$publisher" "BEGIN; INSERT INTO events VALUES (3, 1); INSERT INTO bookings VALUES (6, 3); COMMIT"
does "$publisher" "INSERT INTO invoices VALUES (4, 1), (5, 2)" "DELETE FROM invoices WHERE id = 3"
same "totals counted once, and numbers given once"
says "$subscriber" 0 "SELECT count(*) FROM raceguard.check_guards(deep => true) WHERE problem = 'totals_wrong'"
says "$subscriber" "1: 3, 2: 2, 3: 1" "SELECT string_agg(concat(id, ': ', booked), ', ' ORDER BY id) FROM events"
does "$publisher" "BEGIN; TRUNCATE bookings; INSERT INTO bookings VALUES (7, 1), (8, 1); COMMIT"
same "TRUNCATE, after which totals begin anew"
does "$publisher" "TRUNCATE items"
same "TRUNCATE, which bumps parents"
does "$publisher" "DELETE FROM orders WHERE id = 2; INSERT INTO orders VALUES (2, 'Main Street', 0, 5)"
does "$publisher" "BEGIN; SET LOCAL session_replication_role = replica; UPDATE orders SET version = 20 WHERE id = 2; COMMIT"
same "versions that do not go up by one"

# ---- the apply worker takes no key lock, so it does not wait for those who do
session local -h "$subscriber" -d shop
ask local "BEGIN"
ask local "SELECT raceguard.lock_table_keys('posts')"
does "$publisher" "UPDATE posts SET user_id = 7 WHERE id = 10"
same "a key that is locked on the subscriber"
ask local "COMMIT"

# ---- whoever writes to the subscriber himself is guarded
says "$subscriber" "ERROR:  RG409" "UPDATE orders SET version = 3 WHERE id = 1"
says "$subscriber" "ERROR:  RG428" "UPDATE orders SET address = 'Z Street' WHERE id = 1"
says "$subscriber" "ERROR:  RG409" "UPDATE notes SET note = 'z', changed = '2026-03-02' WHERE id = 1"
says "$subscriber" "ERROR:  RG403" "INSERT INTO posts VALUES (90, 2)"
says "$subscriber" "ERROR:  RG429" "INSERT INTO mails VALUES (90, 'ann', '2026-03-05')"
says "$subscriber" "ERROR:  RG403" "INSERT INTO bookings VALUES (90, 1, 2)"
says "$subscriber" "ERROR:  428C9" "UPDATE events SET booked = 0 WHERE id = 1"
says "$subscriber" 3 "BEGIN; INSERT INTO bookings VALUES (90, 1); SELECT booked FROM events WHERE id = 1; ROLLBACK"
says "$subscriber" 4 "BEGIN; INSERT INTO invoices VALUES (90, 1) RETURNING number; ROLLBACK"
version=$(on "$subscriber" "SELECT version FROM orders WHERE id = 1")
says "$subscriber" $((version + 1)) "BEGIN; INSERT INTO items VALUES (90, 1, 1); SET CONSTRAINTS ALL IMMEDIATE;
    SELECT version FROM orders WHERE id = 1; ROLLBACK"
same "nothing of that"

# ---- what the index and the CHECK of a cap refuse, replication cannot apply: it waits until they let it
logged() { if grep -q "^logical replication.* $1 ERROR: " "$RUN/subscriber/server.log"; then echo t; fi; }

# stops CODE WANTED QUERY: the apply worker fails with that error, its first of this kind, and applies nothing.
stops() {
    wait_until "apply stops with $1" logged "$1"
    says "$subscriber" "$2" "$3"
}

does "$subscriber" "SELECT raceguard.set_cap('seats', 1)"
does "$publisher" "INSERT INTO seats VALUES (1, 1), (2, 1)"
stops 23514 0 "SELECT count(*) FROM seats"
does "$subscriber" "SELECT raceguard.set_cap('seats', 2)"
same "the cap is as large as the publisher's again"

does "$subscriber" "INSERT INTO seats VALUES (90, 9)"
does "$publisher" "INSERT INTO seats VALUES (3, 9)"
stops 23505 90 "SELECT id FROM seats WHERE hall = 9"
does "$subscriber" "DELETE FROM seats WHERE id = 90"
same "the slot is free again"

# ---- ENABLE ALWAYS: the apply worker's rows are judged as well
does "$subscriber" "ALTER TABLE orders ENABLE ALWAYS TRIGGER zz_raceguard_version" \
    "ALTER TABLE items ENABLE ALWAYS TRIGGER zz_raceguard_parent_version" \
    "ALTER TABLE items ENABLE ALWAYS TRIGGER zz_raceguard_parent_version_bump" \
    "ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_cap" \
    "ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_cap_full"
does "$publisher" "UPDATE orders SET address = 'D Street', version = version + 1"
same "always: a version that moves by one"
does "$publisher" "INSERT INTO items VALUES (31, 1, 1), (32, 2, 1)"
same "always: a parent bumped by its children"
does "$publisher" "INSERT INTO posts VALUES (40, 7), (41, 7)" "UPDATE posts SET user_id = 8 WHERE id = 40"
same "always: slots"
# The publisher skips slot 1 of hall 11, which somebody is about to take; the subscriber cannot know that.
does "$subscriber" "ALTER TABLE seats ENABLE ALWAYS TRIGGER zz_raceguard_cap"
does "$publisher" "INSERT INTO seats VALUES (50, 10), (51, 10)"
session early -h "$publisher" -d shop
ask early "BEGIN"
ask early "INSERT INTO seats VALUES (52, 11)"
does "$publisher" "UPDATE seats SET hall = 11 WHERE id = 51"
replicated
says "$publisher" 2 "SELECT slot FROM seats WHERE id = 51"
says "$subscriber" 1 "SELECT slot FROM seats WHERE id = 51"
does "$subscriber" "ALTER TABLE seats ENABLE TRIGGER zz_raceguard_cap" "UPDATE seats SET slot = 2 WHERE id = 51"
ask early "COMMIT"
same "the cap is as it was"
# An UPDATE of ignored columns alone states, as it arrives, the version that the row has.
seen=$(on "$subscriber" "SELECT sum(seen) FROM orders")
does "$publisher" "UPDATE orders SET seen = seen + 1"
stops RG409 "$seen" "SELECT sum(seen) FROM orders"
does "$subscriber" "ALTER TABLE orders ENABLE TRIGGER zz_raceguard_version"
same "the version guard is as it was"
does "$subscriber" "ALTER TABLE mails ENABLE ALWAYS TRIGGER zz_raceguard_cooldown"
does "$publisher" "INSERT INTO mails VALUES (3, 'ann', '2026-03-02 14:00+00')"
stops RG429 2 "SELECT count(*) FROM mails"
does "$subscriber" "ALTER TABLE mails ENABLE TRIGGER zz_raceguard_cooldown"
same "the cooldown is as it was"
does "$subscriber" "ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_raceguard_key_lock"
ask local "BEGIN"
ask local "SELECT raceguard.lock_key('posts', 8)"
does "$publisher" "UPDATE posts SET highlighted = false WHERE id = 40"
wait_until "the apply worker waits for the key" on "$subscriber" "SELECT count(*) = 1 FROM raceguard.locks WHERE NOT granted"
says "$subscriber" t "SELECT highlighted FROM posts WHERE id = 40"
ask local "COMMIT"
same "always: a key lock makes apply wait"

# ---- session_replication_role = replica does to a session what it does to the apply worker
for table in orders items posts mails; do does "$subscriber" "ALTER TABLE $table ENABLE TRIGGER USER"; done
replica="BEGIN; SET LOCAL session_replication_role = replica"
version=$(on "$subscriber" "SELECT version FROM orders WHERE id = 1")
says "$subscriber" "$version" "$replica; UPDATE orders SET address = 'Z Street' WHERE id = 1 RETURNING version; ROLLBACK"
says "$subscriber" "$version" "$replica; INSERT INTO items VALUES (90, 1, 1); SET CONSTRAINTS ALL IMMEDIATE;
    SELECT version FROM orders WHERE id = 1; ROLLBACK"
says "$subscriber" "ERROR:  23514" "$replica; INSERT INTO posts VALUES (90, 99)"
says "$subscriber" 3 "$replica; INSERT INTO posts VALUES (90, 99, true, 3) RETURNING slot; ROLLBACK"
says "$subscriber" 90 "$replica; INSERT INTO mails VALUES (90, 'ann', '2026-03-02 12:00+00') RETURNING id; ROLLBACK"
says "$subscriber" 2 "$replica; INSERT INTO bookings VALUES (90, 1); SELECT booked FROM events WHERE id = 1; ROLLBACK"
# A guard for replicas alone guards nobody else.
says "$subscriber" f "BEGIN; ALTER TABLE mails ENABLE REPLICA TRIGGER zz_raceguard_cooldown;
    SELECT enabled FROM raceguard.guards WHERE target = 'mails'::regclass; ROLLBACK"

checks_end
