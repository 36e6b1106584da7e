-- Many guards, many faults and long names: what is told of them stays short, and nothing is left undone in silence.
CREATE EXTENSION raceguard;
\set SHOW_CONTEXT never
SET client_min_messages = warning;
-- A manifest may be as long as somebody likes.
CREATE TABLE orders (id int PRIMARY KEY);
SELECT raceguard.add_version('orders');
CREATE FUNCTION told(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE told text;
BEGIN
    EXECUTE call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS told = PG_EXCEPTION_DETAIL;
    RETURN told;
END $$;
CREATE VIEW long AS
SELECT jsonb_build_object('manifest', 1, 'guards', jsonb_agg(entry)) AS manifest
FROM (SELECT jsonb_build_object('target', repeat('x', 100000), 'kind', 'version') FROM generate_series(1, 500)) AS e(entry);
SELECT length(told('SELECT raceguard.require_guards(manifest) FROM long')) < 60000 AS short;
SELECT split_part(told('SELECT raceguard.require_guards(manifest) FROM long'), E'\n', 1) AS first;
SELECT split_part(told('SELECT raceguard.require_guards(manifest) FROM long'), E'\n', 51) AS last;
SELECT left(told(format('SELECT raceguard.require_guards(%L)', jsonb_build_object('manifest', 1, 'guards',
    jsonb_build_array(jsonb_build_object('target', 'public.orders', 'kind', 'version', 'guard', repeat('y', 100000)))))), 200);
SELECT length(told(format('SELECT raceguard.require_guards(%L)', jsonb_build_object('manifest', 1, 'guards',
    jsonb_build_array(jsonb_build_object('target', 'public.orders', 'kind', 'version',
        'definition', jsonb_build_object('ignore', jsonb_build_array(repeat('z', 100000))))))))) < 2000 AS short;
SELECT length(told(format('SELECT raceguard.require_guard(%L, %L, %L)', 'orders', 'version',
    jsonb_build_object('ignore', jsonb_build_array(repeat('z', 100000)))))) < 2000 AS short;

-- More faults than one call mends.
CREATE TABLE days (id int) PARTITION BY LIST (id);
DO $$ BEGIN
    FOR i IN 1 .. 60 LOOP EXECUTE format('CREATE TABLE days_%s PARTITION OF days FOR VALUES IN (%s)', i, i); END LOOP;
END $$;
SELECT raceguard.add_version('days');
DO $$ BEGIN
    FOR i IN 1 .. 60 LOOP EXECUTE format('ALTER TABLE days_%s DISABLE TRIGGER zz_raceguard_version', i); END LOOP;
END $$;
SELECT count(*) FROM raceguard.repair_guard('days', 'version');
SELECT count(*) FROM raceguard.check_guards('days');
SELECT count(*) FROM raceguard.repair_guard('days', 'version');
SELECT count(*) FROM raceguard.check_guards('days');
DROP TABLE days, orders CASCADE;
DROP FUNCTION told;
