# SPDX-License-Identifier: Apache-2.0
"""The real programs we are tested against: how each is had, cached between runs.

Everything comes through the ordinary package clients (go, pip, apt). A peer that cannot be had
raises `Missing` with the reason; the runner then fails unless FOREGLOW_INTEROP_SKIP names it.
"""

import os
import pathlib
import shutil
import subprocess
import sys

CACHE = pathlib.Path(
    os.environ.get("FOREGLOW_INTEROP_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "foreglow-interop"
)
BIN = CACHE / "bin"

COLLECTOR = "0.161.0"
COLLECTOR_STABLE = "1.67.0"
CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"
CORE = "go.opentelemetry.io/collector"


class Missing(Exception):
    """A peer that cannot be had on this machine, and why."""


def run(command, **options):
    """Runs a command quietly; on failure its last lines are the reason."""
    try:
        subprocess.run(
            [str(part) for part in command],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
        )
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Missing("\n".join(error.stdout.strip().splitlines()[-6:])) from error


def go_environment():
    return {**os.environ, "GOBIN": str(BIN), "GOFLAGS": "-modcacherw"}


def telemetrygen():
    """The collector project's own load generator."""
    path = BIN / "telemetrygen"
    if not path.exists():
        run(["go", "install", f"{CONTRIB}/cmd/telemetrygen@v{COLLECTOR}"], env=go_environment())
    return path


def otelcol():
    """The Go collector with the components both of us have, from its published modules."""
    path = BIN / "otelcol"
    if path.exists():
        return path
    run(["go", "install", f"{CORE}/cmd/builder@v{COLLECTOR}"], env=go_environment())
    source = CACHE / "src" / "otelcol"
    source.mkdir(parents=True, exist_ok=True)
    modules = {
        "receivers": [f"{CORE}/receiver/otlpreceiver"],
        "processors": [
            f"{CORE}/processor/batchprocessor",
            f"{CONTRIB}/processor/resourceprocessor",
            f"{CONTRIB}/processor/attributesprocessor",
        ],
        "exporters": [
            f"{CORE}/exporter/otlpexporter",
            f"{CORE}/exporter/otlphttpexporter",
            f"{CORE}/exporter/debugexporter",
            f"{CORE}/exporter/nopexporter",
            f"{CONTRIB}/exporter/fileexporter",
            f"{CONTRIB}/exporter/prometheusremotewriteexporter",
        ],
    }
    lines = [f"dist: {{name: otelcol, output_path: {source}/build, version: {COLLECTOR}}}"]
    for kind, paths in modules.items():
        lines.append(f"{kind}:")
        lines += [f"  - gomod: {path} v{COLLECTOR}" for path in paths]
    lines.append("providers:")
    for name in ("env", "file", "yaml"):
        lines.append(f"  - gomod: {CORE}/confmap/provider/{name}provider v{COLLECTOR_STABLE}")
    manifest = source / "builder.yaml"
    manifest.write_text("\n".join(lines) + "\n")
    run([BIN / "builder", "--config", manifest, "--skip-strict-versioning"], env=go_environment())
    shutil.copy2(source / "build" / "otelcol", path)
    return path


def debian(program, package):
    """A program from Debian's packages; installed if we may."""
    found = shutil.which(program)
    if found:
        return pathlib.Path(found)
    if os.geteuid() != 0:
        raise Missing(f"{program} is not installed: apt-get install {package}")
    run(["apt-get", "update", "-qq"])
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
    found = shutil.which(program)
    if not found:
        raise Missing(f"package {package} has no {program}")
    return pathlib.Path(found)


def prometheus():
    return debian("prometheus", "prometheus")


def promtool():
    return debian("promtool", "prometheus")


def victoria_metrics():
    return debian("victoria-metrics", "victoria-metrics")


def chromium():
    return debian("chromium", "chromium")


def python(name, packages):
    """A virtual environment with `packages`; returns its interpreter."""
    folder = CACHE / "python" / name
    interpreter = folder / "bin" / "python"
    mark = folder / "complete"
    wanted = "\n".join(packages)
    if mark.exists() and mark.read_text() == wanted:
        return interpreter
    run([sys.executable, "-m", "venv", "--clear", folder])
    run([interpreter, "-m", "pip", "install", "-q", *packages])
    mark.write_text(wanted)
    return interpreter


def python_sdk():
    """The OpenTelemetry Python SDK with its default exporter (OTLP over HTTP, protobuf)."""
    return python("sdk", [
        "opentelemetry-sdk==1.38.0",
        "opentelemetry-exporter-otlp-proto-http==1.38.0",
    ])


def mlserver():
    """A real KServe v2 server. Newer uvloop breaks its worker processes, hence the pin."""
    return python("mlserver", ["mlserver==1.7.1", "uvloop==0.21.0"])
