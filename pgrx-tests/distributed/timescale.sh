# Guards and calls on hypertables, compressed chunks included. Sourced by run.sh.
# shellcheck disable=SC2154
timescale="$RACEGUARD_TIMESCALE options='-c client_min_messages=error -c search_path=rg_test,public'"
at "$timescale" "CREATE EXTENSION IF NOT EXISTS timescaledb" >/dev/null
at "$timescale" "
    CREATE EXTENSION IF NOT EXISTS raceguard;
    DROP SCHEMA IF EXISTS rg_test CASCADE;
    CREATE SCHEMA rg_test" >/dev/null
at "$timescale" "
    CREATE TABLE ticks (id int, at timestamptz NOT NULL, sensor int, n int DEFAULT 0, PRIMARY KEY (id, at));
    SELECT create_hypertable('ticks', 'at', chunk_time_interval => interval '1 day');
    SELECT raceguard.add_version('ticks', unstated => 'reject');
    INSERT INTO ticks SELECT n, '2026-01-01'::timestamptz + n * interval '1 day', 1 FROM generate_series(1, 4) n;
    ALTER TABLE ticks SET (timescaledb.compress, timescaledb.compress_segmentby = 'sensor');
    CREATE TABLE events (id int PRIMARY KEY);
    CREATE TABLE late (id int, at timestamptz NOT NULL, sensor int, event int REFERENCES events, PRIMARY KEY (id, at));
    SELECT raceguard.add_key_lock('late', 'sensor');
    SELECT create_hypertable('late', 'at', chunk_time_interval => interval '1 day')" >/dev/null
for guard in "add_key_lock('ticks', 'sensor')" "add_cooldown('ticks', 'sensor', 'at', '1 day')" \
    "add_cap('ticks', 'at, sensor', 2)" "add_number('ticks', 'at, sensor')" "add_total('late', 'events', 'n_late')"; do
    says "$timescale" "ERROR:  0A000" "SELECT raceguard.$guard"
done
says "$timescale" "ERROR:  0A000" "INSERT INTO late VALUES (1, '2026-01-01', 1)"
says "$timescale" "" "SELECT raceguard.drop_guard('late', 'key_lock')"
says "$timescale" "" "INSERT INTO late VALUES (1, '2026-01-01', 1)"

# chunks as they are written, and compressed
locked=1
for _ in written compressed; do
    says "$timescale" "ERROR:  RG428" "UPDATE ticks SET sensor = 2 WHERE id = 1"
    says "$timescale" "ERROR:  RG409" "UPDATE ticks SET sensor = 2, version = 9 WHERE id = 1"
    says "$timescale" 1 "UPDATE ticks SET sensor = 2, version = version + 1 WHERE id = 1 RETURNING 1"
    says "$timescale" t "SELECT raceguard.compare_and_swap('ticks', to_jsonb(k), t.version, '{\"n\": 1}') @> '{\"n\": 1}'
        FROM ticks t, LATERAL (SELECT t.id, t.at) k WHERE t.id = 2"
    says "$timescale" "ERROR:  RG409" "SELECT raceguard.compare_and_swap('ticks', to_jsonb(k), 99, '{\"n\": 1}')
        FROM ticks t, LATERAL (SELECT t.id, t.at) k WHERE t.id = 2"
    # TimescaleDB locks no rows of a compressed chunk
    says "$timescale" "$locked" "SELECT count(*) FROM ticks t, LATERAL (SELECT t.id, t.at) k,
        LATERAL raceguard.lock_rows('ticks', jsonb_build_array(to_jsonb(k))) WHERE t.id = 3"
    says "$timescale" t "SELECT raceguard.take('ticks', to_jsonb(k), 'sensor', 0) >= 0
        FROM ticks t, LATERAL (SELECT t.id, t.at) k WHERE t.id = 3"
    locked="ERROR:  0A000"
    says "$timescale" 4 "SELECT count(compress_chunk(c, if_not_compressed => true)) FROM show_chunks('ticks') c"
done
says "$timescale" t "SELECT raceguard.compare_and_delete('ticks', to_jsonb(k), t.version) IS NOT NULL
    FROM ticks t, LATERAL (SELECT t.id, t.at) k WHERE t.id = 4"
says "$timescale" 3 "SELECT count(*) FROM ticks"

# rows that have no version yet
at "$timescale" "
    CREATE TABLE old (id int, at timestamptz NOT NULL, version bigint, PRIMARY KEY (id, at));
    SELECT create_hypertable('old', 'at', chunk_time_interval => interval '1 day');
    INSERT INTO old SELECT n, '2026-01-01'::timestamptz + n * interval '1 day' FROM generate_series(1, 4) n;
    ALTER TABLE old ALTER version SET DEFAULT 1;
    SELECT raceguard.add_version('old')" >/dev/null
at "$timescale" "CALL raceguard.backfill_version('old')" >/dev/null
says "$timescale" 0 "SELECT count(*) FROM old WHERE version IS NULL"
at "$timescale" "DROP SCHEMA rg_test CASCADE" >/dev/null
