# SPDX-License-Identifier: Apache-2.0
"""The real programs we are tested against: how each is had, cached between runs.

Everything comes through the ordinary package clients (go, pip, apt, mvn). A peer that cannot be had
raises `Missing` with the reason; the runner then fails unless FOREGLOW_INTEROP_SKIP names it.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib

import stand_ins

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


def collector(name, version, stable, modules, more=()):
    """A Go collector of published modules: {section: [module path, ...]}, all of one version unless a path names its own;
    `more` lines of the builder's manifest."""
    path = BIN / name
    if path.exists():
        return path
    run(["go", "install", f"{CORE}/cmd/builder@v{COLLECTOR}"], env=go_environment())
    source = CACHE / "src" / name
    source.mkdir(parents=True, exist_ok=True)
    lines = [f"dist: {{name: {name}, output_path: {source}/build, version: {version}}}"]
    for section, paths in modules.items():
        lines.append(f"{section}:")
        lines += [f"  - gomod: {path if ' ' in path else f'{path} v{version}'}" for path in paths]
    lines.append("providers:")
    lines += [f"  - gomod: {CORE}/confmap/provider/{one}provider v{stable}" for one in ("env", "file", "yaml")]
    lines += more
    manifest = source / "builder.yaml"
    manifest.write_text("\n".join(lines) + "\n")
    run([BIN / "builder", "--config", manifest, "--skip-strict-versioning"], env=go_environment())
    shutil.copy2(source / "build" / name, path)
    return path


def of(base, kind, names):
    return [f"{base}/{kind}/{name}{kind}" for name in names]


def otelcol():
    """The small Go collector: what it costs to forward, to edit and to sample is measured with it."""
    return collector("otelcol", COLLECTOR, COLLECTOR_STABLE, {
        "receivers": of(CORE, "receiver", ["otlp"]),
        "processors": of(CORE, "processor", ["batch"])
        + of(CONTRIB, "processor", ["resource", "attributes", "probabilisticsampler"]),
        "exporters": of(CORE, "exporter", ["otlp", "otlphttp", "debug", "nop"])
        + of(CONTRIB, "exporter", ["file", "prometheusremotewrite"]),
    })


def otelcol_contrib():
    """The Go collector with what both of us have, at the version of which the module proxy serves most; what cannot be
    built from what is served alone is in `otelcol_host`."""
    return collector("otelcol-contrib", "0.158.0", "1.64.0", {
        "receivers": of(CORE, "receiver", ["otlp"]) + of(CONTRIB, "receiver", ["prometheus", "otlpjsonfile"]),
        "processors": of(CORE, "processor", ["batch", "memorylimiter"])
        + of(CONTRIB, "processor", [
            "resource", "attributes", "probabilisticsampler", "tailsampling", "redaction", "resourcedetection",
        ]),
        "exporters": of(CORE, "exporter", ["otlp", "otlphttp", "debug", "nop"])
        + of(CONTRIB, "exporter", ["file", "prometheus", "prometheusremotewrite"]),
        "extensions": of(CORE, "extension", ["zpages"]) + [f"{CONTRIB}/extension/storage/filestorage"]
        + of(CONTRIB, "extension", ["basicauth", "bearertokenauth"]),
    })


def otelcol_host():
    """The Go collector with its host metrics receiver and its Elasticsearch exporter. Both name modules that the proxy does
    not serve and that have no part in what is compared: `stand_ins` writes those."""
    stand_in = stand_ins.write(CACHE / "src" / "stand-ins")
    return collector("otelcol-host", "0.158.0", "1.64.0", {
        "receivers": of(CORE, "receiver", ["otlp"]) + of(CONTRIB, "receiver", ["hostmetrics"]),
        "exporters": of(CORE, "exporter", ["otlphttp"]) + [f"{CONTRIB}/exporter/elasticsearchexporter v0.157.0"],
        "extensions": [f"{CONTRIB}/extension/pprofextension v0.159.0"],
    }, stand_in)


def rotel():
    """A collector in Rust that decodes to objects; its wheel holds the binary."""
    path = BIN / "rotel"
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "rotel==0.0.1a15"])
            with zipfile.ZipFile(next(pathlib.Path(folder).glob("*.whl"))) as wheel:
                path.write_bytes(wheel.read("rotel/rotel-agent"))
        path.chmod(0o755)
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


def wrk():
    """A load generator for HTTP, of Debian's package."""
    return debian("wrk", "wrk")


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


def with_yaml():
    """An interpreter that reads YAML."""
    return python("yaml", ["pyyaml==6.0.3"])


def mlserver():
    """A real KServe v2 server. Newer uvloop breaks its worker processes, hence the pin."""
    return python("mlserver", ["mlserver==1.7.1", "uvloop==0.21.0"])


JAEGER = "1.76.0"


def jaeger():
    """Jaeger v2 from its Go module. The checksum service does not serve all that it needs, hence GONOSUMDB."""
    path = BIN / "jaeger"
    if path.exists():
        return path
    source = CACHE / "src" / "jaeger"
    source.mkdir(parents=True, exist_ok=True)
    module = "github.com/jaegertracing/jaeger"
    (source / "go.mod").write_text(f"module foreglow/interop/jaeger\n\ngo 1.25\n\nrequire {module} v{JAEGER}\n")
    (source / "tools.go").write_text(f'//go:build tools\n\npackage tools\n\nimport _ "{module}/cmd/jaeger"\n')
    environment = {**go_environment(), "GONOSUMDB": "github.com/open-telemetry/*,go.opentelemetry.io/*"}
    run(["go", "mod", "tidy"], cwd=source, env=environment)
    run(["nice", "-n", "10", "go", "build", "-trimpath", "-o", path, f"{module}/cmd/jaeger"], cwd=source, env=environment)
    return path


def jaeger_client():
    """Jaeger's client types in a program of ours, built inside a copy of Jaeger's module: they are internal to it."""
    text = (pathlib.Path(__file__).resolve().parent / "jaeger_client" / "main.go").read_bytes()
    path = BIN / f"jaeger-client-{zlib.crc32(text):08x}"
    if path.exists():
        return path
    module = f"github.com/jaegertracing/jaeger@v{JAEGER}"
    environment = go_environment() | {"GOFLAGS": "-modcacherw -mod=mod", "GOWORK": "off",
                                      "GONOSUMDB": "github.com/open-telemetry/*,go.opentelemetry.io/*"}
    run(["go", "mod", "download", module], env=environment)
    modules = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "jaeger"
        shutil.copytree(pathlib.Path(modules) / module, source)
        for one in [source, *source.rglob("*")]:
            one.chmod(one.stat().st_mode | 0o200)
        program = source / "cmd" / "foreglow-client"
        program.mkdir()
        (program / "main.go").write_bytes(text)
        run(["nice", "-n", "10", "go", "build", "-trimpath", "-o", path, "./cmd/foreglow-client"], env=environment, cwd=source)
    return path


JAEGER_CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [jaeger], exporters: [jaeger_storage_exporter]}}
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 10000}}}}
  jaeger_query: {storage: {traces: memory}, http: {endpoint: "127.0.0.1:@QUERY@"}, grpc: {endpoint: "127.0.0.1:@QUERY_GRPC@"}}
receivers:
  jaeger: {protocols: {grpc: {endpoint: "127.0.0.1:@PROTO@"}, thrift_http: {endpoint: "127.0.0.1:@THRIFT@"}}}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
"""


def start_jaeger(stack, proto=14250, thrift=14268, query=16686, query_grpc=16685):
    """Jaeger with its spans in memory on these ports of loopback; returns the URL of its query API."""
    config = JAEGER_CONFIG
    for name, port in (("QUERY", query), ("QUERY_GRPC", query_grpc), ("PROTO", proto), ("THRIFT", thrift)):
        config = config.replace(f"@{name}@", str(port))
    path = stack.folder / "jaeger.yaml"
    path.write_text(config)
    stack.start("jaeger", [jaeger(), "--config", path])
    return f"http://127.0.0.1:{query}"


OPENSEARCH = "2.19.1"
OPENSEARCH_POM = """
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>foreglow</groupId><artifactId>interop</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.opensearch</groupId><artifactId>opensearch</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.opensearch.plugin</groupId><artifactId>transport-netty4-client</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.21.0</version></dependency>
  </dependencies>
</project>
"""
OPENSEARCH_MAIN = """
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

public class Main extends Node {
    Main(Settings settings) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "interop"),
              List.of(Netty4Plugin.class), true);
    }

    public static void main(String[] arguments) throws Exception {
        new Main(Settings.builder()
            .put("path.home", arguments[0]).put("cluster.name", "interop").put("node.name", "interop")
            .put("discovery.type", "single-node").put("network.host", "127.0.0.1")
            .put("http.port", arguments[1]).put("transport.port", arguments[2])
            .put("transport.type", "netty4").put("http.type", "netty4")
            .build()).start();
        Thread.currentThread().join();
    }
}
"""


def opensearch():
    """An OpenSearch node inside a Java program of a few lines, from Maven's jars; returns its class path."""
    folder = CACHE / "src" / "opensearch"
    jars, classes = folder / "jars", folder / "classes"
    path = f"{classes}:{jars}/*"
    if (classes / "Main.class").exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pom.xml").write_text(OPENSEARCH_POM.replace("@VERSION@", OPENSEARCH))
    (folder / "Main.java").write_text(OPENSEARCH_MAIN)
    run(["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"], cwd=folder)
    run(["javac", "-cp", path, "-d", classes, "Main.java"], cwd=folder)
    return path


PROMETHEUS_3 = "0.315.0"
VICTORIA_METRICS = "1.150.0"


def go_program(module, version, builds, tags=()):
    """Programs of a Go module that is not meant to be installed: built in a copy of its source."""
    environment = go_environment() | {"GOFLAGS": "-modcacherw -mod=mod -buildvcs=false", "GOWORK": "off"}
    run(["go", "mod", "download", f"{module}@v{version}"], env=environment)
    modules = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    # The cache writes capitals as `!` and the small letter.
    escaped = "".join(f"!{one.lower()}" if one.isupper() else one for one in module)
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "source"
        shutil.copytree(pathlib.Path(modules) / f"{escaped}@v{version}", source)
        for one in [source, *source.rglob("*")]:
            one.chmod(one.stat().st_mode | 0o200)
        (source / "go.work").unlink(missing_ok=True)
        for package in builds:
            name = package.rsplit("/", 1)[-1]
            run(["nice", "-n", "10", "go", "build", *tags, "-o", f"{folder}/bin/{name}", package], env=environment, cwd=source)
            shutil.copy2(pathlib.Path(folder) / "bin" / name, BIN / f"{name}-{version}")


def prometheus_3(program="prometheus"):
    """Prometheus 3 of its published Go module (`promtool` too), without its service discoveries and page."""
    path = BIN / f"{program}-{PROMETHEUS_3}"
    if not path.exists():
        builds = ["./cmd/prometheus", "./cmd/promtool"]
        go_program("github.com/prometheus/prometheus", PROMETHEUS_3, builds, ["-tags", "remove_all_sd"])
    return path


def victoria_metrics():
    """VictoriaMetrics of its published Go module."""
    path = BIN / f"victoria-metrics-{VICTORIA_METRICS}"
    if not path.exists():
        go_program("github.com/VictoriaMetrics/VictoriaMetrics", VICTORIA_METRICS, ["./app/victoria-metrics"])
    return path
