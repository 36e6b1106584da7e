"""What real clients make of raceguard: the version guard under SQLAlchemy and Django, and the
three error styles as their drivers report them. Connects by the PG* variables; the last line is
"N passed, N failed"."""

import json
import os
import sys
import traceback

import django
import psycopg
import sqlalchemy as sa
from django.conf import settings
from sqlalchemy import orm

TESTS = []


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


# ---- SQLAlchemy ----------------------------------------------------------------------------------

engine = sa.create_engine("postgresql+psycopg://")


class Base(orm.DeclarativeBase):
    pass


class Order(Base):
    """The usual way: SQLAlchemy counts, and checks in the WHERE clause."""

    __tablename__ = "orders"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    address: orm.Mapped[str]
    version: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, nullable=False)
    __mapper_args__ = {"version_id_col": version}


class Page(Base):
    """The server counts; SQLAlchemy reads the version back."""

    __tablename__ = "pages"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    body: orm.Mapped[str]
    version: orm.Mapped[int] = orm.mapped_column(
        sa.BigInteger, server_default=sa.FetchedValue(), server_onupdate=sa.FetchedValue())
    __mapper_args__ = {"version_id_col": version, "version_id_generator": False}


def reset():
    with engine.begin() as db:
        db.execute(sa.text("DELETE FROM orders; DELETE FROM pages; DELETE FROM letters;"
                           "INSERT INTO orders VALUES (1, 'Old Street', 1);"
                           "INSERT INTO pages VALUES (1, 'old', 1);"
                           "INSERT INTO letters VALUES (1, 'old', 1)"))


def run(sql, style="native"):
    with engine.begin() as db:
        db.execute(sa.text(f"SET LOCAL raceguard.error_style = '{style}'"))
        db.execute(sa.text(sql))


@test
def sqlalchemy_bumps_once_and_finds_a_stale_object():
    with orm.Session(engine) as ann, orm.Session(engine) as bob:
        of_ann, of_bob = ann.get(Order, 1), bob.get(Order, 1)
        of_ann.address = "Ann Street"
        ann.commit()
        assert of_ann.version == 2
        of_ann.address = "Ann Street 2"
        ann.commit()
        assert of_ann.version == 3
        of_bob.address = "Bob Street"
        raises(orm.exc.StaleDataError, bob.commit)


@test
def sqlalchemy_update_without_version_is_refused():
    with orm.Session(engine) as session:
        error = raises(sa.exc.DatabaseError, lambda: session.execute(
            sa.update(Order).where(Order.id == 1).values(address="x")))
        assert error.orig.sqlstate == "RG428"


@test
def sqlalchemy_update_with_a_number_is_judged():
    change = sa.update(Order).where(Order.id == 1).values(address="x", version=2)
    with engine.begin() as db:
        db.execute(change)
    with engine.connect() as db:
        error = raises(sa.exc.DatabaseError, lambda: db.execute(change))
    assert error.orig.sqlstate == "RG409"
    assert error.orig.diag.table_name == "orders" and error.orig.diag.column_name == "version"
    assert error.orig.diag.constraint_name == "zz_raceguard_version"
    assert error.orig.diag.message_detail == "Key (id)=(1): stated version 1, stored version 2."


@test
def sqlalchemy_reads_back_a_version_of_the_server():
    with orm.Session(engine) as ann, orm.Session(engine) as bob:
        of_ann, of_bob = ann.get(Page, 1), bob.get(Page, 1)
        of_ann.body = "of Ann"
        ann.commit()
        assert of_ann.version == 2
        of_bob.body = "of Bob"
        raises(orm.exc.StaleDataError, bob.commit)


# One statement for each error of raceguard's own, and the status a PostgREST client gets.
ERRORS = {
    "RG409": (409, "UPDATE orders SET address = 'x', version = 9"),
    "RG428": (428, "UPDATE orders SET address = 'x'"),
    "RG404": (404, """SELECT raceguard.compare_and_swap('orders', '{"id"\\: 99}', 1, '{"address"\\: "x"}')"""),
    "RG403": (409, "INSERT INTO posts VALUES (1, 42), (2, 42)"),
    "RG429": (429, "INSERT INTO reports VALUES (1, 42, now()), (2, 42, now())"),
    "RG422": (422, """SELECT raceguard.take('stock', '{"id"\\: 1}', 'quantity', 4)"""),
}


@test
def native_errors_keep_their_code():
    for code, (_, sql) in ERRORS.items():
        error = raises(sa.exc.DatabaseError, lambda: run(sql))
        assert error.orig.sqlstate == code, error
        assert error.orig.diag.message_detail and error.orig.diag.message_hint


@test
def integrity_errors_are_integrity_errors():
    for code, (_, sql) in ERRORS.items():
        error = raises(sa.exc.IntegrityError, lambda: run(sql, "integrity"))
        assert isinstance(error.orig, psycopg.IntegrityError)
        assert error.orig.sqlstate == "23" + code.replace("RG4", "R"), error


@test
def postgrest_errors_are_what_postgrest_parses():
    for code, (status, sql) in ERRORS.items():
        native = raises(sa.exc.DatabaseError, lambda: run(sql)).orig.diag
        error = raises(sa.exc.ProgrammingError, lambda: run(sql, "postgrest")).orig
        assert error.sqlstate == "PGRST"
        body, response = json.loads(error.diag.message_primary), json.loads(error.diag.message_detail)
        assert set(body) == {"code", "message", "details", "hint"}, body
        assert (body["code"], body["message"]) == (code, native.message_primary), body
        assert body["hint"] == native.message_hint or code == "RG429", body
        assert set(response) == {"status", "headers"} and response["status"] == status, response
        if code == "RG429":
            assert 604_700 <= int(response["headers"]["Retry-After"]) <= 604_800, response
        else:
            assert response["headers"] == {}, response


# ---- Django --------------------------------------------------------------------------------------

settings.configure(DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"]}})
django.setup()
from django.db import DatabaseError, IntegrityError, connection, models, transaction  # noqa: E402


class Letter(models.Model):
    id = models.IntegerField(primary_key=True)
    body = models.TextField()
    version = models.BigIntegerField(default=1, editable=False)

    class Meta:
        app_label = "letters"
        db_table = "letters"


def sqlstate(error):
    return error.__cause__.sqlstate


@test
def django_saves_what_it_read():
    ann, bob = Letter.objects.get(pk=1), Letter.objects.get(pk=1)
    ann.body = "of Ann"
    ann.save()
    ann.refresh_from_db(fields=["version"])
    assert ann.version == 2
    ann.body = "of Ann, again"
    ann.save()
    bob.body = "of Bob"
    assert sqlstate(raises(DatabaseError, bob.save)) == "RG409"
    assert Letter.objects.get(pk=1).body == "of Ann, again"
    Letter(id=2, body="new").save()
    assert Letter.objects.get(pk=2).version == 1


@test
def django_needs_the_version_among_the_fields():
    letter = Letter.objects.get(pk=1)
    letter.body = "x"
    assert sqlstate(raises(DatabaseError, lambda: letter.save(update_fields=["body"]))) == "RG428"
    letter.save(update_fields=["body", "version"])


@test
def django_integrity_style():
    def stale():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL raceguard.error_style = 'integrity'")
            Letter.objects.filter(pk=1).update(body="x", version=7)

    assert sqlstate(raises(IntegrityError, stale)) == "23R09"


# ---- all of them ---------------------------------------------------------------------------------

SETUP = """
    CREATE EXTENSION raceguard;
    CREATE TABLE orders (id int PRIMARY KEY, address text NOT NULL);
    CREATE TABLE pages (id int PRIMARY KEY, body text NOT NULL);
    CREATE TABLE letters (id int PRIMARY KEY, body text NOT NULL);
    CREATE TABLE posts (id int PRIMARY KEY, author int);
    CREATE TABLE reports (id int PRIMARY KEY, author int, at timestamptz);
    CREATE TABLE stock (id int PRIMARY KEY, quantity int NOT NULL);
    INSERT INTO stock VALUES (1, 3);
    SELECT raceguard.add_version('orders', unstated => 'reject');
    SELECT raceguard.add_version('pages');
    SELECT raceguard.add_version('letters', client_sends => 'current', unstated => 'reject');
    SELECT raceguard.add_cap('posts', 'author', 1);
    SELECT raceguard.add_cooldown('reports', 'author', 'at', '7 days');
"""


def main():
    with engine.begin() as db:
        db.execute(sa.text(SETUP))
    failed = 0
    for function in TESTS:
        reset()
        try:
            function()
            print(f"ok      {function.__name__}")
        except Exception:
            failed += 1
            print(f"FAILED  {function.__name__}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
