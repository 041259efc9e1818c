# SPDX-License-Identifier: Apache-2.0
"""What is kept, against what befalls it: a disk that is full, other readers of the files."""

import json
import subprocess
import threading
import time
import urllib.error

import peers
from promql_differential import request, send
from stack import binary, get, wait_for

CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:@HTTP@"}}}}
exporters: {embedded_store: {blocks: {flush_interval: 1s@MORE@}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {metrics: {receivers: [otlp], exporters: [embedded_store]}}
"""


def config(more=""):
    return CONFIG.replace("@MORE@", more)


class Writer:
    """Sends one number after the other and remembers which were acknowledged."""

    def __init__(self, name):
        self.name, self.number, self.time_ms = name, 0, 0
        self.acked = []

    def write(self, base, series=1):
        """True if it was acknowledged."""
        self.number += 1
        self.time_ms = max(self.time_ms + 1, int(time.time() * 1000))
        labels = {"__name__": "acked", "writer": self.name}
        rows = [({**labels, "part": str(part)}, {0: float(self.number)}) for part in range(series)]
        try:
            send(base, request((0, self.time_ms), rows))
        except (urllib.error.URLError, OSError, AssertionError):
            return False
        self.acked.append(self.number)
        return True

    def check(self, server, part=0):
        """All that was acknowledged is there, once."""
        found = server.query(f'acked{{writer="{self.name}",part="{part}"}}[6h]')
        values = [int(float(value)) for _, value in found[0]["values"]] if found else []
        lost = sorted(set(self.acked) - set(values))
        assert not lost, f"{self.name}: {len(lost)} of {len(self.acked)} lost: {lost[:20]}"
        assert len(values) == len(set(values)), f"{self.name}: some numbers are there twice"
        return len(values)


def plain_export(stack):
    """`export --plain` as pyarrow reads it: the rows are what the query API answers."""
    python = peers.python("pyarrow", ["pyarrow==23.0.0"])
    server = stack.foreglow(config())
    start = int(time.time()) * 1000 - 3_600_000
    series = [({"__name__": f"plain_{number % 3}", "job": "export", "number": str(number)}, [number + at / 7 for at in range(200)])
              for number in range(12)]
    for at in range(200):
        send(server.page, request((at, start + at * 15_000), series))
    wait_for("blocks", lambda: "metrics: 0 blocks" not in subprocess.run(
        [*server.command[:1], "fsck", *server.command[1:]], capture_output=True, text=True).stdout)
    file = stack.folder / "plain.parquet"

    def exported():
        done = subprocess.run([server.command[0], "export", "--plain", file, *server.command[1:]], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        rows = json.loads(subprocess.run([python, "-c", READ_PLAIN, file], capture_output=True, text=True, check=True).stdout)
        return len(rows) == 12 and rows
    rows = wait_for("all samples in blocks", exported)
    compared = 0
    for one in server.query('{job="export"}[2h]', time=start / 1000 + 3600):
        metric = one["metric"]
        expected = [[round(float(at) * 1000), float(value)] for at, value in one["values"]]
        assert rows[f"{metric['__name__']}/{metric['number']}"] == expected, metric
        compared += len(expected)
    assert compared == 12 * 200, compared
    return f"pyarrow reads {compared} rows equal to what the query API answers"


READ_PLAIN = """
import json, sys, pyarrow.parquet
table = pyarrow.parquet.read_table(sys.argv[1])
rows = {}
for row in table.to_pylist():
    if row["job"] != "export":
        continue
    at = row["timestamp"]
    at = at if isinstance(at, int) else round(at.timestamp() * 1000)
    rows.setdefault(row["__name__"] + "/" + row["number"], []).append([at, row["value"]])
print(json.dumps({name: sorted(points) for name, points in rows.items()}))
"""


class SmallDisk:
    """A file system of a few megabytes in a mount namespace of its own."""

    def __init__(self, stack, megabytes):
        self.path = stack.folder / "disk"
        self.path.mkdir()
        probe = ["unshare", "--mount", "--map-root-user", "true"]
        if subprocess.run(probe, capture_output=True).returncode != 0:
            raise peers.Missing("this user may not make a mount namespace (unshare --mount)")
        mount = f"mount -t tmpfs -o size={megabytes}m none {self.path} && touch {self.path}/there && exec sleep infinity"
        self.holder = stack.start("disk", ["unshare", "--mount", "--map-root-user", "sh", "-c", mount])
        wait_for("the disk", lambda: self.run(f"test -e {self.path}/there").returncode == 0)

    def within(self, command):
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-U", "--preserve-credentials", *[str(part) for part in command]]

    def run(self, script):
        return subprocess.run(self.within(["sh", "-c", script]), capture_output=True, text=True)

    def fill(self):
        self.run(f"cat /dev/zero > {self.path}/ballast")

    def empty(self):
        self.run(f"rm -f {self.path}/ballast")


def full_disk(stack):
    """A disk that fills while data comes in, again and again, with kills and starts on the full disk: nothing
    acknowledged is lost or doubled, and no start is refused."""
    disk = SmallDisk(stack, 96)
    writer, refused, kills = Writer("full"), 0, 0
    server = stack.foreglow(config())
    server.process.kill()
    # The same command, its data on the small disk.
    command = [str(disk.path / "data") if part == server.data else part for part in server.command]

    def start():
        process = stack.start("foreglow", disk.within(command))
        wait_for("the start on a disk that may be full", lambda: get(f"{server.page}/-/ready"), 30)
        return process

    server.process.wait()
    process = start()
    for round_ in range(8):
        for _ in range(60):
            writer.write(server.page, 20)
        disk.fill()
        before = refused
        for _ in range(100):
            refused += not writer.write(server.page, 20)
            if refused - before > 20:
                break
        if round_ % 2:
            process.kill()
            process.wait()
            process = start()
            kills += 1
            refused += not writer.write(server.page, 20)
        disk.empty()
        if round_ % 4 < 2:
            process.kill()
            process.wait()
            process = start()
            kills += 1
        wait_for("writes to be taken again", lambda: writer.write(server.page, 20), 60)
        writer.check(server)
    assert refused > 0, "the disk was never full"
    process.kill()
    process.wait()
    start()
    found = writer.check(server, 19)
    return f"{len(writer.acked)} acknowledged, {found} there, {refused} refused, {kills + 1} kills"


ALL = [plain_export, full_disk]
