// SPDX-License-Identifier: Apache-2.0
// One number, large, with its recent course as a word-sized line, and smaller numbers beside it.
import { useState } from "react";
import { type Frames, useFrames } from "../api/hooks";
import { dataOf, latest, type Series } from "../charts/frame";
import type { PanelSpec } from "../charts/panel";
import { sparkline } from "../charts/sparkline";
import { summarise } from "../charts/summary";
import { formatValue } from "../lib/format";
import { DataTable } from "./DataTable";
import { Box, PanelActions, PanelBody, stateOf } from "./Panel";
import styles from "./StatTile.module.css";
import { TableToggle } from "./TableToggle";

interface Props {
  /** The first query is the large number and the line; the others are the small numbers. */
  spec: PanelSpec;
  className?: string | undefined;
}

export function StatTile({ spec, className }: Props) {
  const frames = useFrames(spec.queries);
  const [asTable, setAsTable] = useState(false);
  const state = stateOf(frames);
  return (
    <Box
      id={spec.id}
      title={spec.title}
      state={state}
      exprs={frames.exprs}
      className={className}
      actions={
        <>
          <PanelActions spec={spec} frames={frames} />
          <TableToggle title={spec.title} ready={state === "ready"} asTable={asTable} onChange={setAsTable} />
        </>
      }
    >
      <div className={styles.body}>
        <PanelBody state={state} frames={frames} needs={spec.needs}>
          {asTable ? (
            <div className={styles.table}>
              <DataTable frame={frames.frame} unit={spec.unit} title={spec.title} />
            </div>
          ) : (
            <Stat spec={spec} frames={frames} />
          )}
        </PanelBody>
      </div>
    </Box>
  );
}

function Stat({ spec, frames }: { spec: PanelSpec; frames: Frames }) {
  const { frame } = frames;
  const first = frame.series.find((one) => one.query === 0);
  const others = frame.series.filter((one) => one.query !== 0);
  const unitOf = (one: Series) => spec.queries[one.query ?? 0]?.unit ?? spec.unit;
  return (
    <div className={styles.stat}>
      <div className={styles.numbers}>
        <div className={styles.value} {...dataOf(first, frame.times)}>
          {formatValue(first && latest(first.values)?.value, spec.unit)}
        </div>
        <dl className={styles.others}>
          {others.map((one) => (
            <div key={one.name}>
              <dt>{one.name}</dt>
              <dd {...dataOf(one, frame.times)}>{formatValue(latest(one.values)?.value, unitOf(one))}</dd>
            </div>
          ))}
        </dl>
      </div>
      {first && (
        <Spark
          zero={spec.zero}
          series={first}
          label={summarise(spec.title, { ...frame, series: [first] }, spec.unit)}
        />
      )}
    </div>
  );
}

const WIDTH = 200;
const HEIGHT = 48;

export function Spark({
  series,
  label,
  zero,
}: {
  series: Series;
  label: string;
  zero?: boolean | undefined;
}) {
  const { line, area } = sparkline(series.values, WIDTH, HEIGHT, zero);
  return (
    <svg
      className={series.role === "predicted" ? styles.sparkPredicted : styles.spark}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <path d={area} className={styles.area} />
      <path d={line} className={styles.line} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
