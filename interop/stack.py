# SPDX-License-Identifier: Apache-2.0
"""Starts programs for a test on free ports, waits for conditions, and stops them all."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEADLINE = float(os.environ.get("FOREGLOW_INTEROP_DEADLINE", "40"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, deadline=DEADLINE):
    """Polls until `condition()` is truthy; the last exception or value is the reason if not."""
    end = time.monotonic() + deadline
    last = None
    while time.monotonic() < end:
        try:
            last = condition()
            if last:
                return last
        except Exception as error:  # the peer may not be there yet
            last = error
        time.sleep(0.1)
    raise AssertionError(f"gave up waiting for {what}; last: {last!r}")


def get(url, **parameters):
    if parameters:
        url += "?" + urllib.parse.urlencode(parameters, doseq=True)
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.code} {error.read().decode()[:400]}") from error


class Prometheus:
    """The query side of anything that speaks Prometheus' API."""

    def __init__(self, base):
        self.base = base

    def query(self, expression, **parameters):
        body = json.loads(get(f"{self.base}/api/v1/query", query=expression, **parameters))
        assert body["status"] == "success", body
        return body["data"]["result"]

    def value(self, expression, **parameters):
        result = self.query(expression, **parameters)
        return float(result[0]["value"][1]) if result else None

    def range(self, expression, start, end, step):
        body = json.loads(get(f"{self.base}/api/v1/query_range", query=expression, start=start, end=end, step=step))
        assert body["status"] == "success", body
        return body["data"]["result"]


class Stack(contextlib.ExitStack):
    """Programs of one test case; all are gone at its end, their output kept for the failure."""

    def __init__(self, name):
        super().__init__()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix=f"foreglow-{name}-")))
        self.logs = {}

    def start(self, name, command, env=None, cwd=None):
        path = self.folder / f"{name}.log"
        self.logs[name] = path
        with path.open("a") as output:
            process = subprocess.Popen(
                [str(part) for part in command], stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})}, cwd=cwd or self.folder, start_new_session=True,
            )
        self.callback(stop, process)
        return process

    def tail(self, lines=25):
        out = []
        for name, path in self.logs.items():
            text = path.read_text(errors="replace").splitlines()[-lines:]
            out.append(f"--- {name}\n" + "\n".join(text))
        return "\n".join(out)

    def foreglow(self, config=None, sets=(), name="foreglow", data=None, command=(), program=None):
        """The binary under test. Without `config` the built-in stack, on free ports."""
        server = Server(self.folder / (data or f"{name}-data"))
        if "demo" in command:
            command = [*command, "--endpoint", f"http://127.0.0.1:{server.http_port}"]
        command = [program or binary(), *command, "--data", server.data, "--listen", f"127.0.0.1:{server.page_port}"]
        if config is None:
            command += [
                f"--set=receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{server.grpc_port}",
                f"--set=receivers.otlp.protocols.http.endpoint=127.0.0.1:{server.http_port}",
                "--set=receivers.prometheus.config.scrape_configs=[{job_name: foreglow, scrape_interval: 1s, "
                f"static_configs: [{{targets: ['127.0.0.1:{server.metrics_port}']}}]}}]",
            ]
        else:
            path = self.folder / f"{name}.yaml"
            path.write_text(config.replace("@GRPC@", str(server.grpc_port)).replace("@HTTP@", str(server.http_port)))
            command += ["--config", path]
        command += [f"--set=service.telemetry.metrics.address=127.0.0.1:{server.metrics_port}"]
        command += [f"--set=extensions.health_check.endpoint=127.0.0.1:{server.health_port}"] if config is None else []
        command += [f"--set={one}" for one in sets]
        server.name, server.command = name, command
        return self.again(server)

    def again(self, server):
        """Starts it with its command, after it was killed too."""
        server.process = self.start(server.name, server.command)
        wait_for(f"{server.name} to be ready", lambda: get(f"{server.page}/-/ready"))
        return server


class Server(Prometheus):
    """One running foreglow."""

    def __init__(self, data):
        self.data = data
        self.grpc_port, self.http_port = free_port(), free_port()
        self.page_port, self.metrics_port, self.health_port = free_port(), free_port(), free_port()
        self.page = f"http://127.0.0.1:{self.page_port}"
        super().__init__(self.page)

    def metrics(self):
        return get(f"http://127.0.0.1:{self.metrics_port}/metrics")


def binary():
    path = pathlib.Path(os.environ.get("FOREGLOW_BINARY", ROOT / "target/release/foreglow"))
    assert path.exists(), f"{path} is not built: cargo build --release -p foreglow"
    return path


def stop(process):
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
