"""What the processes of this application share with one another and with the test: files in one folder.

runs/NAME   a byte for each time that NAME has happened
hold/NAME   while it is there, whoever calls held("NAME") waits
"""

import time

from django.conf import settings

# A test that never releases is a test that failed; it must not keep threads for ever.
PATIENCE = 30


def count(name):
    with open(settings.STATE_DIR / "runs" / name, "ab") as file:
        file.write(b".")


def held(name):
    hold = settings.STATE_DIR / "hold" / name
    until = time.monotonic() + PATIENCE
    while hold.exists() and time.monotonic() < until:
        time.sleep(0.01)
