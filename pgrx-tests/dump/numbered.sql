-- Beside guarded.sql, which version 0.1.0 has to understand: numbers.
CREATE TABLE invoices (id int PRIMARY KEY, org int);
SELECT raceguard.add_number('invoices', 'org', start => 100);
-- Backwards, with gaps and in two keys: a restore keeps what it finds.
INSERT INTO invoices SELECT n, n % 2 FROM generate_series(20, 1, -1) n;
DELETE FROM invoices WHERE id % 5 = 0;
-- The highest number of project 1 is gone; its counter still says so.
CREATE TABLE projects (id int PRIMARY KEY);
CREATE TABLE tickets (id int PRIMARY KEY, project int REFERENCES projects);
SELECT raceguard.add_number('tickets', 'project', counter => 'last_ticket');
INSERT INTO projects VALUES (1), (2);
INSERT INTO tickets SELECT n, 1 + n % 2 FROM generate_series(9, 1, -1) n;
DELETE FROM tickets WHERE id IN (2, 4);
