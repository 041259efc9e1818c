# SPDX-License-Identifier: Apache-2.0
"""Blocks in a bucket, against an S3 server of its own (moto)."""

import http.client
import http.server
import os
import pathlib
import random
import subprocess
import threading
import time

import peers
from stack import ROOT, free_port, get, wait_for
from storage_cases import Writer, config

BUCKET = """
import sys, boto3
s3 = boto3.client("s3", endpoint_url=sys.argv[1], aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
s3.create_bucket(Bucket="foreglow")
s3.put_object(Bucket="foreglow", Key="probe", Body=b"1")
try:
    s3.put_object(Bucket="foreglow", Key="probe", Body=b"2", IfNoneMatch="*")
except Exception as error:
    assert "Precondition" in str(error), error
else:
    sys.exit("the server overwrites in spite of If-None-Match")
"""


def bucket(stack):
    """The port of an S3 server with an empty bucket."""
    python, port = peers.python("moto", ["moto[server]==5.2.5"]), free_port()
    endpoint = f"http://127.0.0.1:{port}"
    stack.start("moto", [python.parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)])
    wait_for("moto", lambda: subprocess.run([python, "-c", BUCKET, endpoint], capture_output=True).returncode == 0)
    return port


def s3(stack):
    """The contract of object stores over S3: whole objects, conditional puts, uploads in parts, ranges."""
    endpoint = f"http://127.0.0.1:{bucket(stack)}"
    done = subprocess.run(
        ["cargo", "test", "-q", "-p", "store", "--features", "s3", "--lib", "a_bucket_does_alike"],
        capture_output=True, text=True, timeout=1800, cwd=ROOT, env=os.environ | {"FOREGLOW_S3_ENDPOINT": endpoint},
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-6000:] + done.stderr[-2000:]
    return "the contract of object stores holds in a bucket; If-None-Match is honoured"


class Faults:
    """Stands before the S3 server and misbehaves: `rates` by kind; `conditional` false = ignores If-None-Match."""

    KINDS = ("busy", "torn", "lost answer", "time-out")

    def __init__(self, port, rates, conditional=True, seed=1):
        self.random, self.rates, self.lock = random.Random(seed), rates, threading.Lock()
        self.seen = dict.fromkeys(self.KINDS, 0)
        faults = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                length = int(self.headers.get("Content-Length") or 0)
                fault = faults.pick()
                if fault == "torn" and length:
                    # The connection breaks in the middle of the body.
                    self.rfile.read(length // 2)
                    self.close_connection = True
                    return
                body = self.rfile.read(length)
                if fault == "busy":
                    self.answer(503, [("Content-Type", "application/xml")], b"<Error><Code>SlowDown</Code></Error>")
                    return
                headers = {name: value for name, value in self.headers.items() if conditional or name.lower() != "if-none-match"}
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                if fault == "lost answer":
                    # It was done, and the asker never hears of it.
                    self.close_connection = True
                    return
                if fault == "time-out":
                    time.sleep(31)
                kept = [(n, v) for n, v in answer.getheaders() if n.lower() not in ("connection", "transfer-encoding", "date", "server")]
                self.answer(answer.status, kept, content)

            def answer(self, status, headers, content):
                self.send_response(status)
                has_length = False
                for name, value in headers:
                    has_length |= name.lower() == "content-length"
                    self.send_header(name, value)
                if not has_length:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def pick(self):
        with self.lock:
            value = self.random.random()
            for kind in self.KINDS:
                rate = self.rates.get(kind, 0)
                if value < rate and not (kind == "time-out" and self.seen[kind] >= 2):
                    self.seen[kind] += 1
                    return kind
                value -= rate
        return None


def with_s3():
    """A binary that knows buckets."""
    given = os.environ.get("FOREGLOW_S3_BINARY")
    if given:
        return pathlib.Path(given)
    build = ["cargo", "build", "-q", "-p", "foreglow", "--features", "s3"]
    done = subprocess.run(build, capture_output=True, text=True, timeout=3600, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-4000:]
    return ROOT / "target" / "debug" / "foreglow"


def s3_processes(stack):
    """Two writers and a reader of one bucket behind a server that is busy, tears uploads, loses answers and times out;
    writers are killed: the reader has all that was acknowledged, once."""
    program, port = with_s3(), bucket(stack)
    faults = Faults(port, {"busy": 0.06, "torn": 0.03, "lost answer": 0.04, "time-out": 0.002})

    def in_bucket(port, more):
        return config(f", {more}, s3: {{bucket: foreglow, prefix: shared, region: us-east-1, access_key_id: test, "
                      f"secret_access_key: test, endpoint: 'http://127.0.0.1:{port}'}}")

    def start(name, more, port=faults.port):
        server = stack.foreglow(in_bucket(port, more), name=name, program=program)
        return server

    writers = {name: (start(name, f"writer: {name}"), Writer(name)) for name in ("a", "b")}
    reader = start("reader", "query_only: true")
    chance, kills = random.Random(7), 0
    for _ in range(6):
        end = time.monotonic() + 4
        while time.monotonic() < end:
            for server, writer in writers.values():
                writer.write(server.page)
        for server, _ in writers.values():
            if chance.random() < 0.7:
                server.process.kill()
                server.process.wait()
                stack.again(server)
                kills += 1
    for server, writer in writers.values():
        assert writer.write(server.page)
    seen = {}

    def all_there():
        for name, (_, writer) in writers.items():
            seen[name] = writer.check(reader)
        return True
    wait_for("the reader to see everything", all_there, 240)
    for server, writer in writers.values():
        writer.check(server)
    told = ", ".join(f"{count} x {kind}" for kind, count in faults.seen.items())
    assert all(faults.seen[kind] for kind in ("busy", "torn", "lost answer")), told

    # A server that overwrites whatever the condition is used, and said to be one.
    careless = Faults(port, {}, conditional=False)
    lone = start("lone", "writer: lone", careless.port)
    writer = Writer("lone")
    for _ in range(20):
        writer.write(lone.page)
    wait_for("a second reader's view", lambda: writer.check(reader), 120)
    log = (stack.folder / "lone.log").read_text()
    assert "If-None-Match" in log, log[-2000:]
    return f"{sum(len(w.acked) for _, w in writers.values())} acknowledged, all there once; {kills} kills; {told}"


ALL = [s3, s3_processes]
