"""psycopg's pipelines: statements are sent before the results of those before them are there. A refusal is
raised where a result is asked for, and takes what stands after it in the pipeline along."""

import psycopg
from harness import plain, raises, reports, stored, test

CHANGE = "UPDATE orders SET address = %s, version = %s WHERE id = %s"
STALE = dict(code="RG409", table="orders", column="version",
             detail="Key (id)=(1): stated version 1, stored version 2.")


def both():
    return plain.execute("SELECT address, version FROM orders ORDER BY id").fetchall()


@test
def pipeline_saves():
    with psycopg.connect() as session, session.pipeline():
        session.execute(CHANGE, ["Ann Street", 2, 1])
        session.execute(CHANGE, ["Ann Street 2", 3, 1])
        session.execute(CHANGE, ["Bob Street", 2, 2])
    assert both() == [("Ann Street 2", 3), ("Bob Street", 2)]


@test
def pipeline_of_a_transaction_is_refused_whole():
    plain.execute(CHANGE, ["Ann Street", 2, 1])

    def save():
        with psycopg.connect() as session, session.pipeline():
            session.execute(CHANGE, ["Bob Street", 2, 2])
            session.execute(CHANGE, ["Bob Street", 2, 1])
            session.execute("INSERT INTO seats VALUES (1, 1, '2026-05-01')")

    reports(raises(psycopg.DatabaseError, save), **STALE)
    assert both() == [("Ann Street", 2), ("Main Street", 1)]
    assert plain.execute("SELECT count(*) FROM seats").fetchone() == (0,)


@test
def pipeline_goes_on_after_a_sync():
    plain.execute(CHANGE, ["Ann Street", 2, 1])
    with psycopg.connect(autocommit=True) as session, session.pipeline() as pipeline:
        session.execute(CHANGE, ["Bob Street", 2, 1])
        # Aborted with it, though each statement is its own transaction.
        session.execute(CHANGE, ["Bob Street", 2, 2])
        reports(raises(psycopg.DatabaseError, pipeline.sync), **STALE)
        assert both() == [("Ann Street", 2), ("Main Street", 1)]
        session.execute(CHANGE, ["Bob Street", 2, 2])
    assert both() == [("Ann Street", 2), ("Bob Street", 2)]


@test
def pipeline_counters_and_whole_rows():
    whole = "UPDATE letters SET (id, body, version) = ROW (%s, %s, %s) WHERE id = 1"
    with psycopg.connect() as session, session.pipeline():
        for _ in range(10):
            session.execute("UPDATE authors SET books_count = books_count + 1 WHERE id = 1")
        session.execute(whole, [1, "of Ann", 1])
    assert plain.execute("SELECT books_count, version FROM authors").fetchone() == (10, 1)
    assert stored("letters") == ("of Ann", 2)
    with psycopg.connect() as session:
        reports(raises(psycopg.DatabaseError, lambda: session.execute(whole, [1, "of Bob", 1])),
                **{**STALE, "table": "letters"})


@test
def pipeline_of_executemany():
    """executemany is a pipeline of its own; stale rows come by one."""
    with psycopg.connect() as session:
        with session.cursor() as cursor:
            cursor.executemany(CHANGE, [["Ann Street", 2, 1], ["Bob Street", 2, 2]])
        session.commit()
        with session.cursor() as cursor:
            again = [["x", 3, 2], ["x", 2, 1]]
            reports(raises(psycopg.DatabaseError, lambda: cursor.executemany(CHANGE, again)), **STALE)
    assert both() == [("Ann Street", 2), ("Bob Street", 2)]


@test
def pipeline_locks_a_key_before_it_reads():
    with psycopg.connect() as session, session.pipeline():
        session.execute("SELECT raceguard.lock_key('posts', %s)", [42])
        count = session.execute("SELECT count(*) FROM posts WHERE author = %s", [42])
        session.execute("INSERT INTO posts VALUES (1, 42)")
        assert count.fetchone() == (0,)
        assert plain.execute("SELECT raceguard.try_lock_key('posts', 42)").fetchone() == (False,)
    full = dict(code="RG403", table="posts", column="slot", detail="Key (author)=(42): the only slot is taken.")
    with psycopg.connect() as session, session.pipeline() as pipeline:
        session.execute("INSERT INTO posts VALUES (2, 42)")
        reports(raises(psycopg.DatabaseError, pipeline.sync), **full)
