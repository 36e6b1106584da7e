"""asyncpg, which prepares every statement and sends parameters in binary, as the types that the server infers."""

import asyncio
import datetime

import asyncpg
from harness import plain, raises, stored, test, until_waiting

CHANGE = "UPDATE orders SET address = $1, version = $2 WHERE id = $3"
STALE = dict(sqlstate="RG409", table_name="orders", column_name="version",
             detail="Key (id)=(1): stated version 1, stored version 2.")


def connected(function):
    """A test with a connection."""
    async def run():
        session = await asyncpg.connect()
        try:
            await function(session)
        finally:
            await session.close()

    def call():
        asyncio.run(run())

    call.__name__ = function.__name__
    return test(call)


async def refused(call, **wanted):
    """asyncpg has no class for SQLSTATEs of raceguard's."""
    try:
        await call
    except asyncpg.PostgresError as error:
        assert type(error) is asyncpg.exceptions.UnknownPostgresError, type(error)
        assert error.hint
        for field, value in wanted.items():
            assert getattr(error, field) == value, f"{field} is {getattr(error, field)}"
        return
    raise AssertionError("it was not refused")


@connected
async def asyncpg_save_bumps_once_and_a_stale_one_is_refused(session):
    assert await session.execute(CHANGE, "Ann Street", 2, 1) == "UPDATE 1"
    await refused(session.execute(CHANGE, "Bob Street", 2, 1), **STALE)
    assert stored() == ("Ann Street", 2)


@connected
async def asyncpg_two_at_once(session):
    other = await asyncpg.connect()
    try:
        transaction = session.transaction()
        await transaction.start()
        await session.execute(CHANGE, "of Ann", 2, 1)
        bob = asyncio.create_task(refused(other.execute(CHANGE, "of Bob", 2, 1), **STALE))
        await asyncio.to_thread(until_waiting, 1)
        await transaction.commit()
        await bob
    finally:
        await other.close()
    assert stored() == ("of Ann", 2)


@connected
async def asyncpg_prepared_statement_is_judged_at_every_execution(session):
    again = await session.prepare(CHANGE)
    for version in range(2, 12):
        await again.fetch("x", version, 1)
    await refused(again.fetch("x", 11, 1), sqlstate="RG409")


@connected
async def asyncpg_executemany_is_refused_whole(session):
    await refused(session.executemany(CHANGE, [("x", 2, 1), ("x", 2, 2), ("y", 2, 1)]), **STALE)
    assert stored() == ("Old Street", 1)


@connected
async def asyncpg_counter_and_whole_row(session):
    await session.execute("UPDATE authors SET books_count = books_count + $1 WHERE id = 1", 1)
    assert tuple(await session.fetchrow("SELECT books_count, version FROM authors")) == (1, 1)
    whole = "UPDATE letters SET (id, body, version) = ROW ($1, $2, $3) WHERE id = 1"
    await session.execute(whole, 1, "of Ann", 1)
    await refused(session.execute(whole, 1, "of Bob", 1), **{**STALE, "table_name": "letters"})


@connected
async def asyncpg_cap_and_cooldown(session):
    now = datetime.datetime.now(datetime.UTC)
    await session.execute("INSERT INTO posts VALUES ($1, $2)", 1, 42)
    await refused(session.execute("INSERT INTO posts VALUES ($1, $2)", 2, 42), sqlstate="RG403", table_name="posts",
                  detail="Key (author)=(42): the only slot is taken.")
    await session.execute("INSERT INTO reports VALUES ($1, $2, $3)", 1, 42, now)
    await refused(session.execute("INSERT INTO reports VALUES ($1, $2, $3)", 2, 42, now), sqlstate="RG429",
                  table_name="reports", column_name="at")


@connected
async def asyncpg_lock_key_with_parameters(session):
    """The server infers text; a cast says otherwise."""
    free = "SELECT raceguard.try_lock_key('seats', 42, '2026-05-01')"
    for call, parameters in (
        ("$1, $2", ("42", "2026-05-01")),
        ("$1::int, $2::date", (42, datetime.date(2026, 5, 1))),
    ):
        async with session.transaction():
            await session.execute(f"SELECT raceguard.lock_key('seats', {call})", *parameters)
            assert plain.execute(free).fetchone() == (False,), call
        assert plain.execute(free).fetchone() == (True,), call


@test
def asyncpg_lock_key_wants_a_text():
    async def number():
        session = await asyncpg.connect()
        try:
            await session.execute("SELECT raceguard.lock_key('posts', $1)", 42)
        finally:
            await session.close()

    raises(asyncpg.exceptions.DataError, lambda: asyncio.run(number()))


@connected
async def asyncpg_knows_no_integrity_style(session):
    """It has classes for single codes alone, and none for those that the style makes up."""
    await session.execute("SET raceguard.error_style = 'integrity'")
    await refused(session.execute(CHANGE, "x", 7, 1), sqlstate="23R09")
