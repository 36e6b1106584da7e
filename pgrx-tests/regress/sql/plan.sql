-- Guards put on tables step by step: in the end the catalog says what add_* makes it say.
CREATE EXTENSION raceguard;
\set VERBOSITY terse
SET client_min_messages = warning;
-- What of a guard the catalog shows, the table's own name left out.
CREATE FUNCTION shape(target regclass) RETURNS TABLE (part text) LANGUAGE sql AS $$
    SELECT replace(part, $1::text, '*') FROM (
        SELECT format('column %s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull,
                      pg_get_expr(adbin, adrelid))
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT format('%s %s', pg_get_constraintdef(oid), convalidated) FROM pg_constraint WHERE conrelid = $1 AND contype <> 'n'
        UNION ALL SELECT format('%s %s', pg_get_indexdef(indexrelid), indisvalid) FROM pg_index WHERE indrelid = $1
        UNION ALL SELECT format('%s %s', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal) s(part)
$$;
-- What differs between two tables.
CREATE FUNCTION differences(a regclass, b regclass) RETURNS TABLE (part text) LANGUAGE sql AS $$
    (SELECT 'only a: ' || part FROM shape(a) EXCEPT ALL SELECT 'only a: ' || part FROM shape(b))
    UNION ALL (SELECT 'only b: ' || part FROM shape(b) EXCEPT ALL SELECT 'only b: ' || part FROM shape(a))
$$;

-- Version: a column that is missing.
CREATE TABLE a1 (id int PRIMARY KEY, note text);
CREATE TABLE b1 (id int PRIMARY KEY, note text);
INSERT INTO a1 VALUES (1, 'x');
SELECT raceguard.add_version('b1', unstated => 'reject', ignore => '{note}');
SELECT * FROM raceguard.plan_version('a1', unstated => 'reject', ignore => '{note}');
SELECT ddl FROM raceguard.plan_version('a1', unstated => 'reject', ignore => '{note}') \gexec
SELECT * FROM differences('a1', 'b1');
SELECT * FROM raceguard.plan_version('a1', unstated => 'reject', ignore => '{note}');
SELECT * FROM a1;
-- Another definition.
SELECT * FROM raceguard.plan_version('a1');
SELECT * FROM raceguard.plan_version('a1', replace => true);
ALTER TABLE a1 ENABLE ALWAYS TRIGGER zz_raceguard_version;
SELECT ddl FROM raceguard.plan_version('a1', replace => true);
SELECT ddl FROM raceguard.plan_version('a1', replace => true) \gexec
SELECT tgenabled, tgargs FROM pg_trigger WHERE tgrelid = 'a1'::regclass;
-- One that is off.
ALTER TABLE a1 DISABLE TRIGGER USER;
SELECT * FROM raceguard.plan_version('a1');

-- A column that is there, accepts NULL and has no default.
CREATE TABLE a2 (id int PRIMARY KEY, rev int);
CREATE TABLE b2 (id int PRIMARY KEY, rev int);
INSERT INTO a2 SELECT n, CASE WHEN n % 3 = 0 THEN 7 END FROM generate_series(1, 100) n;
SELECT raceguard.add_version('b2', 'rev');
SELECT * FROM raceguard.plan_version('a2', 'rev');
-- Rows that come in meanwhile.
SELECT ddl FROM raceguard.plan_version('a2', 'rev') WHERE step = 1 \gexec
INSERT INTO a2 VALUES (101, NULL);
SELECT ddl FROM raceguard.plan_version('a2', 'rev') WHERE step = 1 \gexec
INSERT INTO a2 VALUES (102, NULL);
SELECT ddl FROM raceguard.plan_version('a2', 'rev') WHERE step = 2 \gexec
INSERT INTO a2 VALUES (103, NULL);
INSERT INTO a2 VALUES (103);
-- The CHECK finds what the fill has not: the plan begins again there.
SELECT ddl FROM raceguard.plan_version('a2', 'rev') WHERE step = 2 \gexec
SELECT step, lock_mode, own_transaction, left(ddl, 40) AS ddl FROM raceguard.plan_version('a2', 'rev');
SELECT ddl FROM raceguard.plan_version('a2', 'rev') \gexec
SELECT rev, count(*) FROM a2 GROUP BY 1 ORDER BY 1;
SELECT * FROM differences('a2', 'b2');
SELECT count(*) FROM raceguard.plan_version('a2', 'rev');
-- Stopped before the CHECK was dropped.
CREATE TABLE a3 (id int PRIMARY KEY, rev int);
SELECT ddl FROM raceguard.plan_version('a3', 'rev') WHERE step < 6 \gexec
SELECT step, ddl FROM raceguard.plan_version('a3', 'rev');
SELECT raceguard.add_version('a3', 'rev');
SELECT * FROM differences('a3', 'b2');

-- Partitions, and tables that inherit.
CREATE TABLE parted (id int, "Rev" bigint) PARTITION BY LIST (id);
CREATE TABLE "Part 1" PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE part2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted SELECT 1 + n % 2 FROM generate_series(1, 10) n;
SELECT step, lock_mode, own_transaction FROM raceguard.plan_version('parted', 'Rev');
SELECT ddl FROM raceguard.plan_version('parted', 'Rev') \gexec
SELECT tableoid::regclass, "Rev", count(*) FROM parted GROUP BY 1, 2 ORDER BY 1;
SELECT guard, whole, enabled FROM raceguard.guards WHERE target = 'parted'::regclass;
SELECT raceguard.plan_version('part2', 'other');

-- Key lock.
CREATE TABLE a4 (id int PRIMARY KEY, k int);
CREATE TABLE b4 (id int PRIMARY KEY, k int);
SELECT raceguard.add_key_lock('b4', 'k');
SELECT * FROM raceguard.plan_key_lock('a4', 'k');
SELECT ddl FROM raceguard.plan_key_lock('a4', 'k') \gexec
SELECT * FROM differences('a4', 'b4');
SELECT count(*) FROM raceguard.plan_key_lock('a4', 'k');
SELECT raceguard.plan_key_lock('a4', 'id');
SELECT ddl FROM raceguard.plan_key_lock('a4', 'id', replace => true) \gexec
SELECT raceguard.add_key_lock('b4', 'id', replace => true);
SELECT * FROM differences('a4', 'b4');
DROP TRIGGER "!raceguard_key_lock" ON a4;
ALTER TABLE a4 DISABLE TRIGGER zz_raceguard_key_lock;
SELECT * FROM raceguard.plan_key_lock('a4', 'id');

-- Cooldown.
CREATE TABLE a5 (id int PRIMARY KEY, k int, j int, at timestamptz);
CREATE TABLE b5 (id int PRIMARY KEY, k int, j int, at timestamptz);
SELECT raceguard.add_cooldown('b5', 'k', 'at', '1 hour', predicate => 'k > 0');
SELECT * FROM raceguard.plan_cooldown('a5', 'k', 'at', '1 hour', predicate => 'k > 0');
SELECT ddl FROM raceguard.plan_cooldown('a5', 'k', 'at', '1 hour', predicate => 'k > 0') \gexec
SELECT * FROM differences('a5', 'b5');
SELECT count(*) FROM raceguard.plan_cooldown('a5', 'k', 'at', '1 hour', predicate => 'k > 0');
-- Another period with the same index; then another key, which takes another.
SELECT * FROM raceguard.plan_cooldown('a5', 'k', 'at', '2 hours', predicate => 'k > 0', replace => true);
SELECT * FROM raceguard.plan_cooldown('a5', 'j', 'at', '1 hour', replace => true);
SELECT ddl FROM raceguard.plan_cooldown('a5', 'j', 'at', '1 hour', replace => true) WHERE step < 3 \gexec
SELECT step, ddl FROM raceguard.plan_cooldown('a5', 'j', 'at', '1 hour', replace => true);
SELECT ddl FROM raceguard.plan_cooldown('a5', 'j', 'at', '1 hour', replace => true) \gexec
SELECT raceguard.add_cooldown('b5', 'j', 'at', '1 hour', replace => true);
SELECT * FROM differences('a5', 'b5');
-- An index that another cooldown reads goes on under that one's name.
SELECT raceguard.add_cooldown('a5', 'j', 'at', '2 days', max_rows => 5, guard => 'daily');
SELECT ddl FROM raceguard.plan_cooldown('a5', 'k', 'at', '1 hour', replace => true);
-- Rows that stand too close.
INSERT INTO b5 VALUES (1, 1, 1, '2026-03-01 12:00+00');
SELECT raceguard.plan_cooldown('b5', 'k', 'at', '1 hour', guard => 'other');
CREATE TABLE c5 (k int, at timestamptz);
INSERT INTO c5 VALUES (1, '2026-03-01 12:00+00'), (1, '2026-03-01 12:30+00');
SELECT raceguard.plan_cooldown('c5', 'k', 'at', '1 hour');
-- Partitions.
CREATE TABLE days (k int, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE day1 PARTITION OF days FOR VALUES FROM ('2026-03-01') TO ('2026-03-02');
CREATE TABLE day2 PARTITION OF days FOR VALUES FROM ('2026-03-02') TO ('2026-03-03');
SELECT * FROM raceguard.plan_cooldown('days', 'k', 'at', '1 hour');
SELECT ddl FROM raceguard.plan_cooldown('days', 'k', 'at', '1 hour') \gexec
SELECT guard, whole, enabled FROM raceguard.guards WHERE target = 'days'::regclass;
SELECT count(*) FROM raceguard.plan_cooldown('days', 'k', 'at', '1 hour');

-- Parent version.
CREATE TABLE parents (id int PRIMARY KEY);
SELECT raceguard.add_version('parents');
CREATE TABLE a6 (id int PRIMARY KEY, p int CONSTRAINT fk REFERENCES parents, q int CONSTRAINT fq REFERENCES parents);
CREATE TABLE b6 (id int PRIMARY KEY, p int CONSTRAINT fk REFERENCES parents, q int CONSTRAINT fq REFERENCES parents);
SELECT raceguard.add_parent_version('b6', 'parents', 'fk');
SELECT * FROM raceguard.plan_parent_version('a6', 'parents', 'fk');
-- Between the steps writes go on.
INSERT INTO parents VALUES (1);
SELECT ddl, 'INSERT INTO a6 VALUES (1, 1)', 'UPDATE a6 SET q = 1', 'TRUNCATE a6', 'DELETE FROM a6'
FROM raceguard.plan_parent_version('a6', 'parents', 'fk') \gexec
SELECT version > 1 AS moved FROM parents;
SELECT * FROM differences('a6', 'b6');
SELECT count(*) FROM raceguard.plan_parent_version('a6', 'parents', 'fk');
SELECT raceguard.plan_parent_version('a6', 'parents', 'fq');
SELECT ddl FROM raceguard.plan_parent_version('a6', 'parents', 'fq', replace => true);
SELECT ddl FROM raceguard.plan_parent_version('a6', 'parents', 'fq', replace => true) \gexec
SELECT raceguard.add_parent_version('b6', 'parents', 'fq', replace => true);
SELECT * FROM differences('a6', 'b6');
ALTER TABLE a6 DISABLE TRIGGER zz_raceguard_parent_version_truncate;
SELECT * FROM raceguard.plan_parent_version('a6', 'parents', 'fq');
SELECT raceguard.plan_parent_version('parents', 'a6');

-- Not the owner.
CREATE ROLE plan_other;
SET ROLE plan_other;
SELECT raceguard.plan_version('a1');
SELECT raceguard.plan_key_lock('a4', 'k');
SELECT raceguard.plan_cooldown('a5', 'k', 'at', '1 hour');
SELECT raceguard.plan_parent_version('a6', 'parents', 'fk');
RESET ROLE;
DROP ROLE plan_other;
SELECT raceguard.plan_version(NULL);
SELECT raceguard.plan_version('a1', mode => 'off');
SELECT raceguard.plan_key_lock('a4', 'nix');
SELECT raceguard.plan_cooldown('a5', 'k', 'at', '-1 hour');
