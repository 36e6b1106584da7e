-- Calls that run other people's code (the CHECK of a domain, a trigger, the statements of a retry), which
-- changes under their hands what they work on.
CREATE EXTENSION raceguard;
SET client_min_messages = warning;
\set VERBOSITY terse

-- A domain that alters the table of the row being read.
CREATE TABLE orders (id int PRIMARY KEY, n bigint DEFAULT 1, note text DEFAULT '', spare int DEFAULT 0);
SELECT raceguard.add_version('orders');
CREATE FUNCTION act(value text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF value LIKE 'ALTER%' THEN
        EXECUTE value;
    ELSIF value LIKE 'TRY%' THEN
        -- While an INSERT has the table in use Postgres itself says no.
        BEGIN
            EXECUTE substr(value, 5);
        EXCEPTION WHEN object_in_use THEN
            NULL;
        END;
    END IF;
    RETURN true;
END $$;
CREATE DOMAIN acting AS text CHECK (act(VALUE));
ALTER TABLE orders ADD act acting;
INSERT INTO orders (id, note) VALUES (1, 'x'), (2, 'y');
CREATE FUNCTION code(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || sqlerrm;
END $$;

-- A value of the new type must not be read as one of the old.
SELECT code($$ SELECT raceguard.swap_columns('orders', '{"id": 1}',
    '{"n": 1, "act": "ALTER TABLE public.orders ALTER n TYPE text"}', '{"n": "7"}') $$);
SELECT code($$ SELECT raceguard.swap_columns('orders', '{"id": 1}',
    '{"n": 1, "act": "ALTER TABLE public.orders DROP COLUMN n"}', '{"n": "7"}') $$);
SELECT code($$ SELECT raceguard.swap_columns('orders', '{"id": 1}',
    '{"n": 1, "act": "ALTER TABLE public.orders ADD more text"}', '{"n": "7"}') $$);
SELECT code($$ SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1,
    '{"note": "x", "act": "ALTER TABLE public.orders ALTER note TYPE int USING 0"}') $$);
SELECT code($$ SELECT raceguard.compare_and_swap('orders', '{"id": 1}', 1,
    '{"note": "x", "act": "ALTER TABLE public.orders ALTER id TYPE text"}') $$);
SELECT * FROM orders WHERE id::text = '1';

-- The row of an INSERT.
ALTER TABLE orders ADD UNIQUE (note, spare);
SELECT code($$ SELECT raceguard.insert_or_get('orders',
    '{"id": 10, "note": "a", "spare": 1, "act": "ALTER TABLE public.orders DROP COLUMN spare"}') $$);
SELECT code($$ SELECT raceguard.insert_or_get('orders',
    '{"id": 10, "note": "a", "spare": 1, "act": "ALTER TABLE public.orders DROP COLUMN spare"}', '{id}') $$);
SELECT code($$ SELECT raceguard.insert_or_get('orders',
    '{"id": 10, "note": "a", "spare": 1, "act": "ALTER TABLE public.orders ALTER spare TYPE text"}', '{note,spare}') $$);
SELECT code($$ SELECT raceguard.insert_or_get('orders',
    '{"id": 10, "note": "x", "spare": 0, "act": "TRY ALTER TABLE public.orders DROP COLUMN n"}') $$);
SELECT code($$ SELECT raceguard.insert_or_get('orders',
    '{"id": 10, "note": "x", "spare": 0, "act": "TRY ALTER TABLE public.orders DROP COLUMN n"}', '{note,spare}') $$);
SELECT code($$ SELECT raceguard.insert_or_get('orders',
    '{"id": 10, "note": "x", "spare": 0, "act": "TRY ALTER TABLE public.orders ALTER n TYPE text"}', '{note,spare}') $$);
SELECT code($$ SELECT raceguard.insert_or_get('orders',
    '{"id": 10, "note": "x", "spare": 0, "act": "TRY ALTER TABLE public.orders DROP COLUMN act CASCADE"}', '{note,spare}') $$);
SELECT raceguard.add_cap('orders', 'note', 2);
SELECT code($$ SELECT raceguard.insert_next_slot('orders',
    '{"id": 11, "note": "a", "spare": 1, "act": "ALTER TABLE public.orders DROP COLUMN spare"}') $$);
SELECT count(*) FROM orders;

-- Keys of a list: the first alters what the second is read by.
CREATE TABLE keyed (k acting PRIMARY KEY, n int DEFAULT 1);
INSERT INTO keyed VALUES ('a');
SELECT code($$ SELECT raceguard.lock_rows('keyed', '[{"k": "ALTER TABLE keyed ALTER k TYPE varchar(5)"}, {"k": "a"}]') $$);
SELECT code($$ SELECT raceguard.take_all('keyed', 'n',
    '[{"k": "ALTER TABLE keyed ADD more int", "amount": 1}, {"k": "a", "amount": 1}]') $$);
CREATE TABLE locked (k acting, j int);
SELECT raceguard.add_key_lock('locked', 'k');
SELECT code($$ SELECT raceguard.lock_keys('locked', '["ALTER TABLE locked ALTER k TYPE int USING 0", "a"]') $$);
SELECT code($$ SELECT raceguard.lock_key('locked', 'a') $$);

-- The extension goes and comes back in the statements of a retry, and in a domain.
CALL raceguard.retry('DROP EXTENSION raceguard CASCADE; CREATE EXTENSION raceguard', attempts => NULL);
CALL raceguard.retry('DROP EXTENSION raceguard CASCADE', attempts => NULL);
CREATE EXTENSION raceguard;
CREATE TABLE plain (id int PRIMARY KEY, act acting);
CREATE OR REPLACE FUNCTION act(value text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF value = 'drop' THEN
        DROP EXTENSION raceguard;
        CREATE EXTENSION raceguard;
    END IF;
    RETURN true;
END $$;
SELECT code($$ SELECT raceguard.insert_or_get('plain', '{"id": 1, "act": "drop"}') $$);
SELECT code($$ SELECT raceguard.compare_and_swap('plain', '{"id": 1}', '1', '{"act": "drop"}') $$);
SELECT code($$ SELECT raceguard.lock_rows('plain', '[{"id": 1}]') $$);
