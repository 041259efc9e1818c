# SPDX-License-Identifier: Apache-2.0
"""What the Go collector tells about itself, and what we do: every name it shows at level normal and at level detailed, with
the same type and labels.

Both run one configuration with the same load: gRPC and HTTP in, one exporter whose peer is there, one whose peer is not,
batching in a processor and in a queue. We may show more.
"""

import json
import re
import subprocess

import peers
from stack import binary, free_port, get, wait_for

# Of the Go program and its libraries, not of a collector.
THEIRS = {
    "promhttp_metric_handler_errors_total": "errors of Go's own page",
    "target_info": "what runs is told in the resource of own telemetry, not on the page",
}


def config(own, level, ports):
    """The configuration for either of the two; `own` is the port of its page."""
    grpc, http, back_grpc, back_http = ports
    http_exporter = {"retry_on_failure": {"enabled": False}, "compression": "none"}
    return {
        "receivers": {
            "otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{grpc}"}, "http": {"endpoint": f"127.0.0.1:{http}"}}},
            "otlp/back": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{back_grpc}"}, "http": {"endpoint": f"127.0.0.1:{back_http}"}}},
        },
        "processors": {
            "batch": {"timeout": "100ms", "send_batch_size": 20},
            "resource": {"attributes": [{"key": "a", "value": "b", "action": "upsert"}]},
            "attributes": {"actions": [{"key": "a", "value": "b", "action": "upsert"}]},
            "probabilistic_sampler": {"sampling_percentage": 50},
        },
        "exporters": {
            "nop": None, "debug": {"verbosity": "basic"},
            "otlp_http/dead": {"endpoint": "http://127.0.0.1:1", "sending_queue": {"queue_size": 2}, **http_exporter},
            "otlp_grpc/dead": {"endpoint": "127.0.0.1:1", "tls": {"insecure": True}, "timeout": "1s", "retry_on_failure": {"enabled": False}},
            "otlp_http/back": {"endpoint": f"http://127.0.0.1:{back_http}", **http_exporter},
            "otlp_grpc/back": {"endpoint": f"127.0.0.1:{back_grpc}", "tls": {"insecure": True},
                               "sending_queue": {"batch": {"min_size": 10, "flush_timeout": "100ms"}}},
            "prometheus_remote_write": {"endpoint": "http://127.0.0.1:1/w", "retry_on_failure": {"enabled": False}},
        },
        "service": {
            "telemetry": {"metrics": {"level": level, "readers": [
                {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": own}}}}]}},
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["probabilistic_sampler", "resource", "attributes", "batch"],
                           "exporters": ["nop", "debug", "otlp_http/dead", "otlp_grpc/dead", "otlp_http/back", "otlp_grpc/back"]},
                "logs": {"receivers": ["otlp"], "processors": ["resource", "attributes", "batch"],
                         "exporters": ["otlp_http/dead", "otlp_http/back", "otlp_grpc/back"]},
                "metrics": {"receivers": ["otlp"], "processors": ["resource", "batch"],
                            "exporters": ["otlp_http/dead", "otlp_http/back", "otlp_grpc/back", "prometheus_remote_write"]},
                **{f"{signal}/back": {"receivers": ["otlp/back"], "exporters": ["nop"]} for signal in ("traces", "metrics", "logs")},
            },
        },
    }


def page(stack, name, command, level):
    """The page of a collector that has had its load, as {(name, type): set of sets of label names}."""
    own, ports = free_port(), [free_port() for _ in range(4)]
    path = stack.folder / f"{name}-{level}.json"
    path.write_text(json.dumps(config(own, level, ports)))
    process = stack.start(f"{name}-{level}", [*command, "--config", path])
    wait_for(f"the page of {name}", lambda: get(f"http://127.0.0.1:{own}/metrics"))
    tool = peers.telemetrygen()
    for signal in ("traces", "metrics", "logs"):
        for port, more in ((ports[0], []), (ports[1], ["--otlp-http"])):
            done = subprocess.run(
                [str(part) for part in [tool, signal, f"--otlp-endpoint=127.0.0.1:{port}", "--otlp-insecure", f"--{signal}=60",
                                        "--workers=1", "--rate=0", *more]], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr

    def complete():
        found = series(get(f"http://127.0.0.1:{own}/metrics"))
        names = {name for name, _ in found}
        wanted = {f"otelcol_exporter_{what}_{items}" for what in ("sent", "send_failed") for items in ("spans", "metric_points", "log_records")}
        return wanted <= names and found

    found = wait_for(f"all of {name} to be counted", complete)
    process.terminate()
    return found


def series(text):
    found, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            types[name] = kind
            continue
        match = re.match(r"([a-zA-Z0-9_:]+)(?:\{(.*)\})? ", line)
        if line.startswith("#") or not match:
            continue
        base = re.sub("_(bucket|sum|count)$", "", match[1])
        name = base if types.get(base) == "histogram" else match[1]
        labels = frozenset(re.findall(r'(\w+)="', match[2] or "")) - {"le"}
        found.setdefault((name, types.get(name)), set()).add(labels)
    return found


def own_metrics_like_go(stack):
    """Every metric that the Go collector shows about itself, at both levels: ours has its name, type and labels."""
    collector, compared, wrong = peers.otelcol(), 0, []
    for level in ("normal", "detailed"):
        theirs = page(stack, "otelcol", [collector], level)
        data = stack.folder / f"own-{level}-data"
        ours = page(stack, "foreglow", [binary(), "--listen=off", f"--data={data}"], level)
        for key, labels in sorted(theirs.items()):
            if key[0] in THEIRS:
                continue
            compared += 1
            if key not in ours:
                wrong.append(f"{level}: {key} is missing")
            elif not labels <= ours[key]:
                show = lambda sets: sorted(sorted(one) for one in sets)
                wrong.append(f"{level}: {key[0]} has the labels {show(ours[key])}, the Go collector's {show(labels)}")
    assert not wrong, "\n".join(wrong)
    return f"{compared} names at two levels, with type and labels"
