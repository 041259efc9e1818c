// SPDX-License-Identifier: Apache-2.0
// Metrics Inference Showcase: what came in, what the models made of it, and what that costs.
import { useEffect } from "react";
import { loadCharts } from "../../charts/TimeChart";
import { ChartPanel } from "../../components/ChartPanel";
import { StatTile } from "../../components/StatTile";
import styles from "./Inference.module.css";
import { ROWS } from "./panels";
import { SourcePicker } from "./SourcePicker";

export function Inference() {
  useEffect(() => void loadCharts(), []);
  return (
    <>
      <div className={styles.top}>
        <p className={styles.lead}>
          Metrics Inference Showcase: metrics as they came, and as models made of them in the stream. Measured
          is solid, <span className={styles.predicted}>predicted is dashed</span>.
        </p>
        <SourcePicker />
      </div>
      {ROWS.map((row) => (
        <section key={row.title} aria-label={row.title}>
          <h2 className={styles.title}>{row.title}</h2>
          <div className={row.panels.length === 4 ? styles.four : styles.three}>
            {row.panels.map((panel) =>
              row.kind === "stats" ? (
                <StatTile key={panel.id} spec={panel} />
              ) : (
                <ChartPanel key={panel.id} spec={panel} />
              ),
            )}
          </div>
        </section>
      ))}
    </>
  );
}
