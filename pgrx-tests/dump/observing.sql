-- Beside guarded.sql, which version 0.1.0 has to understand: guards that observe, a cap without its CHECK and with a row
-- too many, a version, a cooldown, a key lock. One that fires for replicated rows too.
CREATE TABLE watched (id int PRIMARY KEY, k int, at timestamptz);
SELECT raceguard.add_version('watched', unstated => 'reject'), raceguard.add_cap('watched', 'k', 2),
       raceguard.add_cooldown('watched', 'k', 'at', '1 day'), raceguard.add_key_lock('watched', 'k');
SELECT raceguard.set_mode('watched', guard, 'observe') FROM raceguard.guards WHERE target = 'watched'::regclass;
ALTER TABLE watched ENABLE ALWAYS TRIGGER zz_raceguard_version;
INSERT INTO watched SELECT n, 1, '2026-03-02 12:00+00' FROM generate_series(1, 3) n;
