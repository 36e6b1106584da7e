# Alembic: the page's env.py and migration, by the command line. Autogenerate with the hook proposes nothing of a
# guard's, and still what a model has lost; without the hook it proposes to drop a guard's parts.

from_page migrations/env.py migrations/versions/0002_guards.py
cat >alembic.ini <<END
[alembic]
script_location = migrations
sqlalchemy.url = postgresql+psycopg:///
END
cat >migrations/script.py.mako <<'END'
from alembic import op
import sqlalchemy as sa

revision, down_revision = ${repr(up_revision)}, ${repr(down_revision)}


def upgrade():
    ${upgrades if upgrades else "pass"}
END
cat >models.py <<'END'
from sqlalchemy import DateTime
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str | None]


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[int]
    at = mapped_column(DateTime(timezone=True))
    spare: Mapped[int | None] = mapped_column(index=True)
END
cat >migrations/versions/0001_tables.py <<'END'
from alembic import op

from models import Base

revision, down_revision = "0001", None


def upgrade():
    Base.metadata.create_all(op.get_bind())
END

alembic() { PYTHONPATH=$PWD:$PYTHONPATH python3 -m alembic "$@"; }

quietly alembic upgrade head
check "alembic: upgrade puts the guards on" "$(guards)" "cap version"
quietly sql "SELECT raceguard.add_cooldown('posts', 'author', 'at', '1 hour')"
check "alembic: check finds no difference" "$(alembic check 2>&1 | tail -n 1)" "No new upgrade operations detected."
quietly alembic revision --autogenerate --rev-id 0003 -m nothing
check "alembic: autogenerate proposes nothing" "$(grep -c 'op\.' migrations/versions/0003_nothing.py || true)" "0"
rm migrations/versions/0003_nothing.py

sed -i '/spare/d' models.py
quietly alembic revision --autogenerate --rev-id 0003 -m spare
check "alembic: what a model has lost is still proposed" "$(drops <migrations/versions/0003_spare.py)" \
    "drop_column(posts, spare)
drop_index(op.f(ix_posts_spare), table_name=posts)"
quietly alembic upgrade head

sed -i 's/, include_object=without_guards(connection)//' migrations/env.py
quietly alembic revision --autogenerate --rev-id 0004 -m without
check "alembic: without the hook a guard's parts are dropped" "$(drops <migrations/versions/0004_without.py)" \
    "drop_column(orders, version)
drop_column(posts, slot)
drop_index(op.f(posts_cap), table_name=posts, postgresql_where=(slot > 0))
drop_index(op.f(posts_cooldown_idx), table_name=posts)"
rm migrations/versions/0004_without.py
printf '\n\ndef downgrade():\n    pass\n' >>migrations/versions/0003_spare.py
quietly alembic downgrade 0001
check "alembic: downgrade takes its guards off" "$(guards) $(sql "SELECT count(*) FROM pg_attribute WHERE attname IN ('slot', 'version') AND attrelid IN ('posts'::regclass, 'orders'::regclass) AND NOT attisdropped")" "cooldown 0"
