"""Counters in Django: kept by F() and signals (plain_events), and where the database keeps the number (events)."""

from django.db import ProgrammingError, models
from django.db.models import F, signals
from django_orm import refused
from harness import plain, raises, test


class Event(models.Model):
    """A plain field of a total: save() sends it back as it was read."""

    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    capacity = models.IntegerField()
    bookings_count = models.BigIntegerField(default=0)

    class Meta:
        app_label = "letters"
        db_table = "events"


class Kept(models.BigIntegerField):
    """What only the database writes: an UPDATE sets the column to itself."""

    def pre_save(self, model_instance, add):
        return 0 if add else F(self.attname)


class KeptEvent(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    capacity = models.IntegerField()
    bookings_count = Kept(default=0, editable=False)

    class Meta:
        app_label = "letters"
        db_table = "events"


class Booking(models.Model):
    event_id = models.IntegerField()

    class Meta:
        app_label = "letters"
        db_table = "bookings"


class PlainEvent(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    capacity = models.IntegerField()
    bookings_count = models.IntegerField(default=0)

    class Meta:
        app_label = "letters"
        db_table = "plain_events"


class PlainBooking(models.Model):
    event_id = models.IntegerField()

    class Meta:
        app_label = "letters"
        db_table = "plain_bookings"


def count(by):
    def receiver(instance, **more):
        if more.get("created", True):
            PlainEvent.objects.filter(pk=instance.event_id).update(bookings_count=F("bookings_count") + by)

    return receiver


up, down = count(1), count(-1)
signals.post_save.connect(up, sender=PlainBooking)
signals.post_delete.connect(down, sender=PlainBooking)


def counted(prefix=""):
    """What is on record for both events, and what stands."""
    return plain.execute(f"""SELECT bookings_count, (SELECT count(*) FROM {prefix}bookings WHERE event_id = e.id)
        FROM {prefix}events e ORDER BY id""").fetchall()


def write_past_signals(booking, look):
    booking.objects.create(event_id=1)
    booking.objects.bulk_create([booking(event_id=1), booking(event_id=1)])
    yield look()
    booking.objects.filter(event_id=1).update(event_id=2)
    yield look()
    plain.execute(f"DELETE FROM {booking._meta.db_table} WHERE event_id = 2")
    yield look()


@test
def django_signals_miss_bulk_create_and_update():
    found = list(write_past_signals(PlainBooking, lambda: counted("plain_")))
    assert found == [[(1, 3), (0, 0)], [(1, 0), (0, 3)], [(1, 0), (0, 0)]], found


@test
def django_total_counts_them():
    found = list(write_past_signals(Booking, counted))
    assert found == [[(3, 3), (0, 0)], [(0, 0), (3, 3)], [(0, 0), (0, 0)]], found


@test
def django_read_and_save_loses_a_count_and_f_counts_with_every_save():
    ann, bob = PlainEvent.objects.get(pk=1), PlainEvent.objects.get(pk=1)
    ann.bookings_count += 1
    ann.save()
    bob.bookings_count += 1
    bob.save()
    assert counted("plain_")[0][0] == 1
    ann = PlainEvent.objects.get(pk=1)
    ann.bookings_count = F("bookings_count") + 1
    ann.save()
    ann.name = "faire"
    ann.save()
    assert counted("plain_")[0][0] == 3


@test
def django_total_refuses_the_fourth():
    Booking.objects.bulk_create([Booking(event_id=1)] * 3)
    refused(lambda: Booking.objects.create(event_id=1), code="RG403", table="events", column="bookings_count",
            detail="total 3, bound 3, asked for 1")
    assert counted()[0] == (3, 3)


@test
def django_whole_save_must_not_send_an_old_total():
    stale, kept = Event.objects.get(pk=1), KeptEvent.objects.get(pk=1)
    Booking.objects.create(event_id=1)
    stale.name = kept.name = "faire"
    error = raises(ProgrammingError, stale.save).__cause__
    assert error.sqlstate == "428C9", error
    stale.save(update_fields=["name"])
    kept.capacity = 5
    kept.save()
    assert plain.execute("SELECT name, capacity, bookings_count FROM events WHERE id = 1").fetchone() == ("faire", 5, 1)
    KeptEvent(id=3, name="new", capacity=1).save()
