# SPDX-License-Identifier: Apache-2.0
"""The load generator beside oha and telemetrygen on the same targets: what one says, the other says too."""

import json
import subprocess

import peers
from stack import binary, free_port, get, wait_for

# Rates and percentiles agree within 5 %; percentiles of few milliseconds within what the scheduler of a busy machine adds.
RELATIVE, NOISE_MS = 0.05, 3.0

SECONDS, REQUESTS, SPANS = 6, 200, 100

OTELCOL = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:@GRPC@"}, http: {endpoint: "127.0.0.1:@HTTP@"}}}}
exporters: {file: {path: "@FILE@", flush_interval: 200ms}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    metrics: {receivers: [otlp], exporters: [file]}
    logs: {receivers: [otlp], exporters: [file]}
"""

# Where items are in a request, from the outside in.
ITEMS = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
}


def told(command):
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def agree(what, ours, theirs, slack=0.0):
    assert abs(ours - theirs) <= max(RELATIVE * theirs, slack), f"{what}: {ours:.3f}, the other says {theirs:.3f}"


def beside_oha(stack):
    """The same requests a second from us and from oha on one service: rates and percentiles are the same."""
    tool, port = peers.oha(), free_port()
    stack.start("inference", [binary(), "demo", "inference", f"--listen=127.0.0.1:{port}"],
                env={"DEFAULT_LATENCY_MS": "40", "OTEL_SDK_DISABLED": "true"})
    wait_for("the service", lambda: get(f"http://127.0.0.1:{port}/health"))
    url, seen = f"http://127.0.0.1:{port}/predict", []
    ours = json.loads(told([binary(), "load", "http", "--url", url, f"--rate={REQUESTS}", "--rate-scope=total", "--concurrency=50",
                            f"--duration={SECONDS}s", "--output=json"]))[0]
    theirs = json.loads(told([tool, "--no-tui", "--output-format=json", "--latency-correction", "-c50", f"-q{REQUESTS}", f"-z{SECONDS}s",
                              "-mPOST", "-Tapplication/json", '-d{"features":[0.5,1.5,2.0]}', url]))
    assert not ours["failed"] and theirs["summary"]["successRate"] == 1, (ours, theirs)
    agree("requests a second", ours["requests_per_second"], theirs["summary"]["requestsPerSec"])
    for name in ("p50", "p90", "p99"):
        a, b = ours["latency_ms"][name], theirs["latencyPercentiles"][name] * 1000
        # One in a hundred is a dozen requests here.
        agree(f"{name} in ms", a, b, slack=NOISE_MS if name != "p99" else 5 * NOISE_MS)
        seen.append(f"{name} {a:.1f} and {b:.1f} ms")
    return f"{ours['requests_per_second']:.1f} and {theirs['summary']['requestsPerSec']:.1f} requests/s; {', '.join(seen)}"


def beside_telemetrygen(stack):
    """The same telemetry from us and from telemetrygen to a Go collector: equal rates, and a count arrives exactly. telemetrygen measures
    no times to compare."""
    collector, tool = peers.otelcol(), peers.telemetrygen()
    grpc, http, output = free_port(), free_port(), stack.folder / "received.json"
    config = stack.folder / "otelcol.yaml"
    config.write_text(OTELCOL.replace("@GRPC@", str(grpc)).replace("@HTTP@", str(http)).replace("@FILE@", str(output)))
    stack.start("otelcol", [collector, "--config", config])

    def listens():
        # Anything but a refused connection.
        subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{grpc}"], check=True, capture_output=True)
        return True

    wait_for("otelcol", listens)

    def received(signal, service):
        count, lines = 0, output.read_text().splitlines() if output.exists() else []
        resources, scopes, items = ITEMS[signal]
        for resource in (resource for line in lines for resource in json.loads(line).get(resources, [])):
            names = [one["value"]["stringValue"] for one in resource["resource"]["attributes"] if one["key"] == "service.name"]
            count += sum(len(scope[items]) for scope in resource[scopes]) if names == [service] else 0
        return count

    def settled(signal, service):
        counts = []

        def stands():
            counts.append(received(signal, service))
            return len(counts) > 5 and counts[-1] and len(set(counts[-5:])) == 1

        wait_for(f"all {signal} of {service}", stands)
        return counts[-1]

    options = [f"--otlp-endpoint=127.0.0.1:{grpc}", "--otlp-insecure", "--workers=2"]
    rate = [f"--rate={SPANS // 2}", f"--duration={SECONDS}s"]
    said = json.loads(told([binary(), "load", "otlp", "traces", *options, *rate, "--service=ours", "--output=json"]))[0]
    told([tool, "traces", *options, *rate, "--service=theirs"])
    ours, theirs = settled("traces", "ours"), settled("traces", "theirs")
    assert ours == said["items"]["accepted"], (ours, said)
    agree("spans", ours, theirs)
    exact = []
    for signal, count in (("traces", 400), ("metrics", 300), ("logs", 200)):
        for protocol, more in (("grpc", options), ("http", [f"--otlp-endpoint=127.0.0.1:{http}", "--otlp-http", *options[1:]])):
            for program, name in (([binary(), "load", "otlp"], "ours"), ([tool], "theirs")):
                service = f"{name}-{protocol}"
                told([*program, signal, *more, "--rate=0", f"--{signal}={count}", f"--service={service}"])
                # Two workers; a trace is a parent and a child.
                expected = count * (4 if signal == "traces" else 2)
                if name == "ours":
                    wait_for(f"{signal} over {protocol}", lambda: received(signal, service) >= expected)
                    assert received(signal, service) == expected, (signal, protocol, received(signal, service))
                    exact.append(expected)
                else:
                    # Its span processor drops what does not fit its queue.
                    found = settled(signal, service)
                    assert found == expected or signal == "traces", (signal, protocol, found)
    return f"{ours} and {theirs} spans in {SECONDS} s; {sum(exact)} items of all signals over both protocols, each count exact"


ALL = [beside_telemetrygen]
