# SPDX-License-Identifier: Apache-2.0
"""What Grafana asks of its data sources (`grafana.json`): we, a real Prometheus 3 and a real Jaeger answer in the same
shapes, so what is written down there is what the real ones do. Beside it: every page of Prometheus' API field by field,
promtool against us, and Jaeger's own types decoding our answers."""

import datetime
import http.server
import json
import pathlib
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import peers
from remote_write import Sink
from stack import binary, free_port, get, wait_for

REQUESTS = json.loads((pathlib.Path(__file__).parent / "grafana.json").read_text())
SECOND = 1_000_000_000

PAGE = """# TYPE fg_orders counter
# HELP fg_orders orders taken
fg_orders_total{route="/o"} @ORDERS@ # {trace_id="0af7651916cd43dd8448eb211c80319c",span_id="b7ad6b7169203331"} 1.5 @TIME@
# TYPE fg_depth gauge
# HELP fg_depth how deep
fg_depth{queue="a"} 2.5
fg_depth{queue="b"} NaN
# TYPE fg_took_seconds histogram
# UNIT fg_took_seconds seconds
# HELP fg_took_seconds how long
fg_took_seconds_bucket{le="0.5"} 3
fg_took_seconds_bucket{le="+Inf"} 4 # {trace_id="1af7651916cd43dd8448eb211c80319c"} 9.5 @TIME@
fg_took_seconds_count 4
fg_took_seconds_sum 11.25
# EOF
"""

RULES = """
groups:
  - name: grafana
    interval: 1s
    rules:
      - {record: "fg:depth", expr: "sum by (job) (fg_depth{queue='a'})", labels: {made: here}}
      - {alert: Deep, expr: "fg_depth{queue='a'} > 1", labels: {severity: page}, annotations: {summary: "{{ $value }} deep"}}
      - {alert: Deeper, expr: "fg_depth{queue='a'} > 100", for: 5m, keep_firing_for: 1m}
"""


def page(stack):
    """Serves the page for both; the times in it are those of now."""
    begun = time.time()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            now = time.time()
            # A new exemplar every few seconds: each is kept once.
            text = PAGE.replace("@ORDERS@", str(int(now - begun) + 5)).replace("@TIME@", str(int(now) // 5 * 5))
            self.send_response(200)
            self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    return server.server_port


def both(stack, *arguments):
    """Us and Prometheus 3 with the same configuration file; returns both bases."""
    port = page(stack)
    (stack.folder / "rules.yml").write_text(RULES)
    config = stack.folder / "prometheus.yml"
    config.write_text(json.dumps({
        "global": {"scrape_interval": "1s", "external_labels": {"cluster": "c1"}}, "rule_files": [str(stack.folder / "rules.yml")],
        "scrape_configs": [{"job_name": "page", "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"zone": "z1"}}]},
                           {"job_name": "down", "static_configs": [{"targets": ["127.0.0.1:1"]}]}]}))
    ours, theirs = free_port(), free_port()
    admin = "admin" in arguments
    stack.start("foreglow", [binary(), "--prometheus-config", config, "--data", stack.folder / "data", f"--listen=127.0.0.1:{ours}",
                             "--set=service.telemetry.metrics.level=none", *(["--set=extensions.query_server.admin_api=true"] if admin else [])])
    stack.start("prometheus", [peers.prometheus_3(), f"--config.file={config}", f"--storage.tsdb.path={stack.folder / 'tsdb'}",
                               f"--web.listen-address=127.0.0.1:{theirs}", "--enable-feature=exemplar-storage", "--web.enable-remote-write-receiver",
                               "--web.enable-otlp-receiver", *(["--web.enable-admin-api"] if admin else [])])
    bases = [f"http://127.0.0.1:{ours}", f"http://127.0.0.1:{theirs}"]
    # Questions are of times seconds ago: both have samples there.
    settled = "fg:depth and on () ALERTS and on () count_over_time(fg_orders_total[5m]) > 6"
    for base in bases:
        wait_for(f"rules of {base}", lambda: json.loads(get(f"{base}/api/v1/query", query=settled))["data"]["result"], 90)
    return bases


def ask(base, method, path, form, gzip=False):
    """Status, headers, text."""
    body = urllib.parse.urlencode(form, doseq=True)
    url = base + (path if method == "POST" else f"{path}?{body}" if body else path)
    call = urllib.request.Request(url, data=body.encode() if method == "POST" else None, method=method)
    try:
        with urllib.request.urlopen(call, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def differs(shape, value, at):
    """Where a value is not what the shape says; see grafana.json."""
    wrong = f"{at}: {json.dumps(value)[:200]} is not {json.dumps(shape)[:200]}"
    if isinstance(shape, str):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = {"any": True, "string": isinstance(value, str), "number": number, "bool": isinstance(value, bool),
                "decimal": isinstance(value, str) and bool(re.fullmatch(r"NaN|[+-]?Inf|[+-]?[0-9.]+(e[+-]?[0-9]+)?", value)),
                "time": isinstance(value, str) and bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value))}
        return None if fits[shape] else wrong
    if isinstance(shape, list):
        if shape[0] == "=":
            return None if shape[1] == value else wrong
        if shape[0] == "|":
            return None if any(differs(one, value, at) is None for one in shape[1:]) else wrong
        if not isinstance(value, list):
            return wrong
        if shape[0] == "*":
            return next((found for item in value if (found := differs(shape[1], item, f"{at}[]"))), None)
        if len(shape) > 1:
            return wrong if len(shape) != len(value) else next((f for s, v in zip(shape, value) if (f := differs(s, v, f"{at}()"))), None)
        return next((found for item in value if (found := differs(shape[0], item, f"{at}[]"))), None) if value else wrong
    if not isinstance(value, dict):
        return wrong
    for every, empty in (("*", False), ("*?", True)):
        if every in shape:
            return wrong if not value and not empty else next((f for k, v in value.items() if (f := differs(shape[every], v, f"{at}.{k}"))), None)
    for key in shape:
        if not key.endswith("?") and key not in value:
            return f"{at}: {key} is missing in {json.dumps(value)[:200]}"
    names = {key.rstrip("?"): inner for key, inner in shape.items()}
    if "...?" not in shape and (unknown := value.keys() - names.keys()):
        return f"{at}: {sorted(unknown)} is not in the shape"
    return next((f for key, inner in names.items() if key in value and (f := differs(inner, value[key], f"{at}.{key}"))), None)


def replay(name, bases, variables):
    """Asks everything of each base; returns how much was asked."""
    def filled(text):
        for variable in sorted(variables, key=len, reverse=True):
            text = text.replace(f"${variable}", str(variables[variable]))
        return text

    wrong = []
    for base in bases:
        who = "we" if base is bases[0] else "the real one"
        for request in REQUESTS[name]:
            method = "GET" if "get" in request else "POST"
            form = {filled(key): filled(value) for key, value in request.get("form", {}).items()}
            status, _, text = ask(base, method, urllib.parse.quote(filled(request.get("get") or request["post"])), form)
            at = f"{who}, {request['moment']}"
            if status != request.get("status", 200):
                wrong.append(f"{at}: {status} {text[:200]}")
            if request.get("text", "") not in text:
                wrong.append(f"{at}: {text[:200]}")
            if "is" in request and (found := differs(request["is"], json.loads(text), at)):
                wrong.append(found)
    assert not wrong, "\n".join(wrong)
    return len(REQUESTS[name])


def grafana_prometheus(stack):
    """Grafana's requests of a Prometheus data source, answered by us and by a real Prometheus in the same shapes."""
    bases = both(stack)
    now = int(time.time())
    variables = {"start": now - 600, "end": now, "now": now, "metric": "fg_orders_total"}
    for base in bases:
        wait_for("exemplars", lambda: json.loads(get(f"{base}/api/v1/query_exemplars", query="fg_orders_total", start=now - 600, end=now + 60))["data"])
    variables["end"] = int(time.time()) + 1
    return f"{replay('prometheus', bases, variables)} requests answered alike by us and by Prometheus 3"


# --- Jaeger

def spans(now):
    """Two traces over three services, with events, links, errors, all types of attributes."""
    def span(trace, id, parent, name, kind, begin, length, attributes=(), **more):
        return {"traceId": trace * 16, "spanId": id * 8, "name": name, "kind": kind, "startTimeUnixNano": str(now + begin * 1_000_000),
                "endTimeUnixNano": str(now + (begin + length) * 1_000_000), "attributes": list(attributes), **({"parentSpanId": parent * 8} if parent else {}), **more}

    def attribute(key, **value):
        return {"key": key, "value": value}

    def resource(service, *all_spans):
        return {"resource": {"attributes": [attribute("service.name", stringValue=service), attribute("host.name", stringValue="h1")]},
                "scopeSpans": [{"scope": {"name": "lib", "version": "1.2"}, "spans": list(all_spans)}]}

    some = [attribute("http.status_code", intValue="500"), attribute("ratio", doubleValue=0.5), attribute("cached", boolValue=False), attribute("db.system", stringValue="redis")]
    event = {"timeUnixNano": str(now + 5_000_000), "name": "retry", "attributes": [attribute("attempt", intValue="2")]}
    return {"resourceSpans": [
        resource("web", span("a1", "01", None, "GET /cart", 3, 0, 100, some, events=[event]), span("a2", "02", None, "tick", 1, 200, 1)),
        resource("cart", span("a1", "03", "01", "cart.get", 2, 10, 80, some[3:], status={"code": 2, "message": "no cart"},
                              links=[{"traceId": "a2" * 16, "spanId": "02" * 8}]),
                 span("a1", "04", "03", "stock.call", 3, 20, 30)),
        resource("stock", span("a1", "05", "04", "stock.get", 2, 25, 20))]}


def jaegers(stack):
    """Us and a real Jaeger with the same spans: [(HTTP base, gRPC address)], time of the spans."""
    http_port, grpc_port, data = free_port(), free_port(), free_port()
    config = stack.folder / "jaegers.yaml"
    config.write_text(f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{data}"}}}}}}}}
exporters: {{embedded_store: {{}}}}
extensions: {{query_server: {{endpoint: "127.0.0.1:{http_port}", jaeger: {{grpc_endpoint: "127.0.0.1:{grpc_port}"}}}}}}
service:
  extensions: [query_server]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [embedded_store]}}}}
""")
    stack.start("foreglow", [binary(), "--config", config, "--data", stack.folder / "data"])
    theirs_http, theirs_grpc, otlp = free_port(), free_port(), free_port()
    real = stack.folder / "jaeger.yaml"
    real.write_text(peers.JAEGER_CONFIG.replace("@QUERY@", str(theirs_http)).replace("@QUERY_GRPC@", str(theirs_grpc))
                    .replace("receivers: [jaeger]", "receivers: [otlp]")
                    .replace('jaeger: {protocols: {grpc: {endpoint: "127.0.0.1:@PROTO@"}, thrift_http: {endpoint: "127.0.0.1:@THRIFT@"}}}',
                             f'otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}'))
    stack.start("jaeger", [peers.jaeger(), "--config", real])
    now = time.time_ns() // SECOND * SECOND - 30 * SECOND
    all_of = []
    for base, address, port in ((http_port, grpc_port, data), (theirs_http, theirs_grpc, otlp)):
        call = urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", json.dumps(spans(now)).encode(), {"Content-Type": "application/json"})
        wait_for("spans to be taken", lambda: urllib.request.urlopen(call, timeout=10).status == 200)
        base = f"http://127.0.0.1:{base}"
        wait_for("the trace", lambda: len(json.loads(get(f"{base}/api/traces/{'a1' * 16}"))["data"][0]["spans"]) == 4)
        # Jaeger's memory also counts what a service calls of itself.
        wait_for("the service graph", lambda: sum(
            edge["parent"] != edge["child"] for edge in json.loads(get(f"{base}/api/dependencies", endTs=int(time.time() * 1000), lookback=3_600_000))["data"]) == 2)
        all_of.append((base, f"127.0.0.1:{address}"))
    return all_of, now


def grafana_jaeger(stack):
    """Grafana's requests of a Jaeger data source, answered by us and by a real Jaeger in the same shapes."""
    servers, now = jaegers(stack)
    at = now // 1000
    variables = {"start_us": at - 3_600_000_000, "end_us": at + 60_000_000, "end_ms": at // 1000 + 60_000, "service": "web", "operation": "GET /cart", "trace": "a1" * 16}
    return f"{replay('jaeger', [base for base, _ in servers], variables)} requests answered alike by us and by Jaeger"


def jaeger_types(stack):
    """Jaeger's own client types decode our answers strictly (v1, v3, gRPC), and understand what they do of a real Jaeger's."""
    client = peers.jaeger_client()
    servers, now = jaegers(stack)
    at = now // 1000
    seen = []
    for base, address in servers:
        done = subprocess.run([client, base, address, "web", "GET /cart", "a1" * 16, str(at - 60_000_000), str(at + 60_000_000)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (base, done.stderr)
        seen.append(json.loads(done.stdout))
    ours, theirs = seen
    different = {key: (ours.get(key), theirs.get(key)) for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    assert not different, json.dumps(different, indent=1)
    return f"{len(ours)} answers decoded strictly, equal to Jaeger's"


# --- every page of Prometheus, field by field

def kinds(value, at="", out=None):
    """Paths of all fields with the type of what stands there."""
    out = {} if out is None else out
    if isinstance(value, dict):
        for key, inner in value.items():
            kinds(inner, f"{at}.{key}", out)
    elif isinstance(value, list):
        for inner in value:
            kinds(inner, f"{at}[]", out)
    name = {dict: "object", list: "list", str: "text", bool: "bool", int: "number", float: "number", type(None): "null"}[type(value)]
    out.setdefault(at, set()).add(name)
    return out


# Method, path, parameters, how it is compared: fields and types ("fields"), or everything ("all").
PAGES = [
    ("GET", "/api/v1/targets", {"state": "active"}, "fields"), ("GET", "/api/v1/scrape_pools", {}, "all"),
    ("GET", "/api/v1/targets/metadata", {"match_target": '{job="page"}', "metric": "fg_depth"}, "all"),
    ("GET", "/api/v1/metadata", {"metric": "fg_took_seconds"}, "all"), ("GET", "/api/v1/metadata", {"metric": "fg_depth"}, "all"),
    ("GET", "/api/v1/metadata", {"metric": "fg_none"}, "all"),
    ("GET", "/api/v1/status/buildinfo", {}, "fields"), ("GET", "/api/v1/status/runtimeinfo", {}, "fields"), ("GET", "/api/v1/status/config", {}, "fields"),
    ("GET", "/api/v1/status/tsdb", {"limit": "2"}, "fields"), ("GET", "/api/v1/status/walreplay", {}, "fields"), ("GET", "/api/v1/alertmanagers", {}, "all"),
    ("GET", "/api/v1/rules", {}, "fields"), ("GET", "/api/v1/rules", {"type": "alert"}, "fields"), ("GET", "/api/v1/rules", {"type": "nonsense"}, "all"),
    ("GET", "/api/v1/rules", {"rule_name[]": "Deep", "exclude_alerts": "true"}, "fields"), ("GET", "/api/v1/alerts", {}, "fields"),
    ("GET", "/api/v1/query_exemplars", {"query": "fg_took_seconds_bucket", "start": "$start", "end": "$end"}, "fields"),
    ("GET", "/api/v1/query_exemplars", {"query": "fg_none", "start": "2", "end": "1"}, "all"), ("GET", "/api/v1/query_exemplars", {"query": "sum("}, "all"),
    ("GET", "/api/v1/series", {"match[]": 'fg_depth{queue=~"a|b"}', "start": "$start", "end": "$end"}, "all"),
    ("GET", "/api/v1/labels", {"match[]": "fg_depth"}, "all"), ("GET", "/api/v1/label/queue/values", {}, "all"),
    ("GET", "/api/v1/labels", {"start": "2", "end": "1"}, "all"), ("GET", "/api/v1/series", {"match[]": "fg_depth", "start": "2", "end": "1"}, "all"),
    ("GET", "/api/v1/series", {"match[]": "fg_depth", "start": "y"}, "all"), ("GET", "/api/v1/labels", {"end": "y"}, "all"), ("GET", "/api/v1/query_range", {"query": "1", "start": "y"}, "all"),
    ("GET", "/api/v1/query_range", {"query": "1", "start": "1", "end": "2", "step": "y"}, "all"), ("GET", "/api/v1/query_exemplars", {"query": "a", "start": "y"}, "all"), ("GET", "/api/v1/label/queue/values", {"limit": "1"}, "all"),
    ("GET", "/api/v1/query", {"query": "fg_depth", "limit": "1", "time": "$end"}, "fields"), ("GET", "/api/v1/query", {"query": "fg_depth", "time": "x"}, "all"),
    ("GET", "/api/v1/query", {"query": '"text"', "time": "5"}, "all"), ("GET", "/api/v1/query", {"query": "1 + 2 * 3", "time": "5"}, "all"),
    ("GET", "/api/v1/query_range", {"query": "vector(1)", "start": "1", "end": "31", "step": "15s"}, "all"),
    ("GET", "/api/v1/query_range", {"query": "vector(1)", "start": "1", "end": "31", "step": "0"}, "all"),
    ("GET", "/api/v1/query_range", {"query": "vector(1)", "start": "31", "end": "1", "step": "1"}, "all"),
    ("GET", "/api/v1/query", {"query": "rate(fg_depth[5m])", "time": "$end"}, "fields"),
    ("GET", "/api/v1/query", {"query": "fg_depth * on () fg_depth", "time": "$end"}, "all"),
    ("GET", "/-/healthy", {}, "status"), ("GET", "/-/ready", {}, "status"), ("GET", "/api/v1/no_such_page", {}, "status"),
    ("POST", "/api/v1/admin/tsdb/delete_series", {}, "all"),
] + [("GET", f"/api/v1/{page}", {"query": query}, "all") for page in ("format_query", "parse_query") for query in (
    "sum by(job)(rate(fg_depth{a!~'b'}[5m]offset 1m))", "fg_depth@start()", "-fg_depth[5m:1m]@5", "histogram_quantile(0.9, fg_depth) > bool 1", "topk(3, fg) unless on(a) fg",
    "avg_over_time(sum without(instance)(label_replace(fg_depth{queue=\"a\", zone=~\"z.*|very_long_value_to_break_the_line\"}, \"dst\", \"$1\", \"src\", \"(.*)\"))[30m:15s] offset 1h) / ignoring(job, instance) group_right(zone) fg_other_metric_name",
    "\"text\"", "1e3", "sum(", "absent(x) or vector(0)", "a and b", "0x1F", "5m30s", "quantile_over_time(0.5, a[5m])", "((a))", "+a", "a ^ b ^ c", "count_values(\"v\", a)")]

# What differs on purpose, by path of the page: fields that only one of them has.
ONLY = {
    # How Prometheus hands these settings of a job on to its scrapes.
    "/api/v1/targets": {f".data.activeTargets[].discoveredLabels.__{name}__" for name in (
        "always_scrape_classic_histograms", "convert_classic_histograms_to_nhcb", "scrape_native_histograms")},
    # The number of series stands on the page of Prometheus 2 and in ours for its readers.
    "/api/v1/status/runtimeinfo": {".data.timeSeriesCount"},
}


def api_pages(stack):
    """Every page of Prometheus' API that tells what is there: the same fields, types and texts as a real Prometheus 3."""
    bases = both(stack, "admin")
    now = time.time()
    wrong = []
    for method, path, parameters, how in PAGES:
        form = {key: value.replace("$start", str(int(now - 600))).replace("$end", str(int(now))) for key, value in parameters.items()}
        answers = [ask(base, method, path, form) for base in bases]
        at = f"{path} {parameters}"
        (status, headers, ours), (expected, real, theirs) = answers
        if status != expected:
            wrong.append(f"{at}: {status}, Prometheus {expected}: {ours[:200]} | {theirs[:200]}")
        elif how != "status" and theirs.startswith("{"):
            ours, theirs = json.loads(ours), json.loads(theirs)
            if headers["Content-Type"] != real["Content-Type"]:
                wrong.append(f"{at}: {headers['Content-Type']}, Prometheus {real['Content-Type']}")
            if how == "all":
                if ours != theirs:
                    wrong.append(f"{at}:\n  ours   {json.dumps(ours, sort_keys=True)[:1500]}\n  theirs {json.dumps(theirs, sort_keys=True)[:1500]}")
                continue
            ours, theirs = kinds(ours), kinds(theirs)
            only = ONLY.get(path, set())
            for field in sorted((ours.keys() | theirs.keys()) - only):
                if ours.get(field) != theirs.get(field):
                    wrong.append(f"{at}: {field} is {ours.get(field)}, in Prometheus {theirs.get(field)}")
    federated = []
    for base in bases:
        text = ask(base, "GET", "/federate", {"match[]": ['{__name__=~"fg_.*"}', "up"]})
        lines = [re.sub(r" \d{13}$", " @", line) for line in text[2].splitlines()]
        federated.append(sorted(re.sub(r"(fg_orders_total\{.*\}) \d+", r"\1 N", line) for line in lines))
    if federated[0] != federated[1]:
        wrong.append(f"federate: only ours {sorted(set(federated[0]) - set(federated[1]))}, only Prometheus {sorted(set(federated[1]) - set(federated[0]))}")
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong)
    return f"{len(PAGES)} requests and {len(federated[0])} federated lines alike; " + administration(bases)


def administration(bases):
    """Deletes, cleans up and makes snapshots at both."""
    counts = []
    for base in bases:
        end = time.time()
        ask_of = lambda query: json.loads(get(f"{base}/api/v1/query", query=query))["data"]["result"]
        before = float(ask_of("count_over_time(fg_took_seconds_sum[10m])")[0]["value"][1])
        status, _, text = ask(base, "POST", "/api/v1/admin/tsdb/delete_series", {"match[]": "fg_took_seconds_sum", "end": f"{end - 2:.3f}"})
        assert (status, text) == (204, ""), (base, status, text)
        after = ask_of("count_over_time(fg_took_seconds_sum[10m])")
        assert before > 5 and (not after or float(after[0]["value"][1]) < 6), (base, before, after)
        status, _, text = ask(base, "PUT", "/api/v1/admin/tsdb/clean_tombstones", {})
        assert (status, text) == (204, ""), (base, status, text)
        status, _, text = ask(base, "POST", "/api/v1/admin/tsdb/snapshot", {})
        name = json.loads(text)["data"]["name"]
        assert status == 200 and re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{16}", name), (base, text)
        counts.append(before)
    return "series deleted, tombstones cleaned, snapshots made"


# --- promtool

def promtool_against_us(stack):
    """A real promtool asks us and a real Prometheus, checks and tests the rules that we run, checks what we expose."""
    tool = peers.prometheus_3("promtool")
    bases = both(stack)
    end = datetime.datetime.fromtimestamp(int(time.time()), datetime.timezone.utc)
    start = end - datetime.timedelta(minutes=5)
    stamp = lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ")
    checked = 0
    for arguments in (
        ["instant", "@", "fg_depth{queue='a'}", f"--time={stamp(end)}"], ["instant", "@", "sum(fg_depth) by (", f"--time={stamp(end)}"],
        ["range", "@", "vector(3)", f"--start={stamp(start)}", f"--end={stamp(end)}", "--step=60s"],
        ["series", "@", '--match=fg_depth', f"--start={stamp(start)}", f"--end={stamp(end)}"], ["labels", "@", "queue"], ["labels", "@", "no_such_label"],
        ["instant", "--format=json", "@", "1 + 1", f"--time={stamp(end)}"],
    ):
        outputs = []
        for base in bases:
            done = subprocess.run([tool, "query", *(base if one == "@" else one for one in arguments)], capture_output=True, text=True, timeout=30)
            outputs.append((done.returncode, sorted(done.stdout.splitlines()), done.stderr.replace(base, "")))
        assert outputs[0] == outputs[1], (arguments, *outputs)
        checked += 1
    test = stack.folder / "test.yml"
    test.write_text("""
rule_files: [rules.yml]
evaluation_interval: 1s
tests:
  - interval: 1s
    input_series: [{series: 'fg_depth{queue="a", job="page"}', values: '2+1x10'}]
    alert_rule_test: [{eval_time: 3s, alertname: Deep, exp_alerts: [{exp_labels: {severity: page, queue: a, job: page}, exp_annotations: {summary: 5 deep}}]}]
    promql_expr_test: [{expr: 'fg:depth', eval_time: 4s, exp_samples: [{labels: '{__name__="fg:depth", job="page", made="here"}', value: 6}]}]
""")
    for arguments in (["check", "rules", "rules.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", "test.yml"], ["check", "healthy", f"--url={bases[0]}"],
                      ["check", "ready", f"--url={bases[0]}"]):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=30, cwd=stack.folder)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        checked += 1
    federated = get(f"{bases[0]}/federate", **{"match[]": '{__name__=~"fg_.*"}'})
    done = subprocess.run([tool, "check", "metrics"], input=federated, capture_output=True, text=True, timeout=30)
    # What it says of style (a counter's name, help) is no error.
    assert done.returncode in (0, 3) and "error while linting" not in done.stderr, done.stderr
    return f"{checked + 1} commands, queries equal to those of Prometheus 3"


# --- what is written is sent on

def written_onward(stack):
    """remote_write of a Prometheus configuration gets what was pushed and what rules record, as from a Prometheus."""
    tool = peers.prometheus_3("promtool")
    pushed = stack.folder / "pushed.prom"
    pushed.write_text("# TYPE fg_pushed gauge\nfg_pushed{code=\"200\"} 4\nfg_pushed{code=\"500\"} 1\n")
    (stack.folder / "rules.yml").write_text("groups: [{name: g, interval: 1s, rules: [{record: 'fg:all', expr: 'sum(fg_pushed)'}]}]\n")
    seen = []
    for ours in (True, False):
        sink, port = Sink(stack, where := free_port()), free_port()
        config = stack.folder / f"prometheus-{ours}.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "external_labels": {"cluster": "c1"}}, "rule_files": [str(stack.folder / "rules.yml")],
            "scrape_configs": [{"job_name": "none", "static_configs": [{"targets": ["127.0.0.1:1"]}]}],
            "remote_write": [{"url": f"http://127.0.0.1:{where}/w", "queue_config": {"batch_send_deadline": "1s"}}]}))
        base = f"http://127.0.0.1:{port}"
        if ours:
            stack.start("foreglow", [binary(), "--prometheus-config", config, "--data", stack.folder / "data", f"--listen=127.0.0.1:{port}",
                                     "--set=service.telemetry.metrics.level=none"])
        else:
            stack.start("prometheus", [peers.prometheus_3(), f"--config.file={config}", f"--storage.tsdb.path={stack.folder / 'tsdb'}",
                                       f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"])
        wait_for("ready", lambda: get(f"{base}/-/ready"))
        subprocess.run([tool, "push", "metrics", base, pushed], check=True, capture_output=True)

        def told():
            found = sink.canonical()
            values = {labels: sorted({value for _, value, _ in content[0]}, key=str) for labels, content in found.items()
                      if dict(labels)["__name__"] in ("fg_pushed", "fg:all")}
            return len(values) == 3 and values

        seen.append(wait_for(f"what {base} sends on", told))
    assert seen[0] == seen[1], seen
    return f"{len(seen[0])} series sent on as by Prometheus"


ALL = [written_onward, grafana_prometheus, grafana_jaeger, jaeger_types, api_pages, promtool_against_us]
