"""Makes the database of a test: the tables, and two users."""

import os

import django
from django.core.management import call_command

os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import User  # noqa: E402 (needs Django set up)

for name in ("alice", "bob"):
    User.objects.create_user(name, password=f"{name}-secret")
