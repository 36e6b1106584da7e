-- The next version is written into the new row where it lies: whatever stands before it, and whoever reads it next.
CREATE EXTENSION raceguard;

CREATE TABLE docs (
    a text, id int PRIMARY KEY, b text, version bigint NOT NULL DEFAULT 1, c text,
    twice bigint GENERATED ALWAYS AS (version * 2) STORED,
    CHECK (version < 9));
CREATE INDEX ON docs (version);
SELECT raceguard.add_version('docs');
INSERT INTO docs (id, a, b, c) VALUES
    (1, 'x', 'y', 'z'), (2, NULL, 'y', NULL), (3, repeat('long', 9), NULL, 'z'), (4, NULL, NULL, NULL),
    (5, (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 400) n), 'y', 'z');
UPDATE docs SET c = 'new' RETURNING id, left(a, 4) AS a, length(a), b, version, c, twice;
UPDATE docs SET a = a || '!', version = version + 1 RETURNING id, left(a, 4) AS a, length(a), b, version, c, twice;
-- An unchanged row is a new version too; OLD is as it was.
UPDATE docs n SET id = n.id FROM docs o WHERE o.id = n.id RETURNING n.id, o.version AS old, n.version, n.twice;
SET enable_seqscan = off;
SELECT id, version, twice FROM docs WHERE version = 4 ORDER BY id;
RESET enable_seqscan;

-- Triggers around the guard: one before it writes a row anew, one after it reads and writes the version.
CREATE FUNCTION earlier() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.b := concat(NEW.b, '+');
    RETURN NEW;
END $$;
CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.c := format('was %s, is %s', OLD.version, NEW.version);
    RETURN NEW;
END $$;
CREATE FUNCTION afterwards() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% to %', (SELECT array_agg(version ORDER BY id) FROM before), (SELECT array_agg(version ORDER BY id) FROM after);
    RETURN NULL;
END $$;
CREATE TRIGGER aaa BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION earlier();
CREATE TRIGGER zzz BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION later();
CREATE TRIGGER afterwards AFTER UPDATE ON docs REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION afterwards();
UPDATE docs SET a = 'same' WHERE id < 4 RETURNING id, b, version, c, twice;
DROP TRIGGER zzz ON docs;
UPDATE docs SET a = 'same' WHERE id < 3 RETURNING id, b, version, c, twice;
DROP TRIGGER aaa ON docs;
DROP TRIGGER afterwards ON docs;

-- The ways to an UPDATE.
INSERT INTO docs (id, a) VALUES (1, 'put') ON CONFLICT (id) DO UPDATE SET a = excluded.a RETURNING id, a, version, twice;
MERGE INTO docs d USING (VALUES (2)) AS v(id) ON d.id = v.id WHEN MATCHED THEN UPDATE SET a = 'merged';
SELECT id, a, version, twice FROM docs WHERE id = 2;
BEGIN;
DECLARE one CURSOR FOR SELECT * FROM docs WHERE id = 3 FOR UPDATE;
FETCH one;
UPDATE docs SET a = 'current' WHERE CURRENT OF one RETURNING id, a, version, twice;
SAVEPOINT s;
UPDATE docs SET a = 'gone' WHERE id = 3 RETURNING version;
ROLLBACK TO s;
UPDATE docs SET a = 'stays' WHERE id = 3 RETURNING version, twice;
COMMIT;
-- The CHECK sees it.
ALTER TABLE docs DISABLE TRIGGER USER;
UPDATE docs SET version = 8 WHERE id = 4;
ALTER TABLE docs ENABLE TRIGGER USER;
\set VERBOSITY sqlstate
UPDATE docs SET a = 'too late' WHERE id = 4;
\set VERBOSITY default

-- Columns that came and went, and rows that are older than the version.
CREATE TABLE grown (gone int, id int PRIMARY KEY, name text);
INSERT INTO grown VALUES (1, 1, 'Ann'), (NULL, 2, NULL);
ALTER TABLE grown DROP COLUMN gone;
SELECT raceguard.add_version('grown');
ALTER TABLE grown ADD note text DEFAULT 'none';
UPDATE grown SET name = 'Bob' RETURNING *;
UPDATE grown SET name = NULL RETURNING *;
UPDATE grown SET note = 'some' RETURNING *;

-- Other types; one that is NULL.
CREATE TABLE small (t text, id int PRIMARY KEY, version smallint);
CREATE TABLE middle (t text, id int PRIMARY KEY, version int);
INSERT INTO small VALUES ('abc', 1, NULL), ('a', 2, 300);
INSERT INTO middle VALUES ('abc', 1, NULL), ('a', 2, 70000);
SELECT raceguard.add_version('small'), raceguard.add_version('middle');
ALTER TABLE small ALTER version DROP NOT NULL;
ALTER TABLE small DISABLE TRIGGER USER;
UPDATE small SET version = NULL WHERE id = 1;
ALTER TABLE small ENABLE TRIGGER USER;
UPDATE small SET t = t || '.' RETURNING *;
UPDATE small SET t = t || '.' RETURNING *;
UPDATE middle SET t = t || '.' RETURNING *;
CREATE TABLE timed (t text, id int PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT '2020-01-01');
SELECT raceguard.add_version('timed', version_column => 'updated_at', client_sends => 'current');
INSERT INTO timed VALUES ('abc', 1);
UPDATE timed SET t = 'new' RETURNING t, updated_at > now() - interval '1 h' AS moved;

-- A row that moves to another partition.
CREATE TABLE parts (t text, id int, k int, version bigint NOT NULL DEFAULT 1, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part_2 (version bigint NOT NULL DEFAULT 1, k int NOT NULL, t text, id int NOT NULL);
ALTER TABLE parts ATTACH PARTITION part_2 FOR VALUES IN (2);
SELECT raceguard.add_version('parts');
INSERT INTO parts VALUES ('abc', 1, 1), ('de', 2, 2);
UPDATE parts SET t = t || '.' RETURNING tableoid::regclass, *;
UPDATE parts SET k = 3 - k RETURNING tableoid::regclass, *;
UPDATE parts SET t = t || '.' RETURNING tableoid::regclass, *;
