-- The library says what it is: pg_get_loaded_modules (Postgres 18) tells name and version, those of the
-- extension.
CREATE EXTENSION raceguard;
SELECT current_setting('server_version_num')::int >= 180000 AS told \gset
\if :told
    LOAD 'raceguard';
    SELECT module_name AS name, version FROM pg_get_loaded_modules() WHERE file_name LIKE 'raceguard%' \gset
\else
    SELECT extname AS name, extversion AS version FROM pg_extension WHERE extname = 'raceguard' \gset
\endif
SELECT extname = :'name' AS name, extversion = :'version' AS version FROM pg_extension WHERE extname = 'raceguard';
