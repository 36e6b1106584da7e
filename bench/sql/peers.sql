-- What the guards are measured against: the C twins, contrib modules and the articles' own code.

CREATE EXTENSION IF NOT EXISTS moddatetime;
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE FUNCTION twin_empty() RETURNS trigger LANGUAGE c AS :'twins';
CREATE FUNCTION twin_version() RETURNS trigger LANGUAGE c AS :'twins';
CREATE FUNCTION twin_key_lock() RETURNS trigger LANGUAGE c AS :'twins';
CREATE FUNCTION twin_cap() RETURNS trigger LANGUAGE c AS :'twins';
CREATE FUNCTION twin_swap(pk jsonb, expected bigint, changes jsonb) RETURNS jsonb LANGUAGE c AS :'twins';
CREATE FUNCTION twin_version_with_settings() RETURNS trigger LANGUAGE c AS :'settings', 'twin_version';
CREATE FUNCTION twin_total() RETURNS trigger LANGUAGE c AS :'twins';

-- Article A checks the version in the statement's WHERE clause and has no trigger; this is the
-- check and bump as people write it in PL/pgSQL.
CREATE FUNCTION plpgsql_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version IS DISTINCT FROM OLD.version AND NEW.version IS DISTINCT FROM OLD.version + 1 THEN
        RAISE EXCEPTION 'row of "%" has changed since it was read', TG_TABLE_NAME;
    END IF;
    NEW.version := OLD.version + 1;
    RETURN NEW;
END;
$$;

-- Article D's lock trigger, word for word.
CREATE FUNCTION "take_post_modify_lock_function"()
RETURNS TRIGGER
LANGUAGE PLPGSQL
AS $$
BEGIN
IF OLD."userId" IS NOT NULL THEN
PERFORM PG_ADVISORY_XACT_LOCK(5000, OLD."userId");
END IF;
IF NEW."userId" IS NOT NULL THEN
PERFORM PG_ADVISORY_XACT_LOCK(5000, NEW."userId");
END IF;
RETURN NEW;
END;
$$;

-- The same article's recipe for a rule that an index cannot express, as a trigger: lock the user,
-- then look, then let the row in. The cap is the trigger's argument.
CREATE FUNCTION lock_then_count() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    taken bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(5000, NEW."userId");
    SELECT count(*) INTO taken FROM posts_counted WHERE "userId" = NEW."userId";
    IF taken >= TG_ARGV[0]::bigint THEN
        RAISE EXCEPTION 'user % already has % posts', NEW."userId", taken;
    END IF;
    RETURN NEW;
END;
$$;
