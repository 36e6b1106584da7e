-- The extension comes and goes, and tells its version.
CREATE EXTENSION raceguard;
SELECT raceguard.version() = extversion AS same_version
  FROM pg_extension WHERE extname = 'raceguard';
SELECT extname, nspname, extrelocatable
  FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
 WHERE extname = 'raceguard';
DROP EXTENSION raceguard;
SELECT count(*) AS functions_left
  FROM pg_proc WHERE pronamespace = to_regnamespace('raceguard');
