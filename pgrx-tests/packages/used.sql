-- The extension is there and guards: run by psql in a database without it. Its last line is "used" and the version.
\set ON_ERROR_STOP on
CREATE EXTENSION raceguard;
CREATE TABLE orders (id int PRIMARY KEY, address text);
INSERT INTO orders VALUES (1, 'Old Street');
SELECT raceguard.add_version('orders', unstated => 'reject');
UPDATE orders SET address = 'A Street', version = 2 WHERE id = 1;
CREATE TABLE seats (flight int, passenger text);
SELECT raceguard.add_cap('seats', 'flight', 1);
INSERT INTO seats VALUES (1, 'Ann');
DO $$
BEGIN
    BEGIN
        UPDATE orders SET address = 'B Street', version = 2 WHERE id = 1;
        RAISE 'a stale update passed';
    EXCEPTION WHEN SQLSTATE 'RG409' THEN NULL;
    END;
    BEGIN
        INSERT INTO seats VALUES (1, 'Bob');
        RAISE 'a full flight took one more';
    EXCEPTION WHEN SQLSTATE 'RG403' THEN NULL;
    END;
END $$;
SELECT 'used ' || extversion FROM pg_extension WHERE extname = 'raceguard' AND extversion = raceguard.version();
