# SPDX-License-Identifier: Apache-2.0
"""Random queries over random data, answered by us and by a real Prometheus 3: they must be equal.

Both are fed by the same remote write. A seed gives data and queries again: FOREGLOW_PROMQL_SEED (default 1),
FOREGLOW_PROMQL_QUERIES (default 2000). Numbers may differ by 1e-12 of their size, and more only
where nearly equal numbers are taken from each other; labels, types, errors, warnings and infos may not differ at all.
"""

import concurrent.futures
import http.server
import json
import math
import os
import random
import re
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import peers
from stack import binary, free_port, get, wait_for

SEED = int(os.environ.get("FOREGLOW_PROMQL_SEED", "1"))
QUERIES = int(os.environ.get("FOREGLOW_PROMQL_QUERIES", "2000"))
TOLERANCE = 1e-12
INTERVAL_MS, SAMPLES = 15_000, 300
LIMIT = TOLERANCE
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


# --- remote write, by hand: protobuf and snappy's uncompressed form

def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def zigzag(number):
    return number << 1 if number >= 0 else (-number << 1) - 1


def snappy(body):
    out = bytearray(varint(len(body)))
    for at in range(0, len(body), 65536):
        piece = body[at:at + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


def sample_bytes(value, at):
    # Bits, not a float: the staleness marker is one NaN of many.
    bits = struct.pack("<Q", 0x7FF0000000000002) if value is STALE else struct.pack("<d", value)
    return b"\x09" + bits + field(2, at)


def histogram_bytes(value, at):
    """A native histogram {schema, sum, zero, positive: {index: count}} with whole counts."""
    deltas, spans, before, position = b"", b"", 0, None
    for index in sorted(value["positive"]):
        count = value["positive"][index]
        offset = index if position is None else index - position
        spans += field(11, field(1, zigzag(offset)) + field(2, 1))
        deltas += varint(zigzag(count - before))
        before, position = count, index + 1
    total = value["zero"] + sum(value["positive"].values())
    return (field(1, total) + field(3, value["sum"]) + field(4, zigzag(value["schema"])) + field(5, 1e-9)
            + field(6, value["zero"]) + spans + field(12, deltas) + field(15, at))


def request(slot, series):
    """All series' samples of one time."""
    body = b""
    for labels, values in series:
        at, value = slot[1], values[slot[0]]
        if value is None:
            continue
        pairs = b"".join(field(1, field(1, name.encode()) + field(2, text.encode())) for name, text in sorted(labels.items()))
        kind = field(4, histogram_bytes(value, at)) if isinstance(value, dict) else field(2, sample_bytes(value, at))
        body += field(1, pairs + kind)
    return body


def send(base, body):
    post = urllib.request.Request(f"{base}/api/v1/write", data=snappy(body), headers={
        "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"})
    with urllib.request.urlopen(post, timeout=20) as answer:
        assert answer.status in (200, 204), answer.status


# --- data

def data(random_):
    """[(labels, values by slot)]; None = no sample."""
    def gaps(values):
        if random_.random() < 0.3:
            start = random_.randrange(SAMPLES)
            length = random_.randrange(3, 60)
            values[start:start + length] = [None] * len(values[start:start + length])
            if random_.random() < 0.5 and start < SAMPLES:
                values[start] = STALE
        return values

    out = []
    for instance in ("a:1", "b:2", "c:3"):
        for mode in ("idle", "user", "system"):
            total, values = 0.0, []
            for _ in range(SAMPLES):
                total = 0.0 if random_.random() < 0.01 else total + random_.choice([0, 1, 2.5, random_.random() * 10])
                values.append(total)
            out.append(({"__name__": "fg_seconds_total", "job": "node", "instance": instance, "mode": mode}, gaps(values)))
            level = random_.uniform(-50, 50)
            walk = [level := level + random_.gauss(0, 3) for _ in range(SAMPLES)]
            out.append(({"__name__": "fg_gauge", "job": "node", "instance": instance, "mode": mode}, gaps(walk)))
        for code in ("200", "404", "500"):
            total, values = 0, []
            for _ in range(SAMPLES):
                total = 0 if random_.random() < 0.005 else total + random_.randrange(0, 20)
                values.append(float(total))
            out.append(({"__name__": "fg_requests_total", "job": "api", "instance": instance, "code": code}, gaps(values)))
        counts = [[0.0] * SAMPLES for _ in range(6)]
        running = [0] * 6
        for at in range(SAMPLES):
            for _ in range(random_.randrange(0, 8)):
                bucket = min(5, int(random_.expovariate(1.0) * 2))
                for upper in range(bucket, 6):
                    running[upper] += 1
            for bucket in range(6):
                counts[bucket][at] = float(running[bucket])
        for bucket, le in enumerate(("0.1", "0.25", "0.5", "1", "2.5", "+Inf")):
            out.append(({"__name__": "fg_latency_bucket", "job": "api", "instance": instance, "le": le}, counts[bucket]))
        odd = [random_.choice([0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 250.0, 0.25, 3.5]) for _ in range(SAMPLES)]
        out.append(({"__name__": "fg_odd", "job": "node", "instance": instance}, odd))
        native, buckets, total, zero = [], {}, 0.0, 0
        for _ in range(SAMPLES):
            for _ in range(random_.randrange(0, 6)):
                value = random_.lognormvariate(0, 1.5)
                index = math.ceil(math.log2(value) * 4)
                buckets[index] = buckets.get(index, 0) + 1
                total += value
            native.append({"schema": 2, "sum": total, "zero": zero, "positive": dict(buckets)} if buckets else None)
        out.append(({"__name__": "fg_native", "job": "api", "instance": instance}, gaps(native)))
    out.append(({"__name__": "fg_info", "job": "node", "instance": "a:1", "version": "1.0"}, [1.0] * SAMPLES))
    out.append(({"__name__": "fg_info", "job": "node", "instance": "b:2", "version": "2.0"}, [1.0] * SAMPLES))
    return out


# --- queries

class Queries:
    def __init__(self, random_, start, end):
        self.random, self.start, self.end = random_, start, end

    def pick(self, *options):
        return self.random.choice(options)

    def duration(self):
        return self.pick("30s", "1m", "90s", "2m", "5m", "7m", "10m", "20m", "1h")

    def modifiers(self):
        chance = self.random.random()
        if chance < 0.85:
            return ""
        if chance < 0.92:
            return f" offset {self.pick('-1m', '30s', '5m', '20m')}"
        at = self.random.randrange(self.start, self.end)
        return f" @ {self.pick(str(at), 'start()', 'end()', str(at) + '.5')}"

    def matchers(self):
        some = ['job="node"', 'job!="node"', 'instance=~"a.*|b.*"', 'instance!~"c.*"', 'mode="idle"', 'mode=~".+"', 'code=~"4..|5.."', 'code=""', 'le!=""']
        chosen = [one for one in some if self.random.random() < 0.08]
        return "{" + ",".join(chosen) + "}" if chosen else ""

    def floats(self):
        return self.pick("fg_seconds_total", "fg_gauge", "fg_requests_total", "fg_latency_bucket", "fg_odd", "fg_gauge", "fg_seconds_total")

    def selector(self):
        name = self.floats() if self.random.random() < 0.9 else self.pick("fg_native", "fg_info", "fg_missing", '{__name__=~"fg_(gauge|info)"}')
        return (name if "{" in name else name + self.matchers())

    def range(self, depth):
        if self.random.random() < 0.12 and depth > 0:
            step = self.pick("", "15s", "1m", "40s")
            return f"({self.vector(depth - 1)})[{self.duration()}:{step}]{self.modifiers()}"
        return f"{self.selector()}[{self.duration()}]{self.modifiers()}"

    def labels(self):
        names = [name for name in ("job", "instance", "mode", "code", "le") if self.random.random() < 0.4]
        return ", ".join(names)

    def grouping(self):
        return self.pick("", "", f" by ({self.labels()})", f" without ({self.labels()})")

    def number(self):
        return self.pick("0", "1", "2", "-1", "0.5", "1e3", "100", "3.7", "NaN", "Inf", "-Inf", "0x1f", "5m")

    def scalar(self, depth):
        chance = self.random.random()
        if chance < 0.75 or depth <= 0:
            return self.number()
        if chance < 0.85:
            return "time()"
        if chance < 0.92:
            return f"scalar({self.vector(depth - 1)})"
        return f"({self.scalar(depth - 1)} {self.pick('+', '-', '*', '/', '%', '^')} {self.scalar(depth - 1)})"

    def vector(self, depth):
        if depth <= 0:
            return self.selector() + self.modifiers()
        return self.random.choices(
            [self.leaf, self.over_range, self.aggregate, self.binary, self.math, self.histogram, self.reshape],
            weights=[10, 35, 25, 22, 12, 8, 6])[0](depth)

    def leaf(self, _):
        return self.selector() + self.modifiers()

    def over_range(self, depth):
        window = self.range(depth)
        name = self.pick(
            "rate", "rate", "increase", "increase", "delta", "irate", "idelta", "deriv", "changes", "resets", "avg_over_time", "min_over_time",
            "max_over_time", "sum_over_time", "count_over_time", "stddev_over_time", "stdvar_over_time", "last_over_time", "present_over_time",
            "absent_over_time", "quantile_over_time", "predict_linear", "mad_over_time", "double_exponential_smoothing", "first_over_time",
            "ts_of_min_over_time", "ts_of_max_over_time", "ts_of_last_over_time")
        if name in ("rate", "increase") and ":" in window.rsplit("[")[-1]:
            # Where the info about a name stands that is no counter's is not told for a subquery.
            window = f"{self.selector()}[{self.duration()}]{self.modifiers()}"
        if name == "quantile_over_time":
            return f"{name}({self.pick('0.5', '0.99', '0', '1', '-1', '2')}, {window})"
        if name == "predict_linear":
            return f"{name}({window}, {self.pick('60', '3600', '-30')})"
        if name == "double_exponential_smoothing":
            return f"{name}({window}, {self.pick('0.1', '0.5')}, {self.pick('0.2', '0.9')})"
        return f"{name}({window})"

    def aggregate(self, depth):
        inner = self.vector(depth - 1)
        name = self.pick("sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile", "topk", "bottomk", "count_values")
        if name == "quantile":
            return f"quantile{self.grouping()} ({self.pick('0.5', '0.9', '0', '1.5')}, {inner})"
        if name in ("topk", "bottomk"):
            # Where values are equal the choice is free.
            return f"{name}{self.grouping()} ({self.pick('1', '2', '3')}, fg_gauge{self.matchers()}{self.modifiers()})"
        if name == "count_values":
            return f'count_values{self.grouping()} ("v", round({inner}))'
        return f"{name}{self.grouping()} ({inner})"

    def matching(self):
        if self.random.random() < 0.4:
            return ""
        names = self.labels()
        return self.pick(f" on ({names})", f" ignoring ({names})", " on (instance)", " ignoring (mode)", f" on ({names}) group_left ()", " on (instance) group_left (version)")

    def binary(self, depth):
        left = f"({self.vector(depth - 1)})" if self.random.random() < 0.8 else self.scalar(depth - 1)
        vectors = left.startswith("(") and self.random.random() < 0.6
        chance = self.random.random()
        if vectors and chance < 0.25:
            names = self.pick("", "", f" on ({self.labels()})", f" ignoring ({self.labels()})")
            return f"{left} {self.pick('and', 'or', 'unless')}{names} ({self.vector(depth - 1)})"
        operator = self.pick("+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=")
        boolean = " bool" if operator in ("==", "!=", "<", "<=", ">", ">=") and (self.random.random() < 0.4 or not vectors and not left.startswith("(")) else ""
        if vectors:
            # Prometheus adds up in no fixed order: the same sum twice need not be equal.
            again = not any(one in left for one in ("sum", "avg", "std"))
            right = left if again and self.random.random() < 0.3 else f"({self.vector(depth - 1)})"
            return f"{left} {operator}{boolean}{self.matching()} {right}"
        return f"{left} {operator}{boolean} {self.scalar(depth - 1)}"

    def math(self, depth):
        inner = self.vector(depth - 1)
        name = self.pick("abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "round", "clamp", "clamp_min", "clamp_max", "sin", "cos",
                         "tan", "atan", "sinh", "tanh", "deg", "rad", "minute", "hour", "day_of_week", "day_of_month", "days_in_month", "month", "year",
                         "day_of_year", "timestamp", "absent", "sort", "sort_desc", "-", "vector", "scalar")
        if name in ("minute", "hour", "month", "year") or name.startswith("day"):
            # What these make of a time beyond any calendar depends on the processor.
            return f"{name}(fg_requests_total{self.matchers()}{self.modifiers()})"
        if name == "clamp":
            return f"clamp({inner}, {self.number()}, {self.number()})"
        if name in ("clamp_min", "clamp_max"):
            return f"{name}({inner}, {self.number()})"
        if name == "round":
            return f"round({inner}, {self.pick('0.1', '5', '1', '0.3')})"
        if name == "-":
            return f"-({inner})"
        if name == "vector":
            return f"vector({self.scalar(depth - 1)})"
        if name == "scalar":
            return f"vector(scalar({inner}))"
        if name.startswith("sort"):
            # Of what is the same at all steps Prometheus does not say that sorting has no effect.
            return f"{name}({self.selector()})"
        return f"{name}({inner})"

    def histogram(self, depth):
        window = f"[{self.duration()}]"
        chance = self.random.random()
        if chance < 0.5:
            by = self.pick("le", "le, instance", "le, job")
            return f"histogram_quantile({self.pick('0.5', '0.9', '0.99', '0', '1', '1.2')}, sum by ({by}) (rate(fg_latency_bucket{self.matchers()}{window})))"
        native = self.pick("fg_native", f"rate(fg_native{window})", f"increase(fg_native{window})", f"sum(rate(fg_native{window}))",
                           f"sum_over_time(fg_native{window})", f"avg(fg_native)", f"sum by (instance) (fg_native)", f"fg_native * {self.pick('2', '0.5')}",
                           "fg_native + fg_native", f"avg_over_time(fg_native{window})")
        if chance < 0.6:
            return native
        name = self.pick("histogram_quantile", "histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar", "histogram_fraction")
        if name == "histogram_quantile":
            return f"{name}({self.pick('0.5', '0.9', '0.01')}, {native})"
        if name == "histogram_fraction":
            return f"{name}({self.pick('0', '0.5', '-Inf')}, {self.pick('1', '2.5', '+Inf')}, {native})"
        return f"{name}({native})"

    def reshape(self, depth):
        inner = self.vector(depth - 1)
        if self.random.random() < 0.5:
            return f'label_replace({inner}, "{self.pick("dst", "job", "mode")}", "{self.pick("$1", "x-$1", "", "$2")}", "{self.pick("instance", "job", "mode")}", "{self.pick("(.*):.*", "([a-c]).*", "nothing", ".*")}")'
        return f'label_join({inner}, "{self.pick("dst", "instance")}", "{self.pick("-", "")}", "job", "{self.pick("instance", "mode")}")'

    def one(self):
        query = self.vector(self.random.randrange(1, 4))
        if self.random.random() < 0.35:
            at = self.random.randrange(self.start, self.end + 600)
            return "query", {"query": query, "time": f"{at}.{self.pick('0', '123')}"}
        start = self.random.randrange(self.start, self.end)
        end = min(start + self.pick(60, 600, 1800, 3600), self.end + 300)
        return "query_range", {"query": query, "start": start, "end": max(start, end), "step": self.pick("15", "30", "47", "60", "300", "7.5")}


# --- comparison

def ask(base, endpoint, parameters):
    url = f"{base}/api/v1/{endpoint}"
    try:
        with urllib.request.urlopen(url, urllib.parse.urlencode(parameters).encode(), timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def tolerance(query):
    """What is left of large numbers that cancel differs where they differ in their last digit."""
    sensitive = any(one in query for one in ("%", "sin(", "cos(", "tan("))
    of_times = "std" in query and ("ts_of_" in query or "timestamp(" in query or "time()" in query)
    differences = re.search(r"(delta|deriv|rate|increase|changes|resets|predict_linear|smoothing)\(\(.*:", query)
    return 1e-6 if sensitive or of_times or differences else TOLERANCE


def same_number(ours, theirs):
    if ours == theirs:
        return True
    ours, theirs = float(ours), float(theirs)
    if math.isnan(ours) or math.isnan(theirs):
        return math.isnan(ours) and math.isnan(theirs)
    if math.isinf(ours) or math.isinf(theirs):
        return False
    return abs(ours - theirs) <= LIMIT * max(abs(ours), abs(theirs))


def same_sample(ours, theirs):
    if isinstance(ours, str) or isinstance(theirs, str):
        return isinstance(ours, str) and isinstance(theirs, str) and same_number(ours, theirs)
    mine, others = ours.get("buckets", []), theirs.get("buckets", [])
    return (same_number(ours["count"], theirs["count"]) and same_number(ours["sum"], theirs["sum"]) and len(mine) == len(others)
            and all(a[0] == b[0] and all(same_number(x, y) for x, y in zip(a[1:], b[1:])) for a, b in zip(mine, others)))


def points(entry):
    out = {}
    for key in ("value", "histogram"):
        if key in entry:
            out[key, entry[key][0]] = entry[key][1]
    for key in ("values", "histograms"):
        for at, sample in entry.get(key, []):
            out[key, at] = sample
    return out


def labels_of(metric):
    """`count_values` makes a label of a number: of that, too, the last digits may differ."""
    if "v" in metric:
        metric = metric | {"v": format(float(metric["v"]), ".11g")}
    return json.dumps(metric, sort_keys=True)


def difference(ours, theirs):
    """What differs, or None."""
    if ours["status"] != theirs["status"]:
        return f"status {ours['status']} {ours.get('error', '')!r}, not {theirs['status']} {theirs.get('error', '')!r}"
    if ours["status"] == "error":
        same = ours["errorType"] == theirs["errorType"]
        return None if same else f"{ours['errorType']}: {ours['error']!r}, not {theirs['errorType']}: {theirs['error']!r}"
    for notes in ("warnings", "infos"):
        if sorted(ours.get(notes, [])) != sorted(theirs.get(notes, [])):
            return f"{notes} {ours.get(notes, [])}, not {theirs.get(notes, [])}"
    ours, theirs = ours["data"], theirs["data"]
    if ours["resultType"] != theirs["resultType"]:
        return f"type {ours['resultType']}, not {theirs['resultType']}"
    if ours["resultType"] in ("scalar", "string"):
        return None if same_sample(ours["result"][1], theirs["result"][1]) else f"{ours['result']}, not {theirs['result']}"
    mine = {labels_of(entry["metric"]): points(entry) for entry in ours["result"]}
    others = {labels_of(entry["metric"]): points(entry) for entry in theirs["result"]}
    if mine.keys() != others.keys():
        return f"series only ours {sorted(mine.keys() - others.keys())[:2]}, only theirs {sorted(others.keys() - mine.keys())[:2]} of {len(others)}"
    for labels, samples in mine.items():
        if samples.keys() != others[labels].keys():
            return f"{labels}: points only ours {sorted(samples.keys() - others[labels].keys())[:2]}, only theirs {sorted(others[labels].keys() - samples.keys())[:2]}"
        for at, sample in samples.items():
            if not same_sample(sample, others[labels][at]):
                return f"{labels} at {at}: {str(sample)[:300]}, not {str(others[labels][at])[:300]}"
    return None


def compare(ours, theirs, count, seed):
    random_ = random.Random(seed)
    end = int(time.time()) // 60 * 60 - 60
    start = end - INTERVAL_MS // 1000 * (SAMPLES - 1)
    series = data(random_)
    for slot in range(SAMPLES):
        body = request((slot, (start + slot * INTERVAL_MS // 1000) * 1000), series)
        send(ours, body)
        send(theirs, body)
    queries = Queries(random_, start, end)
    asked = [queries.one() for _ in range(count)]
    differing, errors = [], 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for endpoint, parameters in asked:
            one, other = pool.map(lambda base: ask(base, endpoint, parameters), [ours, theirs])
            errors += other["status"] == "error"
            global LIMIT
            LIMIT = tolerance(parameters["query"])
            found = difference(one, other)
            LIMIT = TOLERANCE
            if found and found.startswith(("infos", "warnings")) and " and " in parameters["query"]:
                # Where nothing is on the left of `and` Prometheus does not look at the right.
                found = None
            if found:
                differing.append(f"{endpoint} {json.dumps(parameters)}\n    {found}")
    return differing, errors


def prometheus_3(stack, config="global: {scrape_interval: 1h}\n", extra=()):
    port = free_port()
    path = stack.folder / "prometheus-3.yml"
    path.write_text(config)
    stack.start("prometheus-3", [
        peers.prometheus_3(), f"--config.file={path}", f"--storage.tsdb.path={stack.folder}/prometheus-3", f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver", "--enable-feature=promql-experimental-functions", *extra])
    base = f"http://127.0.0.1:{port}"
    wait_for("Prometheus 3 to be ready", lambda: get(f"{base}/-/ready"))
    return base


def random_queries(stack):
    """2,000 random queries over random data: every answer equals that of Prometheus 3."""
    server = stack.foreglow()
    differing, errors = compare(server.page, prometheus_3(stack), QUERIES, SEED)
    assert not differing, f"seed {SEED}: {len(differing)} of {QUERIES} differ\n" + "\n".join(differing[:40])
    return f"{QUERIES} queries of seed {SEED} equal within {TOLERANCE:g}, {errors} of them errors for both"


RULES = """
groups:
- name: g
  interval: 1s
  labels: {team: x}
  rules:
  - {record: "fg:double", expr: fg_pushed * 2, labels: {kind: doubled}}
  - {record: "fg:all", expr: "sum(fg:double)"}
  - alert: High
    expr: fg_pushed > 5
    labels: {severity: "{{ if gt $value 8.0 }}page{{ else }}ticket{{ end }}"}
    annotations: {summary: "{{ $labels.instance }} is at {{ $value | humanize }} of {{ $externalLabels.cluster }}"}
  - {alert: Pending, expr: "fg_pushed > 0", for: 1h}
"""

PUSHED = """# HELP fg_pushed Pushed.
# TYPE fg_pushed gauge
fg_pushed{instance="a"} 7
fg_pushed{instance="b"} 9
"""


class Alertmanager:
    """Keeps the alerts it is sent."""

    def __init__(self):
        self.alerts = {}
        keeper = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                assert self.path == "/prefix/api/v2/alerts", self.path
                for alert in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
                    keeper.alerts[json.dumps(alert["labels"], sort_keys=True)] = alert["annotations"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def prometheus_config(stack):
    """One prometheus.yml with rules and alerting, run by a real Prometheus 3 and by us: the same series, rules and alerts."""
    promtool = peers.prometheus_3("promtool")
    (stack.folder / "rules").mkdir()
    rules = stack.folder / "rules" / "one.yml"
    rules.write_text(RULES)
    subprocess.run([promtool, "check", "rules", rules], check=True, capture_output=True)
    told, bases, answers = [], [], []
    for number in range(2):
        manager = Alertmanager()
        told.append(manager)
        config = (f"global: {{scrape_interval: 1h, evaluation_interval: 1s, external_labels: {{cluster: eu}}}}\nrule_files: [rules/*.yml]\n"
                  f"alerting: {{alertmanagers: [{{path_prefix: /prefix, static_configs: [{{targets: ['127.0.0.1:{manager.port}']}}]}}]}}\n"
                  f"scrape_configs: [{{job_name: none, static_configs: [{{targets: ['127.0.0.1:1']}}]}}]\n")
        if number == 0:
            path = stack.folder / "ours.yml"
            path.write_text(config)
            page = free_port()
            stack.start("foreglow", [binary(), "--prometheus-config", path, "--data", stack.folder / "data", f"--listen=127.0.0.1:{page}", "--set=service.telemetry.metrics.level=none"])
            bases.append(f"http://127.0.0.1:{page}")
            wait_for("foreglow to be ready", lambda: get(f"{bases[0]}/-/ready"))
        else:
            bases.append(prometheus_3(stack, config))
    pushed = stack.folder / "pushed.prom"
    pushed.write_text(PUSHED)
    for base in bases:
        subprocess.run([promtool, "push", "metrics", base, pushed], check=True, capture_output=True)

    def names(entry):
        return {name: value for name, value in entry["metric"].items() if name not in ("job",)}

    for base, manager in zip(bases, told):
        def settled():
            found = json.loads(get(f"{base}/api/v1/query", query='{__name__=~"fg.*|ALERTS"}'))["data"]["result"]
            series = sorted(json.dumps([names(one), one["value"][1]], sort_keys=True) for one in found)
            rules = json.loads(get(f"{base}/api/v1/rules"))["data"]["groups"]
            kept = [{key: rule.get(key) for key in ("name", "query", "type", "state", "health", "labels", "annotations", "duration", "keepFiringFor")} for rule in rules[0]["rules"]]
            alerts = json.loads(get(f"{base}/api/v1/alerts"))["data"]["alerts"]
            alerts = sorted(json.dumps({k: a[k] for k in ("labels", "annotations", "state", "value")}, sort_keys=True) for a in alerts)
            return len(series) == 2 + 2 + 1 + 4 and len(manager.alerts) == 2 and (series, kept, alerts, dict(manager.alerts))
        answers.append(wait_for(f"rules of {base}", settled, 60))
    for ours, theirs in zip(*answers):
        drop = lambda value: json.loads(re.sub(r'"job": "[^"]*", |\\\\"job\\\\": \\\\"[^"]*\\\\", ', "", json.dumps(value)))
        assert drop(ours) == drop(theirs), (ours, theirs)
    checked = 0
    for arguments in (["query", "instant"], ["query", "series", "--match=fg_pushed"], ["query", "labels"]):
        outputs = []
        for base in bases:
            line = {"instant": [base, "fg:all"], "series": [base], "labels": [base, "severity"]}[arguments[1]]
            out = subprocess.run([promtool, *arguments, *line], check=True, capture_output=True, text=True).stdout
            outputs.append(re.sub(r"@\[[^]]*\]", "", out))
        assert outputs[0] == outputs[1], outputs
        checked += 1
    return f"{len(answers[0][0])} series, {len(answers[0][1])} rules, {len(answers[0][2])} alerts and {len(answers[0][3])} notices equal, {checked} promtool queries"


ALL = [random_queries, prometheus_config]
