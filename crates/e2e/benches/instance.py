#!/usr/bin/env python3
"""Measure a release `commandcenter up` from outside: idle memory, warm start, ingestion.

usage: instance.py BINARY RUNTIME_DIR

Needs nothing but Python and Linux. Every instance has a fresh folder and is stopped afterwards.
"""

import contextlib
import datetime
import email.utils
import http.server
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

READY = "CommandCenter is ready"
LOG_LINES = 20
STOP_TIMEOUT_S = 60
REQUEST_TIMEOUT_S = 30
POLL_INTERVAL_S = 0.1
# What an instance does after its start is over by then.
IDLE_AFTER_S = 30
WARM_STARTS = 5
# Each feed has an address of its own, because a host is asked for one thing at a time.
FEEDS, ENTRIES, WORDS = 10, 500, 150
VOCABULARY = 40_000
INGESTION_TIMEOUT_S = 1_800
DOCUMENTS_PAGE = 200


class Instance:
    """A running `commandcenter up` on a data directory."""

    def __init__(self, binary, runtime, data, embedder):
        settings = {
            "COMMANDCENTER__KNOWLEDGE__EMBEDDER": embedder,
            "COMMANDCENTER__FETCH__ALLOW_NETWORKS": "127.0.0.0/8",
        }
        ports = [part for name in ("http", "grpc", "admin") for part in (f"--{name}-port", "0")]
        command = [binary, "up", "--data-dir", data, "--runtime-dir", runtime, *ports]
        self.log = open(pathlib.Path(data).parent / "up.log", "ab")
        start = time.perf_counter()
        self.process = subprocess.Popen(
            command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        if not any(READY in line for line in self.process.stdout):
            log = pathlib.Path(self.log.name).read_text().splitlines()[-LOG_LINES:]
            sys.exit("\n".join([f"{binary} up ended before it was ready; its log ends with:", *log]))
        self.start_s = time.perf_counter() - start
        described = json.loads(pathlib.Path(data, "instance.json").read_text())
        self.base = described["http"]
        self.token = pathlib.Path(data, "admin.token").read_text().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def call(self, path, body=None):
        """The JSON answer to GET, or to POST where there is a body."""
        request = urllib.request.Request(
            f"{self.base}/api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
            return json.load(answer)

    def memory(self):
        """Proportional set size in MiB by program: pages shared by processes are split."""
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                name, rest = stat.read_text().split("(", 1)[1].rsplit(")", 1)
                parents[int(stat.parent.name)] = (name, int(rest.split()[1]))
        sizes = {}
        for pid, (name, _) in parents.items():
            above = pid
            while above in parents and above != self.process.pid:
                above = parents[above][1]
            if above == self.process.pid:
                with contextlib.suppress(OSError):
                    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                    kib = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
                    sizes[name] = sizes.get(name, 0) + kib / 1024
        return sizes


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as path:
        # Started by root, the servers run as another account, which must get in.
        os.chmod(path, 0o711)
        yield os.path.join(path, "data")


def idle_memory(binary, runtime):
    with folder() as data, Instance(binary, runtime, data, "hash-v1") as instance:
        time.sleep(IDLE_AFTER_S)
        for name, mib in sorted(instance.memory().items()):
            print(f"idle memory without a model, PSS {IDLE_AFTER_S} s after ready: {name} {mib:.1f} MiB")


def warm_start(binary, runtime):
    for embedder in ("hash-v1", "minilm"):
        with folder() as data:
            with Instance(binary, runtime, data, embedder) as instance:
                first = instance.start_s
            starts = []
            for _ in range(WARM_STARTS):
                with Instance(binary, runtime, data, embedder) as instance:
                    starts.append(instance.start_s)
        starts.sort()
        print(
            f"start to ready, {embedder}: first {first:.2f} s; "
            f"then {starts[WARM_STARTS // 2]:.2f} s (median), {starts[-1]:.2f} s (slowest)"
        )


def feed(number):
    """A feed whose words are as frequent as in a language: the nth is 1/n as frequent."""
    chance = random.Random(number)
    words = lambda count: " ".join(f"w{VOCABULARY ** chance.random():.0f}" for _ in range(count))
    now = datetime.datetime.now(datetime.timezone.utc)
    items = []
    for entry in range(ENTRIES):
        date = email.utils.format_datetime(now - datetime.timedelta(minutes=entry))
        items.append(
            f"<item><guid isPermaLink='false'>{number}-{entry}</guid><title>{words(6)}</title>"
            f"<link>https://feed{number}.example/{entry}</link><pubDate>{date}</pubDate>"
            f"<description>{words(WORDS)}</description></item>"
        )
    head = f"<title>Feed {number}</title><link>https://feed{number}.example/</link>"
    return f"<rss version='2.0'><channel>{head}{''.join(items)}</channel></rss>".encode()


@contextlib.contextmanager
def site():
    """Serves the feeds on every loopback address; yields the port."""
    feeds = {f"/{number}.xml": feed(number) for number in range(FEEDS)}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = feeds.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/rss+xml")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


def documents(instance):
    count, token = 0, ""
    while True:
        page = instance.call(f"knowledge/documents?page_size={DOCUMENTS_PAGE}&page_token={token}")
        count, token = count + len(page["items"]), page["next_page_token"]
        if not token:
            return count


def ingestion(binary, runtime, embedder):
    with folder() as data, site() as port, Instance(binary, runtime, data, embedder) as instance:
        sources = [
            instance.call("sources", {
                "project": "bench",
                "kind": "feed",
                "name": f"feed {number}",
                "url": f"http://127.0.0.{number + 1}:{port}/{number}.xml",
                "feed": {"first_import_items": ENTRIES, "full_text": False},
            })["id"]
            for number in range(FEEDS)
        ]
        start = time.perf_counter()
        for source in sources:
            instance.call(f"sources/{source}/run", {})
        while True:
            counts = instance.call("jobs?page_size=1")["counts"]
            elapsed = time.perf_counter() - start
            if counts["queued"] == counts["running"] == 0 and counts["done"] > 0:
                break
            if elapsed > INGESTION_TIMEOUT_S:
                sys.exit(f"ingestion: not done in {INGESTION_TIMEOUT_S} s: {counts}")
            time.sleep(POLL_INTERVAL_S)
        stored = documents(instance)
        if stored != FEEDS * ENTRIES or counts["dead"]:
            sys.exit(f"ingestion: {stored} of {FEEDS * ENTRIES} documents, jobs {counts}")
        used = instance.memory().get("commandcenter", 0)
        print(
            f"ingestion, {embedder}: {stored} feed items in {elapsed:.1f} s, "
            f"{stored / elapsed:.1f} documents/s from fetch to searchable; "
            f"our process holds {used:.0f} MiB afterwards"
        )


def main():
    binary, runtime = (os.path.abspath(path) for path in sys.argv[1:3])
    # Whoever reads a pipe sees each figure when it is there.
    sys.stdout.reconfigure(line_buffering=True)
    idle_memory(binary, runtime)
    warm_start(binary, runtime)
    for embedder in ("hash-v1", "minilm"):
        ingestion(binary, runtime, embedder)


if __name__ == "__main__":
    main()
