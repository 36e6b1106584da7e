-- What the version guard shows to whom: DETAIL, error styles, the observe mode's log, trigger order.
CREATE EXTENSION raceguard;
CREATE ROLE version_shown_clerk;
CREATE TABLE letters (id int PRIMARY KEY, owner text, body text, version bigint NOT NULL DEFAULT 1);
INSERT INTO letters VALUES (1, 'version_shown_clerk', 'a'), (2, 'somebody', 'b');
SET client_min_messages = warning;
SELECT raceguard.add_version('letters');
UPDATE letters SET body = 'b';

-- With UPDATE alone nobody learns keys or versions from errors.
GRANT UPDATE ON letters TO version_shown_clerk;
SET ROLE version_shown_clerk;
UPDATE letters SET body = 'x', version = 7;
RESET ROLE;
GRANT SELECT (version) ON letters TO version_shown_clerk;
SET ROLE version_shown_clerk;
UPDATE letters SET body = 'x', version = 7;
RESET ROLE;
REVOKE SELECT (version) ON letters FROM version_shown_clerk;
GRANT SELECT (id) ON letters TO version_shown_clerk;
SET ROLE version_shown_clerk;
UPDATE letters SET body = 'x', version = 7 WHERE id = 1;
RESET ROLE;
GRANT SELECT ON letters TO version_shown_clerk;
SET ROLE version_shown_clerk;
UPDATE letters SET body = 'x', version = 7 WHERE id = 1;
RESET ROLE;
-- Under row security neither, as in a unique violation.
ALTER TABLE letters ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON letters USING (owner = current_user);
SET ROLE version_shown_clerk;
UPDATE letters SET body = 'x', version = 7 WHERE id = 1;
-- Row security decides first which rows there are; the guard judges what is left.
UPDATE letters SET body = 'x', version = 7 WHERE id = 2;
UPDATE letters SET body = 'x', version = 3 WHERE id = 1 RETURNING version;
RESET ROLE;
-- The owner is not subject to it, unless it is forced upon him.
UPDATE letters SET body = 'x', version = 7 WHERE id = 1;
-- Partitions: the privileges on the table that the statement names count.
CREATE TABLE mail (id int, part int, body text, version bigint NOT NULL DEFAULT 1, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE mail_1 PARTITION OF mail FOR VALUES IN (1);
INSERT INTO mail VALUES (1, 1, 'a');
SELECT raceguard.add_version('mail');
GRANT SELECT, UPDATE ON mail TO version_shown_clerk;
SET ROLE version_shown_clerk;
UPDATE mail SET body = 'x', version = 7;
RESET ROLE;
REVOKE SELECT ON mail FROM version_shown_clerk;
SET ROLE version_shown_clerk;
UPDATE mail SET body = 'x', version = 7;
RESET ROLE;
-- Keys of every kind.
CREATE TABLE keyed (a text, "B" numeric, c uuid, v int NOT NULL DEFAULT 1, PRIMARY KEY (c, a, "B"));
INSERT INTO keyed VALUES ('it''s (a) key', 1.50, '00000000-0000-0000-0000-00000000002a');
SELECT raceguard.add_version('keyed', 'v');
UPDATE keyed SET v = 9;
UPDATE keyed SET a = 'the key itself changes', v = 9;

-- The three styles of an error.
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text; detail text; hint text; t text; c text; k text;
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        t = TABLE_NAME, c = COLUMN_NAME, k = CONSTRAINT_NAME;
    RETURN concat_ws(E'\n  ', SQLSTATE || ': ' || said, nullif(detail, ''), nullif(hint, ''), concat_ws(' ', t, c, k));
END $$;
CREATE TABLE orders (id int PRIMARY KEY, address text);
INSERT INTO orders VALUES (1, 'a');
SELECT raceguard.add_version('orders', unstated => 'reject');
SELECT try($$UPDATE orders SET address = 'x', version = 7$$);
SELECT try($$UPDATE orders SET address = 'x'$$);
SET raceguard.error_style = 'integrity';
SELECT try($$UPDATE orders SET address = 'x', version = 7$$);
SELECT try($$UPDATE orders SET address = 'x'$$);
SET raceguard.error_style = 'postgrest';
SELECT try($$UPDATE orders SET address = 'x', version = 7$$);
SELECT try($$UPDATE orders SET address = 'x'$$);
-- What PostgREST parses: message and detail are JSON objects with these keys.
CREATE FUNCTION as_postgrest_reads_it(statement text) RETURNS TABLE (code text, status int, headers json, body_keys text) LANGUAGE plpgsql AS $$
DECLARE
    said text; detail text;
BEGIN
    EXECUTE statement;
EXCEPTION WHEN SQLSTATE 'PGRST' THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN QUERY SELECT said::json ->> 'code', (detail::json ->> 'status')::int, detail::json -> 'headers',
        (SELECT string_agg(key, ' ') FROM json_object_keys(said::json) key);
END $$;
SELECT * FROM as_postgrest_reads_it($$UPDATE orders SET address = 'x', version = 7$$);
SELECT * FROM as_postgrest_reads_it($$UPDATE orders SET address = 'x'$$);
-- Postgres's own errors keep their codes in every style.
SELECT try($$SELECT raceguard.add_version('orders', unstated => 'maybe')$$);
RESET raceguard.error_style;
SELECT try($$SET raceguard.error_style = 'http'$$);

-- mode => 'observe': what would be refused is logged and passes, in the log's own style.
SELECT raceguard.add_version('orders', unstated => 'reject', mode => 'observe', replace => true);
SET raceguard.error_style = 'postgrest';
SET client_min_messages = log;
UPDATE orders SET address = 'x', version = 7 RETURNING version;
UPDATE orders SET address = 'x' RETURNING version;
UPDATE orders SET address = 'x', version = 4 RETURNING version;
UPDATE orders SET address = 'x', version = NULL RETURNING version;
SET client_min_messages = notice;
RESET raceguard.error_style;

-- The guard sees what other BEFORE triggers made of the row: its name sorts late.
CREATE TABLE drafts (id int PRIMARY KEY, body text, touched int DEFAULT 0);
INSERT INTO drafts VALUES (1, 'a');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.body := NEW.body || '.';
    RETURN NEW;
END $$;
CREATE TRIGGER aa_touch BEFORE UPDATE ON drafts FOR EACH ROW EXECUTE FUNCTION touch();
SELECT raceguard.add_version('drafts', ignore => '{touched}');
UPDATE drafts SET touched = 1 RETURNING *;
-- A trigger that bumps by itself does not bump twice.
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER bump BEFORE UPDATE ON drafts FOR EACH ROW EXECUTE FUNCTION bump();
UPDATE drafts SET body = 'b' RETURNING *;
UPDATE drafts SET body = 'b', version = 4 RETURNING *;
-- Nor does it move the version where the guard leaves it alone.
DROP TRIGGER aa_touch ON drafts;
UPDATE drafts SET touched = 2 RETURNING *;
DROP TRIGGER bump ON drafts;
-- One that sorts later is told of.
CREATE TRIGGER zzz_touch BEFORE UPDATE ON drafts FOR EACH ROW EXECUTE FUNCTION touch();
SELECT raceguard.add_version('drafts', unstated => 'warn', replace => true);
DROP OWNED BY version_shown_clerk;
DROP ROLE version_shown_clerk;
