// SPDX-License-Identifier: Apache-2.0
// A configuration without a store: telemetry passes through, and the page has nothing to ask.
import { Command } from "./Copy";
import styles from "./SendData.module.css";

const STORE = `exporters:
  embedded_store:
service:
  pipelines:
    metrics:
      exporters: [embedded_store]   # beside those that are there`;

export function NotStored() {
  return (
    <section className={styles.box} aria-label="Nothing is stored">
      <h2>Nothing is stored</h2>
      <p className={styles.lead}>
        The configuration sends telemetry on without keeping it, so there is nothing to show here but the
        pipelines. Add the embedded store to see metrics, traces and logs:
      </p>
      <Command text={STORE} what="configuration" />
    </section>
  );
}
