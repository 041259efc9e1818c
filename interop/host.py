# SPDX-License-Identifier: Apache-2.0
"""The host metrics of the Go collector and ours on this machine: the same metrics, types, units and attribute sets.

Run by the case `host_like_go` with an interpreter that has PyYAML: `host.py FOREGLOW OTELCOL`. Each scraper runs alone
in both, side by side, with every metric switched on; the second reading of each is compared (shares of time need two).
Values that do not change by the second must be near each other; of processes, one that sleeps is compared, by its id.
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

from differential import START_SECONDS, Sink, bare, command, flat

# Every metric of a scraper, so that those that are off by default are compared too.
METRICS = {
    "cpu": ["system.cpu.time", "system.cpu.utilization", "system.cpu.logical.count", "system.cpu.physical.count", "system.cpu.frequency"],
    "load": ["system.cpu.load_average.1m", "system.cpu.load_average.5m", "system.cpu.load_average.15m"],
    "memory": ["system.memory.usage", "system.memory.utilization", "system.memory.limit", "system.memory.page_size",
               "system.linux.memory.available", "system.linux.memory.dirty", "system.memory.linux.shared",
               "system.memory.linux.hugepages.limit", "system.memory.linux.hugepages.page_size",
               "system.memory.linux.hugepages.reserved", "system.memory.linux.hugepages.surplus",
               "system.memory.linux.hugepages.usage", "system.memory.linux.hugepages.utilization"],
    "disk": ["system.disk.io", "system.disk.operations", "system.disk.io_time", "system.disk.operation_time",
             "system.disk.weighted_io_time", "system.disk.merged", "system.disk.pending_operations"],
    "filesystem": ["system.filesystem.usage", "system.filesystem.inodes.usage", "system.filesystem.utilization"],
    "network": ["system.network.io", "system.network.packets", "system.network.errors", "system.network.dropped",
                "system.network.connections", "system.network.conntrack.count", "system.network.conntrack.max"],
    "paging": ["system.paging.usage", "system.paging.operations", "system.paging.faults", "system.paging.utilization"],
    "processes": ["system.processes.count", "system.processes.created"],
    "process": ["process.cpu.time", "process.cpu.utilization", "process.memory.usage", "process.memory.virtual",
                "process.memory.utilization", "process.disk.io", "process.disk.operations", "process.paging.faults",
                "process.threads", "process.context_switches", "process.open_file_descriptors", "process.signals_pending",
                "process.uptime"],
    "system": ["system.uptime"],
    "nfs": [],
}
# A scraper's own settings beside the metrics.
VARIANTS = [(name, {}) for name in METRICS] + [
    ("cpu", {"metrics": {"system.cpu.time": {"attributes": ["cpu", "state"]},
                         "system.cpu.utilization": {"enabled": True, "attributes": ["cpu", "state"]},
                         "system.cpu.frequency": {"enabled": True, "attributes": [], "aggregation_strategy": "max"}}}),
    ("network", {"metrics": {"system.network.io": {"attributes": ["direction"]},
                             "system.network.packets": {"attributes": ["device"], "aggregation_strategy": "max"}}}),
    ("load", {"cpu_average": True}),
    ("network", {"exclude": {"interfaces": ["lo"], "match_type": "strict"}}),
    ("disk", {"include": {"devices": ["^vd", "^sd", "^nvme"], "match_type": "regexp"}}),
    ("filesystem", {"include_virtual_filesystems": True, "exclude_mount_points": {"mount_points": ["^/proc", "^/sys", "^/run"], "match_type": "regexp"}}),
]
# What moves between two readings that are not at the same instant, and by how much it may.
MOVING = {
    "system.cpu.utilization": 1.0, "process.cpu.utilization": 1.0, "system.memory.utilization": 0.1,
    "system.disk.pending_operations": 1000, "system.cpu.frequency": 1e9, "process.uptime": 3.0, "system.uptime": 3.0,
    "system.processes.count": 200, "system.linux.memory.dirty": 2 << 30,
}
RELATIVE = 0.2
ABSOLUTE = {"By": 512 << 20, "s": 20.0}
# What the Go collector counts wrong: it takes numbers of pages and of faults for pages of 4096 bytes.
WRONG_THERE = {"system.paging.operations", "system.paging.faults"}
# The parts of what is sent that cannot be compared: states that come and go with what runs.
COMES_AND_GOES = {"system.processes.count"}


def start(program, ours, scraper, settings, folder):
    sink = Sink()
    scraper_config = {"metrics": {name: {"enabled": True} for name in METRICS[scraper]}, **settings}
    config = {
        "receivers": {"hostmetrics": {"collection_interval": "1s", "initial_delay": "100ms", "scrapers": {scraper: scraper_config}}},
        "exporters": {"otlphttp": {"endpoint": f"http://127.0.0.1:{sink.port}", "encoding": "json", "compression": "none",
                                   "sending_queue": {"enabled": False}}},
        "service": {"telemetry": {"metrics": {"level": "none"}},
                    "pipelines": {"metrics": {"receivers": ["hostmetrics"], "exporters": ["otlphttp"]}}},
    }
    path = folder / ("ours.yaml" if ours else "theirs.yaml")
    path.write_text(json.dumps(config))
    with path.with_suffix(".log").open("w") as stream:
        process = subprocess.Popen(command(program, ours, path, folder / "data"), stdout=stream, stderr=subprocess.STDOUT)
    return sink, process, path.with_suffix(".log")


def readings(foreglow, otelcol, scraper, settings, folder):
    """The second reading of each; none of a scraper that finds nothing on this machine."""
    running = [start(p, ours, scraper, settings, folder) for p, ours in ((foreglow, True), (otelcol, False))]
    patience = 5 if not METRICS[scraper] else START_SECONDS
    try:
        end = time.monotonic() + patience
        while any(len(sink.requests) < 2 for sink, *_ in running) and time.monotonic() < end:
            for _, process, log in running:
                assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.1)
    finally:
        for sink, process, _ in running:
            process.kill()
            process.wait()
            sink.close()
    return [sink.requests[1] if len(sink.requests) > 1 else {} for sink, *_ in running]


def shapes(request, pid):
    """What is compared exactly, with the value of each point; points of the process `pid` alone where it is one's."""
    out = {}
    for item in flat("metrics", request):
        resource = item.get("resource") or {}
        owner = next((a["value"].get("intValue") for a in resource.get("attributes", []) if a["key"] == "process.pid"), None)
        if owner is not None and int(owner) != pid:
            continue
        metric = item["item"]
        point = metric.get("point", {})
        shape = {
            "resource": resource.get("attributes", []), "name": metric["name"], "unit": metric.get("unit"), "kind": metric.get("kind"),
            "monotonic": metric.get("isMonotonic", False), "temporality": metric.get("aggregationTemporality"),
            "attributes": point.get("attributes", []), "start": metric.get("kind") == "sum" and "startTimeUnixNano" in point,
            "number": "double" if metric["name"] in doubles(request) else "int",
        }
        out[json.dumps(bare(shape), sort_keys=True)] = (metric, float(point.get("asDouble", point.get("asInt", 0))))
    return out


def doubles(request):
    """Names of metrics with a value that is written as a double; zeros are left out on the wire."""
    return {item["item"]["name"] for item in flat("metrics", request) if "asDouble" in item["item"].get("point", {})}


def near(metric, a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    slack = MOVING.get(metric["name"], ABSOLUTE.get(metric.get("unit"), 2000))
    return abs(a - b) <= max(slack, RELATIVE * max(abs(a), abs(b)))


def compare(ours, theirs):
    wrong = []
    for ours_only, these, those in ((True, ours, theirs), (False, theirs, ours)):
        found = [shape for shape, (metric, _) in these.items() if shape not in those and metric["name"] not in COMES_AND_GOES]
        wrong += [f"only {'we send' if ours_only else 'it sends'}: {shape}" for shape in found[:12]]
    for shape in ours.keys() & theirs.keys():
        (metric, a), (_, b) = ours[shape], theirs[shape]
        if metric["name"] not in WRONG_THERE and not near(metric, a, b):
            wrong.append(f"{shape}: {a}, the Go collector {b}")
    return wrong


def main():
    foreglow, otelcol = sys.argv[1:]
    sleeper = subprocess.Popen(["sleep", "600"])
    wrong, points = [], 0
    try:
        for scraper, settings in VARIANTS:
            with tempfile.TemporaryDirectory(prefix="foreglow-host-") as folder:
                ours, theirs = (shapes(request, sleeper.pid) for request in readings(foreglow, otelcol, scraper, settings, pathlib.Path(folder)))
            if METRICS[scraper] and not theirs:
                wrong.append(f"{scraper} {settings}: the Go collector sent nothing")
            wrong += [f"{scraper} {settings}: {one}" for one in compare(ours, theirs)]
            points += len(ours)
    finally:
        sleeper.kill()
        sleeper.wait()
    print("\n".join(wrong))
    print(f"{len(VARIANTS)} settings of scrapers, {points} points: {'equal' if not wrong else f'{len(wrong)} differences'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
