# SPDX-License-Identifier: Apache-2.0
"""The demo's system of data planes as a user runs it, seen by its own control plane and by a real Prometheus."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import peers
from stack import ROOT, Prometheus, binary, free_port, get, wait_for

COUNT = 'sum by (environment) (http_server_request_duration_seconds_count{http_route!~"|/admin/faults"})'
PLANES = ("prod", "dev", "qa")


def family(process):
    """Processes that a process has started, by their names."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            command = (path.parent / "cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == process.pid:
            found[" ".join(command[1:])] = int(path.parent.name)
    return found


def resident(pids):
    lines = [pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() for pid in pids]
    return sum(int(line.split()[1]) for status in lines for line in status if line.startswith("VmRSS:")) / 1024


def counts(server):
    return {one["metric"]["environment"]: float(one["value"][1]) for one in server.query(COUNT)}


def planes(stack):
    """Three data planes and a control plane by one command: what the load sent is what both count; one killed comes back."""
    data, page = stack.folder / "data", free_port()
    process = stack.start("planes", [binary(), "demo", "planes", "--data", data, f"--listen=127.0.0.1:{page}"])
    begun = time.monotonic()
    log = stack.logs["planes"]
    wait_for("all planes to be scraped", lambda: "All 3 data planes are scraped" in log.read_text())
    visible = time.monotonic() - begun
    ours = Prometheus(f"http://127.0.0.1:{page}")
    program, port = peers.prometheus_3(), free_port()
    stack.start("prometheus", [program, f"--config.file={data}/planes/prometheus.yml", f"--storage.tsdb.path={stack.folder}/prometheus",
                               f"--web.listen-address=127.0.0.1:{port}"])
    theirs = Prometheus(f"http://127.0.0.1:{port}")
    wait_for("prometheus", lambda: get(f"{theirs.base}/-/ready"))
    targets = [f"--environment={plane}" for plane in PLANES]
    done = subprocess.run([binary(), "load", "http", *targets, "--duration=5", "--output=json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    sent = {plane: part["total"] for plane, part in zip(PLANES, json.loads(done.stdout))}
    assert all(sent.values()), sent
    failed = {plane: part["failed"] for plane, part in zip(PLANES, json.loads(done.stdout))}

    # Each shop was asked once whether it is there.
    expected = {plane: count + 1 for plane, count in sent.items()}

    def all_counted(server):
        seen = counts(server)
        assert seen == expected, (seen, expected)
        return True

    wait_for("the control plane to count what was sent", lambda: all_counted(ours))
    wait_for("Prometheus to count what was sent", lambda: all_counted(theirs))
    errors = 'sum by (environment) (http_server_request_duration_seconds_count{http_response_status_code=~"5.."})'
    for server in (ours, theirs):
        found = {one["metric"]["environment"]: float(one["value"][1]) for one in server.query(errors)}
        assert found == {plane: count for plane, count in failed.items() if count}, (found, failed)
    # The second document divides series by series: each is divided by itself.
    always = "rate(http_server_request_duration_seconds_count{http_response_status_code=~\"5..\"}[5m]) / rate(http_server_request_duration_seconds_count[5m])"
    assert all(one["value"][1] in ("1", "NaN") for one in ours.query(always)), ours.query(always)
    slowest = [part["slowest"][0]["trace_id"] for part in json.loads(done.stdout)]
    for trace in slowest:
        wait_for(f"trace {trace}", lambda: get(f"http://127.0.0.1:{page}/api/traces/{trace}"))
    children = family(process)
    memory = resident([process.pid, *children.values()])
    dev = next(pid for command, pid in children.items() if "dev-collector" in command)
    os.kill(dev, signal.SIGKILL)
    wait_for("the killed one to be back", lambda: "dev-collector is started again" in log.read_text())
    wait_for("it to be scraped", lambda: ours.value('up{job="dataplane-dev"}') == 1 and family(process).keys() == children.keys())
    assert ours.value('min(min_over_time(up{job=~"dataplane-(prod|qa)"}[2m]))') == 1, "the others went on"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, log.read_text()
    left = [pid for pid in children.values() if pathlib.Path(f"/proc/{pid}").exists()]
    assert not left, left
    assert memory < 400, f"{memory:.0f} MiB"
    return f"{sum(sent.values())} requests counted by both, visible after {visible:.1f} s, {memory:.0f} MiB for {len(children) + 1} processes"


def scenarios(stack):
    """Each scenario by one command: PromQL shows it where it happens and nowhere else, and nothing is left of it."""
    data, page, seen = stack.folder / "data", free_port(), []
    process = stack.start("planes", [binary(), "demo", "planes", "--data", data, f"--listen=127.0.0.1:{page}"])
    wait_for("all planes to be scraped", lambda: "All 3 data planes are scraped" in stack.logs["planes"].read_text())
    for name in ("normal", "prod-latency", "qa-errors", "compare"):
        # What the last one did has to leave the windows of PromQL first.
        time.sleep(0 if name == "normal" else 35)
        command = [binary(), "load", "scenario", name, "--data", data, f"--listen=127.0.0.1:{page}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150)
        assert done.returncode == 0, done.stdout + done.stderr
        seen.append(f"{name}: {done.stdout.strip().splitlines()[-1]}")
        faults = [json.loads(get(f"http://127.0.0.1:{port}/admin/faults")) for port in (8081, 8082, 8083)]
        assert all(one["error_rate"] == 0 and one["latency_ms"] == 0 for one in faults), faults
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    return "; ".join(seen)


def walkthrough(stack):
    """The first document's demonstration by one command: every statement of it is asked of the store, the first that fails ends it."""
    command = [binary(), "demo", "walkthrough", "--data", stack.folder / "data"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    held = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ok")]
    assert len(held) >= 20, done.stdout
    return f"{len(held)} statements; {done.stdout.strip().splitlines()[-1]}; " + next(line for line in held if "the forecast saw" in line)


def documents_commands(stack):
    """The documents' own commands for shop, inference service and worker, in their order; answers as they print them."""
    namespace = ["unshare", "--mount", "--net", "--map-root-user"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        raise peers.Missing("this user may not make a network namespace (unshare --net)")
    done = subprocess.run([*namespace, sys.executable, ROOT / "interop" / "commands.py"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return "; ".join(done.stdout.strip().splitlines())
