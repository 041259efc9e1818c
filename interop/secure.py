# SPDX-License-Identifier: Apache-2.0
"""Real peers over TLS: certificates of an authority of our own, tokens, and both directions of mTLS."""

import json
import subprocess

import peers
from stack import free_port, get, wait_for

SECURE = """
extensions:
  bearertokenauth: {{filename: {folder}/token}}
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: "127.0.0.1:@GRPC@"
        tls: {{cert_file: {folder}/server.crt, key_file: {folder}/server.key{client_ca}}}
{auth}
      http:
        endpoint: "127.0.0.1:@HTTP@"
        tls: {{cert_file: {folder}/server.crt, key_file: {folder}/server.key{client_ca}}}
{auth}
exporters:
  embedded_store:
{exporters}
service:
  extensions: [bearertokenauth]
  pipelines:
    traces: {{receivers: [otlp], exporters: [embedded_store{names}]}}
    metrics: {{receivers: [otlp], exporters: [embedded_store{names}]}}
    logs: {{receivers: [otlp], exporters: [embedded_store{names}]}}
"""


def openssl(*arguments):
    peers.run(["openssl", *arguments])


def certificates(folder):
    """An authority, and a certificate of it for a server on this machine and for a client."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=interop",
            "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    for name in ("server", "client"):
        extensions = folder / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
        openssl("x509", "-req", "-days", "2", "-in", folder / f"{name}.csr", "-CA", folder / "ca.crt",
                "-CAkey", folder / "ca.key", "-CAcreateserial", "-extfile", extensions, "-out", folder / f"{name}.crt")
    (folder / "token").write_text("interop-token\n")


def spans_of(server):
    return {s["name"]: s["spans"] for s in json.loads(get(f"{server.page}/api/fg/v1/overview"))["services"]}


def python_sdk_over_tls(stack, program):
    """The Python SDK over HTTPS with a bearer token; with another token, and in plain text, nothing gets in."""
    python = peers.python_sdk()
    certificates(stack.folder)
    auth = "        auth: {authenticator: bearertokenauth}"
    server = stack.foreglow(SECURE.format(folder=stack.folder, client_ca="", auth=auth, exporters="", names=""))
    path = stack.folder / "app.py"
    path.write_text(program)

    def run(name, scheme, token):
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{scheme}://localhost:{server.http_port}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(stack.folder / "ca.crt"),
            "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{token}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
            "OTEL_SERVICE_NAME": name,
        }
        stack.start(f"app-{name}", [python, path], env=environment).wait(60)

    run("wrong-token", "https", "another-token")
    run("plain-text", "http", "interop-token")
    run("secure", "https", "interop-token")
    wait_for("the span", lambda: spans_of(server).get("secure", 0) == 1)
    wait_for("the counter", lambda: server.value('orders_created_total{service_name="secure",plan="gold"}') == 7)
    assert set(spans_of(server)) & {"wrong-token", "plain-text"} == set(), spans_of(server)
    return "span, counter and log over HTTPS with a token; a wrong token and plain text were refused"


def go_collector_over_mtls(stack):
    """Go collector -> us -> Go collector, every hop but the first over mTLS: gRPC in snappy, HTTP in lz4."""
    collector, tool = peers.otelcol(), peers.telemetrygen()
    certificates(stack.folder)
    folder = stack.folder
    plain, grpc, http, out = free_port(), free_port(), free_port(), folder / "received.jsonl"
    mine = f"ca_file: {folder}/ca.crt, cert_file: {folder}/client.crt, key_file: {folder}/client.key"
    theirs = f"cert_file: {folder}/server.crt, key_file: {folder}/server.key, client_ca_file: {folder}/ca.crt"
    exporters = f"""
  otlp: {{endpoint: "localhost:{grpc}", compression: snappy, tls: {{{mine}}}}}
  otlphttp: {{endpoint: "https://localhost:{http}", compression: lz4, tls: {{{mine}}}}}
"""
    server = stack.foreglow(SECURE.format(
        folder=folder, client_ca=f", client_ca_file: {folder}/ca.crt", auth="", exporters=exporters,
        names=", otlp, otlphttp"))
    config = folder / "otelcol.yaml"
    config.write_text(f"""
receivers:
  otlp/plain: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{plain}"}}}}}}
  otlp/secure:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}", tls: {{{theirs}}}}}
      http: {{endpoint: "127.0.0.1:{http}", tls: {{{theirs}}}}}
exporters:
  otlp_grpc: {{endpoint: "localhost:{server.grpc_port}", compression: snappy, tls: {{{mine}}}}}
  otlp_http: {{endpoint: "https://localhost:{server.http_port}", compression: lz4, tls: {{{mine}}}}}
  file: {{path: {out}, flush_interval: 200ms}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces/in: {{receivers: [otlp/plain], exporters: [otlp_grpc, otlp_http]}}
    traces/out: {{receivers: [otlp/secure], exporters: [file]}}
""")
    stack.start("otelcol", [collector, "--config", config])
    send = [tool, "traces", f"--otlp-endpoint=127.0.0.1:{plain}", "--otlp-insecure", "--traces=25", "--workers=1",
            "--rate=0", "--service=mtls"]
    wait_for("the collector to take load",
             lambda: subprocess.run([str(c) for c in send], capture_output=True, timeout=60).returncode == 0)
    # 50 spans reach us by each of two exporters, and leave by each of ours.
    wait_for("spans from the Go collector", lambda: spans_of(server).get("mtls", 0) >= 100)

    def back():
        found = sum(line.count('"spanId"') for line in out.read_text().splitlines())
        return found >= 200 and found

    found = wait_for("spans back at the Go collector", back)
    bare = [tool, "traces", f"--otlp-endpoint=127.0.0.1:{server.grpc_port}", "--traces=1", "--workers=1",
            f"--ca-cert={folder}/ca.crt", "--service=bare"]
    subprocess.run([str(c) for c in bare], capture_output=True, timeout=60)
    assert "bare" not in spans_of(server), "a client without a certificate got in"
    return f"100 spans in and {found} out over mTLS; a client without a certificate was refused"
