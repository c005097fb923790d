"""Runs the loads of benches/peers; run.sh is how to start it. README.md says what is measured and how to read it."""

import argparse
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import origin as origin_module

HERE = os.path.dirname(os.path.abspath(__file__))
COPAL = os.path.abspath(os.environ["COPAL"])
SERVER_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 64
# A round in which other processes took more of the servers' core than this is run again, as often as there are rounds.
DISTURBED = 0.05
# The most that storing all objects may take.
STORE_SECONDS = 240
TICK = os.sysconf("SC_CLK_TCK")
# What browsers send, without Accept-Encoding: nobody compresses here.
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Cookie": "_ga=GA1.1.1234567890.1700000000; theme=dark",
}
PAGES = {"": "/page/1.html", "with Vary: Accept-Encoding": "/varied/page/1.html"}

started = []


def start(command, core, log, **more):
    """A child pinned to a core, ended by its pid when the benchmark ends."""
    out = open(log, "ab")
    child = subprocess.Popen(["taskset", "-c", core, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, **more)
    started.append(child)
    return child


def stop(child):
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    started.remove(child)


def stop_all():
    for child in list(started):
        stop(child)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port, path):
    """One request on a connection of its own: (status, headers, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in HEADERS.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def wait_for(port, what, child, log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{what} does not listen:\n{open(log, errors='replace').read()[-2000:]}")


def tree(pid):
    """A process and all its descendants."""
    parents = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            fields = open(path).read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(path.split("/")[2])] = int(fields[1])
    members, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in members} - members
        members |= more
        grown = bool(more)
    return members


def cpu_seconds(pid):
    """utime + stime of the tree, in seconds."""
    ticks = 0
    for member in tree(pid):
        fields = open(f"/proc/{member}/stat").read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def core_seconds():
    """What all processes together have used of the servers' core, in seconds."""
    for line in open("/proc/stat"):
        if line.startswith(f"cpu{SERVER_CORE} "):
            user, nice, system = map(int, line.split()[1:4])
            return (user + nice + system) / TICK
    return 0.0


def rss_bytes(pid):
    total = 0
    for member in tree(pid):
        match = re.search(r"VmRSS:\s+(\d+) kB", open(f"/proc/{member}/status").read())
        total += int(match[1]) * 1024 if match else 0
    return total


def wrk(port, seconds, path, script=None, args=()):
    """Starts wrk for that long."""
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"]
    for name, value in HEADERS.items():
        command += ["-H", f"{name}: {value}"]
    if script:
        command += ["-s", os.path.join(HERE, script)]
    command += [f"http://127.0.0.1:{port}{path}", "--", *map(str, args)]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    started.append(child)
    return child


def answered(child):
    """Waits for wrk to end; how many requests were answered. Any that were not 200 end the benchmark."""
    out = child.communicate(timeout=60)[0]
    started.remove(child)
    match = re.search(r"(\d+) requests in", out)
    if not match or "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"the load failed:\n{out}")
    return int(match[1])


class Server:
    """A server with a cache of its own, in a directory of its own, pinned to one core."""

    def __init__(self, name, work, origin_port):
        self.name, self.origin_port = name, origin_port
        self.dir = os.path.join(work, f"{name}-{time.monotonic_ns()}")
        os.mkdir(self.dir)
        self.port = free_port()
        self.log = os.path.join(self.dir, "log")
        self.child = start(self.command(), SERVER_CORE, self.log, cwd=self.dir)
        wait_for(self.port, name, self.child, self.log)

    def file(self, name):
        text = open(os.path.join(HERE, name)).read()
        for key, value in {"PORT": self.port, "ORIGIN": self.origin_port, "DIR": self.dir, "HERE": HERE}.items():
            text = text.replace(f"@{key}@", str(value))
        path = os.path.join(self.dir, name)
        with open(path, "w") as out:
            out.write(text)
        return path

    def fetched(self):
        """How many requests the origin got from this server."""
        return int(get(self.origin_port, f"/requests?host=127.0.0.1:{self.port}")[2])

    def hit(self, headers):
        return headers.get("X-Cache") == "HIT"

    def warm_up(self, page):
        get(self.port, page)
        answered(wrk(self.port, 1, page))
        status, headers, body = get(self.port, page)
        if status != 200 or len(body) != origin_module.BODY_BYTES or not self.hit(headers):
            sys.exit(f"{self.name} does not answer from its cache: {status} {headers.items()}")


class Copal(Server):
    def command(self):
        return [COPAL, "serve", "--config", self.file("copal.toml"), "--size", "1GiB"]

    def hit(self, headers):
        return super().hit(headers) and headers.get("Cache-Status", "").startswith("copal; hit")

    def objects(self):
        out = subprocess.run([COPAL, "stat", "-1", "--json", "--admin", f"unix:{self.dir}/admin.sock"], capture_output=True)
        return json.loads(out.stdout)["counters"]["objects"]

    @staticmethod
    def version():
        return subprocess.run([COPAL, "--version"], capture_output=True, text=True).stdout.strip()


class Varnish(Server):
    # One pool of threads; a small log, since its memory would count as the objects'.
    OPTIONS = ["-p", "thread_pools=1", "-p", "thread_pool_min=100", "-p", "vsl_space=1M"]

    def command(self):
        listen = ["-a", f"127.0.0.1:{self.port}", "-f", self.file("policy.vcl"), "-n", self.dir, "-j", "none"]
        return ["varnishd", "-F", *listen, "-s", "malloc,1g", *self.OPTIONS]

    def objects(self):
        out = subprocess.run(["varnishstat", "-n", self.dir, "-1", "-f", "MAIN.n_object"], capture_output=True, text=True)
        return int(out.stdout.split()[1])

    @staticmethod
    def version():
        return subprocess.run(["varnishd", "-V"], capture_output=True, text=True).stderr.splitlines()[0]


class Nginx(Server):
    def command(self):
        return ["nginx", "-c", self.file("nginx.conf"), "-p", self.dir, "-e", self.log, "-g", self.globals()]

    def globals(self):
        return "daemon off;" + (" user root;" if os.geteuid() == 0 else "")

    @staticmethod
    def version():
        return subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip()


class Haproxy(Server):
    def command(self):
        return ["haproxy", "-db", "-f", self.file("haproxy.cfg")]

    @staticmethod
    def version():
        return subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout.splitlines()[0]


PEERS = {"varnish": ("varnishd", Varnish), "nginx": ("nginx", Nginx), "haproxy": ("haproxy", Haproxy)}


def installed():
    servers = {"copal": Copal}
    for name, (program, kind) in PEERS.items():
        if shutil.which(program):
            servers[name] = kind
        else:
            print(f"skipped: {name} ({program} is not installed)")
    for name, kind in servers.items():
        print(f"  {name:8} {kind.version()}")
    return servers


def title(kind):
    return f" {kind}" if kind else ""


def hits(servers, work, origin_port, args, kind):
    page = PAGES[kind]
    print(f"\nCPU per hit{title(kind)}: {args.rounds} rounds × {args.seconds} s each, {CONNECTIONS} connections, 1 KB from {page}")
    running = {name: start_one(name, work, origin_port) for name, start_one in servers.items()}
    for server in running.values():
        server.warm_up(page)
    before = {name: server.fetched() for name, server in running.items()}
    done = []
    for number in range(1, 2 * args.rounds + 1):
        micros, worst = {}, 0.0
        for name, server in running.items():
            ours, all_of_it = cpu_seconds(server.child.pid), core_seconds()
            served = answered(wrk(server.port, args.seconds, page))
            ours, all_of_it = cpu_seconds(server.child.pid) - ours, core_seconds() - all_of_it
            micros[name] = ours / served * 1e6
            worst = max(worst, (all_of_it - ours) / args.seconds)
        done.append((worst, micros))
        line = "  ".join(f"{name} {value:.2f}" for name, value in micros.items())
        print(f"  round {number}: {line}  CPU µs/request; others took up to {worst:.0%} of the core", flush=True)
        if sum(worst <= DISTURBED for worst, _ in done) == args.rounds:
            break
    done.sort(key=lambda round: round[0])
    kept = done[: args.rounds]
    for name, server in running.items():
        fetched = server.fetched()
        if fetched != before[name] or not server.hit(get(server.port, page)[1]):
            sys.exit(f"{name} asked the origin {fetched - before[name]} times during the load")
        print(f"  {name}: every request was a hit ({fetched} requests to the origin in all, none during the load)")
        stop(server.child)
    print(f"\n  medians of the {len(kept)} quietest of {len(done)} rounds (others took up to {kept[-1][0]:.0%} of the core)")
    print(f"  {'':8} CPU µs/request   copal / it")
    for name in running:
        ratio = statistics.median(micros["copal"] / micros[name] for _, micros in kept)
        value = statistics.median(micros[name] for _, micros in kept)
        print(f"  {name:8} {value:14.2f} " + ("" if name == "copal" else f"{ratio:10.2f}"))


def memory(servers, work, origin_port, args, kind):
    prefix = "/varied/" if kind else "/objects/"
    example = f"{prefix}000000001.html".encode()
    head = origin_module.response(example).split(b"\r\n\r\n")[0]
    sizes = f"heads of {len(head) + 4} bytes, URLs of {len(example)}"
    print(f"\nMemory per object{title(kind)}: {args.objects} distinct objects of 1 KB, {sizes}")
    for name in ("nginx", "haproxy"):
        if name in servers:
            print(f"  {name}: left out, " + ("its objects are files" if name == "nginx" else "its memory is taken at start"))
    for name in ("copal", "varnish"):
        if name not in servers:
            continue
        server = servers[name](name, work, origin_port)
        server.warm_up(PAGES[kind])
        time.sleep(1)
        had, before = server.objects(), rss_bytes(server.child.pid)
        loader = wrk(server.port, STORE_SECONDS, PAGES[kind], "distinct.lua", [args.objects, prefix])
        while loader.poll() is None and server.objects() - had < args.objects:
            time.sleep(0.5)
        loader.send_signal(signal.SIGINT)
        answered(loader)
        time.sleep(3)
        stored, after = server.objects() - had, rss_bytes(server.child.pid)
        if stored != args.objects:
            sys.exit(f"{name} has stored {stored} objects, not {args.objects}")
        beyond = (after - before) / stored - origin_module.BODY_BYTES
        grown = f"RSS {before >> 10} KiB -> {after >> 10} KiB"
        print(f"  {name:8} {stored} stored, {grown}: {beyond:.0f} bytes per object beyond its body", flush=True)
        stop(server.child)


def main():
    parser = argparse.ArgumentParser(prog="benches/peers/run.sh", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="paired rounds of the hit load (5)")
    parser.add_argument("--seconds", type=int, default=4, help="how long each server is loaded per round (4)")
    parser.add_argument("--objects", type=int, default=200_000, help="objects of the memory load (200000)")
    parser.add_argument("--only", choices=["hits", "memory"], help="one of the two loads")
    args = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed: one for the servers, one for the load")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    work = tempfile.mkdtemp(prefix="copal-peers-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    os.chmod(work, 0o755)
    try:
        print(f"servers on core {SERVER_CORE}, load and origin on core {LOAD_CORE}; load average {os.getloadavg()[0]:.2f}")
        servers = installed()
        origin_port, log = free_port(), os.path.join(work, "origin.log")
        child = start([sys.executable, os.path.join(HERE, "origin.py"), str(origin_port)], LOAD_CORE, log)
        wait_for(origin_port, "the origin", child, log)
        for kind in PAGES:
            if args.only != "memory":
                hits(servers, work, origin_port, args, kind)
            if args.only != "hits":
                memory(servers, work, origin_port, args, kind)
    finally:
        # A second signal must not cut the cleaning up short.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stop_all()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
