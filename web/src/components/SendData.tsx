// SPDX-License-Identifier: Apache-2.0
// What to do when there is no data yet: the shortest ways to send some.
import { otlpHttp, PRODUCT } from "../lib/product";
import { Command } from "./Copy";
import styles from "./SendData.module.css";

function ways(endpoint: string) {
  return [
    {
      title: "From your service",
      text: `Any OpenTelemetry SDK sends to ${endpoint} by default. To be explicit, and to see metrics within seconds:`,
      command: `export OTEL_SERVICE_NAME=my-service
export OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_METRIC_EXPORT_INTERVAL=5000`,
      what: "environment variables",
    },
    {
      title: "Demo telemetry",
      text: "Services with daily and hourly seasons, noise and incidents, with predictions:",
      command: "make demo-start",
      what: "demo command",
    },
    {
      title: "One request by hand",
      text: "A log record, to see that the way is open:",
      command: `curl ${endpoint}/v1/logs -H 'content-type: application/json' -d '
  {"resourceLogs":[{"scopeLogs":[{"logRecords":[
    {"severityText":"INFO","body":{"stringValue":"hello"}}]}]}]}'`,
      what: "curl command",
    },
  ];
}

export function SendData({ what = "telemetry" }: { what?: string }) {
  return (
    <section className={styles.box} aria-label="How to send data">
      <h2>No {what} yet</h2>
      <p className={styles.lead}>
        {PRODUCT} is running and listening. Send something; this page updates by itself.
      </p>
      <div className={styles.ways}>
        {ways(otlpHttp(location.hostname)).map((way) => (
          <div key={way.title} className={styles.way}>
            <h3>{way.title}</h3>
            <p>{way.text}</p>
            <Command text={way.command} what={way.what} />
          </div>
        ))}
      </div>
    </section>
  );
}
