"""psycopg 3, the driver below both ORMs: it sends small numbers as smallint, texts without a type."""

import datetime

import psycopg
from harness import plain, raises, reports, test

STALE = dict(code="RG409", table="orders", column="version",
             detail="Key (id)=(1): stated version 1, stored version 2.")


@test
def psycopg_error_has_every_field():
    change = "UPDATE orders SET address = %s, version = %s WHERE id = 1"
    plain.execute(change, ["Ann Street", 2])
    error = raises(psycopg.DatabaseError, lambda: plain.execute(change, ["Bob Street", 2]))
    reports(error, **STALE)
    assert error.diag.constraint_name == "zz_raceguard_version" and error.diag.schema_name == "public"
    assert error.diag.message_primary == 'row of "orders" has changed since it was read'


@test
def psycopg_prepared_statement_is_judged_at_every_execution():
    def again(version):
        plain.execute("UPDATE orders SET version = %s WHERE id = 1", [version], prepare=True)

    for version in range(2, 12):
        again(version)
    assert raises(psycopg.DatabaseError, lambda: again(11)).sqlstate == "RG409"


@test
def psycopg_lock_key_with_parameters_of_every_kind():
    day = datetime.date(2026, 5, 1)
    calls = [("'seats', %s, %s", [show, on]) for show in (42, "42") for on in ("2026-05-01", day)]
    calls += [("%s, %s, %s", ["seats", 42, day]), ("'posts', %s", [42]), ("'posts', %s", ["42"])]
    for arguments, parameters in calls:
        with psycopg.connect() as session:
            session.execute(f"SELECT raceguard.lock_key({arguments})", parameters)
            for key in (42, 43):
                attempt = f"'posts', {key}" if "posts" in arguments else f"'seats', {key}, '2026-05-01'"
                free, = plain.execute(f"SELECT raceguard.try_lock_key({attempt})").fetchone()
                assert free == (key != 42), f"{arguments} with {parameters}, {attempt}: {free}"


@test
def psycopg_guarded_write_waits_for_whoever_has_called_lock_key():
    with psycopg.connect() as session:
        session.execute("SELECT raceguard.lock_key('seats', %s, %s)", [42, "2026-05-01"])
        plain.execute("INSERT INTO seats VALUES (2, 43, '2026-05-01')")
        with psycopg.connect(options="-c lock_timeout=10ms") as other:
            raises(psycopg.errors.LockNotAvailable,
                   lambda: other.execute("INSERT INTO seats VALUES (1, 42, '2026-05-01')"))
