-- Beside guarded.sql, which version 0.1.0 has to understand: numbers.
CREATE TABLE invoices (id int PRIMARY KEY, org int);
SELECT raceguard.add_number('invoices', 'org', start => 100);
-- Backwards, with gaps and in two keys: a restore keeps what it finds.
INSERT INTO invoices SELECT n, n % 2 FROM generate_series(20, 1, -1) n;
DELETE FROM invoices WHERE id % 5 = 0;
