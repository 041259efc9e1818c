# SPDX-License-Identifier: Apache-2.0
"""What the exporters `file` and `debug` of the Go collector write, and ours, of the same input: equal items, equal text.

Run by the case `written_like_go` with an interpreter that has PyYAML: `written.py FOREGLOW OTELCOL`.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

from differential import START_SECONDS, bare, command, flat, lines, post
from stack import free_port, wait_for

SIGNALS = {"traces": "traces.json", "metrics": "metrics.json", "logs": "logs.json"}
VERBOSITIES = ("basic", "normal", "detailed")


def run(program, ours, signal, exporter, settings, folder, written=None):
    """The log of a collector that was sent the signal's input; it is stopped when the file `written` holds something, since
    the Go collector dies at once of a signal that comes early."""
    port = free_port()
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {exporter: settings},
        "service": {"telemetry": {"metrics": {"level": "none"}},
                    "pipelines": {signal: {"receivers": ["otlp"], "exporters": [exporter]}}},
    }
    path = folder / ("ours.yaml" if ours else "theirs.yaml")
    path.write_text(json.dumps(config))
    log = path.with_suffix(".log")
    with log.open("w") as stream:
        process = subprocess.Popen(command(program, ours, path, folder / "data"), stdout=subprocess.DEVNULL, stderr=stream)
    try:
        for line in lines(SIGNALS[signal]):
            assert post(process, log, port, signal, line) == 200
        if written is not None:
            wait_for(f"something in {written}", lambda: written.exists() and written.stat().st_size > 0)
        process.terminate()
        process.wait(timeout=START_SECONDS)
    finally:
        process.kill()
        process.wait()
    return log.read_text()


def file_items(program, ours, signal, folder):
    out = folder / ("ours.json" if ours else "theirs.json")
    run(program, ours, signal, "file", {"path": str(out), "flush_interval": "100ms"}, folder, out)
    requests = [json.loads(line) for line in out.read_text().splitlines() if line.strip()]
    return sorted(json.dumps(bare(item), sort_keys=True) for request in requests for item in flat(signal, request))


def debug_text(program, ours, signal, verbosity, folder):
    """The lines that tell of data: everything but log lines of the collector's own, with the counts of its summaries."""
    told = []
    for line in run(program, ours, signal, "debug", {"verbosity": verbosity}, folder).splitlines():
        # A log line begins with its time; data that follows on the same line is kept.
        own = re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z?\s+(\w+)\s+(.*)", re.sub(r"\x1b\[\d*m", "", line))
        if not own:
            told.append(line.rstrip())
            continue
        counts = re.findall(r'"?((?:resource )?(?:spans|metrics|logs)|data points|log records)"?[:=] ?(\d+)', own[2])
        if counts:
            told.append(f"summary {sorted(counts)}")
        begun = re.search(r"((?:Resource|Scope)\w+ #\d+.*)$", own[2])
        if begun:
            told.append(begun[1].rstrip())
    return [line for line in told if line and not line.startswith("\t{")]


def main():
    foreglow, otelcol = sys.argv[1:]
    both = ((foreglow, True), (otelcol, False))
    wrong, items, rows = [], 0, 0
    for signal in SIGNALS:
        with tempfile.TemporaryDirectory(prefix="foreglow-written-") as folder:
            folder = pathlib.Path(folder)
            ours, theirs = (file_items(program, our, signal, folder) for program, our in both)
            items += len(ours)
            if ours != theirs or not ours:
                wrong.append(f"file, {signal}:\n{difference(ours, theirs)}")
            for verbosity in VERBOSITIES:
                ours, theirs = (debug_text(program, our, signal, verbosity, folder) for program, our in both)
                rows += len(ours)
                if ours != theirs or not ours:
                    wrong.append(f"debug {verbosity}, {signal}:\n{difference(ours, theirs)}")
    print("\n".join(wrong))
    print(f"{items} items of files and {rows} lines of text: {'equal' if not wrong else f'{len(wrong)} differ'}")
    sys.exit(bool(wrong))


def difference(ours, theirs):
    only = lambda a, b: "\n".join(f"    {item}" for item in a if item not in b) or "    (nothing)"
    return f"  only we write:\n{only(ours, theirs)}\n  only it writes:\n{only(theirs, ours)}"


if __name__ == "__main__":
    main()
