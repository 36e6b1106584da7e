-- The schema may be there before the extension, with an operator that fits the views' conditions
-- better than Postgres's own. They do not use it.
CREATE SCHEMA raceguard;
CREATE FUNCTION raceguard.spy(oid, regnamespace) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'running as %', current_user;
    RETURN $1 = $2::oid;
END $$;
CREATE OPERATOR raceguard.= (LEFTARG = oid, RIGHTARG = regnamespace, FUNCTION = raceguard.spy);
CREATE EXTENSION raceguard;
CREATE TABLE t (id int);
SELECT raceguard.add_version('t');
SELECT target, guard FROM raceguard.guards;
