# SPDX-License-Identifier: Apache-2.0
"""Configurations from the field, unmodified, end to end, with the programs they name on the ports they name.

Run by the case `documents` inside a network and mount namespace of its own (`unshare`), so that 4317, 8889 or 13133
are free and `jaeger` or `victoriametrics` are this machine: `documents.py FOLDER [file ...]`.
"""

import pathlib
import subprocess
import sys

import peers
from stack import ROOT, Prometheus, Stack, binary, get, wait_for

NAMES = "otel-collector mlserver victoriametrics jaeger jaeger-collector otel-collector-prod otel-collector-dev otel-collector-qa"
VICTORIA = "http://127.0.0.1:8428"


def prepare():
    """Loopback up, and the hosts of the files on it."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    hosts = pathlib.Path("/run/foreglow-hosts")
    hosts.write_text(f"127.0.0.1 localhost {NAMES}\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)


def foreglow(stack, path):
    process = stack.start("foreglow", [binary(), "--config", path, "--data", stack.folder / "data"])
    wait_for("foreglow's own metrics", lambda: get("http://127.0.0.1:8888/metrics"))
    return process


def generate(signal, *flags):
    subprocess.run(
        [str(peers.telemetrygen()), signal, "--otlp-endpoint=127.0.0.1:4317", "--otlp-insecure", "--workers=1",
         "--service=field", *flags],
        check=True, capture_output=True, timeout=60,
    )


def victoria(stack):
    stack.start("victoria", [
        peers.victoria_metrics(), f"-storageDataPath={stack.folder}/victoria", "-httpListenAddr=127.0.0.1:8428",
        "-search.latencyOffset=0s",
    ])
    wait_for("VictoriaMetrics", lambda: get(f"{VICTORIA}/health"))
    return Prometheus(VICTORIA)


def s0_inference(stack, path):
    """Self-metrics scaled by a real MLServer arrive beside the originals."""
    store = victoria(stack)
    python = peers.mlserver()
    stack.start("mlserver", [python.parent / "mlserver", "start", ROOT / "examples/mlserver"], env={
        "MLSERVER_GRPC_PORT": "8081", "MLSERVER_HTTP_PORT": "8080", "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_HOST": "127.0.0.1"})
    wait_for("MLServer", lambda: get("http://127.0.0.1:8080/v2/health/ready") is not None, 90)
    foreglow(stack, path)
    name = "otelcol_process_runtime_total_sys_memory_bytes"

    def both():
        generate("metrics", "--metrics=1", "--metric-type=Gauge", f"--otlp-metric-name={name}")
        original, predicted = store.value(f"max({name})"), store.value(f"max({name}_predicted)")
        return original is not None and predicted is not None and (original, predicted)

    original, predicted = wait_for("the prediction", both)
    assert predicted == 2 * original, (original, predicted)
    return f"{original:g} and its prediction {predicted:g} in VictoriaMetrics"


def s1_dataplane_prod(stack, path):
    """The pull page, scraped by Prometheus with the document's own file."""
    foreglow(stack, path)
    stack.start("prometheus", [
        peers.prometheus(), f"--config.file={path.with_name('s1-prometheus.yml')}",
        f"--storage.tsdb.path={stack.folder}/prometheus", "--web.listen-address=127.0.0.1:9090",
    ])
    store = Prometheus("http://127.0.0.1:9090")

    def scraped():
        generate("metrics", "--metrics=2", "--metric-type=Gauge", "--otlp-metric-name=http_active")
        found = store.query('http_active{environment="prod", data_plane_id="dp-prod-01"}')
        return found and found[0]["metric"]

    labels = wait_for("a scrape", scraped)
    assert labels["job"] == "dataplane-prod", labels
    return f"scraped with labels {labels}"


def s2_collector(stack, path):
    """Traces in Jaeger, metrics in VictoriaMetrics."""
    store = victoria(stack)
    jaeger = peers.start_jaeger(stack)
    foreglow(stack, path)
    generate("traces", "--traces=5")
    generate("metrics", "--metrics=3", "--metric-type=Gauge", "--otlp-metric-name=scotty.active")
    wait_for("traces in Jaeger", lambda: "field" in get(f"{jaeger}/api/services"))
    wait_for("metrics in VictoriaMetrics", lambda: store.value("max(scotty_active)") is not None)
    log = (stack.folder / "foreglow.log").read_text()
    assert "logging" in log and "debug" in log, log[-500:]
    return "service in Jaeger, series in VictoriaMetrics, a warning about the old name"


def s3_lab(stack, path):
    """All but Jaeger, which is asked for TLS here and speaks none, gets what is meant for it."""
    peers.start_jaeger(stack)
    foreglow(stack, path)
    assert get("http://127.0.0.1:13133/") is not None
    generate("traces", "--traces=200", "--rate=0")
    generate("metrics", "--metrics=3", "--metric-type=Gauge", "--otlp-metric-name=lab.active")
    wait_for("the pull page", lambda: "lab_active" in get("http://127.0.0.1:8889/metrics"))

    def told():
        log = (stack.folder / "foreglow.log").read_text()
        return "ResourceSpans #0" in log and "tls" in log.lower()

    wait_for("spans in the log, and why Jaeger gets none", told)
    return "health, self-metrics, pull page and log; TLS to a peer without it is told"


FILES = {
    "s0-inference.yaml": s0_inference, "s1-dataplane-prod.yaml": s1_dataplane_prod,
    "s2-collector.yaml": s2_collector, "s3-lab.yaml": s3_lab,
}


def main(folder, *names):
    prepare()
    failed = 0
    for name, check in FILES.items():
        if names and name not in names:
            continue
        with Stack(name) as stack:
            try:
                print(f"{name}: {check(stack, pathlib.Path(folder) / name)}", flush=True)
            except Exception as error:
                failed += 1
                print(f"{name}: FAILED {error!r}\n{stack.tail()}", flush=True)
    print(f"{len(FILES) - failed} of {len(FILES)} configurations ran unmodified")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
