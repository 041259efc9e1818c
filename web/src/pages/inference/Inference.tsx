// SPDX-License-Identifier: Apache-2.0
// Metrics Inference Showcase: what came in, what the models made of it, and what that costs.
import { useEffect, useMemo } from "react";
import { loadCharts } from "../../charts/TimeChart";
import { ChartPanel } from "../../components/ChartPanel";
import { StatTile } from "../../components/StatTile";
import { usePageSearch } from "../../state/view";
import styles from "./Inference.module.css";
import { rows } from "./panels";
import { SourcePicker } from "./SourcePicker";

export function Inference() {
  const { service } = usePageSearch();
  const shown = useMemo(() => rows(service), [service]);
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
      {shown.map((row) => (
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
