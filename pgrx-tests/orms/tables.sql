-- What every client of this suite works with. A language's database is made from it once; each test
-- begins with the rows that reset_rows() leaves.
CREATE EXTENSION raceguard;

-- The version as most ORMs count it: the client sends the number that it read, plus one.
CREATE TABLE orders (id int PRIMARY KEY, address text NOT NULL, version int NOT NULL DEFAULT 1, deleted_at timestamptz);
SELECT raceguard.add_version('orders', unstated => 'reject');

-- The version as the client read it.
CREATE TABLE letters (id int PRIMARY KEY, body text NOT NULL);
SELECT raceguard.add_version('letters', client_sends => 'current', unstated => 'reject');

-- The version that the server alone counts.
CREATE TABLE pages (id int PRIMARY KEY, body text NOT NULL);
SELECT raceguard.add_version('pages');

CREATE TABLE posts (id int PRIMARY KEY, author int NOT NULL);
SELECT raceguard.add_cap('posts', 'author', 1);

CREATE TABLE reports (id int PRIMARY KEY, author int NOT NULL, at timestamptz NOT NULL);
SELECT raceguard.add_cooldown('reports', 'author', 'at', '7 days');

CREATE TABLE seats (id int PRIMARY KEY, show int NOT NULL, day date NOT NULL);
SELECT raceguard.add_key_lock('seats', 'show, day');
SELECT raceguard.add_key_lock('posts', 'author');

CREATE TABLE stock (id int PRIMARY KEY, quantity int NOT NULL);

-- A parent that counts its children, is saved whole, and refers back to a child.
CREATE TABLE authors (
    id int PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    books_count int NOT NULL DEFAULT 0,
    favourite_id int,
    version int NOT NULL DEFAULT 1
);
CREATE TABLE books (id int PRIMARY KEY, author_id int NOT NULL REFERENCES authors ON DELETE CASCADE);
ALTER TABLE authors ADD FOREIGN KEY (favourite_id) REFERENCES books;
SELECT raceguard.add_version('authors', unstated => 'reject', ignore => '{books_count, favourite_id}');

-- A limit that the parent's row says: kept by the database, and beside it what clients keep by themselves.
CREATE TABLE events (id int PRIMARY KEY, name text NOT NULL, capacity int NOT NULL);
CREATE TABLE bookings (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id int NOT NULL REFERENCES events);
SELECT raceguard.add_total('bookings', 'events', 'bookings_count', at_most => 'capacity');
CREATE TABLE plain_events (
    id int PRIMARY KEY,
    name text NOT NULL,
    capacity int NOT NULL,
    bookings_count int NOT NULL DEFAULT 0
);
CREATE TABLE plain_bookings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id int NOT NULL REFERENCES plain_events
);

CREATE PROCEDURE reset_rows() LANGUAGE sql BEGIN ATOMIC
    DELETE FROM orders;
    DELETE FROM letters;
    DELETE FROM pages;
    DELETE FROM posts;
    DELETE FROM reports;
    DELETE FROM seats;
    DELETE FROM stock;
    DELETE FROM authors;
    DELETE FROM bookings;
    DELETE FROM events;
    DELETE FROM plain_bookings;
    DELETE FROM plain_events;
    INSERT INTO orders (id, address) VALUES (1, 'Old Street'), (2, 'Main Street');
    INSERT INTO letters (id, body) VALUES (1, 'old');
    INSERT INTO pages (id, body) VALUES (1, 'old');
    INSERT INTO stock VALUES (1, 3);
    INSERT INTO authors (id, email, name) VALUES (1, 'ann@example.org', 'Ann');
    INSERT INTO events VALUES (1, 'fair', 3), (2, 'fete', 3);
    INSERT INTO plain_events VALUES (1, 'fair', 3), (2, 'fete', 3);
END;
