"""SQLAlchemy with `version_id_col`: it counts, and checks in the WHERE clause. The errors of raceguard
arrive as psycopg's, below SQLAlchemy's own."""

import datetime

import sqlalchemy as sa
from harness import plain, race, raises, reports, stored, test
from sqlalchemy import orm
from sqlalchemy.dialects.postgresql import insert

engine = sa.create_engine("postgresql+psycopg://")
STALE = dict(code="RG409", table="orders", column="version",
             detail="Key (id)=(1): stated version 1, stored version 2.")


class Base(orm.DeclarativeBase):
    pass


class Order(Base):
    """The usual way: SQLAlchemy counts."""

    __tablename__ = "orders"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    address: orm.Mapped[str]
    version: orm.Mapped[int] = orm.mapped_column(nullable=False)
    __mapper_args__ = {"version_id_col": version}


class Page(Base):
    """The server counts; SQLAlchemy reads the version back."""

    __tablename__ = "pages"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    body: orm.Mapped[str]
    version: orm.Mapped[int] = orm.mapped_column(
        sa.BigInteger, server_default=sa.FetchedValue(), server_onupdate=sa.FetchedValue())
    __mapper_args__ = {"version_id_col": version, "version_id_generator": False}


class Author(Base):
    """Refers back to one of its children, and counts them."""

    __tablename__ = "authors"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    email: orm.Mapped[str]
    name: orm.Mapped[str]
    books_count: orm.Mapped[int] = orm.mapped_column(server_default="0")
    favourite_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("books.id"))
    version: orm.Mapped[int] = orm.mapped_column(nullable=False)
    __mapper_args__ = {"version_id_col": version}
    books: orm.Mapped[list["Book"]] = orm.relationship(foreign_keys="Book.author_id")
    favourite: orm.Mapped["Book | None"] = orm.relationship(foreign_keys=favourite_id, post_update=True)


class Book(Base):
    __tablename__ = "books"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("authors.id"))


class Post(Base):
    __tablename__ = "posts"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    author: orm.Mapped[int]


class Report(Base):
    __tablename__ = "reports"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    author: orm.Mapped[int]
    at: orm.Mapped[datetime.datetime]


def execute(statement, *parameters):
    with orm.Session(engine) as session:
        session.execute(statement, *parameters)
        session.commit()


def refused(call, **wanted):
    """The call ends in SQLAlchemy's error of a driver's error without a class of its own."""
    reports(raises(sa.exc.DatabaseError, call).orig, **wanted)


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
        # Rolled back, and so read again.
        bob.rollback()
        of_bob.address = "Bob Street"
        bob.commit()
        assert of_bob.version == 4


@test
def sqlalchemy_two_at_once():
    with orm.Session(engine) as ann, orm.Session(engine) as bob:
        ann.get(Order, 1).address = "of Ann"
        bob.get(Order, 1).address = "of Bob"
        assert type(race(ann.commit, bob.commit)) is orm.exc.StaleDataError


@test
def sqlalchemy_update_without_version_is_refused():
    refused(lambda: execute(sa.update(Order).values(address="x")), code="RG428")
    execute(sa.update(Order).values(address="x", version=Order.version + 1))
    assert stored() == ("x", 2)


@test
def sqlalchemy_update_with_a_number_is_judged():
    change = sa.update(Order).where(Order.id == 1).values(address="x", version=2)
    execute(change)
    refused(lambda: execute(change), **STALE)


@test
def sqlalchemy_bulk_update_takes_the_version_that_was_read():
    def change(address):
        return lambda: execute(sa.update(Order), [{"id": 1, "address": address, "version": 1}])

    change("Ann Street")()
    assert stored() == ("Ann Street", 2)
    raises(orm.exc.StaleDataError, change("Bob Street"))


@test
def sqlalchemy_upsert_states_excluded_version():
    def upsert(version, *columns):
        order = insert(Order).values(id=1, address="x", version=version)
        return lambda: execute(order.on_conflict_do_update(
            index_elements=["id"], set_={name: order.excluded[name] for name in columns}))

    refused(upsert(2, "address"), code="RG428")
    upsert(2, "address", "version")()
    refused(upsert(2, "address", "version"), **STALE)


@test
def sqlalchemy_merge_finds_a_stale_object():
    with orm.Session(engine) as session:
        detached = session.get(Order, 1)
    execute(sa.update(Order).values(address="x", version=Order.version + 1))
    detached.address = "y"
    with orm.Session(engine) as session:
        raises(orm.exc.StaleDataError, lambda: session.merge(detached))


@test
def sqlalchemy_reads_back_a_version_of_the_server():
    with orm.Session(engine) as ann, orm.Session(engine) as bob:
        of_ann, of_bob = ann.get(Page, 1), bob.get(Page, 1)
        of_ann.body = "of Ann"
        ann.commit()
        assert of_ann.version == 2
        of_bob.body = "of Bob"
        raises(orm.exc.StaleDataError, bob.commit)


def author():
    return plain.execute("SELECT name, books_count, favourite_id, version FROM authors").fetchone()


@test
def sqlalchemy_counter_is_ignored():
    with orm.Session(engine) as session:
        stale = session.get(Author, 1)
        execute(sa.update(Author).values(books_count=Author.books_count + 1))
        stale.name = "Anna"
        session.commit()
        assert author() == ("Anna", 1, None, 2)
        # A save of the object that sets it has the version in it.
        stale.books_count = Author.books_count + 1
        session.commit()
        assert author() == ("Anna", 2, None, 3)


@test
def sqlalchemy_post_update_of_an_old_row_is_a_save():
    with orm.Session(engine) as ann, orm.Session(engine) as bob:
        stale = bob.get(Author, 1)
        of_ann = ann.get(Author, 1)
        of_ann.name, of_ann.favourite = "Anna", Book(id=1, author_id=1)
        ann.commit()
        # Two UPDATEs, each of which counts.
        assert author() == ("Anna", 0, 1, 3)
        stale.favourite = None
        stale.name = "Bob"
        raises(orm.exc.StaleDataError, bob.commit)


def add_with_favourite():
    """A new author, the book, and an UPDATE that lets the author refer to it; then a save."""
    with orm.Session(engine) as session:
        book = Book(id=2)
        new = Author(id=2, email="bob@example.org", name="Bob", version=1, books=[book], favourite=book)
        session.add(new)
        session.flush()
        new.name = "Bobby"
        session.commit()


@test
def sqlalchemy_post_update_of_a_new_row_is_ignored():
    add_with_favourite()
    assert plain.execute("SELECT name, favourite_id, version FROM authors WHERE id = 2").fetchone() == ("Bobby", 2, 2)


@test
def sqlalchemy_post_update_of_a_new_row_states_no_version():
    def guard(unstated, *ignore):
        plain.execute("SELECT raceguard.add_version('authors', unstated => %s, ignore => %s::name[], replace => true)",
                      [unstated, ["books_count", *ignore]])

    try:
        guard("reject")
        refused(add_with_favourite, code="RG428", table="authors")
        guard("allow")
        # The UPDATE of post_update is bumped behind SQLAlchemy's back.
        raises(orm.exc.StaleDataError, add_with_favourite)
    finally:
        guard("reject", "favourite_id")


@test
def sqlalchemy_cap_and_cooldown():
    def add(row):
        with orm.Session(engine) as session:
            session.add(row)
            session.commit()

    now = datetime.datetime.now(datetime.UTC)
    add(Post(id=1, author=42))
    refused(lambda: add(Post(id=2, author=42)), code="RG403", table="posts", column="slot",
            detail="Key (author)=(42): the only slot is taken.")
    add(Report(id=1, author=42, at=now))
    refused(lambda: add(Report(id=2, author=42, at=now)), code="RG429", table="reports", column="at",
            detail="the next is allowed at")


@test
def sqlalchemy_lock_key():
    with orm.Session(engine) as session:
        session.execute(sa.text("SELECT raceguard.lock_key('seats', :show, :day)"),
                        {"show": 42, "day": datetime.date(2026, 5, 1)})
        free = "SELECT raceguard.try_lock_key('seats', 42, '2026-05-01')"
        assert plain.execute(free).fetchone() == (False,)
