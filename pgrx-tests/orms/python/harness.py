"""What the tests of every Python client share: a list of tests, comparisons, a plain connection, and a
race of two saves."""

import threading
import time

import psycopg

TESTS = []

# A connection that no ORM knows of, to the database of PGDATABASE.
plain = psycopg.connect(autocommit=True)


def test(function):
    TESTS.append(function)
    return function


def raises(kind, call):
    """The exception of that very class (not a subclass) that the call raises."""
    try:
        call()
    except Exception as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
        return error
    raise AssertionError(f"no {kind.__name__}")


def reports(error, code, table=None, column=None, detail=""):
    """psycopg's error has the code, DETAIL, HINT and fields of raceguard's report."""
    assert error.sqlstate == code, f"{error.sqlstate} instead of {code}: {error}"
    diag = error.diag
    assert detail in diag.message_detail and diag.message_hint, error
    for wanted, found in ((table, diag.table_name), (column, diag.column_name)):
        assert wanted in (None, found), f"{found} instead of {wanted}"


def stored(table="orders"):
    """The text and the version of row 1."""
    columns = {"orders": "address, version", "letters": "body, version"}[table]
    return plain.execute(f"SELECT {columns} FROM {table} WHERE id = 1").fetchone()


def until_waiting(sessions):
    """As soon as so many sessions of this database wait for a lock."""
    deadline = time.monotonic() + 60
    while True:
        waiting, = plain.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                 " AND wait_event_type = 'Lock'").fetchone()
        if waiting == sessions:
            return
        assert time.monotonic() < deadline, f"{waiting} sessions wait for a lock instead of {sessions}"
        time.sleep(0.005)


def race(ann, bob, table="orders"):
    """Starts two saves of row 1 while it is locked, lets them go when both wait for it, and demands that
    exactly one wins. Each is a call that saves the text "of Ann" or "of Bob" in a session that has read
    the row. Returns the loser's error."""
    errors = {}

    def run(name, save):
        try:
            save()
        except Exception as error:
            errors[name] = error

    threads = [threading.Thread(target=run, args=each) for each in (("Ann", ann), ("Bob", bob))]
    with psycopg.connect() as gate:
        gate.execute(f"SELECT FROM {table} WHERE id = 1 FOR UPDATE")
        for thread in threads:
            thread.start()
        until_waiting(2)
    for thread in threads:
        thread.join()
    assert len(errors) == 1, f"{errors} from two saves"
    (loser, error), = errors.items()
    assert stored(table) == ("of Bob" if loser == "Ann" else "of Ann", 2), stored(table)
    return error
