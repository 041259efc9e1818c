# SPDX-License-Identifier: Apache-2.0
"""The same files of OTLP/JSON read by the Go collector and by us: every item must be equal.

Run by the case `files` with an interpreter that has PyYAML: `files.py FOREGLOW OTELCOL`. The files hold all three
signals, lines that are broken or of no signal, and a last line without an end.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

from differential import HERE, START_SECONDS, Sink, bare, command, flat

SIGNALS = {"traces": "traces.json", "metrics": "metrics.json", "logs": "logs.json"}


def read(program, ours, folder):
    """All items that come out of the files in `folder`, by signal."""
    sink = Sink()
    config = {
        "receivers": {"otlp_json_file": {"include": [f"{folder}/in/*.json"], "start_at": "beginning",
                                         "include_file_path": True}},
        "exporters": {"otlphttp": {"endpoint": f"http://127.0.0.1:{sink.port}", "encoding": "json",
                                   "compression": "none", "sending_queue": {"enabled": False}}},
        "service": {"telemetry": {"metrics": {"level": "none"}},
                    "pipelines": {s: {"receivers": ["otlp_json_file"], "exporters": ["otlphttp"]} for s in SIGNALS}},
    }
    path = folder / ("ours.yaml" if ours else "theirs.yaml")
    path.write_text(json.dumps(config))
    with path.with_suffix(".log").open("w") as stream:
        process = subprocess.Popen(command(program, ours, path, folder / "data"), stdout=stream, stderr=subprocess.STDOUT)
    try:
        end, count = time.monotonic() + START_SECONDS, -1
        while count != len(sink.requests) or not count:
            assert process.poll() is None and time.monotonic() < end, path.with_suffix(".log").read_text()[-3000:]
            count = len(sink.requests)
            time.sleep(1)
    finally:
        process.kill()
        process.wait()
        sink.close()
    items = []
    for request in sink.requests:
        for signal in SIGNALS:
            for item in map(bare, flat(signal, request)):
                # The Collector adds the file's names in any order.
                item["item"].get("metadata", []).sort(key=lambda pair: pair["key"])
                items.append(json.dumps(item, sort_keys=True))
    return sorted(items)


def main():
    foreglow, otelcol = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="foreglow-files-") as folder:
        folder = pathlib.Path(folder)
        (folder / "in").mkdir()
        mixed = ["{broken", "[]", '{"resourceProfiles":[]}', "", "{}"]
        for signal, name in SIGNALS.items():
            lines = [line for line in (HERE / "input" / name).read_text().splitlines() if line.strip()]
            (folder / "in" / f"{signal}.json").write_text("".join(line + "\n" for line in lines))
            mixed += lines
        (folder / "in" / "mixed.json").write_text("\n".join(mixed) + "\n")
        ours, theirs = read(foreglow, True, folder), read(otelcol, False, folder)
    if ours != theirs:
        only = lambda a, b: "\n".join(f"    {item}" for item in a if item not in b) or "    (nothing)"
        print(f"we send:\n{only(ours, theirs)}\nthe Go collector sends:\n{only(theirs, ours)}")
    print(f"{len(ours)} items of files, the Go collector {len(theirs)}: {'equal' if ours == theirs else 'they differ'}")
    sys.exit(ours != theirs)


if __name__ == "__main__":
    main()
