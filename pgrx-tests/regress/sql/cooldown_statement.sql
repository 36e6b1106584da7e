-- A cooldown judges the rows of one statement by what it has read for an earlier one of the same key. What it then knows
-- has to be what a look for each row would tell.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\set VERBOSITY terse
CREATE TABLE visits (k int, at timestamp);
SELECT raceguard.add_cooldown('visits', 'k', 'at', '7 days');

-- The first row looks by itself, the second reads on, the others need not look: the last two are too close.
INSERT INTO visits SELECT 1, timestamp '2026-01-01' + n * interval '8 days' FROM generate_series(0, 9) n;
INSERT INTO visits SELECT 2, timestamp '2026-01-01' + d * interval '1 day' FROM unnest('{0,8,16,24,25}'::int[]) d;
INSERT INTO visits SELECT 2, timestamp '2026-01-01' + d * interval '1 day' FROM unnest('{25,24,16,8,0}'::int[]) d;
-- More rows than are read on for, and more than are kept.
INSERT INTO visits SELECT 2, timestamp '2026-01-01' + d * interval '1 day' FROM unnest('{0,8,16,24,32,40,48,56,64,72,80,88,96,104,110}'::int[]) d;
INSERT INTO visits SELECT 3, timestamp '2026-01-01' + n * interval '7 days' FROM generate_series(0, 200) n;
INSERT INTO visits SELECT 3, timestamp '2026-01-01' - n * interval '7 days' FROM generate_series(1, 200) n;
INSERT INTO visits SELECT 3, timestamp '2026-01-01' + n * interval '7 days' FROM unnest('{-203,-202,202,203,200}'::int[]) n;
-- Keys in turn.
INSERT INTO visits SELECT 10 + n % 3, timestamp '2026-01-01' + n * interval '3 days' FROM generate_series(0, 30) n;
INSERT INTO visits SELECT 20 + n % 3, timestamp '2026-01-01' + n * interval '2 days' FROM generate_series(0, 30) n;
SELECT k, count(*), min(at), max(at) FROM visits GROUP BY k ORDER BY k;

-- An UPDATE of several rows: one that moves next to what the first of them has read.
UPDATE visits SET at = at + interval '3 days' WHERE k = 1;
UPDATE visits SET at = CASE WHEN at > '2026-03-01' THEN at - interval '2 days' ELSE at END WHERE k = 1;
SELECT count(*), min(at), max(at) FROM visits WHERE k = 1;

-- A function in the statement's own target list writes rows of the same key, with triggers of its own and, as an SQL
-- function, without another command number after it.
CREATE FUNCTION two_visits(k int, first timestamp) RETURNS int LANGUAGE sql VOLATILE AS $$
    INSERT INTO visits VALUES (k, first), (k, first + interval '30 days'), (k, first + interval '60 days');
    SELECT 0;
$$;
INSERT INTO visits SELECT 30 + CASE n WHEN 2 THEN two_visits(30, '2026-06-01') ELSE 0 END, timestamp '2026-06-04' + n * interval '30 days'
  FROM generate_series(1, 3) n;
INSERT INTO visits SELECT 30 + CASE n WHEN 2 THEN two_visits(30, '2027-06-01') ELSE 0 END, timestamp '2026-06-04' + n * interval '30 days'
  FROM generate_series(1, 3) n;

-- What the function's statement has read last does not judge rows that the statement around it writes afterwards, under the
-- same command number.
CREATE FUNCTION three_visits(k int, first timestamp) RETURNS int LANGUAGE sql VOLATILE AS $$
    INSERT INTO visits VALUES (k, first), (k, first + interval '30 days'), (k, first + interval '60 days') RETURNING 0;
$$;
INSERT INTO visits SELECT 31 + CASE n WHEN 2 THEN three_visits(31, '2026-06-01') ELSE 0 END, at
  FROM (VALUES (1, timestamp '2026-09-01'), (2, '2026-09-13'), (3, '2026-09-15')) v (n, at);
INSERT INTO visits SELECT 31 + CASE n WHEN 2 THEN three_visits(31, '2026-06-01') ELSE 0 END, at
  FROM (VALUES (1, timestamp '2026-09-01'), (2, '2026-09-13'), (3, '2026-09-25')) v (n, at);
SELECT k, count(*) FROM visits WHERE k BETWEEN 30 AND 31 GROUP BY k ORDER BY k;
-- A trigger that fires between two rows of the statement writes a row close to the next, or takes one away.
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    nothing int;
BEGIN
    IF NEW.k = 40 AND NEW.at = '2026-03-01' AND pg_trigger_depth() = 1 THEN
        nothing := one_visit(40, '2026-05-02');
    ELSIF NEW.k = 41 AND NEW.at = '2026-03-01' AND pg_trigger_depth() = 1 THEN
        PERFORM one_visit(41, '2026-05-02');
    ELSIF NEW.k = 42 AND NEW.at = '2026-03-01' THEN
        DELETE FROM visits WHERE k = 42 AND at = '2026-05-02';
    ELSIF NEW.k = 43 AND NEW.at = '2026-03-01' AND pg_trigger_depth() = 1 THEN
        BEGIN
            PERFORM one_visit(43, '2026-05-02');
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION one_visit(k int, at timestamp) RETURNS int LANGUAGE sql VOLATILE AS $$
    INSERT INTO visits VALUES (k, at);
    SELECT 0;
$$;
CREATE TRIGGER a_meddle AFTER INSERT ON visits FOR EACH ROW EXECUTE FUNCTION meddle();
INSERT INTO visits SELECT 40, timestamp '2026-01-01' + n * interval '1 month' FROM generate_series(0, 4) n;
INSERT INTO visits SELECT 41, timestamp '2026-01-01' + n * interval '1 month' FROM generate_series(0, 4) n;
INSERT INTO visits VALUES (42, '2026-01-01'), (42, '2026-02-01'), (42, '2026-03-01'), (42, '2026-05-01'), (42, '2026-05-02');
INSERT INTO visits SELECT 43, timestamp '2026-01-01' + n * interval '1 month' FROM generate_series(0, 4) n;
SELECT k, array_agg(at::date ORDER BY at) FROM visits WHERE k >= 40 GROUP BY k ORDER BY k;
DROP TRIGGER a_meddle ON visits;

-- At random, against a judgement in plain SQL: what is inserted keeps the rule, and what is refused would have broken it.
CREATE FUNCTION at_random(target regclass, max_rows int, period interval, rounds int) RETURNS TABLE (inserted int, wrong int)
LANGUAGE plpgsql AS $$
DECLARE
    breaks boolean; refused boolean;
BEGIN
    inserted := 0;
    wrong := 0;
    PERFORM setseed(0.25);
    CREATE TEMP TABLE fresh (k int, at timestamp, n serial);
    FOR i IN 1 .. rounds LOOP
        TRUNCATE fresh;
        INSERT INTO fresh (k, at)
        SELECT (random() * 3)::int, timestamp '2026-01-01' + (random() * 3000)::int * interval '1 day'
          FROM generate_series(1, 1 + (random() * 12)::int);
        EXECUTE format($q$SELECT EXISTS (
            SELECT FROM (SELECT at, lead(at, $1) OVER (PARTITION BY k ORDER BY at) AS next
                           FROM (SELECT k, at FROM %s UNION ALL SELECT k, at FROM fresh) r) s
             WHERE next < at + $2)$q$, target) INTO breaks USING max_rows, period;
        BEGIN
            EXECUTE format('INSERT INTO %s SELECT k, at FROM fresh ORDER BY CASE %s WHEN 0 THEN n ELSE k END, at', target, i % 2);
            refused := false;
            inserted := inserted + 1;
        EXCEPTION WHEN SQLSTATE 'RG429' THEN
            refused := true;
        END;
        wrong := wrong + (breaks <> refused)::int;
    END LOOP;
    DROP TABLE fresh;
    RETURN NEXT;
END $$;
SELECT wrong, inserted > 30 AS some FROM at_random('visits', 1, '7 days', 300);
CREATE TABLE windows (k int, at timestamp);
SELECT raceguard.add_cooldown('windows', 'k', 'at', '20 days', max_rows => 3);
SELECT wrong, inserted > 30 AS some FROM at_random('windows', 3, '20 days', 300);
CREATE TABLE months (k int, at timestamp) PARTITION BY RANGE (at);
CREATE TABLE months_1 PARTITION OF months FOR VALUES FROM (MINVALUE) TO ('2029-01-01');
CREATE TABLE months_2 PARTITION OF months FOR VALUES FROM ('2029-01-01') TO (MAXVALUE);
SELECT raceguard.add_cooldown('months', 'k', 'at', '7 days');
SELECT wrong, inserted > 30 AS some FROM at_random('months', 1, '7 days', 300);
