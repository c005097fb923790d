"""The origin of the benchmark: 1 KB under every path, cacheable, with a head as applications send it; paths that begin
with /varied/ have a Vary in it.

python3 origin.py PORT; GET /requests?host=H tells how many requests came with that Host.
"""

import asyncio
import sys
import time
from collections import Counter
from email.utils import formatdate

BODY_BYTES = 1024
COUNTS = Counter()
DATE = [0, ""]


def response(path):
    """Head and body for a path; the body begins with the path, so that no two are the same."""
    now = int(time.time())
    if DATE[0] != now:
        DATE[:] = [now, formatdate(now, usegmt=True)]
    body = path.ljust(BODY_BYTES, b".")[:BODY_BYTES]
    vary = "Vary: Accept-Encoding" if path.startswith(b"/varied/") else "Referrer-Policy: same-origin"
    head = (
        f"HTTP/1.1 200 OK\r\nDate: {DATE[1]}\r\nServer: gunicorn\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {BODY_BYTES}\r\nCache-Control: max-age=3600\r\nETag: \"{hash(path) & 0xffffffffffffffff:016x}\"\r\n"
        f"Last-Modified: Mon, 02 Nov 2020 09:30:00 GMT\r\n{vary}\r\n"
        "X-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    )
    return head.encode() + body


class Origin(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            path = head.split(b" ", 2)[1]
            if path.startswith(b"/requests?host="):
                text = str(COUNTS[path.split(b"=", 1)[1]]).encode()
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
                continue
            at = head.lower().find(b"\r\nhost:")
            COUNTS[head[at + 7 :].split(b"\r\n", 1)[0].strip()] += 1
            self.transport.write(response(path))


async def main():
    server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
