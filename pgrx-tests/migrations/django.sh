# Django: the page's migration, by manage.py's commands. makemigrations finds nothing to do, before and after.

from_page shop/migrations/0002_guards.py
touch shop/__init__.py shop/migrations/__init__.py
cat >settings.py <<END
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "$PGDATABASE"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
END
cat >shop/models.py <<'END'
from django.db import models


class Order(models.Model):
    address = models.TextField()
    version = models.BigIntegerField(default=1, editable=False)


class Post(models.Model):
    author = models.IntegerField()
END
cat >shop/tests.py <<'END'
from django.db import DatabaseError, transaction
from django.test import TestCase
from shop.models import Order, Post


class Guards(TestCase):
    def test_in_the_test_database(self):
        ann = Order.objects.create(address="Old Street")
        stale = Order.objects.get()
        ann.address = "Ann Street"
        ann.save()
        with self.assertRaises(DatabaseError) as caught, transaction.atomic():
            stale.save()
        self.assertEqual(caught.exception.__cause__.sqlstate, "RG409")
        Post.objects.bulk_create(Post(author=42) for _ in range(3))
        with self.assertRaises(DatabaseError) as caught, transaction.atomic():
            Post.objects.create(author=42)
        self.assertEqual(caught.exception.__cause__.sqlstate, "RG403")
END

django() { PYTHONPATH=$PWD:$PYTHONPATH DJANGO_SETTINGS_MODULE=settings python3 -m django "$@"; }

mv shop/migrations/0002_guards.py .
quietly django makemigrations shop
mv 0002_guards.py shop/migrations/
quietly django migrate
check "django: migrate puts the guards on" "$(guards)" "cap version"
check "django: makemigrations finds no difference" "$(django makemigrations --check --dry-run)" "No changes detected"
check "django: the test database has the guards" "$(django test 2>&1 | tail -n 2 | head -n 1)" "OK"
quietly django migrate shop 0001
check "django: backwards the guards, the slot and the extension go" \
    "$(sql "SELECT to_regclass('raceguard.guards') IS NULL, count(*) FROM pg_attribute WHERE attrelid = 'shop_post'::regclass AND attname = 'slot'")" "t|0"
