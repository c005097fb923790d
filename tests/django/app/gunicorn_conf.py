"""How gunicorn runs: two processes with threads, and an end with the test that started it."""

import os
import signal
import sys
import threading

wsgi_app = "shop.wsgi:application"
worker_class = "gthread"
workers = 2
threads = 16
preload_app = True
keepalive = 30
# Where workers show that they live; the default is a disk, which may be slow.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None


def when_ready(server):
    """stdin is a pipe that nobody writes to: its end is the end of the test, however that came."""

    def end_with_the_test():
        sys.stdin.read()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_with_the_test, daemon=True).start()
