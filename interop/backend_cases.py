# SPDX-License-Identifier: Apache-2.0
"""Back ends that our exporters send to: Jaeger by both of its protocols, OpenSearch by the bulk API."""

import json
import urllib.request

import peers
from stack import free_port, get, wait_for


def post(url, body, kind="application/json"):
    """Sends `body`, retrying nothing; the answer as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": kind})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or b"{}")


def attribute(key, **value):
    return {"key": key, "value": value}


def a_trace(trace_id, service):
    """Two spans with everything a span can have."""
    attributes = [attribute("http.route", stringValue="/cart"), attribute("n", intValue="-3"),
                  attribute("d", doubleValue=0.5), attribute("t", boolValue=True),
                  attribute("l", arrayValue={"values": [{"stringValue": "x"}, {"stringValue": "y"}]})]
    root = {"traceId": trace_id, "spanId": "b7ad6b7169203331", "name": "GET /cart", "kind": 2, "traceState": "a=b",
            "startTimeUnixNano": "1767225600000001000", "endTimeUnixNano": "1767225600250002000",
            "attributes": attributes, "status": {"code": 2, "message": "no luck"},
            "events": [{"timeUnixNano": "1767225600100000000", "name": "oops",
                        "attributes": [attribute("why", stringValue="full")]}]}
    child = {"traceId": trace_id, "spanId": "c7ad6b7169203331", "parentSpanId": root["spanId"], "name": "db", "kind": 3,
             "startTimeUnixNano": "1767225600010000000", "endTimeUnixNano": "1767225600020000000",
             "links": [{"traceId": "1a" * 16, "spanId": "d7ad6b7169203331"}]}
    resource = {"attributes": [attribute("service.name", stringValue=service), attribute("host.name", stringValue="h1")]}
    scopes = [{"scope": {"name": "lib", "version": "1.2"}, "spans": [root, child]}]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}


# What Jaeger is to show of `a_trace`, by the published mapping.
JAEGER_SPANS = {
    "GET /cart": {
        "startTime": 1767225600000001, "duration": 250001, "references": [],
        "tags": {"d": 0.5, "error": True, "http.route": "/cart", "l": '["x","y"]', "n": -3, "otel.scope.name": "lib",
                 "otel.scope.version": "1.2", "otel.status_code": "ERROR", "otel.status_description": "no luck",
                 "span.kind": "server", "t": True, "w3c.tracestate": "a=b"},
        "logs": [(1767225600100000, {"event": "oops", "why": "full"})],
    },
    "db": {
        "startTime": 1767225600010000, "duration": 10000,
        "references": [("CHILD_OF", "b7ad6b7169203331"), ("FOLLOWS_FROM", "d7ad6b7169203331")],
        "tags": {"otel.scope.name": "lib", "otel.scope.version": "1.2", "span.kind": "client"}, "logs": [],
    },
}


def jaeger(stack):
    """Jaeger v2 takes our gRPC (14250) and Thrift over HTTP (14268); its query API gives the spans back equal."""
    ports = {"proto": free_port(), "thrift": free_port(), "query": free_port(), "query_grpc": free_port()}
    query = peers.start_jaeger(stack, **ports)
    server = stack.foreglow(config=f"""
receivers:
  otlp/proto: {{protocols: {{http: {{endpoint: "127.0.0.1:@HTTP@"}}}}}}
  otlp/thrift: {{protocols: {{http: {{endpoint: "127.0.0.1:@GRPC@"}}}}}}
exporters:
  jaeger: {{endpoint: "127.0.0.1:{ports['proto']}", tls: {{insecure: true}}}}
  jaeger_thrift: {{endpoint: "http://127.0.0.1:{ports['thrift']}/api/traces"}}
service:
  pipelines:
    traces/proto: {{receivers: [otlp/proto], exporters: [jaeger]}}
    traces/thrift: {{receivers: [otlp/thrift], exporters: [jaeger_thrift]}}
""")
    for service, trace_id, port in (("by-proto", "0a" * 16, server.http_port), ("by-thrift", "0b" * 16, server.grpc_port)):
        post(f"http://127.0.0.1:{port}/v1/traces", a_trace(trace_id, service))
        found = wait_for(f"the trace {service}",
                         lambda: json.loads(get(f"{query}/api/traces/{trace_id}"))["data"][0])
        process = found["processes"][found["spans"][0]["processID"]]
        assert process["serviceName"] == service, process
        assert {tag["key"]: tag["value"] for tag in process["tags"]} == {"host.name": "h1"}, process
        spans = {}
        for span in found["spans"]:
            fields = lambda tags: {tag["key"]: tag["value"] for tag in tags}
            spans[span["operationName"]] = {
                "startTime": span["startTime"], "duration": span["duration"], "tags": fields(span["tags"]),
                "references": [(reference["refType"], reference["spanID"]) for reference in span["references"]],
                "logs": [(log["timestamp"], fields(log["fields"])) for log in span["logs"]],
            }
        assert spans == JAEGER_SPANS, spans
    return "both spans came back equal by either protocol"


def opensearch(stack):
    """OpenSearch takes our bulk requests in every mode; what it finds is what was sent."""
    class_path = peers.opensearch()
    port, home = free_port(), stack.folder / "opensearch"
    (home / "config").mkdir(parents=True)
    stack.start("opensearch", ["java", "-Xmx512m", "-cp", class_path, "Main", home, port, free_port()])
    url = f"http://127.0.0.1:{port}"
    wait_for("OpenSearch", lambda: get(url), deadline=90)
    modes = {"traces": ("otel", "ecs", "none", "raw"), "metrics": ("otel", "ecs"), "logs": ("otel", "ecs", "none", "raw")}
    exporters = "\n".join(
        f"  elasticsearch/{mode}: {{endpoint: '{url}', mapping: {{mode: {mode}}}, "
        f"logs_index: logs-{mode}, traces_index: traces-{mode}, metrics_index: metrics-{mode}}}"
        for mode in modes["traces"])
    pipelines_ = "\n".join(
        f"    {signal}: {{receivers: [otlp], exporters: [{', '.join(f'elasticsearch/{mode}' for mode in names)}, elasticsearch]}}"
        for signal, names in modes.items())
    server = stack.foreglow(config=f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:@HTTP@"}}}}}}}}
exporters:
{exporters}
  elasticsearch: {{endpoint: '{url}'}}
service:
  pipelines:
{pipelines_}
""")
    resource = {"attributes": [attribute("service.name", stringValue="shop"), attribute("host.name", stringValue="h1")]}
    logs = [{"timeUnixNano": str(1767225600000000000 + at), "severityText": "INFO", "severityNumber": 9,
             "body": {"stringValue": f"line {at}"}, "attributes": [attribute("at", intValue=str(at))]} for at in range(200)]
    # Its type is not that of the others: it is refused, alone.
    logs.append({**logs[0], "attributes": [attribute("at", stringValue="x")]})
    points = [{"timeUnixNano": "1767225600000000000", "asDouble": at / 2, "attributes": [attribute("at", intValue=str(at))]}
              for at in range(50)]
    metric = {"name": "load", "unit": "1", "gauge": {"dataPoints": points}}
    base = f"http://127.0.0.1:{server.http_port}/v1"
    post(f"{base}/traces", a_trace("0c" * 16, "shop"))
    post(f"{base}/logs", {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": logs}]}]})
    post(f"{base}/metrics", {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]})

    def count(index, query=None):
        post(f"{url}/{index}/_refresh", b"")
        return post(f"{url}/{index}/_count", {"query": query or {"match_all": {}}})["count"]

    expected = {f"{signal}-{mode}": items for signal, items in (("traces", 2), ("metrics", 50), ("logs", 200)) for mode in modes[signal]}
    # By attributes; the event of the span is a log of its own there.
    expected |= {"traces-generic.otel-default": 2, "metrics-generic.otel-default": 50, "logs-generic.otel-default": 201}
    # Its events go to a static index for logs, too.
    expected["logs-otel"] += 1
    for index, items in expected.items():
        wait_for(f"{items} documents in {index}", lambda: count(index) == items, deadline=90)
    one = post(f"{url}/logs-otel/_search", {"query": {"term": {"attributes.at": 17}}})["hits"]["hits"]
    assert [hit["_source"]["body"] for hit in one] == [{"text": "line 17"}], one
    span = post(f"{url}/traces-otel/_search", {"query": {"match": {"name": "cart"}}})["hits"]["hits"][0]["_source"]
    assert (span["trace_id"], span["duration"], span["status"]["code"]) == ("0c" * 16, 250001000, "Error"), span
    ecs = post(f"{url}/traces-ecs/_search", {"query": {"match": {"event.outcome": "failure"}}})["hits"]["hits"]
    assert len(ecs) == 1 and ecs[0]["_source"]["service"]["name"] == "shop", ecs
    load = post(f"{url}/metrics-otel/_search", {"query": {"term": {"attributes.at": 7}}})["hits"]["hits"][0]["_source"]
    assert load["metrics"] == {"load": 3.5}, load
    refused = wait_for("the refused ones", lambda: (stack.folder / "foreglow.log").read_text().count("1 x 400 "))
    assert refused == 5, refused
    return f"{sum(expected.values())} documents in {len(expected)} indices found again, {refused} refused alone"


ALL = [jaeger, opensearch]
