# SPDX-License-Identifier: Apache-2.0
"""The load generator beside wrk and telemetrygen on the same targets: what one says, the other says too."""

import json
import re
import subprocess

import peers
from stack import binary, free_port, get, wait_for

# Rates and percentiles agree within 5 %; percentiles of few milliseconds within what the scheduler of a busy machine adds.
RELATIVE, NOISE_MS = 0.05, 3.0

# telemetrygen never catches up with what it was too late for, hence its low rate.
SECONDS, CONNECTIONS, SPANS = 10, 64, 20

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


def told(*commands):
    """What commands print that run beside each other, so that both meet the same machine."""
    running = [subprocess.Popen([str(one) for one in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for command in commands]
    ends = [process.communicate(timeout=120) for process in running]
    for process, (out, error) in zip(running, ends):
        assert process.returncode == 0, f"{process.args}: {out[-2000:]}{error[-2000:]}"
    return [out for out, _ in ends]


def agree(what, ours, theirs, slack=0.0):
    assert abs(ours - theirs) <= max(RELATIVE * theirs, slack), f"{what}: {ours:.3f}, the other says {theirs:.3f}"


def of_wrk(text):
    """Requests a second and percentiles in ms from wrk's page."""
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    times = {f"p{percent}": float(value) * units[unit] for percent, value, unit in re.findall(r"^ +(\d+)% +([\d.]+)(us|ms|s)$", text, re.M)}
    return float(re.search(r"Requests/sec: +([\d.]+)", text)[1]), times


def beside_wrk(stack):
    """The same connections from us and from wrk to a service that takes 40 ms, which sets the rate: rates and percentiles are the same."""
    tool, port, seen = peers.wrk(), free_port(), []
    stack.start("shop", [binary(), "demo", "shop", "--environment=test", f"--listen=127.0.0.1:{port}"],
                env={"LATENCY_MS": "40", "OTEL_SDK_DISABLED": "true"})
    wait_for("the service", lambda: get(f"http://127.0.0.1:{port}/health"))
    url = f"http://127.0.0.1:{port}/api/products"
    ours, page = told(
        [binary(), "load", "http", "--url", url, f"--concurrency={CONNECTIONS}", f"--duration={SECONDS}s", "--output=json"],
        [tool, "--latency", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url],
    )
    ours = json.loads(ours)[0]
    assert not ours["failed"] and not ours["errors"], ours
    assert "Non-2xx" not in page and "Socket errors" not in page, page
    rate, times = of_wrk(page)
    agree("requests a second", ours["requests_per_second"], rate)
    for name in ("p50", "p90", "p99"):
        # The last one in a hundred are few.
        agree(f"{name} in ms", ours["latency_ms"][name], times[name], slack=NOISE_MS if name != "p99" else 5 * NOISE_MS)
        seen.append(f"{name} {ours['latency_ms'][name]:.1f} and {times[name]:.1f} ms")
    return f"{ours['requests_per_second']:.1f} and {rate:.1f} requests/s; {', '.join(seen)}"


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
    said, _ = told([binary(), "load", "otlp", "traces", *options, *rate, "--service=ours", "--output=json"],
                   [tool, "traces", *options, *rate, "--service=theirs"])
    said = json.loads(said)[0]
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


ALL = [beside_wrk, beside_telemetrygen]
