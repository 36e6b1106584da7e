"""Django has no version of its own. `save()` sends back every field as it was read, which is what
`client_sends => 'current'` expects; `update(version=n + 1)` is for a table of the other convention."""

import datetime
import os

import django
import psycopg
from django.conf import settings

settings.configure(USE_TZ=True, DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"]}})
django.setup()
from django.db import DatabaseError, IntegrityError, connection, models, transaction  # noqa: E402
from harness import plain, race, raises, reports, stored, test  # noqa: E402

STALE = dict(code="RG409", table="letters", column="version",
             detail="Key (id)=(1): stated version 1, stored version 2.")


class Letter(models.Model):
    id = models.IntegerField(primary_key=True)
    body = models.TextField()
    version = models.BigIntegerField(default=1, editable=False)

    class Meta:
        app_label = "letters"
        db_table = "letters"


class Order(models.Model):
    id = models.IntegerField(primary_key=True)
    address = models.TextField()
    version = models.IntegerField(default=1, editable=False)

    class Meta:
        app_label = "letters"
        db_table = "orders"


class Author(models.Model):
    id = models.IntegerField(primary_key=True)
    email = models.TextField(unique=True)
    name = models.TextField()
    books_count = models.IntegerField(default=0)
    version = models.IntegerField(default=1)

    class Meta:
        app_label = "letters"
        db_table = "authors"


class Post(models.Model):
    id = models.IntegerField(primary_key=True)
    author = models.IntegerField()

    class Meta:
        app_label = "letters"
        db_table = "posts"


class Report(models.Model):
    id = models.IntegerField(primary_key=True)
    author = models.IntegerField()
    at = models.DateTimeField()

    class Meta:
        app_label = "letters"
        db_table = "reports"


def refused(call, **wanted):
    """The call ends in Django's error of a driver's error without a class of its own."""
    reports(raises(DatabaseError, call).__cause__, **wanted)


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
    refused(bob.save, **{**STALE, "detail": "stated version 1, stored version 3."})
    assert stored("letters") == ("of Ann, again", 3)
    Letter(id=2, body="new").save()
    assert Letter.objects.get(pk=2).version == 1


@test
def django_object_that_was_saved_is_stale_until_refreshed():
    letter = Letter.objects.get(pk=1)
    letter.save()
    refused(letter.save, **STALE)


@test
def django_two_at_once():
    letters = [Letter.objects.get(pk=1), Letter.objects.get(pk=1)]

    def save(letter, body):
        letter.body = body
        try:
            letter.save()
        finally:
            # Each thread has a connection of its own.
            connection.close()

    error = race(lambda: save(letters[0], "of Ann"), lambda: save(letters[1], "of Bob"), "letters")
    assert type(error) is DatabaseError
    reports(error.__cause__, **STALE)


@test
def django_needs_the_version_among_the_fields():
    letter = Letter.objects.get(pk=1)
    letter.body = "x"
    refused(lambda: letter.save(update_fields=["body"]), code="RG428")
    letter.save(update_fields=["body", "version"])


@test
def django_update_with_a_number_is_judged():
    order = Order.objects.filter(pk=1)
    refused(lambda: order.update(address="x"), code="RG428")
    assert order.update(address="x", version=2) == 1
    refused(lambda: order.update(address="y", version=2), **{**STALE, "table": "orders"})
    assert order.filter(version=1).update(address="y", version=2) == 0
    order.update(address="y", version=models.F("version") + 1)
    assert stored() == ("y", 3)


@test
def django_bulk_update_needs_the_version_among_the_fields():
    letters = Letter.objects.filter(pk=1)
    stale = list(letters)
    refused(lambda: Letter.objects.bulk_update(letters, ["body"]), code="RG428")
    Letter.objects.bulk_update(letters, ["body", "version"])
    refused(lambda: Letter.objects.bulk_update(stale, ["body", "version"]), **STALE)


@test
def django_bulk_create_with_update_needs_the_version_among_the_fields():
    letter = Letter.objects.get(pk=1)

    def upsert(*fields):
        return lambda: Letter.objects.bulk_create(
            [letter], update_conflicts=True, unique_fields=["id"], update_fields=fields)

    refused(upsert("body"), code="RG428")
    upsert("body", "version")()
    refused(upsert("body", "version"), **STALE)


@test
def django_update_or_create_needs_the_version_among_the_defaults():
    refused(lambda: Letter.objects.update_or_create(pk=1, defaults={"body": "x"}), code="RG428")
    Letter.objects.update_or_create(pk=1, defaults={"body": "of Ann", "version": 1})
    refused(lambda: Letter.objects.update_or_create(pk=1, defaults={"body": "of Bob", "version": 1}), **STALE)


@test
def django_counter_by_f_is_ignored():
    stale = Author.objects.get(pk=1)
    author = Author.objects.filter(pk=1)
    author.update(books_count=models.F("books_count") + 1)
    # A save sends the counter back as it was read: name the fields.
    stale.name, stale.version = "Anna", stale.version + 1
    stale.save(update_fields=["name", "version"])
    assert author.values_list("name", "books_count", "version")[0] == ("Anna", 1, 2)
    stale.save(update_fields=["books_count"])
    assert author.values_list("books_count", "version")[0] == (0, 2)


@test
def django_save_locks_out_children_and_update_fields_does_not():
    with transaction.atomic():
        author = Author.objects.get(pk=1)
        author.version += 1
        author.save(update_fields=["name", "version"])
        child(1)
    with transaction.atomic():
        author.version += 1
        author.save()
        raises(psycopg.errors.LockNotAvailable, lambda: child(2))


def child(number):
    """A book of the author, by somebody who does not wait."""
    with psycopg.connect(options="-c lock_timeout=20ms") as other:
        other.execute("INSERT INTO books VALUES (%s, 1)", [number])


@test
def django_cap_and_cooldown():
    now = datetime.datetime.now(datetime.UTC)
    Post.objects.create(id=1, author=42)
    refused(lambda: Post.objects.create(id=2, author=42), code="RG403", table="posts", column="slot",
            detail="Key (author)=(42): the only slot is taken.")
    Report.objects.create(id=1, author=42, at=now)
    refused(lambda: Report.objects.create(id=2, author=42, at=now), code="RG429", table="reports",
            column="at", detail="the next is allowed at")


@test
def django_lock_key():
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT raceguard.lock_key('seats', %s, %s)", [42, datetime.date(2026, 5, 1)])
        free = "SELECT raceguard.try_lock_key('seats', 42, '2026-05-01')"
        assert plain.execute(free).fetchone() == (False,)


@test
def django_integrity_style():
    def stale():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL raceguard.error_style = 'integrity'")
            Letter.objects.filter(pk=1).update(body="x", version=7)

    reports(raises(IntegrityError, stale).__cause__, "23R09")
