# SPDX-License-Identifier: Apache-2.0
"""Both Prometheus exporters against real Prometheus servers and against the Go collector's own."""

import json
import re
import time
import urllib.request

import peers
from remote_write import Sink
from stack import Prometheus, free_port, get, wait_for

SECOND = 1_000_000_000
STALE = 1


def attributes(**values):
    """Attributes by keys whose dots are written as `__`."""
    return [{"key": key.replace("__", "."), "value": value(v)} for key, v in values.items()]


def value(v):
    kinds = [(bool, "boolValue"), (int, "intValue"), (float, "doubleValue")]
    for kind, name in kinds:
        if isinstance(v, kind):
            return {name: str(v) if name == "intValue" else v}
    return {"stringValue": v}


def point(now, number, flags=0, exemplars=(), **attrs):
    out = {"startTimeUnixNano": str(now - 60 * SECOND), "timeUnixNano": str(now), "attributes": attributes(**attrs)}
    if not flags:
        out["asInt" if isinstance(number, int) else "asDouble"] = str(number) if isinstance(number, int) else number
    return out | ({"flags": flags} if flags else {}) | ({"exemplars": list(exemplars)} if exemplars else {})


def histogram(now, bounds, counts, total, flags=0, exemplars=(), **attrs):
    return {"startTimeUnixNano": str(now - 60 * SECOND), "timeUnixNano": str(now), "attributes": attributes(**attrs),
            "explicitBounds": bounds, "bucketCounts": [str(c) for c in counts], "count": str(sum(counts)),
            "exemplars": list(exemplars)} | ({"sum": total} if total is not None else {}) | ({"flags": flags} if flags else {})


def exponential(now, scale, offset, counts, flags=0, **attrs):
    return {"startTimeUnixNano": str(now - 60 * SECOND), "timeUnixNano": str(now), "attributes": attributes(**attrs), "scale": scale,
            "count": str(sum(counts) + 2), "sum": 12.5, "zeroCount": "2", "positive": {"offset": offset, "bucketCounts": [str(c) for c in counts]},
            "negative": {"offset": 0, "bucketCounts": []}} | ({"flags": flags} if flags else {})


def exemplar(now, number, **attrs):
    return {"timeUnixNano": str(now), "asDouble": number, "traceId": "ab" * 16, "spanId": "cd" * 8,
            "filteredAttributes": attributes(**attrs)}


def metric(name, unit="", help="", **data):
    return {"name": name, "unit": unit, "description": help, **data}


def gauge(*points):
    return {"gauge": {"dataPoints": list(points)}}


def counter(*points, temporality=2, monotonic=True):
    return {"sum": {"aggregationTemporality": temporality, "isMonotonic": monotonic, "dataPoints": list(points)}}


def distribution(*points, temporality=2):
    return {"histogram": {"aggregationTemporality": temporality, "dataPoints": list(points)}}


def native(*points, temporality=2):
    return {"exponentialHistogram": {"aggregationTemporality": temporality, "dataPoints": list(points)}}


def summary(now, *quantiles, **attrs):
    return {"summary": {"dataPoints": [{"startTimeUnixNano": str(now - 60 * SECOND), "timeUnixNano": str(now), "count": "7", "sum": 21.5,
            "attributes": attributes(**attrs), "quantileValues": [{"quantile": q, "value": v} for q, v in quantiles]}]}}


def request(now, *metrics):
    """Two resources: one with everything, one without an identity."""
    scope = {"name": "lib", "version": "1.2", "attributes": attributes(x__y="z", name="hidden")}
    full = {"service.name": "api", "service.namespace": "shop", "service.instance.id": "i-1", "host.name": "h1",
            "name (of the host)": "odd", "process.pid": 7, "telemetry.empty": ""}
    full = [{"key": key, "value": value(v)} for key, v in full.items()]
    nobody = [metric("fg.nobody", **gauge(point(now, 3)))]
    return {"resourceMetrics": [
        {"resource": {"attributes": full}, "scopeMetrics": [{"scope": scope, "metrics": list(metrics)},
                                                            {"scope": {}, "metrics": [metric("fg.unscoped", **gauge(point(now, 4)))]}]},
        {"resource": {"attributes": attributes(host__name="h2")}, "scopeMetrics": [{"metrics": nobody}]},
    ]}


def plain(now):
    """What every way into Prometheus can carry."""
    return [
        metric("fg.usage", "By", "bytes used", **gauge(point(now, 1024, state="used"), point(now, 0.5, state="free"))),
        metric("fg.utilization", "1", "", **gauge(point(now, 0.25, core=3, on=True, ratio=0.5))),
        metric("fg.requests", "{req}", "requests", **counter(point(now, 41, route="/a", exemplars=[exemplar(now, 1.0, k="v")]), point(now, 7, route="/b"))),
        metric("fg.total.errors", "1", "", **counter(point(now, 5, route="say \"hi\" \\ \n"))),
        metric("fg.up.down", "", "", **counter(point(now, -3), monotonic=False)),
        metric("fg.latency", "ms", "how long", **distribution(
            histogram(now, [0.005, 10, 250.5], [1, 2, 3, 4], 812.25, exemplars=[exemplar(now, 0.001), exemplar(now, 99.0, a="b")], route="/a"),
            histogram(now, [], [9], None, route="/b"))),
        metric("fg.quantiles", "s", "", **summary(now, (0, 0.5), (0.5, 1.5), (0.99, 3.25), q="x")),
        metric("fg.speed", "m/s", "", **gauge(point(now, 12.5))),
        metric("fg.9 lives/per (odd) name#", "%", "", **gauge(point(now, 9))),
        metric("fg.joined", "", "", **gauge(point(now, 1, a__b="1", a_b="2", empty="", _under="u", **{"2 cents": "c"}))),
    ]


def all_kinds(now):
    """Also what some of them refuse or end."""
    return plain(now) + [
        metric("fg.exponential", "s", "", **native(exponential(now, 2, -3, [1, 0, 0, 2, 0, 0, 0, 0, 5], k="v"),
                                                   exponential(now, 10, 100, [1, 2, 3, 4, 5, 6], k="fine"),
                                                   exponential(now, -5, 0, [1], k="coarse"))),
        metric("fg.gone", "", "", **gauge(point(now, 0, flags=STALE, k="v"))),
        metric("fg.gone.latency", "", "", **distribution(histogram(now, [1.0], [0, 0], 0.0, flags=STALE))),
        metric("fg.gone.native", "", "", **native(exponential(now, 1, 0, [1], flags=STALE))),
        metric("fg.delta", "", "", **counter(point(now, 5), temporality=1)),
        metric("fg.delta.latency", "", "", **distribution(histogram(now, [1.0], [1, 2], 3.0), temporality=1)),
        metric("fg.nothing", "", "", **gauge()),
        metric("___", "", "", **gauge(point(now, 1))),
        metric("fg.series", "", "", **gauge(point(now - 2 * SECOND, 1), point(now - 1 * SECOND, 2), point(now, 3))),
    ]


def post(port, body):
    call = urllib.request.Request(f"http://127.0.0.1:{port}/v1/metrics", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(call, timeout=10) as answer:
        return answer.read()


RECEIVER = """
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:@HTTP@"}}}
exporters:
  %s:
    %s
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [otlp], exporters: [%s]}
"""

# What is written into the exporter's settings, and flags of the Go collector.
SETTINGS = [
    ("{}", []),
    ("{namespace: ns, external_labels: {cluster: c1, job: ours}, add_metric_suffixes: false, send_metadata: true}", []),
    ("{resource_to_telemetry_conversion: {enabled: true}, disable_scope_info: true, target_info: {enabled: false}}", []),
    ("{resource_to_telemetry_conversion: {enabled: true, exclude_service_attributes: true}, translation_strategy: UnderscoreEscapingWithoutSuffixes}", []),
    ("{send_metadata: true, max_batch_size_bytes: 2000}", []),
    ("{protobuf_message: io.prometheus.write.v2.Request}", ["--feature-gates=exporter.prometheusremotewritexporter.enableSendingRW2"]),
    ("{protobuf_message: io.prometheus.write.v2.Request, translation_strategy: NoTranslation}", ["--feature-gates=exporter.prometheusremotewritexporter.enableSendingRW2"]),
    ("{protobuf_message: io.prometheus.write.v2.Request, translation_strategy: NoUTF8EscapingWithSuffixes}", ["--feature-gates=exporter.prometheusremotewritexporter.enableSendingRW2"]),
]


def remote_write_like_go(stack):
    """The Go collector's remote write exporter and ours, from the same settings and input: equal requests."""
    collector = peers.otelcol()
    now = time.time_ns() // SECOND * SECOND
    compared = 0
    for number, (settings, flags) in enumerate(SETTINGS):
        def config(port):
            inner = settings[1:-1]
            return RECEIVER % ("prometheusremotewrite", f"{{endpoint: \"http://127.0.0.1:{port}/w\", {inner}}}", "prometheusremotewrite")

        ours, theirs = Sink(stack, port_a := free_port()), Sink(stack, port_b := free_port())
        server = stack.foreglow(config(port_a), name=f"foreglow-{number}")
        port = free_port()
        path = stack.folder / f"otelcol-{number}.yaml"
        path.write_text(config(port_b).replace("@HTTP@", str(port)))
        go = stack.start(f"otelcol-{number}", [collector, "--config", path, *flags])
        body = request(now, *all_kinds(now))
        wait_for("the Go collector to take it", lambda: post(port, body))
        post(server.http_port, body)

        def equal():
            a, b = comparable(ours, settings), comparable(theirs, settings)
            assert a and a.keys() == b.keys(), f"{settings}: only ours: {sorted(a.keys() - b.keys())}, only theirs: {sorted(b.keys() - a.keys())}"
            for labels in a:
                assert a[labels] == b[labels], (settings, labels, a[labels], b[labels])
            if "send_metadata" in settings:
                known = {family for family in theirs.families if family[0] not in DROPPED}
                assert known <= ours.families, (settings, known - ours.families)
            return a

        compared += len(wait_for(f"equal requests for {settings}", equal))
        for name in ("content-type", "content-encoding", "x-prometheus-remote-write-version"):
            assert ours.headers[0][name] == theirs.headers[0][name], name
        for process in (go, server.process):
            process.terminate()
    return f"{len(SETTINGS)} settings, {compared} series equal"


# Families that the Go exporter tells although it drops all of their points.
DROPPED = {f"{prefix}{name}" for prefix in ("", "ns_") for name in
           ("fg_delta", "fg_delta_total", "fg_delta_latency", "fg_nothing")}


def comparable(sink, settings):
    out = sink.canonical()
    if "v2.Request" in settings:
        # The Go exporter has no exemplars of histograms in 2.0.
        out = {labels: (content[0], content[1], content[3]) for labels, content in out.items()}
    return out


PULLED = """
receivers:
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:@GRPC@"}, http: {endpoint: "127.0.0.1:@HTTP@"}}}
exporters:
  prometheus/text: {endpoint: "127.0.0.1:@TEXT@"}
  prometheus/open: {endpoint: "127.0.0.1:@OPEN@", enable_open_metrics: true}
  prometheusremotewrite: {endpoint: "http://127.0.0.1:@WRITE@/api/v1/write", external_labels: {via: write}}
service:
  pipelines:
    metrics: {receivers: [otlp], exporters: [prometheus/text, prometheus/open, prometheusremotewrite]}
"""


def prometheus_pull(stack):
    """Prometheus scrapes our page as text and as OpenMetrics: the same series as our remote write brings it."""
    program = peers.prometheus()
    text, open_metrics, port = free_port(), free_port(), free_port()
    config = stack.folder / "prometheus.yml"
    jobs = [{"job_name": via, "honor_labels": True, "scrape_interval": "1s", "scrape_timeout": "1s",
             "static_configs": [{"targets": [f"127.0.0.1:{page}"], "labels": {"via": via}}]}
            for via, page in (("text", text), ("open", open_metrics))]
    config.write_text(json.dumps({"scrape_configs": jobs}))
    stack.start("prometheus", [program, f"--config.file={config}", f"--storage.tsdb.path={stack.folder}/prometheus",
                               f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
                               "--enable-feature=exemplar-storage"])
    wait_for("prometheus", lambda: get(f"http://127.0.0.1:{port}/-/ready"))
    written = PULLED.replace("@TEXT@", str(text)).replace("@OPEN@", str(open_metrics)).replace("@WRITE@", str(port))
    server = stack.foreglow(written)
    there = Prometheus(f"http://127.0.0.1:{port}")
    now = time.time_ns() // 1_000_000 * 1_000_000
    post(server.http_port, request(now, *plain(now)))

    def seen(via):
        found = there.query(f'{{via="{via}", __name__=~"fg_.*|target_info"}}')
        return {tuple(sorted((n, v) for n, v in one["metric"].items() if n != "via" and (n, v) not in OWN)): one["value"][1] for one in found}

    # What Prometheus adds to a scraped series that has no job or instance of its own.
    OWN = {("job", "text"), ("job", "open"), ("instance", f"127.0.0.1:{text}"), ("instance", f"127.0.0.1:{open_metrics}")}

    def equal():
        pushed = seen("write")
        assert len(pushed) > 20, pushed
        for via in ("text", "open"):
            pulled = seen(via)
            assert pulled == pushed, (via, "missing", sorted(pushed.items() - pulled.items()), "more", sorted(pulled.items() - pushed.items()))
        return pushed

    same = wait_for("equal series", equal)
    found = json.loads(get(f"{there.base}/api/v1/query_exemplars", query='{via="open"}', start=now / SECOND - 60, end=now / SECOND + 60))["data"]
    exemplars = sum(len(one["exemplars"]) for one in found)
    assert exemplars == 3, found
    types = json.loads(get(f"{there.base}/api/v1/metadata"))["data"]
    assert types["fg_latency_milliseconds"][0]["type"] == "histogram", types
    return f"{len(same)} series equal pushed, pulled as text and as OpenMetrics; {exemplars} exemplars"


PAGES = [
    ("{}", "text/plain"),
    ("{enable_open_metrics: true, namespace: ns, const_labels: {dc: x}}", "application/openmetrics-text;version=1.0.0"),
    ("{send_timestamps: true, translation_strategy: UnderscoreEscapingWithoutSuffixes}", "text/plain"),
    ("{without_scope_info: true, resource_to_telemetry_conversion: {enabled: true}}", "text/plain"),
]


def pull_like_go(stack):
    """The Go collector's page and ours, from the same settings and input, deltas included: equal lines."""
    collector = peers.otelcol_contrib()
    now = time.time_ns() // SECOND * SECOND
    compared = 0
    for number, (settings, accept) in enumerate(PAGES):
        def config(port):
            return RECEIVER % ("prometheus", f'{{endpoint: "127.0.0.1:{port}", {settings[1:-1]}}}', "prometheus")

        ours, theirs, port = free_port(), free_port(), free_port()
        server = stack.foreglow(config(ours), name=f"foreglow-{number}")
        path = stack.folder / f"contrib-{number}.yaml"
        path.write_text(config(theirs).replace("@HTTP@", str(port)))
        go = stack.start(f"contrib-{number}", [collector, "--config", path])
        for body in pulled_bodies(now):
            wait_for("the Go collector to take it", lambda: post(port, body) is not None)
            post(server.http_port, body)

        def equal():
            a, b = lines(ours, accept), lines(theirs, accept)
            assert a and a == b, (settings, "only ours", sorted(a - b), "only theirs", sorted(b - a))
            return a

        compared += len(wait_for(f"equal pages for {settings}", equal))
        for process in (go, server.process):
            process.terminate()
    return f"{len(PAGES)} settings, {compared} lines equal"


def pulled_bodies(now):
    """First everything, then deltas that follow, one that does not, and series that end."""
    def delta(begin, end, number, **attrs):
        return point(now + end * SECOND, number, **attrs) | {"startTimeUnixNano": str(now + begin * SECOND)}

    def spread(begin, end, counts):
        return histogram(now + end * SECOND, [1.0, 2.0], counts, float(sum(counts))) | {"startTimeUnixNano": str(now + begin * SECOND)}

    yield request(now, *as_go_shows(plain(now)), metric("fg.ends", "", "", **gauge(point(now, 1))), metric("fg.conflict", "", "", **gauge(point(now, 1))),
                  metric("fg.exponential", "s", "", **native(exponential(now, 2, -3, [1, 0, 0, 2]))))
    for begin, end, number in ((0, 1, 5), (1, 2, 3), (4, 5, 2)):
        yield request(now, metric("fg.delta", "", "", **counter(delta(begin, end, number, k="v"), temporality=1)),
                      metric("fg.delta.latency", "s", "", **distribution(spread(begin, end, [number, 1, 2]), temporality=1)),
                      metric("fg.delta.updown", "", "", **counter(delta(begin, end, number), temporality=1, monotonic=False)))
    yield request(now, metric("fg.ends", "", "", **gauge(point(now, 0, flags=STALE))), metric("fg.usage", "By", "another help", **gauge(point(now - SECOND, 1, state="used"))))


def as_go_shows(metrics):
    """Without what the Go page gets wrong: it fails for two attributes that become one label, which we join,
    and makes up a sum of 0 for a histogram that has none."""
    for one in metrics:
        for spread in one.get("histogram", {}).get("dataPoints", []):
            spread.setdefault("sum", 0.5)
    return [one for one in metrics if one["name"] != "fg.joined"]


def lines(port, accept):
    """Lines of a page whose order says nothing; numbers as numbers."""
    call = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(call, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith(accept.split(";")[0]), answer.headers["Content-Type"]
        return {canonical_line(line) for line in answer.read().decode().splitlines()}


def canonical_line(line):
    if line.startswith("#"):
        return line.strip()
    # Before 0.160 it kept every underscore of a label's name.
    line = re.sub("__+", "_", line)
    # OpenMetrics of the Go collector writes whole bounds as 10.0; ours keeps the series of text.
    line = re.sub(r'((?:le|quantile)=")(-?\d+)\.0"', r'\1\2"', line)
    series, rest = re.match(r"(.*?(?:\}|^[^{ ]+)) (.*)", line).groups()
    rest, _, example = rest.partition(" # ")
    if example:
        labels, numbers = example.rsplit("} ", 1)
        example = ",".join(sorted(labels[1:].split(","))) + " " + str([float(n) for n in numbers.split()])
    return f"{series} {[float(n) for n in rest.split()]} {example}"


ALL = [prometheus_pull, remote_write_like_go, pull_like_go]
