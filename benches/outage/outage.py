#!/usr/bin/env python3
"""The same outages behind Copal, HAProxy and nginx: what clients see, and how soon an origin serves again.

    cargo build --release && benches/outage/outage.py            # about four minutes; --help

Three origins, each a process; 16 connections that ask one request after the other (three GET, then one POST, nothing
cacheable). One of the three is killed, stopped, made slow, made to answer 503, made to break off bodies, for some seconds.
Printed for each proxy and outage: requests, GETs and POSTs that were not answered with 200, the slowest GET, and the time
from the origin's mending to its next answer. Everything is on loopback, in a temporary directory, and ended by process id.
"""
import argparse
import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONNECTIONS = 16
PAUSE = 0.01


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, what, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"{what} does not listen on port {port}")


class Origin:
    def __init__(self, name):
        self.name, self.port, self.process = name, free_port(), None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "origin.py", self.name, str(self.port)], stdin=subprocess.PIPE, bufsize=0
        )
        wait_port(self.port, f"origin {self.name}")

    def mode(self, byte):
        self.process.stdin.write(byte.encode())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.kill()


OUTAGES = {
    "killed": (lambda o: o.kill(), lambda o: o.start()),
    "stopped (SIGSTOP)": (lambda o: o.process.send_signal(signal.SIGSTOP), lambda o: o.process.send_signal(signal.SIGCONT)),
    "answers 503": (lambda o: o.mode("u"), lambda o: o.mode("w")),
    "a second late": (lambda o: o.mode("s"), lambda o: o.mode("w")),
    "breaks off bodies": (lambda o: o.mode("c"), lambda o: o.mode("w")),
}


def copal(dir, port, origins, binary):
    backends = "".join(
        f"""[backend.{o.name}]
address = "127.0.0.1:{o.port}"
connect_timeout = "500ms"
first_byte_timeout = "500ms"
between_bytes_timeout = "500ms"
probe = {{ path = "/healthz", interval = "1s", timeout = "500ms", window = 2, threshold = 1, initial = 1 }}
eject = {{ faults = 3, time = "1s", max_time = "1s" }}
"""
        for o in origins
    )
    names = ", ".join(f'"{o.name}"' for o in origins)
    (dir / "copal.toml").write_text(
        f"""threads = 1
[[listen]]
address = "127.0.0.1:{port}"
[admin]
listen = "unix:{dir}/admin.sock"
{backends}[director.app]
backends = [{names}]
[retry]
attempts = 2
statuses = [503]
"""
    )
    return [binary, "serve", "--config", dir / "copal.toml"]


def haproxy(dir, port, origins, binary):
    servers = "\n".join(f"  server {o.name} 127.0.0.1:{o.port}" for o in origins)
    (dir / "haproxy.cfg").write_text(
        f"""global
  nbthread 1
defaults
  mode http
  timeout connect 500ms
  timeout client 10s
  timeout server 500ms
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response response-timeout 503
frontend in
  bind 127.0.0.1:{port}
  default_backend app
backend app
  balance roundrobin
  http-request disable-l7-retry if METH_POST
  option httpchk GET /healthz
  timeout check 500ms
  default-server check inter 1s fall 2 rise 1 observe layer7 error-limit 3 on-error mark-down
{servers}
"""
    )
    return [binary, "-db", "-f", dir / "haproxy.cfg"]


def nginx(dir, port, origins, binary):
    servers = "\n".join(f"    server 127.0.0.1:{o.port} max_fails=3 fail_timeout=1s;" for o in origins)
    (dir / "nginx.conf").write_text(
        f"""worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream app {{
{servers}
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 500ms;
      proxy_read_timeout 500ms;
      proxy_next_upstream error timeout http_503;
      proxy_next_upstream_tries 3;
    }}
  }}
}}
"""
    )
    return [binary, "-c", dir / "nginx.conf", "-e", dir / "nginx.log"]


class Load:
    def __init__(self, port):
        self.port, self.stop = port, False
        self.requests = self.bad_get = self.bad_post = 0
        self.slowest = 0.0
        self.last = {}

    async def ask(self, reader, writer, method):
        body = b"x" if method == "POST" else b""
        head = f"{method} /item HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n" if body else f"{method} /item HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        length, origin, close = 0, None, False
        for line in answer.lower().split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
            elif name == b"x-origin":
                origin = value.strip().decode()
            elif name == b"connection" and b"close" in value:
                close = True
        await asyncio.wait_for(reader.readexactly(length), 10)
        return answer.split(b" ", 2)[1] == b"200", origin, close

    async def client(self):
        writer, n = None, 0
        while not self.stop:
            n += 1
            method, good, began = "POST" if n % 4 == 0 else "GET", False, time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                good, origin, close = await self.ask(reader, writer, method)
                if good and origin:
                    self.last[origin] = time.monotonic()
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                close = True
            if close and writer:
                writer.close()
                writer = None
            self.requests += 1
            if not good:
                if method == "GET":
                    self.bad_get += 1
                else:
                    self.bad_post += 1
            if method == "GET":
                self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(PAUSE)


async def outage(port, origin, fail, mend, seconds):
    load = Load(port)
    clients = [asyncio.create_task(load.client()) for _ in range(CONNECTIONS)]
    await asyncio.sleep(1)
    fail(origin)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(mend, origin)
    mended = time.monotonic()
    back = None
    while time.monotonic() < mended + 15:
        if load.last.get(origin.name, 0) > mended:
            back = load.last[origin.name] - mended
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    load.stop = True
    await asyncio.gather(*clients)
    return load, back


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copal", default=str(ROOT / "target/release/copal"))
    parser.add_argument("--seconds", type=float, default=4, help="how long each outage lasts")
    parser.add_argument("--only", help="a part of an outage's name")
    args = parser.parse_args()
    peers = {"Copal": (copal, args.copal), "HAProxy": (haproxy, "haproxy"), "nginx": (nginx, "nginx")}
    print("| outage of one of three | proxy | requests | GETs that failed | POSTs that failed | slowest GET | serves again after |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for what, (fail, mend) in OUTAGES.items():
        if args.only and args.only not in what:
            continue
        for name, (config, binary) in peers.items():
            found = shutil.which(binary) or shutil.which(binary, path=os.environ.get("PATH", "") + ":/usr/sbin")
            if not found:
                print(f"{name} is not installed: skipped", file=sys.stderr)
                continue
            origins = [Origin(letter) for letter in "abc"]
            with tempfile.TemporaryDirectory() as temporary:
                directory, port = Path(temporary), free_port()
                with open(directory / "out", "w") as out:
                    proxy = subprocess.Popen([str(part) for part in config(directory, port, origins, found)], stdout=out, stderr=out)
                try:
                    wait_port(port, name)
                    time.sleep(1.5)
                    load, back = asyncio.run(outage(port, origins[1], fail, mend, args.seconds))
                finally:
                    proxy.terminate()
                    try:
                        proxy.wait(5)
                    except subprocess.TimeoutExpired:
                        proxy.kill()
                        proxy.wait()
                    for origin in origins:
                        origin.end()
            shown = f"{back:.1f} s" if back is not None else "not within 15 s"
            print(
                f"| {what} | {name} | {load.requests} | {load.bad_get} | {load.bad_post} | {load.slowest:.2f} s | {shown} |",
                flush=True,
            )


main()
